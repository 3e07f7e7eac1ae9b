"""Reads one section of ideas.md: its fields as an `Idea`, its yaml block as values."""

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from orze.core.units import DURATION_FORMS, parse_duration
from orze.ideas.blocks import Blocks, Kind
from orze.ideas.model import Idea, IdeaError, Priority
from orze.ideas.plain import is_plain
from orze.ideas.scan import Section, scan_all
from orze.ideas.values import load_values

__all__ = ["IdeaError", "deep_merge", "load_config", "one_section", "parse"]

_LONGEST_TITLE: Final = 200  # characters that are kept in memory; the file has the rest
_LONGEST_PROSE: Final = 1000
_MOST_FIELDS: Final = 100
_MOST_NAMES: Final = 100  # ids in After, patterns in Hosts
_MOST_GPUS: Final = 1024

_NO_SWEEP = "this version cannot expand a sweep yet: write one idea for each combination of values"
_NO_REPEATS = "this version cannot repeat an idea yet: write one idea for each seed, without this field"
_NO_COMMIT = (
    "this version cannot run an idea at a commit of its own yet: "
    "start the farm in a checkout of that commit, and remove this field"
)
_REFUSED: Final = {"sweep": _NO_SWEEP}

_NAME = r"(?:[-*+][ \t]+)?\*\*([^*\n]{1,60})(?::\*\*|\*\*[ \t]*:)"
_FIELD = re.compile(rf"^ {{0,3}}{_NAME}[ \t]*(.*(?:\n(?![ \t]*{_NAME})[ \t]+\S.*)*)", re.MULTILINE)
# A section whose only structure is one fence in column 0 with nothing but blank lines after it.
_ORDINARY = re.compile(
    r"(?P<prose>.*\n(?:[ \t]*[^ \t\n#`~<].*\n|[ \t]*\n){0,200})"
    r"(?:```(?:yaml|yml)[ \t]*\n(?P<yaml>(?:(?! {0,3}```).*\n){0,500})```[ \t\n]*)?\Z"
)
_MAYBE_BLOCK = re.compile(r"```|~~~|<")

_ID = re.compile(r"idea-[0-9]{1,18}")
_SEPARATOR = re.compile(r"[,\s]+")
_NONE = {"", "none", "-"}


class _Block(NamedTuple):
    """The content of a yaml fence, and how many lines of the section are before it."""

    lines_before: int
    text: str


def parse(text: str, *, path: str, line: int, section: Section | None = None) -> Idea:
    """Read a section and make sure that it can be run: what is returned here, `load_config` loads.

    Args:
        text: exactly one section, as it stands in the file.
        path: the file, for messages.
        line: number of its first line in the file.
        section: what the scan of the file made of this very text, if that is known.

    Returns:
        The idea.

    Raises:
        IdeaError: it cannot be accepted; with the line at fault, and what would be right.
    """
    if section is None:
        section = one_section(text, path=path, line=line)
    prose, block = _outline(text, path, line)
    known, others = _fields(prose, path, line)
    _refuse_itself(section.id, known, path, line)
    if block and not is_plain(block.text, _REFUSED):
        _load(block, path, line)
    return Idea(
        id=section.id,
        number=int(section.id[5:]),
        title=section.title[:_LONGEST_TITLE],
        priority=int(known.get("priority", Priority.MEDIUM)),
        category=sys.intern(known.get("category", "")),
        parent=known.get("parent"),
        hypothesis=known.get("hypothesis", ""),
        gpus=known.get("gpus", 1),
        timeout=known.get("timeout"),
        after=known.get("after", ()),
        hosts=known.get("hosts", ()),
        fields=others,
        line=line,
        sha=section.sha.hex(),
    )


def load_config(text: str, *, path: str, line: int) -> dict[str, Any]:
    """Load the yaml block of a section.

    Args:
        text: exactly one section, as it stands in the file.
        path: the file, for messages.
        line: number of its first line in the file.

    Returns:
        What the idea changes in the base configuration; nothing where it has no yaml block.

    Raises:
        IdeaError: there are two blocks, or the block is no mapping or goes over a bound.
    """
    _, block = _outline(text, path, line)
    return _load(block, path, line) if block else {}


def deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `over` on top of `base`: mappings key by key, everything else replaced. Neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = deep_merge(below, value)
        else:
            merged[key] = value
    return merged


