"""Finds the idea sections of ideas.md: a pure scan over bytes that reads headings as CommonMark does."""

import hashlib
import re
from dataclasses import dataclass
from typing import NamedTuple

from orze.ideas.blocks import Blocks, Kind

LONGEST_SECTION = 1 << 20  # bytes

_BOM = b"\xef\xbb\xbf"
_LONE_CR = re.compile(rb"\r(?!\n)")
_LINE = re.compile(rb"([^\r\n]*+)(?:\r\n|\r|\n|\Z)")
_LINE_AND_EMPTY_LINES = re.compile(rb"([^\r\n]*+)([\r\n]*+)")

# Lines that hide no heading in column 0 from a reader who comes from just after a top-level heading: text,
# list items, quotes, and whole fences of three backticks in column 0. A line in column 0 that is no quote is
# in no container, so it does not matter what the lines before it opened. All others are read line by line.
_DULL = re.compile(
    rb"(?:[ \t]*+[^ \t\r\n#`~<].*+(?:\n|\Z)"
    rb"|[ \t]*+\r?\n"
    rb"|```[^`\n]*+\n(?:(?! {0,3}```).*+\n){0,500} {0,3}```[ \t]*+(?:\r?\n|\Z)"
    rb"|#(?!#?(?:[ \t\r\n]|\Z)).*+(?:\n|\Z)"
    rb"){0,500}"
)
_NEXT = re.compile(rb"##?(?:[ \t\r\n]|\Z)|\Z")

_IDEA = re.compile(rb"(idea-[0-9]{1,18})[ \t]*(?::[ \t]*(.*))?\Z", re.DOTALL)
_MEMBER = re.compile(rb"(idea-[0-9]{1,18}\.[0-9]{1,9})[ \t]*(?::[ \t]*(.*))?\Z", re.DOTALL)
_DOTTED = re.compile(rb"idea-[0-9]+\.[0-9]")
_NO_COLON = re.compile(rb"(idea-[0-9]{1,18})[ \t]+[^ \t]")


@dataclass(frozen=True, slots=True)
class Section:
    """One idea as it stands in the file: from its heading to the next heading of level 1 or 2, or the end.

    Attributes:
        id: `idea-` and digits; empty where the heading holds no such id.
        title: what follows the id in the heading.
        offset: bytes from the start of the file.
        length: bytes.
        line: number of the heading's line, from 1.
        sha: its `revision`.
        closed: whether every fence (and HTML block) of the section ends; otherwise it swallows what follows.
        problem: why the section cannot be accepted, in one sentence; None where the scan found nothing.
    """

    id: str
    title: str
    offset: int
    length: int
    line: int
    sha: bytes
    closed: bool
    problem: str | None


class Unclosed(NamedTuple):
    """A `fence` or `HTML block`, opened on `line`, that runs to the end and swallows what follows."""

    what: str
    line: int

    def __str__(self) -> str:
        return f"the {self.what} opened on line {self.line} is never closed and hides what follows: close it"


class Scan(NamedTuple):
    """The sections in their order, and what is still open at the end."""

    sections: list[Section]
    unclosed: Unclosed | None


def scan(data: bytes, *, offset: int = 0, line: int = 1) -> list[Section]:
    """Find the idea sections of a Markdown text.

    Args:
        data: the text, or its rest from the start of a line that is a top-level heading.
        offset: bytes of the file before `data`.
        line: number of the first line of `data`.

    Returns:
        Every section that an ATX heading of level 2 whose text begins with `idea-` opens at the top level,
        also those that cannot be accepted: their `problem` says why. An underlined heading neither opens nor
        ends a section: a line of dashes under a text must not cut its idea in two.
    """
    return scan_all(data, offset=offset, line=line).sections


