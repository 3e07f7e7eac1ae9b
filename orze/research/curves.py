"""The curves of a few trainings, as short as a prompt can have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from orze.attempt.metrics import parse_progress_line
from orze.attempt.verdict import read_tail
from orze.core.paths import FarmPaths
from orze.report.primary import choose

POINTS: Final = 12
_TAIL: Final = 256 << 10  # bytes of progress.jsonl that are read
_LINES: Final = 2000


def read_curve(results: str, idea_id: str, metric: str) -> tuple[str, tuple[float, ...]]:
    """Read how a training went, from the end of its progress.jsonl.

    Args:
        results: the directory of the results.
        metric: the one to tell of, where the training told it.

    Returns:
        The name of the metric and at most 12 of its values, oldest first, the last one always among them;
        an empty name and none where there is nothing to read.
    """
    idea = FarmPaths(results).idea(idea_id)
    tail = read_tail(f"{idea.projection('latest')}/progress.jsonl", _TAIL)
    tail = tail or read_tail(idea.projection("progress.jsonl"), _TAIL)  # a farm without doors
    lines = tail.split(b"\n")[1 if len(tail) == _TAIL else 0 :]  # the first may have begun before
    told = [numbers for line in lines[-_LINES:] if line and (numbers := _numbers(line))]
    names = {name for numbers in told for name in numbers}
    name = metric if metric in names else choose(names) or ""
    return name, sample([numbers[name] for numbers in told if name in numbers], POINTS)


def sample(values: Sequence[float], most: int) -> tuple[float, ...]:
    """At most `most` (2 at least) of the values at even distances, with the first and the last."""
    if len(values) <= most:
        return tuple(values)
    return tuple(values[round(step * (len(values) - 1) / (most - 1))] for step in range(most))


def _numbers(line: bytes) -> dict[str, float]:
    found = parse_progress_line(line) or {}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    }
