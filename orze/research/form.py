"""The form of one proposed idea: which fields it has, and of which kind and size each may be."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from orze.report.text import clean
from orze.research.kinds import kind
from orze.research.proposal import (
    FIELDS,
    LONGEST_FAMILY,
    LONGEST_HYPOTHESIS,
    LONGEST_TITLE,
    MOST_EVIDENCE,
    REQUIRED,
)

_ID: Final = re.compile(r"idea-[0-9]{1,18}(?:\.[0-9]{1,9})?")
_LARGEST: Final = 1e12


@dataclass(frozen=True, slots=True)
class Draft:
    """An idea of the right form, whose overrides and space nobody has looked at yet."""

    title: str
    family: str
    hypothesis: str
    overrides: dict[str, Any]
    space: dict[str, Any]
    parent: str
    evidence: tuple[str, ...]
    expected_change: float | None
    minutes: float | None
    memory_gb: float | None


def read_draft(candidate: Mapping[str, Any]) -> tuple[Draft | None, list[str]]:
    """Hold an idea to its form.

    Args:
        candidate: an object of a reply, with anything in it.

    Returns:
        The draft, None where there are faults; and the faults, each of which names the field.
    """
    faults = [_unknown(name) for name in candidate if name not in FIELDS]
    faults += [f"{name} is missing" for name in REQUIRED if name not in candidate]
    values: dict[str, Any] = {}
    for name, read in _READERS.items():
        try:
            values[name] = read(candidate.get(name, _DEFAULTS.get(name)))
        except ValueError as error:
            faults += [f"{name}: {error}"] if name in candidate else []
    return (None, faults) if faults else (Draft(**values), [])


def _unknown(name: str) -> str:
    near = get_close_matches(name[:100], FIELDS, 1)
    meant = f"; did you mean {near[0]}?" if near else f"; the fields are {', '.join(FIELDS)}"
    return f"there is no field {clean(name, 40)!r}{meant}"


def _text(limit: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"it is {kind(value)}, and must be a text")  # noqa: TRY004 - a fault of the reply
        line = clean(value, 2 * limit)
        if not line or len(line) > limit:
            raise ValueError(f"it must be a text of 1 to {limit} characters")
        return line

    return read


def _id(value: Any) -> str:
    if isinstance(value, str) and _ID.fullmatch(value):
        return value
    raise ValueError(f"{clean(str(value), 40)!r} is no id; write it as in idea-012")


def _parent(value: Any) -> str:
    return "" if value in (None, "") else _id(value)


def _evidence(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_EVIDENCE:
        raise ValueError(f"it must be a list of at most {MOST_EVIDENCE} ids")
    return tuple(dict.fromkeys(map(_id, value)))


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"it is {kind(value)}, and must be an object")  # noqa: TRY004 - a fault of the reply
    return value


def _number(*, above: float) -> Callable[[Any], float | None]:
    def read(value: Any) -> float | None:
        if value is None:
            return None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not above < value <= _LARGEST:
            raise ValueError(
                "it must be a plain number above 0" if above == 0 else "it must be a plain number"
            )
        return float(value)

    return read


_DEFAULTS: Final[Mapping[str, Any]] = {"space": {}, "evidence": []}
_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "title": _text(LONGEST_TITLE),
    "family": _text(LONGEST_FAMILY),
    "parent": _parent,
    "hypothesis": _text(LONGEST_HYPOTHESIS),
    "evidence": _evidence,
    "overrides": _object,
    "space": lambda value: _object({} if value is None else value),
    "expected_change": _number(above=-_LARGEST),
    "minutes": _number(above=0),
    "memory_gb": _number(above=0),
}
