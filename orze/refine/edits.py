"""Edits that a language model proposes: the form of its reply, reading it, and applying what it says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from orze.refine.nearest import nearest
from orze.refine.paths import path_fault
from orze.refine.setkey import set_value

FORMAT: Final = """\
Answer with one line `HYPOTHESIS: …` that says in one sentence why the change should help, and then with the
change itself, made of as many of these four as it needs. Each word in capitals begins its line, undecorated.

1. Replace lines of a file. The SEARCH lines are whole lines copied exactly from the file, with their
   indentation, and as many of them that they occur once only. Name the file once before its blocks. The
   blocks of a file are applied in their order. To delete lines leave the lower half empty.

FILE: train.py
<<<<<<< SEARCH
    optimizer = SGD(model.parameters(), lr=0.1)
=======
    optimizer = AdamW(model.parameters(), lr=1e-3)
>>>>>>> REPLACE

2. Write a new file, whole. There must be none of that name.

NEW FILE: augment.py
<<<<<<< NEW
def augment(batch):
    return batch.flip(-1)
>>>>>>> NEW

3. Set a value that is in a YAML, JSON or TOML file already. The value is written as in that file; the items
   of a list are counted from 0; a name that holds a dot stands in double quotes.

SET: config.yaml training.batch_size = 64

4. Run another command line instead of the present one.

COMMAND: python train.py --epochs 20

