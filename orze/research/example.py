"""A worked example of a reply, made from the keys that the project really has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orze.ideas.axes import Axis
from orze.research.keys import flatten, is_seed, nest
from orze.research.quoting import one_line
from orze.research.space import alike, settle
from orze.research.study import Study

_LONGEST: Final = 60  # bytes of a key or text
_LARGEST: Final = 1e9
_CHANGES: Final = 8


def example(study: Study) -> str:
    """One reply with one idea, in the form that is wanted. It builds on the best, where one is known."""
    base = flatten(study.base)
    best, start = _best(study, base)
    changes = _changes(start, base)
    key, value = _change(study, base, start)
    said = one_line(key, _LONGEST) if key else "one thing"
    idea = {
        "title": f"Another {said}",
        "family": said.rpartition(".")[2],
        "parent": best or None,
        "hypothesis": f"{said} is too far off; {value} should gain more than twice the noise.",
        "evidence": [best] if best else [],
        "overrides": nest(changes | {key: value}) if key else {},
        "space": None,
        "expected_change": -0.01 if study.brief.ascending else 0.01,
        "minutes": 2.0,
        "memory_gb": None,
    }
    return json.dumps({"ideas": [idea]}, ensure_ascii=False)


def _best(study: Study, base: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The best idea and its configuration; where that cannot be told briefly, none and the base's."""
    name = study.brief.top[0].idea_id if study.brief.top else ""
    config = next((flatten(trial.config) for trial in study.trials if trial.idea_id == name), {})
    changes = _changes(config, base)
    is_brief = all(_is_brief(part) for item in changes.items() for part in item)
    return (name, config) if 0 < len(changes) <= _CHANGES and is_brief else ("", base)


def _changes(config: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if not is_seed(key) and base.get(key) != value}


def _is_brief(value: Any) -> bool:
    return not isinstance(value, dict | list) and str(value) == one_line(str(value), _LONGEST)


def _change(study: Study, base: Mapping[str, Any], start: Mapping[str, Any]) -> tuple[str, Any]:
    """A key that may be changed, preferably a float, and a value that it may take."""
    keys = [key for key in base if key in start and _is_brief(key) and not is_seed(key)]
    for key in sorted(keys, key=lambda key: (key not in study.declared, not isinstance(base[key], float))):
        for value in _others(study.space.get(key), start[key]):
            if _is_brief(value) and not alike(value, start[key]) and not alike(value, base[key]):
                return key, value
    return "", None


def _others(axis: Axis | None, value: Any) -> Sequence[Any]:
    """Values that a key may take, its own perhaps among them."""
    if axis is not None and axis.values:
        return axis.values
    if axis is not None and axis.low is not None and axis.high is not None:
        low, high = axis.low, axis.high
        middle = math.sqrt(low * high) if axis.log else low / 2 + high / 2
        return [settle(axis, math.log(at) if axis.log else at) for at in (middle, high)]
    if isinstance(value, bool):
        return [not value]
    return [2 * value] if isinstance(value, int | float) and 0 < value < _LARGEST else []
