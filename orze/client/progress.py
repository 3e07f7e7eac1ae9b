"""The curve of a running attempt: the end of progress.jsonl as a few numbers and a sparkline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from orze.attempt.metrics import parse_progress_line
from orze.attempt.verdict import read_tail
from orze.client.told import number_of
from orze.report.primary import choose

_TAIL = 128 << 10  # bytes of progress.jsonl that are looked at
_LINES = 1000
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric over the last part of a training.

    Attributes:
        metric: its name; empty where no line has a number that tells of merit.
        values: oldest first.
        last: the numbers of the last line, by name.
    """

    metric: str = ""
    values: tuple[float, ...] = ()
    last: tuple[tuple[str, float], ...] = ()


def read_curve(path: str, primary: str = "") -> Curve:
    """Read the end of a progress.jsonl; an empty curve where there is none.

    Args:
        path: a regular file; neither a link nor a pipe in its place is followed.
        primary: the metric to take where the lines have it.
    """
    tail = read_tail(path, _TAIL)
    lines = tail.split(b"\n")
    if len(tail) == _TAIL:
        del lines[0]  # it may have begun before
    found = [parsed for line in lines[-_LINES:] if line and (parsed := parse_progress_line(line))]
    numbers = [
        {name: real for name, value in line.items() if (real := number_of(value)) is not None}
        for line in found
    ]
    return curve_of(numbers, primary)


def curve_of(lines: Sequence[dict[str, float]], primary: str = "") -> Curve:
    """Make the curve of the numbers of some lines, oldest first."""
    names = {name for line in lines for name in line}
    metric = primary if primary in names else choose(names) or ""
    values = tuple(line[metric] for line in lines if metric in line)
    last = next((line for line in reversed(lines) if line), {})
    first = [(name, last[name]) for name in last if name == metric]
    return Curve(metric, values, tuple(first + [item for item in last.items() if item[0] != metric]))


def sparkline(values: Sequence[float], cells: int) -> str:
    """Draw values as a line of bars, one a cell; the mean of those that fall into one cell.

    Args:
        values: finite, oldest first.
        cells: how many there are at most.

    Returns:
        As many characters as there are values, but no more than `cells`.
    """
    if not values or cells < 1:
        return ""
    count = min(cells, len(values))
    bounds = [len(values) * number // count for number in range(count + 1)]
    means = [sum(value / (end - begin) for value in values[begin:end]) for begin, end in pairwise(bounds)]
    low, high = min(means), max(means)
    half = high / 2 - low / 2  # halves: the distance of two floats may be too large for one
    if half <= 0:
        return _BARS[len(_BARS) // 2 - 1] * count
    steps = [(mean / 2 - low / 2) / half * (len(_BARS) - 1) for mean in means]
    return "".join(_BARS[round(step)] for step in steps)
