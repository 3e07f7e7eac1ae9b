"""Reads the YAML of a section into plain values, within bounds, that JSON and YAML can write again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from orze.ideas.model import IdeaError

MAX_BYTES: Final = 64 << 10
MAX_DEPTH: Final = 20
MAX_ALIASES: Final = 100
MAX_VALUES: Final = 10_000  # once aliases are written out; a text counts once for every 64 characters
_MAX_NUMBER: Final = 1000  # characters; Python writes integers of up to 4300 digits only

_TAG: Final = "tag:yaml.org,2002:"
_STR, _MAP, _SEQ = f"{_TAG}str", f"{_TAG}map", f"{_TAG}seq"
_NOT_TEXT: Final = {f"{_TAG}{kind}" for kind in ("int", "float", "bool", "null")}
_LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # absent where PyYAML lacks libyaml
_CONSTRUCTOR: Final[Any] = SafeConstructor()  # its stub has no types
_RESOLVERS: Final[Mapping[str, list[tuple[str, re.Pattern[str]]]]] = {
    first: [(tag, regexp) for tag, regexp in pairs if tag in _NOT_TEXT]
    for first, pairs in Resolver.yaml_implicit_resolvers.items()
}  # a text's first character -> what it may be; neither dates nor `=` are among them


_NO_MAPPING: Final = "the yaml block must hold 'key: value' lines"
_MERGE: Final = object()  # stands for the key `<<`


class _Fault(Exception):
    def __init__(self, event: Any, reason: str) -> None:
        super().__init__(reason)
        self.line: int = event.start_mark.line


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not been met."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    weight: int = 1
    height: int = 1
    key: Any = None  # the key whose value comes next
    merged: list[dict[str, Any]] = field(default_factory=list)


def load_values(text: str, *, path: str, line: int) -> dict[str, Any]:
    """Read a YAML mapping as YAML 1.1 has it, except that a date stays the text that it is.

    Args:
        text: the YAML; an empty one has no values.
        path: the file, for messages.
        line: number of the first line of `text` in it.

    Returns:
        Text keys to mappings, lists, texts, numbers (also infinite ones and NaN), truth values and None.

    Raises:
        IdeaError: it is no YAML or no mapping, or goes over a bound; with the line.
    """
    if len(text) > MAX_BYTES or len(text.encode()) > MAX_BYTES:
        raise IdeaError(line, f"the yaml block is longer than {MAX_BYTES >> 10} KiB", path)
    try:
        return _Builder().build(text)
    except _Fault as fault:
        raise IdeaError(line + fault.line, str(fault), path) from None
    except yaml.YAMLError as error:
        at, reason = _syntax(error, text)
        raise IdeaError(line + at, f"the yaml block is not valid YAML: {reason}", path) from None


def _syntax(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    if isinstance(error, yaml.reader.ReaderError):
        return text.encode()[: error.position].count(b"\n"), str(error.reason)
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return 0, "it cannot be read"
    return error.problem_mark.line, str(error.problem)


class _Builder:
    """Builds the value from the parser's events, in one pass and without recursion."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int, int] | None] = {}
        self._aliases = 0
        self._root: Any = None
        self._documents = 0

    def build(self, text: str) -> dict[str, Any]:
        take = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._begin,
            yaml.SequenceStartEvent: self._begin,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.DocumentStartEvent: self._document,
        }
        parser = _LOADER(text)
        try:
            while (event := parser.get_event()) is not None:
                if handle := take.get(type(event)):
                    handle(event)
        finally:
            parser.dispose()
        return self._root or {}

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise _Fault(event, "the yaml block holds more than one document: remove the line '---'")

    def _begin(self, event: Any) -> None:
        mapping = type(event) is yaml.MappingStartEvent
        if event.tag not in (None, "!", _MAP if mapping else _SEQ):
            raise _unknown_tag(event)
        if not self._open and not mapping:
            raise _Fault(event, _NO_MAPPING)
        if len(self._open) == MAX_DEPTH:
            raise _Fault(event, f"the yaml block is nested more than {MAX_DEPTH} levels deep")
        self._name(event, None)
        self._open.append(_Open({} if mapping else [], event.anchor))

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        value = done.value
        if done.merged and isinstance(value, dict):
            value = {key: item for mapping in reversed(done.merged) for key, item in mapping.items()} | value
        if done.anchor:
            self._anchors[done.anchor] = value, done.weight, done.height
        self._add(event, value, done.weight, done.height)

    def _scalar(self, event: Any) -> None:
        value, weight = _read_scalar(event), 1 + len(event.value) // 64
        self._name(event, (value, weight, 0))
        self._add(event, value, weight, 0)

    def _name(self, event: Any, meaning: tuple[Any, int, int] | None) -> None:
        """Remember what the anchor of a value, if it has one, stands for: nothing until the value ends."""
        if event.anchor is None:
            return
        if event.anchor in self._anchors:
            raise _Fault(event, f"the anchor &{event.anchor[:40]} is given twice")
        self._anchors[event.anchor] = meaning

    def _alias(self, event: Any) -> None:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise _Fault(event, f"the yaml block has more than {MAX_ALIASES} aliases")
        meaning = self._anchors.get(event.anchor)
        if meaning is None:
            raise _Fault(event, f"the alias *{event.anchor[:40]} has no anchor whose value ends before it")
        self._add(event, *meaning)

    def _add(self, event: Any, value: Any, weight: int, height: int) -> None:
        """Put a finished value of so many values and levels where it belongs."""
        if not self._open:
            if not isinstance(value, dict) and value is not None:
                raise _Fault(event, _NO_MAPPING)
            self._root = value
            return
        parent = self._open[-1]
        parent.weight += weight
        parent.height = max(parent.height, height + 1)
        if parent.weight > MAX_VALUES or len(self._open) + height > MAX_DEPTH:
            raise _Fault(event, f"the yaml block holds more than {MAX_VALUES} values or {MAX_DEPTH} levels")
        if isinstance(parent.value, list):
            parent.value.append(value)
        else:
            self._pair(event, parent, parent.value, value)

    def _pair(self, event: Any, parent: _Open, mapping: dict[str, Any], value: Any) -> None:
        """Take a key of a mapping, or the value of the key taken last."""
        if parent.key is None:
            parent.key = self._key(event, parent, mapping, value)
        else:
            if parent.key is _MERGE:
                parent.merged += _sources(event, value)
            else:
                mapping[parent.key] = value
            parent.key = None

    def _key(self, event: Any, parent: _Open, mapping: dict[str, Any], value: Any) -> Any:
        if not isinstance(value, str):
            raise _Fault(event, f"a key must be text, not {_shown(event, value)}: put it in quotes")
        merge = value == "<<" and type(event) is yaml.ScalarEvent and event.implicit[0]
        if value in mapping or (merge and parent.merged):
            raise _Fault(event, f"the key {value[:60]!r} is given twice")
        return _MERGE if merge else value