def one_section(text: str, *, path: str, line: int) -> Section:
    """Read the heading of a text that is one whole section.

    Args:
        text: the section.
        path: the file, for messages.
        line: number of the first line in the file.

    Returns:
        The section, at offset 0.

    Raises:
        IdeaError: it is not exactly one section, or the scan finds a fault in it.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise IdeaError(line, "the section holds a character that is not in UTF-8: remove it", path) from None
    sections, unclosed = scan_all(data, line=line)
    if len(sections) != 1 or sections[0].length != len(data):
        raise IdeaError(line, "this must be one idea: a heading '## idea-001: A title' and its text", path)
    if sections[0].problem:
        raise IdeaError(unclosed.line if unclosed else line, sections[0].problem, path)
    return sections[0]


def _load(block: _Block, path: str, line: int) -> dict[str, Any]:
    return load_values(block.text, path=path, line=line + block.lines_before, refused=_REFUSED)


def _outline(text: str, path: str, line: int) -> tuple[str, _Block | None]:
    """Split a section into its prose, with the lines where they are, and its yaml block."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    match = _ORDINARY.match(text)
    if match and not _MAYBE_BLOCK.search(match["prose"]):
        prose, yaml = match["prose"], match["yaml"]
        return prose, None if yaml is None else _Block(prose.count("\n") + 1, yaml)
    prose, found = _walk(text)
    if len(found) > 1:
        first, second = (line + block.lines_before - 1 for block in found[:2])
        raise IdeaError(second, f"a second yaml block; the first is on line {first}: keep one of them", path)
    return prose, found[0] if found else None


def _walk(text: str) -> tuple[str, list[_Block]]:
    """Do what `_outline` does, line by line, for sections of any structure."""
    blocks = Blocks(0)
    prose: list[str] = []
    found: list[tuple[int, list[str]]] = []
    in_yaml = False
    for line in text.split("\n"):
        kind = blocks.feed(line)
        prose.append(line if kind in (Kind.TEXT, Kind.BLANK) else "")
        if kind is Kind.FENCE_BODY:
            if in_yaml:
                found[-1][1].append(blocks.body)
            continue
        in_yaml = kind is Kind.FENCE_OPEN and blocks.info.lower().split()[:1] in (["yaml"], ["yml"])
        if in_yaml:
            found.append((blocks.line, []))
    return "\n".join(prose), [_Block(before, "\n".join(lines)) for before, lines in found]


def _fields(prose: str, path: str, line: int) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]]:
    """Read the field lines: the values of the known ones by their names in small letters, and the others."""
    known: dict[str, Any] = {}
    others: list[tuple[str, str]] = []
    for match in _FIELD.finditer(prose):
        name, value = match[1].strip(), " ".join(match[2].split())
        key = name.lower()
        try:
            if len(known) + len(others) == _MOST_FIELDS:
                raise ValueError(f"the section has more than {_MOST_FIELDS} fields")
            if key not in _READERS:
                others.append((sys.intern(name), value[:_LONGEST_PROSE]))
            elif key in known:
                raise ValueError("it is given twice: keep one of them")
            else:
                known[key] = _READERS[key](value)
        except ValueError as error:
            raise IdeaError(line + prose.count("\n", 0, match.start()), f"{name}: {error}", path) from None
    return known, tuple(others)


def _refuse_itself(idea_id: str, known: Mapping[str, Any], path: str, line: int) -> None:
    if idea_id == known.get("parent") or idea_id in known.get("after", ()):
        raise IdeaError(line, f"{idea_id} names itself in Parent or After: name another idea", path)


def _bare(value: str) -> str:
    return value.strip("` ")


def _priority(value: str) -> Priority:
    try:
        return Priority[_bare(value).upper() or "MEDIUM"]
    except KeyError:
        raise ValueError(f"{value[:40]!r} is none of critical, high, medium and low") from None


def _gpus(value: str) -> int:
    text = _bare(value) or "1"
    count = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0
    if not 1 <= count <= _MOST_GPUS:
        raise ValueError(f"{value[:40]!r} is no number of cards: write a whole number from 1 to {_MOST_GPUS}")
    return count


def _timeout(value: str) -> float | None:
    text = _bare(value)
    if not text:
        return None
    seconds = parse_duration(text)
    if seconds == 0:
        raise ValueError(f"it must be longer than 0: write {DURATION_FORMS}")
    return seconds


def _names(value: str) -> tuple[str, ...]:
    """The words of a list with commas, each once; none for an empty field, `none` and `-`."""
    if _bare(value).lower() in _NONE:
        return ()
    names = tuple(dict.fromkeys(name for part in _SEPARATOR.split(value) if (name := _bare(part))))
    if len(names) > _MOST_NAMES:
        raise ValueError(f"it names more than {_MOST_NAMES}")
    return names


def _ids(value: str) -> tuple[str, ...]:
    names = _names(value)
    for name in names:
        if not _ID.fullmatch(name):
            raise ValueError(f"{name[:40]!r} is no id of an idea: write it as in idea-001")
    return names


def _parent(value: str) -> str | None:
    ids = _ids(value)
    if len(ids) > 1:
        raise ValueError("an idea has one parent: name the others in After")
    return ids[0] if ids else None


def _repeats(value: str) -> int:
    if (_bare(value) or "1") != "1":
        raise ValueError(_NO_REPEATS)
    return 1


def _commit(value: str) -> None:
    if _bare(value):
        raise ValueError(_NO_COMMIT)


def _prose(value: str) -> str:
    return value[:_LONGEST_PROSE]


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "priority": _priority,
    "category": _prose,
    "parent": _parent,
    "hypothesis": _prose,
    "gpus": _gpus,
    "timeout": _timeout,
    "after": _ids,
    "hosts": _names,
    "repeats": _repeats,
    "commit": _commit,
}