def scan_all(data: bytes, *, offset: int = 0, line: int = 1, members: bool = False) -> Scan:
    """Do what `scan` does, and also tell what is still open at the end of `data`.

    Args:
        data, offset, line: as for `scan`.
        members: take also sections of members, which no file of ideas may hold.
    """
    sections: list[Section] = []
    quick = not _LONE_CR.search(data)
    clean = _is_clean(data)
    start, heading, first_line = 0, b"", line
    pos = len(_BOM) if not offset and data.startswith(_BOM) else 0
    while True:
        end, line, unclosed = _skip(data, pos, line) if quick else _walk(data, pos, line)
        if heading:
            body = data[start:end]
            problem = None if clean else _bad_bytes(body, first_line)
            place = offset + start, first_line
            sections.append(_section(heading, body, place, unclosed, problem, members=members))
        match = _LINE.match(data, end)
        if match is None or end == len(data):
            return Scan(sections, unclosed)
        start, pos, first_line = end, match.end(), line
        heading = _idea_heading(match[1])
        line += 1


def _skip(data: bytes, pos: int, line: int) -> tuple[int, int, Unclosed | None]:
    """Go to the next top-level heading: its offset and line, or the end of `data` and what is open there."""
    end = pos
    while not _NEXT.match(data, end):
        dull = _DULL.match(data, end)
        if dull is None or dull.end() == end:
            return _walk(data, pos, line)
        end = dull.end()
    return end, line + data.count(b"\n", pos, end), None


def _walk(data: bytes, pos: int, line: int) -> tuple[int, int, Unclosed | None]:
    """Do what `_skip` does, line by line."""
    blocks = Blocks(line - 1)
    while pos < len(data) and (match := _LINE_AND_EMPTY_LINES.match(data, pos)):
        if blocks.feed(match[1].decode("latin-1")) is Kind.HEADING:
            return pos, blocks.line, None
        empty = _line_ends(match[2]) - 1
        if empty > 0:
            blocks.feed("")  # one empty line after another changes nothing
            blocks.line += empty - 1
        pos = match.end()
    return pos, blocks.line + 1, Unclosed(blocks.unclosed, blocks.opened) if blocks.unclosed else None


def _idea_heading(line: bytes) -> bytes:
    """The text of a heading line where it is of level 2 and begins with `idea-`, else nothing."""
    text = line.strip(b" \t")
    if text[:3] not in (b"## ", b"##\t"):
        return b""
    text = text[3:].strip(b" \t")
    if text[:5].lower() != b"idea-":
        return b""
    bare = text.rstrip(b"#")
    return bare.rstrip(b" \t") if bare[-1:] in (b" ", b"\t") else text


def _section(
    heading: bytes,
    body: bytes,
    place: tuple[int, int],
    unclosed: Unclosed | None,
    problem: str | None,
    *,
    members: bool,
) -> Section:
    offset, line = place
    match = _IDEA.match(heading) or (_MEMBER.match(heading) if members else None)
    name, title = match.groups() if match else (b"", heading[:200])
    if match is None:
        problem = _bad_id(heading)
    elif unclosed:
        problem = str(unclosed)
    elif len(body) > LONGEST_SECTION:
        problem = f"the section is longer than {LONGEST_SECTION >> 20} MiB: shorten it"
    shown = title.decode("utf-8", "replace") if title else ""
    return Section(name.decode(), shown, offset, len(body), line, revision(body), unclosed is None, problem)


def revision(body: bytes) -> bytes:
    """The 16 bytes that name the content of a section: of its SHA-256, without the blank space at its end."""
    return hashlib.sha256(body.rstrip()).digest()[:16]


def _bad_id(heading: bytes) -> str:
    shown = heading[:40].decode("utf-8", "replace")
    if _DOTTED.match(heading):
        return f"{shown!r}: an id such as idea-001.1 is given to a member of a sweep: use idea- and digits"
    if match := _NO_COLON.match(heading):
        return f"{shown!r}: put a colon after the id, as in '## {match[1].decode()}: A title'"
    return f"{shown!r}: the id must be idea- and digits (18 at most), as in '## idea-001: A title'"


def _line_ends(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


def _is_clean(data: bytes) -> bool:
    """Whether `data` is UTF-8 without NUL bytes."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _bad_bytes(body: bytes, line: int) -> str | None:
    """Name the first byte of a section that no text holds, and its line."""
    at, what = body.find(b"\0"), "a NUL byte"
    try:
        body.decode()
    except UnicodeDecodeError as error:
        if at < 0 or error.start < at:
            at, what = error.start, "a byte that is not UTF-8"
    if at < 0:
        return None
    return f"line {line + _line_ends(body[:at])} holds {what}: save the file as UTF-8 text"
