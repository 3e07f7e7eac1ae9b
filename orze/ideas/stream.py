"""Scans an open file in pieces, so that no file is in memory as a whole."""

import os
from collections.abc import Callable, Iterator
from typing import Final

from orze.ideas.scan import Scan, scan_all

_PIECE: Final = 2 << 20  # bytes
_LONGEST: Final = 64 << 20  # bytes between two ideas; what is held in memory


class ShortRead(Exception):
    """The file ended before its size: it changes just now."""


class TooLong(Exception):
    """More lies between two ideas than is held in memory; `line` is where it begins."""

    def __init__(self, line: int) -> None:
        super().__init__(f"more than {_LONGEST >> 20} MiB without a new idea: split the file")
        self.line = line


def read_exactly(fd: int, length: int, offset: int) -> bytes:
    """Read `length` bytes at `offset`.

    Raises:
        ShortRead: the file is shorter.
        OSError: it cannot be read.
    """
    data = os.pread(fd, length, offset)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            raise ShortRead
        data += more
    return data


def scan_file(
    fd: int, *, offset: int = 0, line: int = 1, end: int, seen: Callable[[int, bytes], None] | None = None
) -> Iterator[Scan]:
    """Scan a file from a top-level heading, or its start, to a given end.

    Args:
        fd: the open file.
        offset: bytes before the heading.
        line: number of the heading's line.
        end: offset at which to stop.
        seen: told each piece that was read, and its offset.

    Yields:
        What was found, in pieces; the last one tells what is open at the end.

    Raises:
        ShortRead: the file is shorter than `end`.
        TooLong: two ideas are too far apart.
        OSError: it cannot be read.
    """
    data = b""
    while True:
        at = offset + len(data)
        piece = read_exactly(fd, min(max(_PIECE, len(data)), end - at), at)
        if seen:
            seen(at, piece)
        data += piece
        found = scan_all(data, offset=offset, line=line)
        if at + len(piece) == end:
            yield found
            return
        if len(found.sections) > 1:
            last = found.sections.pop()  # it may go on in the next piece
            yield Scan(found.sections, None)
            data = data[last.offset - offset :]
            offset, line = last.offset, last.line
        elif len(data) > _LONGEST:
            raise TooLong(line)