Where the lines of a block hold one of its marks themselves, write all marks of that block longer, such as
`<<<<<<<<<< SEARCH`, `==========`, `>>>>>>>>>> REPLACE`. Other text is not read.
"""

_MOST_REPLY: Final = 1 << 20
_MOST_EDITS: Final = 200
_MOST_HYPOTHESIS: Final = 1000
_MOST_PLACES: Final = 10
_MOST_SHOWN: Final = 8  # faults that are told with the nearest lines
_OPEN = re.compile(r"(<{7,}) (SEARCH|NEW)", re.ASCII)
_WORDS: Final = ("HYPOTHESIS", "NEW FILE", "FILE", "SET", "COMMAND")
_DECORATED = re.compile(r"[^\w`]{0,20}(HYPOTHESIS|NEW FILE|FILE|SET|COMMAND)[^\w`]{0,20}$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Replace:
    """Lines of a file that become others; both without a newline at the end.

    Attributes:
        path: relative to the project.
        search: whole lines that occur once in the file; None stands for an empty file.
        replace: the lines instead; None for no line at all.
    """

    path: str
    search: str | None
    replace: str | None


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that is not there yet."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class SetKey:
    """A value of a YAML, JSON or TOML file."""

    path: str
    key: str
    value_text: str


Edit = Replace | NewFile | SetKey


@dataclass(frozen=True, slots=True)
class Change:
    """What a model proposes.

    Attributes:
        hypothesis: why it might be better, one line.
        edits: of files, in their order.
        command: another line for the shell; None for the same.
    """

    hypothesis: str
    edits: tuple[Edit, ...] = ()
    command: str | None = None


def read_change(reply: str) -> tuple[Change | None, list[str]]:
    """Read the reply of a model (see `FORMAT`).

    Args:
        reply: whatever came.

    Returns:
        The change, or None where there are faults; all faults, each with the line of the reply.
    """
    if len(reply) > _MOST_REPLY:
        return None, [f"the reply has {len(reply)} characters; {_MOST_REPLY} are the most that are read"]
    try:
        reply.encode()
    except UnicodeEncodeError as error:
        line = reply.count("\n", 0, error.start) + 1
        return None, [f"line {line} of the reply: holds half a character, which no file can hold"]
    reader = _Reader([line.removesuffix("\r") for line in reply.split("\n")])
    reader.read()
    faults = reader.faults
    if len(reader.hypotheses) != 1:
        faults.append(f"the reply has {len(reader.hypotheses) or 'no'} lines `HYPOTHESIS: …`; write one")
    if len(reader.commands) > 1:
        faults.append(f"the reply has {len(reader.commands)} lines `COMMAND: …`; write one at most")
    if not reader.edits and not reader.commands and not faults:
        faults.append("the reply changes nothing: it has no SEARCH, NEW FILE, SET or COMMAND")
    if len(reader.edits) > _MOST_EDITS:
        faults.append(f"the reply has {len(reader.edits)} edits; {_MOST_EDITS} are the most")
    if faults:
        return None, faults
    command = reader.commands[0] if reader.commands else None
    return Change(reader.hypotheses[0], tuple(reader.edits), command), []


class _Reader:
    """Goes through the lines of a reply once."""

    def __init__(self, lines: list[str]) -> None:
        self.hypotheses: list[str] = []
        self.commands: list[str] = []
        self.edits: list[Edit] = []
        self.faults: list[str] = []
        self._lines = lines
        self._at = 0
        self._file = ""  # of the last FILE line
        self._new = ""  # of a NEW FILE line whose block is still to come

    def read(self) -> None:
        while self._at < len(self._lines):
            line = self._lines[self._at].rstrip()
            self._at += 1
            opening = _OPEN.fullmatch(line)
            if opening:
                self._block(len(opening[1]), opening[2])
            elif line.startswith(("<<<<", ">>>>")):
                self._fault(f"`{line[:40]}` opens no block; see the form of the marks")
            else:
                word, colon, rest = line.partition(":")
                if colon and word in _WORDS:
                    self._said(word, rest.strip())
                elif colon and len(word) < 60 and (found := _DECORATED.match(word)):
                    self._fault(f"write `{found[1]}: …` at the beginning of its line, without decoration")
        self._awaited()

    def _said(self, word: str, rest: str) -> None:
        """A line with one of the words."""
        if not rest:
            self._fault(f"{word}: says nothing")
        elif word == "HYPOTHESIS":
            shown = "".join(char if char.isprintable() else " " for char in rest)
            self.hypotheses.append(" ".join(shown.split())[:_MOST_HYPOTHESIS])
        elif word == "COMMAND":
            if rest.isprintable():
                self.commands.append(rest)
            else:
                self._fault("COMMAND: holds a character that cannot be shown")
        elif word == "SET":
            self._set(rest)
        else:
            self._awaited()
            path = self._path(rest)
            self._file, self._new = (path, "") if word == "FILE" else ("", path)

    def _set(self, rest: str) -> None:
        left, equals, value = rest.partition("=")
        path, _, key = left.rstrip().rpartition(" ")
        if not equals or not path or not value.strip():
            self._fault("SET is written `SET: path key.of.the.value = value`")
        elif self._path(path.strip()):
            self.edits.append(SetKey(path.strip(), key, value.strip()))

    def _block(self, length: int, kind: str) -> None:
        """The lines up to the mark that closes a block."""
        began = self._at
        closing = f"{'>' * length} {'NEW' if kind == 'NEW' else 'REPLACE'}"
        opening = f"{'<' * length} {kind}"
        while self._at < len(self._lines) and self._lines[self._at].rstrip() not in {closing, opening}:
            self._at += 1
        lines = self._lines[began : self._at]
        if self._at == len(self._lines) or self._lines[self._at].rstrip() == opening:
            self._fault(f"the block is not closed by `{closing}`", began)
            return
        self._at += 1
        if kind == "NEW":
            self._new_file(lines, began)
        else:
            self._replace(lines, "=" * length, began)

    def _new_file(self, lines: list[str], began: int) -> None:
        if not self._new:
            self._fault("a line `NEW FILE: path` must stand before the block", began)
            return
        self.edits.append(NewFile(self._new, "".join(f"{line}\n" for line in lines)))
        self._new = ""

    def _replace(self, lines: list[str], middle: str, began: int) -> None:
        middles = [number for number, line in enumerate(lines) if line.rstrip() == middle]
        if not self._file:
            self._fault("a line `FILE: path` must stand before the block", began)
        elif len(middles) != 1:
            many = "no line" if not middles else f"{len(middles)} lines"
            self._fault(f"the block has {many} `{middle}`; one must divide it (longer marks help)", began)
        else:
            above, below = lines[: middles[0]], lines[middles[0] + 1 :]
            self.edits.append(Replace(self._file, _joined(above), _joined(below)))

    def _path(self, path: str) -> str:
        """The path, or "" with a fault."""
        fault = path_fault(path)
        if fault:
            self._fault(f"the path {path[:80]!r} {fault}")
        return "" if fault else path

    def _awaited(self) -> None:
        if self._new:
            self._fault(f"NEW FILE: {self._new} has no block `<<<<<<< NEW` … `>>>>>>> NEW`")
            self._new = ""

    def _fault(self, sentence: str, at: int = 0) -> None:
        self.faults.append(f"line {at or self._at} of the reply: {sentence}")


def _joined(lines: list[str]) -> str | None:
    return "\n".join(lines) if lines else None


def apply(change: Change, read: Callable[[str], str | None]) -> tuple[dict[str, str], list[str]]:
    """Apply the edits of a change.

    Args:
        change: what to apply; each edit sees what those before it made.
        read: gives the text of a file, None where there is none.

    Returns:
        The new texts by path (also of files that did not become different), and all faults. Where there are
        faults the texts mean nothing.
    """
    texts: dict[str, str | None] = {}
    faults: list[str] = []
    for number, edit in enumerate(change.edits, 1):
        if edit.path not in texts:
            texts[edit.path] = read(edit.path)
        try:
            texts[edit.path] = _applied(edit, texts[edit.path], show=len(faults) < _MOST_SHOWN)
        except ValueError as error:
            faults.append(f"edit {number}, {edit.path}: {error}")
    return {path: text for path, text in texts.items() if text is not None}, faults


def _applied(edit: Edit, text: str | None, *, show: bool) -> str:
    """The text after an edit; ValueError with what is wrong."""
    if isinstance(edit, NewFile):
        if text is not None:
            raise ValueError("there is such a file; change it with SEARCH blocks")
        return edit.text
    if text is None:
        raise ValueError("there is no such file")
    if isinstance(edit, SetKey):
        return set_value(edit.path, text, edit.key, edit.value_text)
    return _replaced(text, edit, show=show)


def _replaced(text: str, edit: Replace, *, show: bool) -> str:
    """Replace the one place where the lines match."""
    instead = [] if edit.replace is None else edit.replace.split("\n")
    if edit.search is None:
        if text:
            raise ValueError("SEARCH is empty; copy the lines that the change begins at")
        return "".join(f"{line}\n" for line in instead)
    lines, search = text.split("\n"), edit.search.split("\n")
    places = _places(text, edit.search)
    if not places:
        told = nearest(lines, search) if show else ""
        raise ValueError(f"the SEARCH lines are not in the file{told}")
    if len(places) > 1:
        where = ", ".join(str(place + 1) for place in places[:_MOST_PLACES])
        more = " and more" if len(places) > _MOST_PLACES else ""
        raise ValueError(
            f"the SEARCH lines are there several times, at lines {where}{more}; add lines around them"
        )
    place = places[0]
    if any(line.endswith("\r") for line in lines[place : place + len(search)]):
        instead = [f"{line}\r" for line in instead]
    return "\n".join([*lines[:place], *instead, *lines[place + len(search) :]])


def _places(text: str, search: str) -> list[int]:
    """Where the lines of a search begin: as they are, else without the blanks at the ends of lines."""
    return _exact(text, search) or _exact(_stripped(text), _stripped(search))


def _exact(text: str, search: str) -> list[int]:
    """The lines, from 0, at which whole lines occur; 11 places at most."""
    text, search = f"\n{text}\n", f"\n{search}\n"
    places: list[int] = []
    at = text.find(search)
    while at >= 0 and len(places) <= _MOST_PLACES:
        places.append(text.count("\n", 0, at))
        at = text.find(search, at + 1)
    return places


def _stripped(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n"))
