"""Early stopping: the leader ends the attempts that `research.prune` finds hopeless by their curves."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Collection
from dataclasses import dataclass
from statistics import median
from typing import Final

from orze.attempt.projections import directory_of
from orze.attempt.spec import PROGRESS
from orze.coord.idea_chain import RUN
from orze.core.states import SUCCEEDED, State
from orze.farm.attempts import Attempt, Attempts
from orze.farm.board import Board
from orze.farm.context import Context
from orze.farm.curves import Curve, Progress
from orze.farm.problems import Problems
from orze.farm.prune_rule import Bounds, by_median, by_rungs, rung
from orze.farm.queue import Queue
from orze.ideas.model import group_of

_LOG = logging.getLogger("orze")
_EVERY: Final = 2.0  # seconds between two looks
_BUDGET: Final = 0.2  # seconds of one look
_REST: Final = 10  # and so many times what a look took, until the next
_ENDED: Final = 200  # latest results of each state whose curves are kept
_COMPARED: Final = SUCCEEDED | {State.PRUNED}
_SOURCE: Final = "early stopping"


@dataclass
class _Ended:
    """A result whose curve is kept.

    Attributes:
        order: which of the outcomes of its idea it is.
        progress: None until it was opened.
    """

    order: int
    state: State
    progress: Progress | None = None


class Pruning:
    """Follows the curves of the farm, and leaves for the keeper of a hopeless attempt the reason to end it.

    It holds nothing that another leader could not read again. Without `research.prune` it reads nothing.
    """

    def __init__(
        self, context: Context, *, attempts: Attempts, queue: Queue, board: Board, problems: Problems
    ) -> None:
        self._context = context
        self._attempts = attempts
        self._queue = queue
        self._board = board
        self._problems = problems
        research = context.settings.research
        self._rule = research.prune if research else None
        self._first = research.prune_after if research else None
        self._runs = research.prune_runs if research else 0
        self._next = 0.0 if self._rule else float("inf")
        self._metric, self._ascending = "", True
        self._recorded = -1
        self._ended: dict[str, _Ended] = {}
        self._running: dict[str, Progress] = {}
        self._passed: dict[str, int] = {}
        self._decided: set[str] = set()
        self._turn = 0

    def step(self) -> float:
        """Look at what is new in the curves, where it is time, for at most a fifth of a second.

        Returns:
            The steady time at which to look again.

        Raises:
            OSError: the share did not answer for some attempt; the others were looked at.
        """
        begun = self._context.clock.steady()
        if begun < self._next:
            return self._next
        self._next = begun + _EVERY
        try:
            self._look(begun + _BUDGET)
        finally:
            now = self._context.clock.steady()
            self._next = now + max(_EVERY, _REST * (now - begun))
        return self._next

    def _look(self, until: float) -> None:
        primary = self._board.leaderboard.primary
        if primary is None:
            return
        if (self._metric, self._ascending) != (primary.name, primary.ascending):
            self._metric, self._ascending = primary.name, primary.ascending
            self._ended, self._running, self._passed, self._recorded = {}, {}, {}, -1
        self._choose_ended()
        faults: list[OSError] = []
        whole = self._read_ended(until, faults)
        if whole:
            self._tell_if_useless()
        self._follow(until, faults, judge=whole)
        if faults:
            raise faults[0]

    def _choose_ended(self) -> None:
        """Whose curves are kept: the latest results, those that were stopped early too."""
        if self._recorded == self._board.recorded:
            return
        self._recorded = self._board.recorded
        before, self._ended = self._ended, {}
        for state in _COMPARED:
            for result in self._board.leaderboard.recent(state, _ENDED):
                known = before.get(result.idea_id)
                same = known is not None and known.order == result.order
                self._ended[result.idea_id] = known if known and same else _Ended(result.order, state)

    def _read_ended(self, until: float, faults: list[OSError]) -> bool:
        """Read each of them once; whether there was the time for it."""
        for idea_id, ended in self._ended.items():
            try:
                while ended.progress is None or ended.progress.behind:
                    if self._context.clock.steady() >= until:
                        return False
                    ended.progress = ended.progress or self._open(self._file_of(idea_id))
                    ended.progress.read()
            except OSError as error:
                faults.append(error)  # one that cannot be read must not hide the others
        return True

    def _file_of(self, idea_id: str) -> str:
        try:
            _, fold = self._attempts.chain(idea_id)
        except FileNotFoundError:  # of a plain farm
            return self._context.paths.idea(idea_id).projection(PROGRESS)
        return self._attempts.progress_file(idea_id, os.path.basename(directory_of(fold)))

    def _tell_if_useless(self) -> None:
        succeeded = self._curves(SUCCEEDED)
        useless = len(succeeded) >= self._runs and all(curve.last < 0 for curve in succeeded)
        sentence = (
            f"research.prune stops nothing: no progress.jsonl of the last {len(succeeded)} results has "
            f"{self._metric}, the metric that ranks; write it there as the training goes"
        )
        self._problems.show(_SOURCE, [sentence] if useless else [])

    def _follow(self, until: float, faults: list[OSError], *, judge: bool) -> None:
        """Read on in the curves of what runs, those first that were read longest ago."""
        found = [attempt for attempt in self._attempts if attempt.claimed and not self._is_spared(attempt)]
        tokens = {attempt.token for attempt in found}
        self._decided &= tokens
        self._running = {token: known for token, known in self._running.items() if token in tokens}
        self._passed = {token: known for token, known in self._passed.items() if token in tokens}
        begin = self._turn % max(1, len(found))
        self._turn = begin
        for attempt in found[begin:] + found[:begin]:
            if self._context.clock.steady() >= until:
                break
            self._turn += 1
            try:
                if self._read(attempt) and judge:
                    self._judge(attempt)
            except OSError as error:
                faults.append(error)

    def _is_spared(self, attempt: Attempt) -> bool:
        """Whether it goes to its end in any case.

        A later attempt was asked for, or goes on from a checkpoint and lacks the beginning of its curve. Of
        repeats the hopeless ones count as well: without them, a mean would be too good.
        """
        if attempt.number != 1:
            return True
        return any(
            idea.repeats > 1 or idea.seed or idea.rerun
            for idea_id in {attempt.idea_id, group_of(attempt.idea_id)}
            if (entry := self._queue.get(idea_id)) and (idea := entry.idea)
        )

    def _read(self, attempt: Attempt) -> bool:
        """Whether the curve of an attempt of which nothing is decided has grown."""
        progress = self._running.get(attempt.token)
        if progress is None:
            path = self._attempts.progress_file(attempt.idea_id, attempt.directory)
            progress = self._running[attempt.token] = self._open(path)
        grown = progress.read()
        return grown and not progress.behind and attempt.token not in self._decided

    def _judge(self, attempt: Attempt) -> None:
        mine = self._running[attempt.token].curve
        ended = self._curves(_COMPARED)
        bounds = Bounds(self._first, self._length(mine.axis), self._runs)
        if self._rule == "median":
            reason: str | None = by_median(mine, ended, bounds)
        else:
            reason = self._judge_by_rung(attempt.token, mine, ended, bounds)
        if reason:
            self._prune(attempt, reason)

    def _judge_by_rung(self, token: str, mine: Curve, ended: list[Curve], bounds: Bounds) -> str | None:
        """Once at each rung, as soon as enough others have reached it."""
        reached = rung(mine, bounds)
        if self._passed.get(token, -1) >= reached:
            return None
        running = [progress.curve for other, progress in self._running.items() if other != token]
        reason = by_rungs(mine, ended + running, bounds, reached)
        if reason is not None:
            self._passed[token] = reached
        return reason

    def _length(self, axis: str) -> int | None:
        """How far results of this kind of steps go, as far as that is known."""
        lasts = [curve.last for curve in self._curves(SUCCEEDED) if curve.axis == axis and curve.last >= 0]
        return int(median(lasts)) if lasts else None

    def _curves(self, states: Collection[State]) -> list[Curve]:
        return [e.progress.curve for e in self._ended.values() if e.progress and e.state in states]

    def _prune(self, attempt: Attempt, reason: str) -> None:
        """Ask its keeper, wherever it is, to end it; one that evaluates by now, or is the base, goes on."""
        _, fold = self._attempts.chain(attempt.idea_id)
        if fold.phase != RUN or fold.token != attempt.token:
            return
        base = self._board.leaderboard.baseline
        if base and (fold.claim or {}).get("config") == base:  # everything is compared with it
            self._decided.add(attempt.token)
            return
        path = self._context.paths.idea(attempt.idea_id).prune_request(attempt.token)
        self._context.files.replace(path, reason.encode())
        self._decided.add(attempt.token)
        _LOG.info("%s is stopped early: %s", attempt.idea_id, reason)
        if attempt.pidfd >= 0:
            self._attempts.tell(attempt, signal.SIGUSR1)

    def _open(self, path: str) -> Progress:
        return Progress(path, self._metric, ascending=self._ascending)
