"""What a proposer may propose: the form of its reply, and how the reply is read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orze.ideas.axes import Axis

LONGEST_REPLY: Final = 1 << 20  # characters
MOST_IDEAS: Final = 64  # of one reply
LONGEST_TITLE: Final = 120
LONGEST_FAMILY: Final = 60
LONGEST_HYPOTHESIS: Final = 600
MOST_EVIDENCE: Final = 16
MOST_OVERRIDES: Final = 64
MOST_AXES: Final = 16

_NUMBER: Final = {"type": ["number", "null"]}
_FORM: Final[dict[str, Any]] = {
    "title": {"type": "string", "maxLength": LONGEST_TITLE},
    "family": {"type": "string", "maxLength": LONGEST_FAMILY},
    "parent": {"type": ["string", "null"]},
    "hypothesis": {"type": "string", "maxLength": LONGEST_HYPOTHESIS},
    "evidence": {"type": "array", "items": {"type": "string"}, "maxItems": MOST_EVIDENCE},
    "overrides": {"type": "object"},
    "space": {"type": ["object", "null"]},
    "expected_change": _NUMBER,
    "minutes": _NUMBER,
    "memory_gb": _NUMBER,
}
FIELDS: Final = tuple(_FORM)
REQUIRED: Final = ("title", "family", "hypothesis", "overrides")

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "ideas": {
            "type": "array",
            "maxItems": MOST_IDEAS,
            "items": {
                "type": "object",
                "properties": _FORM,
                "required": list(REQUIRED),
                "additionalProperties": False,
            },
        }
    },
    "required": ["ideas"],
    "additionalProperties": False,
}  # https://json-schema.org/draft/2020-12/schema; `orze.research.check` holds replies to more than this

_DEEPEST: Final = 32  # levels
_EXCESS: Final = "the reply holds a number or a nesting that no configuration needs; write it plainly"
_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\n(.*)\n[ \t]*```\s*", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One idea that was checked: it can be written into ideas.md and run.

    Attributes:
        title, family, hypothesis: one printable line each, not yet escaped for any page.
        parent: id of the idea that it builds on; empty where there is none.
        evidence: ids that it refers to.
        overrides: what it changes in the base configuration, nested.
        space: dotted keys to the axes among which its values may be searched; empty where it names none.
        axes: the same as it was written, in the form of `sweep`.
        expected_change: of the primary metric; None where it says nothing.
        minutes, memory_gb: what it expects to need; None where it says nothing.
        runs: `config_key` and `seed_of` of each configuration that will run: one, or those of the sweep.
    """

    title: str
    family: str
    hypothesis: str
    overrides: Mapping[str, Any]
    parent: str = ""
    evidence: tuple[str, ...] = ()
    space: Mapping[str, Axis] = field(default_factory=dict)
    axes: Mapping[str, Any] = field(default_factory=dict)
    expected_change: float | None = None
    minutes: float | None = None
    memory_gb: float | None = None
    runs: tuple[tuple[str, int], ...] = ()

    @property
    def sweeps(self) -> bool:
        """Whether every axis of its space names its points: then all of them are run."""
        return bool(self.space) and all(axis.values for axis in self.space.values())


def read_reply(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Read what a proposer replied: JSON, perhaps inside one fence, and nothing around it.

    Args:
        text: anything.

    Returns:
        The ideas as they are, unchecked but for being objects, and what is wrong, a sentence each.
    """
    if len(text) > LONGEST_REPLY:
        return [], [f"the reply is longer than {LONGEST_REPLY >> 10} KiB; propose fewer ideas"]
    match = _FENCE.fullmatch(text)
    try:
        reply = json.loads(match[1] if match else text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        return [], [f'the reply is not JSON ({error.msg}, {where}); reply with {{"ideas": [...]}} only']
    except _Twice as fault:
        return [], [str(fault)]
    except (RecursionError, ValueError):
        return [], [_EXCESS]
    if not isinstance(reply, dict) or not isinstance(reply.get("ideas"), list) or len(reply) > 1:
        return [], ['the reply must be one JSON object with the one key "ideas", a list']
    if _depth(reply) > _DEEPEST:
        return [], [_EXCESS]
    return _objects(reply["ideas"])


def _objects(ideas: list[Any]) -> tuple[list[dict[str, Any]], list[str]]:
    faults = []
    if len(ideas) > MOST_IDEAS:
        faults.append(f"the reply has {len(ideas)} ideas; {MOST_IDEAS} are read at most")
    ideas = ideas[:MOST_IDEAS]
    others = [number for number, idea in enumerate(ideas, 1) if not isinstance(idea, dict)]
    faults += [f"idea {number}: it must be an object" for number in others]
    return [idea for idea in ideas if isinstance(idea, dict)], faults


def _depth(value: Any) -> int:
    """How many levels a value has, as far as more than `_DEEPEST` of them."""
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        below = [item.values() if isinstance(item, dict) else item for item in level]
        level = [inner for items in below for inner in items if isinstance(inner, dict | list)]
        depth += 1
    return depth


class _Twice(Exception):
    """A key stands twice in one object: whichever was meant, half of readers would take the other."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice("the reply has a key twice in one object; give each key once")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are no JSON (RFC 8259, section 6)
