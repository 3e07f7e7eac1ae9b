"""A YAML file as values with the line of each: what the messages about orze.yaml stand on."""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

KeyPath = tuple[str | int, ...]

_MAX_DEPTH: Final = 20
_MAX_VALUES: Final = 20_000  # counted each time an alias repeats them
_TAG: Final = "tag:yaml.org,2002:"
_TEXT_TAGS: Final = {f"{_TAG}{kind}" for kind in ("str", "timestamp", "value")}
_READ_TAGS: Final = {f"{_TAG}{kind}" for kind in ("int", "float", "bool", "null")}
_VARIABLE = re.compile(r"(?P<escape>\$\$\{)|\$\{(?:(?P<name>[A-Za-z_]\w*)\})?", re.ASCII)
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # absent where PyYAML lacks libyaml
_RESOLVER: Final[Any] = Resolver()  # its stub has no types


@dataclass(frozen=True)
class Place:
    """Where a value stands: its line, from 1, and how it is written there, before `${VAR}` is expanded."""

    line: int
    written: str


@dataclass(frozen=True)
class Problem:
    """A fault in the file: its line, from 1, and a sentence without the place."""

    line: int
    sentence: str


@dataclass(frozen=True)
class Document:
    """What a file holds.

    Attributes:
        data: its values; None for each that could not be read.
        places: keys and indices that lead to a value -> where it stands.
        unread: the values that could not be read.
        problems: why, and which keys were left out.
    """

    data: dict[str, object]
    places: Mapping[KeyPath, Place]
    unread: Set[KeyPath]
    problems: Sequence[Problem]


class _Fault(Exception):
    """One value cannot be read; the others still can."""

    def __init__(self, at: yaml.Node | yaml.Event, sentence: str) -> None:
        super().__init__(sentence)
        self.problem = Problem(at.start_mark.line + 1 if at.start_mark else 1, sentence)


class _Refused(_Fault):
    """The whole file cannot be read."""


def read_document(
    text: str,
    environ: Mapping[str, str],
    *,
    as_written: Callable[[KeyPath], bool],
    secret: Callable[[KeyPath], bool] = lambda _: False,
) -> Document:
    """Read YAML 1.1 as far as it can be read; nothing in it makes this raise, hang or run anything.

    Args:
        text: the content of the file; an empty one has no values.
        environ: what `${VAR}` stands for in values; `$${` stands for `${`.
        as_written: told the keys that lead to a number or a truth value, says whether it stays text.
        secret: told the keys that lead to a value, says whether messages must not quote it.

    Returns:
        What the file holds; where it is no YAML at all, no values and one problem.
    """
    try:
        # The C composer recurses without a limit and ends the process on a deep text.
        _check_depth(text)
        root = yaml.compose(text, _LOADER)
        reader = _Reader(environ, as_written, secret)
        data = reader.root(root)
    except _Refused as fault:
        return Document({}, {}, set(), [fault.problem])
    except yaml.YAMLError as error:
        return Document({}, {}, set(), [_syntax_problem(error, text)])
    return Document(data, reader.places, reader.unread, reader.problems)


