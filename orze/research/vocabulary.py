"""Which keys a configuration may have, and which values: what the base, the space and the trials teach."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from orze.ideas.axes import Axis, parse_axis
from orze.research.keys import above, flatten
from orze.research.kinds import misfit, shown
from orze.research.proposal import MOST_AXES, MOST_OVERRIDES
from orze.research.space import contains
from orze.research.study import Study

_DEEPEST: Final = 16  # levels of overrides
_MOST_LISTS: Final = 100  # different lists of one key that are remembered
_MOST_VALUES: Final = 1000  # of one override
_MOST_POINTS: Final = 64  # of one axis
_LONGEST_TEXT: Final = 1000
_LARGEST: Final = 1e300
_LARGEST_WHOLE: Final = 1 << 63
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,59}")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")  # no path, no address, no name of code in a module
_SWEEP: Final = "sweep"


class Vocabulary:
    """What the configurations of a farm look like.

    A key is known where the base configuration, `research.space` or a trial that had a result has it. What
    research may put there must be of the same kind, and within `research.space` where that names the key. A
    text that no configuration had under that key may only be a single word: a configuration can name paths,
    addresses and code, and whoever makes a proposal up, or was made to by a text that it read, shall choose
    none of those.
    """

    def __init__(self, study: Study) -> None:
        self._axes = {key: study.space[key] for key in study.declared}
        self._values: dict[str, Any] = {}
        self._texts: dict[str, set[str]] = {}
        self._lists: dict[str, list[Any]] = {}
        self._learn(flatten(study.base))
        for key, axis in self._axes.items():
            for value in axis.values or (axis.low,):
                self._learn({key: value})
        for trial in study.trials:
            if not trial.failed:
                self._learn(flatten(trial.config))
        self._blocks = {block for key in self._values for block in above(key)}

    def overrides(self, written: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Read overrides, whose keys may be nested, dotted or both.

        Returns:
            Dotted keys to values, and what is wrong with them.
        """
        flat, faults = _flatten(written)
        found = {}
        for key, value in flat.items():
            fault = self._key_fault(key) or self._value_fault(key, value)
            faults += [f"overrides: {fault}"] if fault else []
            found[key] = self._settled(key, value)
        return found, faults

    def space(self, written: Mapping[str, Any]) -> tuple[dict[str, Axis], list[str]]:
        """Read a space: dotted keys to axes."""
        if len(written) > MOST_AXES:
            return {}, [f"space: it has {len(written)} axes; at most {MOST_AXES} are allowed"]
        space, faults = {}, []
        for key, value in written.items():
            try:
                space[key] = axis = parse_axis(value, continuous=True)
                fault = self._key_fault(key) or self._axis_fault(key, axis)
            except ValueError as error:
                fault = f"{shown(key)}: {error}"
            faults += [f"space: {fault}"] if fault else []
        return space, faults

    def _learn(self, flat: Mapping[str, Any]) -> None:
        for key, value in flat.items():
            self._values.setdefault(key, value)
            if isinstance(value, list) and len(known := self._lists.setdefault(key, [])) < _MOST_LISTS:
                known += [value] if value not in known else []
            if texts := list(_texts(value)):
                self._texts.setdefault(key, set()).update(texts)

    def _key_fault(self, key: str) -> str:
        is_own = key in self._values
        if key.split(".", maxsplit=1)[0] == _SWEEP or not (
            is_own or all(map(_NAME.fullmatch, key.split(".")))
        ):
            return f"{shown(key)} is no key of a configuration"
        if is_own or any(map(self._is_free, above(key))):
            return ""
        if key in self._blocks:
            return f"{key} is a block with keys below it; name those"
        if single := next((block for block in above(key) if block in self._values), ""):
            return f"{key} lies below {single}, which has a value of its own"
        near = get_close_matches(key, self._values, 1, 0.5)
        return f"there is no key {key}" + (f"; the nearest one is {near[0]}" if near else "")

    def _is_free(self, key: str) -> bool:
        """Whether anything may come below a key: it is switched off or empty."""
        return key in self._values and self._values[key] in (None, {})

    def _value_fault(self, key: str, value: Any) -> str:
        if isinstance(value, list) and value in self._lists.get(key, []):
            return ""  # it ran so before, whatever is in it
        if (fault := _bounds_fault(value)) or (fault := misfit(self._values.get(key), value)):
            return f"{key}: {fault}"
        if (axis := self._axes.get(key)) and not contains(axis, value):
            return f"{key}: {shown(value)} is outside of research.space, which has {_shown_axis(axis)}"
        seen = self._texts.get(key, set())
        for text in _texts(value):
            if text not in seen and not _WORD.fullmatch(text):
                return f"{key}: {shown(text)} is new there, and only a single word may be a new text"
        return ""

    def _axis_fault(self, key: str, axis: Axis) -> str:
        if len(axis.values) > _MOST_POINTS:
            return f"{key}: it has {len(axis.values)} points; at most {_MOST_POINTS} are allowed"
        points = axis.values or (_whole(axis, axis.low), _whole(axis, axis.high))
        return next((fault for point in points if (fault := self._value_fault(key, point))), "")

    def _settled(self, key: str, value: Any) -> Any:
        """A whole float as an int where the key holds one: a batch size of 64.0 is one of 64."""
        if type(value) is float and type(self._values.get(key)) is int and value.is_integer():
            return int(value)
        return value


