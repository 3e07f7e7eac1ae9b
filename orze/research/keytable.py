"""The keys that a researcher may use, a line each: base value, bounds, and what was tried."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from orze.ideas.axes import Axis
from orze.research.keys import flatten, is_seed
from orze.research.quoting import row, short
from orze.research.study import Study, Trial

_MOST: Final = 200
_FEW: Final = 6  # values that are listed; of more, the ends are told
_KEPT: Final = 1000  # distinct values of one key that are counted
_UNSET: Final = "unset"


def key_table(study: Study) -> list[str]:
    """One line for each key: those of `research.space` first, then the base's, then those of trials.

    Seeds are left out: they are for luck, and the farm gives them. What a failed trial alone had is no key
    that anybody knows.
    """
    base = flatten(study.base)
    tried = _tried(study.trials)
    names = dict.fromkeys([*(key for key in study.space if key in study.declared), *base, *tried])
    return [
        row(
            key=short(name, text=100),
            base=_or_unset(short(base.get(name, _UNSET), text=60)),
            **_bounds(study, name),
            **_told(tried.get(name, {}), is_base=name in base),
        )
        for name in list(names)[:_MOST]
        if not is_seed(name)
    ]


def _or_unset(value: Any) -> Any:
    return "null" if value is None else value if value not in ("", [], {}) else json.dumps(value)


def _bounds(study: Study, name: str) -> dict[str, Any]:
    """What the person declared is binding; what was guessed from the base configuration is a hint."""
    axis = study.space.get(name)
    if axis is None or (name not in study.declared and _says_nothing(axis)):
        return {}
    bounds = _axis(axis)
    return bounds if name in study.declared else {"usual": bounds}


def _says_nothing(axis: Axis) -> bool:
    return bool(axis.values) and all(isinstance(value, bool) for value in axis.values)


def _axis(axis: Axis) -> dict[str, Any]:
    if axis.values:
        return {"choices": short(axis.values, text=40)}
    ends = [int(end) if axis.whole else end for end in (axis.low, axis.high) if end is not None]
    kind = {"whole": True} if axis.whole else {}
    return {"from": ends[0], "to": ends[1], **kind, **({"scale": "log"} if axis.log else {})}


def _told(values: Mapping[str, Any], *, is_base: bool) -> dict[str, Any]:
    """What was tried; one value says nothing where it is that of the base configuration."""
    if len(values) <= is_base:
        return {}
    found = list(values.values())
    if are_numbers := all(isinstance(value, int | float) for value in found):
        found.sort()
    if len(found) <= _FEW:
        return {"tried": short(found, text=40)}
    return {
        "tried_values": len(found),
        **({"tried_from": found[0], "tried_to": found[-1]} if are_numbers else {}),
    }


def _tried(trials: Iterable[Trial]) -> dict[str, dict[str, Any]]:
    """The distinct values of each key among trials with a result, in the order in which they came."""
    tried: dict[str, dict[str, Any]] = {}
    for trial in trials:
        if trial.failed:
            continue
        for key, value in flatten(trial.config).items():
            values = tried.setdefault(key, {})
            if len(values) < _KEPT:
                values.setdefault(repr(value), value)
    return tried
