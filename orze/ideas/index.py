"""Where each section lies in the file: columns instead of objects, under 200 bytes for an idea."""

from array import array
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from orze.ideas.scan import Section

_SHA: Final = 16  # bytes


class Place(NamedTuple):
    """Where a section lies, in bytes, its first line, and its revision."""

    offset: int
    length: int
    line: int
    sha: bytes


class Index:
    """The places of sections by id, in the order of the file."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._offsets = array("Q")
        self._lengths = array("L")
        self._lines = array("L")
        self._shas = bytearray()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, idea_id: object) -> bool:
        return idea_id in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def add(self, section: Section) -> None:
        """Take in a section whose id is not there yet."""
        self._rows[section.id] = len(self._rows)
        self._offsets.append(section.offset)
        self._lengths.append(section.length)
        self._lines.append(section.line)
        self._shas += section.sha

    def state(self) -> tuple[Any, ...]:
        """All of it as plain values, for `resume`."""
        columns = (self._offsets.tobytes(), self._lengths.tobytes(), self._lines.tobytes())
        return list(self._rows), *columns, bytes(self._shas)

    def resume(self, state: tuple[Any, ...]) -> None:
        """Fill an empty index with what `state` gave."""
        ids, offsets, lengths, lines, shas = state
        self._rows = {idea_id: row for row, idea_id in enumerate(ids)}
        self._offsets.frombytes(offsets)
        self._lengths.frombytes(lengths)
        self._lines.frombytes(lines)
        self._shas = bytearray(shas)

    def get(self, idea_id: str) -> Place | None:
        """The place of an id; None where it has none."""
        row = self._rows.get(idea_id)
        if row is None:
            return None
        sha = bytes(self._shas[row * _SHA : (row + 1) * _SHA])
        return Place(self._offsets[row], self._lengths[row], self._lines[row], sha)
