"""Configurations and metrics as flat rows, and what differs between some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_MOST = 2000  # rows of one configuration
_DEPTH = 32


class Absent:
    """Stands for a value that is not there; None is a value."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = Absent()
Flat = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One name and what each side has there, `ABSENT` where it has nothing."""

    name: str
    values: tuple[Any, ...]

    @property
    def differs(self) -> bool:
        """Whether not all sides have the same."""
        return any(not same(self.values[0], value) for value in self.values[1:])


def flatten(values: Mapping[str, Any]) -> Flat:
    """Nested mappings as dotted names in their order; lists and empty mappings stay values.

    Args:
        values: within the bounds of a configuration or of a metrics file; beyond 2000 rows it is cut.
    """
    flat: Flat = {}
    waiting: list[tuple[str, Any, int]] = [("", values, 0)]
    while waiting and len(flat) < _MOST:
        name, value, depth = waiting.pop()
        if isinstance(value, Mapping) and (value or not name) and depth < _DEPTH:
            below = [(f"{name}.{key}" if name else str(key), inner) for key, inner in value.items()]
            waiting += [(key, inner, depth + 1) for key, inner in reversed(below)]
        else:
            flat[name] = value
    return flat


def same(one: object, other: object) -> bool:
    """Whether two values are the same to a reader: 1 and 1.0 are, 1 and true are not."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return one == other and (numbers or type(one) is type(other))


def rows(sides: Sequence[Flat]) -> list[Row]:
    """One row for each name that any side has, in the order in which they come.

    Args:
        sides: one at least.
    """
    names = dict.fromkeys(name for side in sides for name in side)
    return [Row(name, tuple(side.get(name, ABSENT) for side in sides)) for name in names]


def differing(sides: Sequence[Flat]) -> list[Row]:
    """The rows in which not all sides have the same; all of them where there is one side only."""
    found = rows(sides)
    return found if len(sides) < 2 else [row for row in found if row.differs]


def changed(before: Flat, after: Flat) -> list[Row]:
    """What one configuration changes in another: rows of two values, before and after."""
    return differing([before, after])
