"""What the `sweep` of a section says: its axes, how many members they make, and the values of each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from orze.ideas.axes import parse_axis

SWEEP: Final = "sweep"
MAX_MEMBERS: Final = 100
_ZIP: Final = "zip"
_NO_MAPPING: Final = "sweep: it must be a mapping of dotted keys to axes, such as training.lr: [0.1, 0.01]"
_MOST_AXES: Final = 50
_LONGEST_VALUE: Final = 32  # characters of one value in the title of a member
_LONGEST_LABEL: Final = 120

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Axis:
    """The values of one key."""

    key: str
    path: Path
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The configurations of a group, numbered from 0: the last axis of the file changes fastest.

    Attributes:
        steps: the axes in their order; those of `zip` are one step.
    """

    steps: tuple[tuple[_Axis, ...], ...]

    @property
    def count(self) -> int:
        """How many configurations there are."""
        return prod(len(axes[0].values) for axes in self.steps)

    def values(self, number: int) -> dict[str, Any]:
        """What configuration `number` sets, by dotted key."""
        found: dict[str, Any] = {}
        for axes in reversed(self.steps):
            number, at = divmod(number, len(axes[0].values))
            found |= {axis.key: axis.values[at] for axis in reversed(axes)}
        return dict(reversed(found.items()))


NO_SWEEP: Final = Sweep(())


def read_sweep(own: Mapping[str, Any]) -> Sweep:
    """Read the sweep of a yaml block.

    Args:
        own: the values of the block.

    Returns:
        The sweep; one of a single configuration that sets nothing where the block has none.

    Raises:
        ValueError: it cannot be understood; with one sentence.
    """
    if SWEEP not in own:
        return NO_SWEEP
    told = own[SWEEP]
    if not isinstance(told, dict):
        raise ValueError(_NO_MAPPING)  # noqa: TRY004 - the YAML is wrong, not an argument
    steps = [_zipped(axes) if key == _ZIP else (_axis(key, axes),) for key, axes in told.items()]
    axes = [axis for step in steps for axis in step]
    if not axes:
        raise ValueError("sweep: it has no axes: give it one, or remove it")
    if len(axes) > _MOST_AXES:
        raise ValueError(f"sweep: it has {len(axes)} axes; {_MOST_AXES} are possible")
    for axis in axes:
        _check_way(axis, own)
    _check_apart(axes)
    return Sweep(tuple(steps))


def count_members(own: Mapping[str, Any], repeats: int, most: int) -> int:
    """How many members a section makes: its configurations times its repeats.

    Args:
        own: the values of its yaml block.
        repeats: its field Repeats.
        most: how many are allowed.

    Raises:
        ValueError: there are more, or the sweep cannot be understood; with one sentence.
    """
    count = read_sweep(own).count * repeats
    if count > most:
        shown = count if count < 10**12 else "more than 10^12"
        raise ValueError(
            f"the section makes {shown} members, and max_members in orze.yaml allows {most}: "
            "take fewer points or repeats"
        )
    return count


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted keys as mappings in mappings."""
    made: dict[str, Any] = {}
    for key, value in values.items():
        *way, last = key.split(".")
        below = made
        for step in way:
            below = below.setdefault(step, {})
        below[last] = value
    return made


def label(values: Mapping[str, Any], seed: int | None) -> str:
    """What sets a member apart, for its title, such as `training.lr=0.001, seed +1`.

    Args:
        values: what it sets, by dotted key.
        seed: what is added to its seed; None where its group has no repeats.
    """
    told = [f"{key}={_shown(value)}" for key, value in values.items()]
    text = ", ".join([*told, *([] if seed is None else [f"seed +{seed}"])])
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    plain = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    return plain if len(plain) <= _LONGEST_VALUE else f"{plain[: _LONGEST_VALUE - 1]}…"


def _axis(key: str, value: object) -> _Axis:
    path = tuple(key.split("."))
    if not all(path) or path[0] == SWEEP:
        raise ValueError(f"sweep: {key[:60]!r} is no key of a configuration: write it as in training.lr")
    try:
        return _Axis(key, path, parse_axis(value, continuous=False).values)
    except ValueError as fault:
        raise ValueError(f"sweep: {key[:60]}: {fault}") from None


def _zipped(told: object) -> tuple[_Axis, ...]:
    if not isinstance(told, dict) or not told:
        raise ValueError("sweep: zip: it must be a mapping of dotted keys to axes of one length")
    axes = tuple(_axis(key, value) for key, value in told.items())
    lengths = {len(axis.values) for axis in axes}
    if len(lengths) > 1:
        shown = ", ".join(f"{axis.key[:60]} has {len(axis.values)}" for axis in axes[:4])
        raise ValueError(f"sweep: zip: its axes must have equally many values, and {shown}")
    return axes


def _check_way(axis: _Axis, own: Mapping[str, Any]) -> None:
    """Make sure that the way to a key goes through mappings, as far as the section has it."""
    below: Any = own
    for step in axis.path[:-1]:
        if step not in below:
            return
        below = below[step]
        if not isinstance(below, dict):
            why = f"{axis.key[:60]} lies below {step[:60]}, which the section sets to no mapping"
            raise ValueError(f"sweep: {why}")  # noqa: TRY004 - the YAML is wrong, not an argument


def _check_apart(axes: list[_Axis]) -> None:
    """Make sure that no axis is another one, or below another one."""
    before: dict[Path, _Axis] = {}
    for axis in sorted(axes, key=lambda axis: axis.path):
        for length in range(1, len(axis.path) + 1):
            if other := before.get(axis.path[:length]):
                raise ValueError(f"sweep: {axis.key[:60]} is {_relation(axis, other)}: keep one of them")
        before[axis.path] = axis


def _relation(axis: _Axis, other: _Axis) -> str:
    return "an axis twice" if axis.path == other.path else f"below the axis {other.key[:60]}"
