"""The search space: what each key may take, and drawing from it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from orze.ideas.axes import Axis
from orze.research.keys import flatten, is_seed

_DECADE: Final = 10.0  # a float may become so many times larger or smaller
_FACTOR: Final = 4  # an int
_DIGITS: Final = 3  # significant ones of a number that is drawn: people read them, and equal ones are found
_MOST_CHOICES: Final = 64  # values of one key that are remembered from trials
_LARGEST_INT: Final = 1 << 53


def learn_space(base: Mapping[str, Any], ran: Iterable[Mapping[str, Any]]) -> dict[str, Axis]:
    """Guess a search space from the base configuration and from what ran well.

    Of each key of the base configuration, seeds apart: a float above 0 may be ten times larger or smaller
    (by equal quotients), yet one of at most 1 stays so, since many such are shares; an int above 0 four times
    larger or smaller, and at least one more or less, from 1 on; the int 0 may become 1; a truth value may be
    either. The ends are moved to include what ran. A text may become one that ran under the same key. All
    else stays as it is: lists, null, numbers below 0, the float 0.0, of which nobody knows the scale, and
    keys that the base does not have.

    Args:
        base: nested.
        ran: configurations that ran to a result, nested.
    """
    seen = _seen(ran)
    space = {}
    for key, value in flatten(base).items():
        axis = None if is_seed(key) else _around(value, seen.get(key, []))
        if axis is not None:
            space[key] = axis
    return space


def draw(axis: Axis, rng: random.Random) -> Any:
    """A value of an axis, each equally likely (in the logarithm, where the axis says so)."""
    if axis.values:
        return rng.choice(axis.values)
    low, high = _ends(axis)
    return settle(axis, low + (high - low) * rng.random())


def place(axis: Axis, value: Any) -> float | None:
    """Where a number lies on the scale of a continuous axis; None where the axis does not reach."""
    if not is_number(value) or not contains(axis, value):
        return None
    return math.log(value) if axis.log else float(value)


def settle(axis: Axis, at: float) -> Any:
    """The value at a place of a continuous axis: short, within its ends, whole where it must be."""
    low, high = _both(axis)
    value = math.exp(at) if axis.log else at
    if axis.whole:
        return min(max(round(value), round(low)), round(high))
    return min(max(float(f"{value:.{_DIGITS}g}"), low), high)


def contains(axis: Axis, value: Any) -> bool:
    """Whether an axis has a value."""
    if axis.values:
        return any(alike(value, known) for known in axis.values)
    low, high = _both(axis)
    if not is_number(value) or not low <= value <= high:
        return False
    return not axis.whole or value == int(value)


def alike(one: Any, other: Any) -> bool:
    """Whether two values are one in a configuration: 1 and 1.0 are, 1 and true are not."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def points(space: Mapping[str, Axis]) -> int | None:
    """How many configurations a space has; None where they cannot be counted."""
    count = 1
    for axis in space.values():
        if axis.values:
            count *= len(axis.values)
        elif axis.whole:
            low, high = _both(axis)
            count *= round(high) - round(low) + 1
        else:
            return None
    return count


def span(axis: Axis) -> float:
    """The length of a continuous axis on its scale."""
    low, high = _ends(axis)
    return high - low


def _both(axis: Axis) -> tuple[float, float]:
    if axis.low is None or axis.high is None:
        raise ValueError("an axis has neither values nor ends")
    return axis.low, axis.high


def _ends(axis: Axis) -> tuple[float, float]:
    low, high = _both(axis)
    return (math.log(low), math.log(high)) if axis.log else (low, high)


def _seen(ran: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The plain values that each key had, each once."""
    seen: dict[str, dict[tuple[bool, Any], Any]] = {}
    for config in ran:
        for key, value in flatten(config).items():
            if isinstance(value, str | int | float):
                values = seen.setdefault(key, {})
                if len(values) < _MOST_CHOICES:
                    values.setdefault((isinstance(value, bool), value), value)
    return {key: list(values.values()) for key, values in seen.items()}


def _around(value: Any, seen: Sequence[Any]) -> Axis | None:
    if isinstance(value, bool):
        return Axis((False, True))
    if isinstance(value, str):
        texts = tuple(dict.fromkeys([value, *(item for item in seen if isinstance(item, str))]))
        return Axis(texts) if len(texts) > 1 else None
    if isinstance(value, int) and 0 <= value <= _LARGEST_INT:
        return _around_int(value, [item for item in seen if type(item) is int and 0 <= item <= _LARGEST_INT])
    if isinstance(value, float) and value > 0 and math.isfinite(value * _DECADE):
        high = min(1.0, value * _DECADE) if value <= 1 else value * _DECADE
        known = [float(item) for item in seen if type(item) is float and 0 < item < math.inf]
        low, high = _clip(value / _DECADE), _clip(high)
        return Axis((), min([low, *known]), max([high, *known]), log=True) if 0 < low < high else None
    return None


def _around_int(value: int, known: Sequence[int]) -> Axis:
    if value == 0:
        return Axis(tuple(sorted({0, 1, *known})))
    low, high = max(1, min(value - 1, round(value / _FACTOR))), max(value + 1, value * _FACTOR)
    known = [item for item in known if item > 0]
    return Axis((), float(min([low, *known])), float(max([high, *known])), log=True, whole=True)


def _clip(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
