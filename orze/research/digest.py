"""The digest: all that a researcher needs to know of a farm, in 16 KiB whatever the farm has grown to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from orze.report.text import number
from orze.research.brief import Brief, Known
from orze.research.curves import read_curve
from orze.research.example import example
from orze.research.keys import flatten, is_seed
from orze.research.keytable import key_table
from orze.research.quoting import FENCE, Ready, render, row, short, some_lines
from orze.research.study import Study

LIMIT: Final = 16384
_LEAST: Final = 12288  # the parts that are always kept need so much
_CHANGES: Final = 12
_ROW: Final = 340  # bytes of one configuration
_LONG_ROW: Final = 460  # of one with a curve or an error
_NOTE: Final = 24  # bytes of the line that says how much was cut
_EMPTY: Final = "nothing yet"

# The sections from the most to the least valuable, and the bytes that each can count on. What one does not
# need goes to the others in this order; where the whole is too large, the last ones lose first.
SHARES: Final[Mapping[str, int]] = {
    "top": 8 * (_ROW + 1),
    "facts": 1400,
    "goal": 1600,
    "steer": 1000,
    "known": 2000,
    "recent": 1500,
    "families": 900,
    "failures": 600,
    "queued": 400,
    "trend": 200,
}


def digest(study: Study, *, limit: int = LIMIT) -> str:
    """Tell a researcher what is known.

    The same study gives the same digest. Its texts are untrusted: each is stripped of what does not print,
    cut to a bound and stands in a fence that it cannot close. The best configurations, the goal and the
    contract are never cut for the sake of others.

    Args:
        study: what is known.
        limit: bytes of UTF-8, 12288 at least.

    Raises:
        ValueError: the limit is too small.
    """
    if limit < _LEAST:
        raise ValueError(f"a digest needs {_LEAST} bytes at least")
    form = Ready(example(study))
    bare = _render({name: Ready(_EMPTY) for name in SHARES}, form)
    room = limit - len(bare.encode()) - _NOTE * len(SHARES)
    blocks = fit(_sections(study), SHARES, room)
    return _render({name: Ready("\n".join(rows) or _EMPTY) for name, rows in blocks.items()}, form)


def fit(sections: Mapping[str, Sequence[str]], shares: Mapping[str, int], room: int) -> dict[str, list[str]]:
    """Choose what is told of each section: its first lines, as many as there is room for.

    Args:
        sections: the lines of each, the most valuable first.
        shares: from the most to the least valuable section, the bytes that it can count on.
        room: bytes of all together, line ends included.

    Returns:
        The lines of each section, with one behind them that says how many were left out.
    """
    taken = dict.fromkeys(shares, 0)
    for bounds in (shares, dict.fromkeys(shares, room)):
        for name, share in bounds.items():
            rows = sections[name]
            used = sum(_size(line) for line in rows[: taken[name]])
            while taken[name] < len(rows):
                size = _size(rows[taken[name]])
                if size > room or used + size > share:
                    break
                used, room, taken[name] = used + size, room - size, taken[name] + 1
    return {
        name: [
            *sections[name][:count],
            *([f"… and {left} more"] if (left := len(sections[name]) - count) else []),
        ]
        for name, count in taken.items()
    }


def _size(line: str) -> int:
    return len(line.encode()) + 1


def _render(block: Mapping[str, Ready], form: Ready) -> str:
    return render("digest.md.j2", fence=Ready(FENCE), block=block, example=form)


def _sections(study: Study) -> dict[str, list[str]]:
    brief = study.brief
    changes = _Changes(study)
    return {
        "top": [changes.row(known) for known in brief.top[:8]],
        "facts": list(_facts(study)),
        "goal": some_lines(study.goal, 4096),
        "steer": some_lines(study.steer, 2048),
        "known": key_table(study),
        "recent": [_recent(brief, known, changes) for known in brief.recent[:8]],
        "families": [changes.row(known) for known in brief.families[:12]],
        "failures": [
            row(cause=one.cause, count=one.count, example=short(one.example, text=200))
            for one in brief.failures
        ],
        "queued": [row(id=idea_id, title=title) for idea_id, title in brief.queued[:20]],
        "trend": [f"run {order}: {number(value)}" for order, value in reversed(brief.trend[-30:])],
    }


def _facts(study: Study) -> Iterable[str]:
    brief = study.brief
    settings = brief.research
    yield row(round=brief.round)
    if brief.metric:
        yield row(
            metric=brief.metric,
            better="smaller" if brief.ascending else "larger",
            target=settings.get("target"),
        )
    else:
        yield row(metric="not known yet: no result holds a number to rank by")
    if brief.verdict:
        yield row(verdict=short(brief.verdict, text=300))
    if brief.baseline is None:
        yield row(baseline="has no result yet")
    else:
        yield row(baseline=brief.baseline, runs_of_it=brief.baseline_n)
    yield row(noise_sd_of_one_run=brief.noise or "not known")
    failed = sum(state == "failed" for _, _, state in brief.ended)
    yield row(ended=len(brief.ended), of_these_failed=failed)
    if (typical := _typical(brief)) is not None:
        yield row(typical_minutes=typical)
    yield row(time_limit_minutes=brief.timeout / 60, cards=sorted(set(brief.cards))[:4] or "none, CPU only",
              memory_gb_of_a_card=brief.memory_mib / 1024 if brief.memory_mib else None)  # fmt: skip
    if brief.budget_left:
        yield row(budget_left=dict(brief.budget_left))


def _typical(brief: Brief) -> float | None:
    """The middle of the times that the trainings took which are told of, in minutes."""
    seconds = sorted(known.seconds for known in (*brief.top, *brief.recent) if known.seconds > 0)
    return seconds[len(seconds) // 2] / 60 if seconds else None


class _Changes:
    """What ideas changed, and how they are told."""

    def __init__(self, study: Study) -> None:
        wanted = {known.idea_id for known in (*study.brief.top, *study.brief.families, *study.brief.recent)}
        self._base = flatten(study.base)
        self._configs = {trial.idea_id: trial.config for trial in study.trials if trial.idea_id in wanted}

    def row(self, known: Known, limit: int = _ROW, **more: Any) -> str:
        """One configuration in at most `limit` bytes: texts, then changes, make room for the numbers."""
        least = {"id": known.idea_id, **_numbers(known)}
        texts = {"parent": known.parent, "family": short(known.family, text=40), "title": short(known.title)}
        changed = self._changed(known.idea_id)
        some = dict(list(changed.items())[:_CHANGES])
        while True:
            cut = {"more_changes": len(changed) - len(some)} if len(some) < len(changed) else {}
            line = row(**least, changes=some, **cut, **more, **texts)
            if len(line.encode()) <= limit:
                return line
            if not (texts or some or more):
                return row(id=known.idea_id)
            (texts or some or more).popitem()

    def _changed(self, idea_id: str) -> dict[str, Any]:
        flat = flatten(self._configs.get(idea_id, {}))
        return {
            key: short(value, text=60)
            for key, value in flat.items()
            if not is_seed(key) and (key not in self._base or self._base[key] != value)
        }


def _numbers(known: Known) -> dict[str, Any]:
    interval = [known.low, known.high] if known.low is not None and known.high is not None else None
    minutes = float(f"{known.seconds / 60:.3g}") or None
    if known.n > 1:
        return {"mean": known.mean, "n": known.n, "interval": interval, "minutes": minutes}
    return {"value": known.mean if known.value is None else known.value, "minutes": minutes}


def _recent(brief: Brief, known: Known, changes: _Changes) -> str:
    more: dict[str, Any] = {}
    if known.cause:
        more = {"failed": short(known.cause, text=40), "error": short(known.error, text=120)}
    name, curve = read_curve(brief.results, known.idea_id, brief.metric)
    if curve:
        more["curve"] = {name[:40]: [float(f"{value:.4g}") for value in curve]}
    return changes.row(known, _LONG_ROW, **more)