def _flatten(written: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Dotted keys of what may be nested, and what is wrong with the nesting."""
    flat: dict[str, Any] = {}
    faults: list[str] = []
    waiting: list[tuple[str, Any, int]] = [(key, written[key], 1) for key in reversed(list(written))]
    while waiting:
        name, value, depth = waiting.pop()
        if isinstance(value, Mapping) and value and depth < _DEEPEST:
            waiting += [(f"{name}.{key}", value[key], depth + 1) for key in reversed(list(value))]
        elif isinstance(value, Mapping):
            faults.append(f"overrides: {shown(name)}: an empty or very deep block changes nothing")
        elif name in flat:
            faults.append(f"overrides: {shown(name)} is given twice")
        elif len(flat) == MOST_OVERRIDES:
            return flat, [
                *faults,
                f"overrides: there are more than {MOST_OVERRIDES}; change fewer things at once",
            ]
        else:
            flat[name] = value
    faults += [
        f"overrides: {shown(name)} lies below {shown(block)}, which is given too"
        for name in flat
        for block in above(name)
        if block in flat
    ]
    return flat, faults


def _bounds_fault(value: Any) -> str:
    """Why a value can be none of a configuration, whatever its key."""
    waiting, seen = [value], 0
    while waiting:
        item = waiting.pop()
        seen += 1
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, Mapping):
            return "a list of blocks cannot be proposed"
        elif isinstance(item, str) and (len(item) > _LONGEST_TEXT or not item.isprintable()):
            return f"{shown(item)} is longer than {_LONGEST_TEXT} characters, or holds some that do not print"
        elif isinstance(item, float) and not (math.isfinite(item) and abs(item) <= _LARGEST):
            return f"{item} is no number for a configuration"
        elif isinstance(item, int) and abs(item) >= _LARGEST_WHOLE:
            return "a whole number of more than 63 bits"
        if seen > _MOST_VALUES:
            return f"it has more than {_MOST_VALUES} values"
    return ""


def _texts(value: Any) -> Iterable[str]:
    """The texts in a value that is a text or a list."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Sequence):
            waiting += item


def _whole(axis: Axis, number: float | None) -> float | int | None:
    return int(number) if axis.whole and number is not None else number


def _shown_axis(axis: Axis) -> str:
    if axis.values:
        return shown(list(axis.values))
    return f"{axis.low:g} to {axis.high:g}"
