"""Reads one section of ideas.md: its fields as an `Idea`, its yaml block as values."""

import re
import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from orze.ideas.blocks import Blocks, Kind
from orze.ideas.fields import read_fields
from orze.ideas.model import Idea, IdeaError, Priority, group_of
from orze.ideas.plain import is_plain
from orze.ideas.scan import Section, scan_all
from orze.ideas.sweep import MAX_MEMBERS, SWEEP, count_members
from orze.ideas.values import load_values

__all__ = [
    "IdeaError",
    "code_in",
    "deep_merge",
    "load_block",
    "load_config",
    "one_section",
    "outline",
    "parse",
    "seed_in",
]

_LONGEST_TITLE: Final = 200  # characters that are kept in memory; the file has the rest
_MEANT: Final = {SWEEP}  # keys at the top that are no configuration

# A section whose only structure is one fence in column 0 with nothing but blank lines after it.
_ORDINARY = re.compile(
    r"(?P<prose>.*\n(?:[ \t]*[^ \t\n#`~<].*\n|[ \t]*\n){0,200})"
    r"(?:```(?:yaml|yml)[ \t]*\n(?P<yaml>(?:(?! {0,3}```).*\n){0,500})```[ \t\n]*)?\Z"
)
_MAYBE_BLOCK = re.compile(r"```|~~~|<")


class _Block(NamedTuple):
    """The content of a yaml fence, and how many lines of the section are before it."""

    lines_before: int
    text: str


def parse(
    text: str,
    *,
    path: str,
    line: int,
    section: Section | None = None,
    max_members: int = MAX_MEMBERS,
    commands: bool = True,
) -> Idea:
    """Read a section and make sure that it can be run: what is returned here, `load_config` loads.

    Args:
        text: exactly one section, as it stands in the file.
        path: the file, for messages.
        line: number of its first line in the file.
        section: what the scan of the file made of this very text, if that is known.
        max_members: how many members a group may have.
        commands: whether ideas may bring command lines of their own.

    Returns:
        The idea, or the group (its `members` tells).

    Raises:
        IdeaError: it cannot be accepted; with the line at fault, and what would be right.
    """
    if section is None:
        section = one_section(text, path=path, line=line)
    prose, block = outline(text, path, line)
    known, others = read_fields(prose, path, line, commands=commands)
    _refuse_itself(section.id, known, path, line)
    own = _load(block, path, line) if block and not is_plain(block.text, _MEANT) else {}
    repeats = known.get("repeats", 1)
    try:
        members = count_members(own, repeats, max_members) if SWEEP in own or repeats > 1 else 0
    except ValueError as error:
        raise IdeaError(line + _line_of_sweep(block), str(error), path) from None
    return _idea(section, known, others, line=line, members=members)


def _idea(
    section: Section,
    known: Mapping[str, Any],
    others: tuple[tuple[str, str], ...],
    *,
    line: int,
    members: int,
) -> Idea:
    """An idea of what its fields say."""
    return Idea(
        id=section.id,
        number=int(group_of(section.id)[5:]),
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
        repeats=known.get("repeats", 1),
        seed=known.get("seed", 0),
        rerun=known.get("rerun", False),
        members=members,
        commit=sys.intern(known.get("commit", "")),
        command=sys.intern(known.get("command", "")),
    )


def load_config(text: str, *, path: str, line: int) -> dict[str, Any]:
    """Load the yaml block of a section, less its sweep.

    Args:
        text: exactly one section, as it stands in the file.
        path: the file, for messages.
        line: number of its first line in the file.

    Returns:
        What the idea changes in the base configuration; nothing where it has no yaml block.

    Raises:
        IdeaError: there are two blocks, or the block is no mapping or goes over a bound.
    """
    own = load_block(text, path=path, line=line)
    own.pop(SWEEP, None)
    return own


def seed_in(text: str) -> int:
    """What the field Seed of a section says; 0 where it has none, or one that cannot be read."""
    return int(_fields_in(text).get("seed", 0))


def code_in(text: str) -> tuple[str, str]:
    """What the fields Commit and Command of a section say; empty where it has none."""
    known = _fields_in(text)
    return known.get("commit", ""), known.get("command", "")


def load_block(text: str, *, path: str, line: int) -> dict[str, Any]:
    """Do what `load_config` does, and keep the sweep."""
    _, block = outline(text, path, line)
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
    """Read the heading of a text that is one whole section, or that of a member.

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
    sections, unclosed = scan_all(data, line=line, members=True)
    if len(sections) != 1 or sections[0].length != len(data):
        raise IdeaError(line, "this must be one idea: a heading '## idea-001: A title' and its text", path)
    if sections[0].problem:
        raise IdeaError(unclosed.line if unclosed else line, sections[0].problem, path)
    return sections[0]


def _fields_in(text: str) -> dict[str, Any]:
    try:
        return read_fields(outline(text, "", 1)[0], "", 1)[0]
    except IdeaError:
        return {}


def _load(block: _Block, path: str, line: int) -> dict[str, Any]:
    return load_values(block.text, path=path, line=line + block.lines_before)


def outline(text: str, path: str, line: int) -> tuple[str, _Block | None]:
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
    """Do what `outline` does, line by line, for sections of any structure."""
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
        in_yaml = kind is Kind.FENCE_OPEN and is_yaml(blocks.info)
        if in_yaml:
            found.append((blocks.line, []))
    return "\n".join(prose), [_Block(before, "\n".join([*lines, ""])) for before, lines in found]


def is_yaml(info: str) -> bool:
    """Whether the info string of a fence says that values of the idea follow."""
    return info.lower().split()[:1] in (["yaml"], ["yml"])


def _refuse_itself(idea_id: str, known: Mapping[str, Any], path: str, line: int) -> None:
    named = [known.get("parent") or "", *known.get("after", ())]
    if idea_id in named or idea_id in map(group_of, named):
        raise IdeaError(line, f"{idea_id} names itself in Parent or After: name another idea", path)


def _line_of_sweep(block: _Block | None) -> int:
    """How many lines of a section are before its sweep, or 0 where it only has repeats."""
    found = re.search(r"^[{ ]*['\"]?sweep\b", block.text, re.MULTILINE) if block else None
    return block.lines_before + block.text.count("\n", 0, found.start()) if block and found else 0