def label(path: KeyPath) -> str:
    """Name a value by the keys that lead to it, as in `report.columns[0].fmt`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_bare(part)}" for part in path)
    return "".join(parts).removeprefix(".")


def shorten(text: str) -> str:
    """Quote a piece of untrusted text for one line of a message, but no URL, which may hold a key."""
    if "://" in text:
        return "'…://…'"
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _bare(text: str) -> str:
    return text if text.isprintable() and 0 < len(text) <= 60 and "://" not in text else shorten(text)


def _written(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a block of keys"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return _bare(str(node.value)) if node.tag in _READ_TAGS else shorten(str(node.value))


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise _Refused(event, f"the file is nested more than {_MAX_DEPTH} levels deep")


def _syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.encode()[: error.position].count(b"\n") + 1
        return Problem(line, f"not valid YAML: {error.reason}")
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Problem(1, "not valid YAML")
    sentence = f"not valid YAML: {error.problem}"
    if error.context and error.context_mark:
        sentence += f", {error.context} that begins on line {error.context_mark.line + 1}"
    return Problem(error.problem_mark.line + 1, sentence)


class _Reader:
    """Walks the nodes of one file and gathers values, places and problems."""

    def __init__(
        self,
        environ: Mapping[str, str],
        as_written: Callable[[KeyPath], bool],
        secret: Callable[[KeyPath], bool],
    ) -> None:
        self.places: dict[KeyPath, Place] = {}
        self.unread: set[KeyPath] = set()
        self.problems: list[Problem] = []
        self._environ = environ
        self._as_written = as_written
        self._secret = secret
        self._values = 0

    def root(self, node: yaml.Node | None) -> dict[str, object]:
        if node is None or node.tag == f"{_TAG}null":
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise _Refused(node, "the file must hold `key: value` lines")
        return self._mapping(node, ())

    def _value(self, node: yaml.Node, path: KeyPath) -> object:
        self._values += 1
        if self._values > _MAX_VALUES or len(path) > _MAX_DEPTH:
            raise _Refused(node, "the file holds too many values once its aliases are expanded")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return self._sequence(node, path)
        raise _unknown_tag(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, value in node.value:
            try:
                name = self._key(key, path)
            except _Fault as fault:
                self.problems.append(fault.problem)
            else:
                self.places[(*path, name)] = Place(key.start_mark.line + 1, self._quote(value, (*path, name)))
                values[name] = self._value_or_none(value, (*path, name))
        return values

    def _sequence(self, node: yaml.SequenceNode, path: KeyPath) -> list[object]:
        values: list[object] = []
        for index, item in enumerate(node.value):
            self.places[(*path, index)] = Place(item.start_mark.line + 1, self._quote(item, (*path, index)))
            values.append(self._value_or_none(item, (*path, index)))
        return values

    def _value_or_none(self, node: yaml.Node, path: KeyPath) -> object:
        try:
            return self._value(node, path)
        except _Refused:
            raise
        except _Fault as fault:
            self.problems.append(fault.problem)
            self.unread.add(path)
            return None

    def _key(self, node: yaml.Node, path: KeyPath) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise _Fault(node, "a key must be text")
        if node.tag == f"{_TAG}merge":
            raise _Fault(node, "merge keys (`<<`) are not understood; write the keys out")
        name = str(node.value)
        if first := self.places.get((*path, name)):
            sentence = f"{label((*path, name))} is given twice, first on line {first.line}"
            raise _Fault(node, sentence)
        return name

    def _quote(self, node: yaml.Node, path: KeyPath) -> str:
        secret = isinstance(node, yaml.ScalarNode) and self._secret(path)
        return "what is written there" if secret else _written(node)

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> object:
        text = self._expand(node, path)
        if node.tag not in _TEXT_TAGS | _READ_TAGS:
            raise _unknown_tag(node, path)
        if node.tag != f"{_TAG}null" and self._as_written(path):
            return text
        tag = node.tag
        if not node.style and text != node.value:  # not in quotes: a variable may hold a number
            tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))
        if tag not in _READ_TAGS:
            return text
        try:
            value: object = SafeConstructor().construct_object(yaml.ScalarNode(tag, text))
        except (ValueError, KeyError):
            sentence = (
                f"{label(path)} holds {self._quote(node, path)}, which is not a number; put it in quotes"
            )
            raise _Fault(node, sentence) from None
        return value

    def _expand(self, node: yaml.ScalarNode, path: KeyPath) -> str:
        def text(match: re.Match[str]) -> str:
            if match["escape"]:
                return "${"
            if not (name := match["name"]):
                sentence = "holds `${` that is not closed around a name; write `$${` for the characters"
                raise _Fault(node, f"{label(path)} {sentence}")
            if name not in self._environ:
                sentence = f"needs the environment variable {_bare(name)}, which is not set"
                raise _Fault(node, f"{label(path)} {sentence}")
            return self._environ[name]

        return _VARIABLE.sub(text, str(node.value))


def _unknown_tag(node: yaml.Node, path: KeyPath) -> _Fault:
    return _Fault(node, f"{label(path)} has the unknown tag {shorten(str(node.tag))}; remove it")
