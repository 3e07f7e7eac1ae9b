"""The useful lines of a log: its last traceback with what came before it, or its last lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from orze.attempt.verdict import read_tail

LIMIT: Final = 4096  # bytes
_LOOKED_AT: Final = 128 << 10  # last bytes of the file
_BEFORE: Final = 12  # lines before a traceback
_BEHIND: Final = 30  # lines behind its end, beyond which the script went on
_LAST: Final = 40  # lines of a log without one
_LONGEST: Final = 400  # characters of a line
_CUT: Final = "[…]"
_TRACEBACK: Final = "Traceback (most recent call last)"
_RANK: Final = re.compile(r"\[rank\d+\]:\s?")
_CHAINED: Final = ("The above exception was the direct cause", "During handling of the above exception")
_ESCAPE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)")
_BAR: Final = re.compile(
    r"\d+%\s?\||\|\s*\d+/\d+\s*\[|━{4}|━╸|█{3}|[#=]{10,}>?"
)  # ECMA-48 says nothing of bars


def read_useful(path: str, limit: int = LIMIT) -> str:
    """The useful lines of a file; empty where it cannot be read.

    Args:
        path: of the log; neither a link nor a FIFO is followed.
        limit: bytes of the result.
    """
    return useful(read_tail(path, _LOOKED_AT), limit)


def useful(log: bytes, limit: int = LIMIT) -> str:
    """The useful lines at the end of a log.

    Escape sequences and control characters are taken out. Of a line that was written over again and again,
    as progress bars are, the last state is left, and one bar of several below each other.

    Args:
        log: the end of it; untrusted.
        limit: bytes of the result, in UTF-8.
    """
    lines = list(_plain(log.decode("utf-8", "replace").rstrip()))
    begin = _traceback(lines)
    if begin is None:
        return _fit([], lines[-_LAST:], limit)
    return _fit(lines[max(0, begin - _BEFORE) : begin], lines[begin:], limit)


def _plain(text: str) -> Iterator[str]:
    """Its lines as a terminal would show them at last, without blank ones in a row and without old bars."""
    last = ""
    for raw in _ESCAPE.sub("", text).split("\n"):
        states = [state for state in raw.split("\r") if state.strip()]
        line = "".join(char for char in (states or [""])[-1] if char.isprintable() or char == "\t")
        line = line.rstrip()[:_LONGEST]
        is_old_bar = _BAR.search(last) and _BAR.search(line)
        if last and not is_old_bar:
            yield last
            if not line:
                yield ""
        last = line
    if last:
        yield last


def _traceback(lines: Sequence[str]) -> int | None:
    """Where the last traceback begins, with those behind it; None where the log does not end with one."""
    heads = [at for at, line in enumerate(lines) if _TRACEBACK in line]
    if not heads or len(lines) - _end(lines, heads[-1]) > _BEHIND:
        return None
    begin = heads.pop()
    while heads and any(line.startswith(_CHAINED) for line in lines[_end(lines, heads[-1]) : begin]):
        begin = heads.pop()
    return begin


def _end(lines: Sequence[str], head: int) -> int:
    """Behind the exception of a traceback: the first line that is not indented below its head."""
    for at in range(head + 1, len(lines)):
        line = _RANK.sub("", lines[at])
        if line and not line.startswith((" ", "\t")):
            return at + 1
    return len(lines)


def _fit(before: Sequence[str], lines: Sequence[str], limit: int) -> str:
    """As many of the last lines as fit, the head of a traceback, and what came before it."""
    room = limit - len(_CUT.encode()) - 1
    kept: list[str] = []
    head = lines[:1] if before or _TRACEBACK in "".join(lines[:1]) else []
    room -= sum(_size(line) for line in head)
    for line in reversed(lines[len(head) :]):
        if (room := room - _size(line)) < 0:
            kept.append(_CUT)
            break
        kept.append(line)
    kept += head
    for line in reversed(before):
        if (room := room - _size(line)) < 0:
            break
        kept.append(line)
    return "\n".join(reversed(kept)).strip("\n")


def _size(line: str) -> int:
    return len(line.encode()) + 1
