"""What the leader tells a round of research, made from leaderboard and queue when a round is due."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from orze.config.research import Research
from orze.core.states import RUNNING, State
from orze.farm.board import Board
from orze.farm.context import Context
from orze.farm.queue import Queue
from orze.report.merit import Config
from orze.report.model import HostRow
from orze.research.brief import Arm, Brief, Failure, Known
from orze.research.control import improvements
from orze.research.standing import Ended

_TOP: Final = 8
_FAMILIES: Final = 12
_RECENT: Final = 8
_FAILURES: Final = 1000  # the latest, that are counted by cause
_QUEUED: Final = 20
_WAITING: Final = 1000
_TREND: Final = 30
_ENDED: Final = 10_000
_TITLE, _ERROR = 120, 300


def brief_of(
    context: Context,
    *,
    board: Board,
    queue: Queue,
    ended: Sequence[Ended],
    hosts: Iterable[HostRow],
    arms: tuple[Arm, ...],
    number: int,
    count: int,
    model: str,
    left: Mapping[str, float],
) -> Brief:
    """Put the brief of one round together.

    Args:
        ended: all that ran, as it ended; see `Leaderboard.ended`.
        number, count: of the round, and how many ideas it may leave.
        model: that of this round, in the place of the configured one; empty where none is asked.
        left: what is left of the budgets.
    """
    teller = _Teller(board, queue)
    primary, merit = board.leaderboard.primary, board.merit()
    ascending = primary.ascending if primary else False
    base = board.leaderboard.base()
    values = [(idea_id, value) for idea_id, value, _ in ended if value is not None]
    order = {idea_id: index for index, (idea_id, _, _) in enumerate(ended, 1)}
    trend = values[:1] + improvements(values, ascending=ascending, noise=None)
    return Brief(
        round=number,
        count=count,
        metric=primary.name if primary else "",
        ascending=ascending,
        verdict=merit.sentence,
        baseline=base.mean if base else None,
        baseline_n=base.n if base else 0,
        noise=merit.noise,
        top=tuple(map(teller.config, _by_worse_end(merit.configs, ascending=ascending)[:_TOP])),
        families=teller.families(values, ascending=ascending),
        recent=tuple(teller.idea(idea_id) for idea_id, _, _ in ended[: -_RECENT - 1 : -1]),
        failures=_failures(board),
        queued=tuple((idea_id, queue.title(idea_id)[:_TITLE]) for idea_id in waiting(queue)[:_QUEUED]),
        trend=tuple((order[idea_id], value) for idea_id, value in trend[-_TREND:]),
        arms=arms,
        budget_left=left,
        ended=_of_this_code(queue, ended[-_ENDED:]),
        **_of_settings(context, model),
        **_of_cards(hosts),
    )


def _of_settings(context: Context, model: str) -> dict[str, Any]:
    settings = context.settings
    return {
        "results": context.paths.results,
        "ideas_file": str(settings.ideas_file),
        "base_config": str(settings.base_config),
        "project_dir": str(settings.project_dir),
        "research": plain(settings.research or Research(), model),
        "timeout": settings.timeout,
    }


def _of_cards(hosts: Iterable[HostRow]) -> dict[str, Any]:
    cards = [card for host in hosts for card in host.cards]
    memory = [card.memory_total_mib for card in cards if card.memory_total_mib]
    return {"cards": tuple(sorted({card.name for card in cards})), "memory_mib": max(memory, default=None)}


def plain(research: Research, model: str) -> dict[str, Any]:
    """The block as plain values, with the model of one round."""
    values: dict[str, Any] = json.loads(research.model_dump_json())
    return {**values, "model": model or None}


def waiting(queue: Queue) -> list[str]:
    """The ideas that wait or run, at most a thousand."""
    states = (State.QUEUED, *RUNNING)
    return [idea_id for state in states for idea_id in queue.by_state[state]][:_WAITING]


def _of_this_code(
    queue: Queue, ended: Iterable[tuple[str, float | None, bool]]
) -> tuple[tuple[str, float | None, str], ...]:
    """What ended, and whether well, less ideas with code of their own: they tell nothing of values."""
    told = []
    for idea_id, value, well in ended:
        entry = queue.get(idea_id)
        idea = entry.idea if entry else None
        if idea is None or not (idea.commit or idea.command):
            told.append((idea_id, value, "ok" if well else "failed"))
    return tuple(told)


class _Teller:
    """Tells of single ideas."""

    def __init__(self, board: Board, queue: Queue) -> None:
        self._board = board
        self._queue = queue

    def config(self, config: Config) -> Known:
        """One configuration, by the best of its runs."""
        return self.idea(config.best, config)

    def idea(self, idea_id: str, config: Config | None = None) -> Known:
        """One idea that ended; `config` tells of all runs of its configuration."""
        result = self._board.leaderboard.get(idea_id)
        config = config or (self._board.leaderboard.config(idea_id) if result else None)
        entry = self._queue.get(idea_id)
        idea = entry.idea if entry else None
        primary = self._board.leaderboard.primary
        value = result.metrics.get(primary.name) if result and primary else None
        return Known(
            idea_id=idea_id,
            title=result.title[:_TITLE] if result else "",
            family=idea.category[:_TITLE] if idea else "",
            parent=(idea.parent or "") if idea else "",
            state=result.state.value if result else "",
            cause=(result.cause or "") if result else "",
            error=(result.error or "")[:_ERROR] if result else "",
            value=float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None,
            mean=config.mean if config else None,
            n=config.n if config else 0,
            low=config.low if config else None,
            high=config.high if config else None,
            seconds=result.seconds if result else 0.0,
        )

    def families(self, values: Iterable[tuple[str, float]], *, ascending: bool) -> tuple[Known, ...]:
        """The best of each category, the best category first."""
        best: dict[str, tuple[float, str]] = {}
        for idea_id, value in values:
            entry = self._queue.get(idea_id)
            family = entry.idea.category if entry and entry.idea else ""
            key = value if ascending else -value
            if family and (family not in best or key < best[family][0]):
                best[family] = (key, idea_id)
        return tuple(self.idea(idea_id) for _, idea_id in sorted(best.values())[:_FAMILIES])


def _by_worse_end(configs: Iterable[Config], *, ascending: bool) -> list[Config]:
    """Those first that are good even by the worse end of their interval."""

    def key(config: Config) -> float:
        worse = config.high if ascending else config.low
        value = config.mean if worse is None else worse
        return value if ascending else -value

    return sorted(configs, key=key)


def _failures(board: Board) -> tuple[Failure, ...]:
    """The causes of failure, the most frequent first, each with what the latest one said."""
    failed = board.leaderboard.recent(State.FAILED, _FAILURES)
    counts = Counter(result.cause or "unknown" for result in failed)
    examples: dict[str, str] = {}
    for result in failed:
        examples.setdefault(result.cause or "unknown", f"{result.idea_id}: {result.error or ''}"[:_ERROR])
    return tuple(Failure(cause, count, examples[cause]) for cause, count in counts.most_common(8))
