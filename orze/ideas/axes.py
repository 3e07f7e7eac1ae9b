"""What one axis of a sweep, or of a search space, may take: a list of values, or points of an interval."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

MAX_POINTS: Final = 10_000
_LARGEST: Final = 1e300  # so that no difference or quotient of two ends leaves the numbers
_DIGITS: Final = 12  # significant ones of a point that lies between the ends: 0.3, not 0.30000000000000004
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?")
_FORMS: Final = "a list of values, {range: [low, high, n]} or {log: [low, high, n]}"


@dataclass(frozen=True, slots=True)
class Axis:
    """What one key may take.

    Attributes:
        values: the points in order; empty where it may take anything from `low` to `high`.
        low, high: the ends of an interval, themselves included; None for a list of values.
        log: whether steps are equal as quotients, not as differences.
        whole: whether it takes whole numbers only.
    """

    values: tuple[Any, ...]
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False


def parse_axis(value: object, *, continuous: bool) -> Axis:
    """Read an axis as it stands in YAML.

    Args:
        value: a list of any values, or a mapping with the one key `range` or `log`. Texts such as `1e-4`,
            which YAML 1.1 takes for text, are numbers in there.
        continuous: whether the number of points may be left out; then the axis is the whole interval.

    Returns:
        The axis. Its points are whole numbers where both ends are written as such and every point is one.

    Raises:
        ValueError: it is none; with one sentence.
    """
    if isinstance(value, list):
        if not value:
            raise ValueError("it has no values: give it at least one")
        return Axis(tuple(value))
    if isinstance(value, dict) and len(value) == 1:
        (kind, numbers), *_ = value.items()
        if kind in ("range", "log"):
            return _interval(numbers, kind=kind, continuous=continuous)
    raise ValueError(f"it must be {_FORMS}")


def _interval(value: object, *, kind: str, continuous: bool) -> Axis:
    form = f"{kind}: [low, high{' and, if you like,' if continuous else ','} n]"
    if not isinstance(value, list) or not 2 + (not continuous) <= len(value) <= 3:
        raise ValueError(f"write {form}")
    low, high, *count = [_number(item) for item in value]
    log = kind == "log"
    if low >= high:
        raise ValueError(f"{kind}: the first number, {low}, must be below the second, {high}")
    if log and low <= 0:
        raise ValueError(f"log: the first number, {low}, must be above 0")
    whole = isinstance(low, int) and isinstance(high, int)
    if not count:
        return Axis((), float(low), float(high), log, whole)
    n = count[0]
    if not isinstance(n, int) or not 2 <= n <= MAX_POINTS:
        raise ValueError(f"{kind}: the number of points, {n}, must be a whole number from 2 to {MAX_POINTS}")
    points = (_quotients if log else _differences)(low, high, n)
    if any(left >= right for left, right in pairwise(points)):
        raise ValueError(f"{kind}: {low} and {high} are too close for {n} points between them")
    return Axis(tuple(points), float(low), float(high), log, all(isinstance(point, int) for point in points))


def _number(value: object) -> int | float:
    number = value
    if isinstance(value, str) and len(value) <= 40 and _NUMBER.fullmatch(value):
        bare = value.lstrip("+-")
        number = int(value) if bare.isdigit() else float(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= _LARGEST:
        raise ValueError(f"{str(value)[:40]!r} is no number")
    return number


def _differences(low: float, high: float, n: int) -> Sequence[int | float]:
    if isinstance(low, int) and isinstance(high, int) and (high - low) % (n - 1) == 0:
        return range(low, high + 1, (high - low) // (n - 1))
    inner = [_short(low + (high - low) * (step / (n - 1))) for step in range(1, n - 1)]
    return [float(low), *inner, float(high)]


def _quotients(low: float, high: float, n: int) -> Sequence[int | float]:
    first, last = math.log(low), math.log(high)
    inner = [_short(math.exp(first + (last - first) * (step / (n - 1)))) for step in range(1, n - 1)]
    whole = isinstance(low, int) and isinstance(high, int) and all(map(float.is_integer, inner))
    kind = int if whole else float
    return [kind(point) for point in (low, *inner, high)]


def _short(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