def _sources(event: Any, value: Any) -> list[dict[str, Any]]:
    """The mappings that `<<` names."""
    mappings = value if isinstance(value, list) else [value]
    if not all(isinstance(mapping, dict) for mapping in mappings):
        raise _Fault(event, "the key << needs a mapping or a list of mappings")
    return mappings


def _read_scalar(event: Any) -> Any:
    """The value of a scalar: by its tag, else by its look where it stands without quotes."""
    tag, text = event.tag, event.value
    if tag is None or tag == "!":
        looks = _RESOLVERS.get(text[:1], ()) if event.implicit[0] else ()
        tag = next((tag for tag, regexp in looks if regexp.match(text)), _STR)
    if tag == _STR:
        return text
    if tag not in _NOT_TEXT:
        raise _unknown_tag(event)
    if len(text) > _MAX_NUMBER:
        raise _Fault(event, f"a number of more than {_MAX_NUMBER} characters: put it in quotes or shorten it")
    try:
        return SafeConstructor.yaml_constructors[tag](_CONSTRUCTOR, yaml.ScalarNode(tag, text))
    except (ValueError, KeyError, IndexError, OverflowError):
        raise _Fault(
            event, f"{text[:40]!r} is no value of its kind: put it in quotes or correct it"
        ) from None


def _unknown_tag(event: Any) -> _Fault:
    return _Fault(event, f"the tag {event.tag[:60]!r} is not understood: remove it")


def _shown(event: Any, value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list or a mapping"
    return f"*{event.anchor}"[:60] if type(event) is yaml.AliasEvent else str(event.value)[:60]
