"""Follows ideas.md: reads what was appended, or everything where more has changed, and tells what is new."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from orze.core.errors import OrzeError
from orze.ideas.index import Place
from orze.ideas.scan import Scan, Section, revision, scan
from orze.ideas.stream import ShortRead, TooLong, read_exactly, scan_file
from orze.ideas.version import EDGE, Quarantine, Version

__all__ = ["IdeasSource", "Quarantine", "StaleSection", "Update"]

_LARGEST: Final = 1 << 30  # bytes
_PIECE: Final = 1 << 20  # bytes


class StaleSection(OrzeError):
    """The section is not in the file, or no longer as it was seen there."""


@dataclass(frozen=True, slots=True)
class Update:
    """What changed since the last one.

    Attributes:
        upserted: sections that are new or have new content, in the order of the file.
        removed: ids that are in the file no longer, neither accepted nor among the problems.
        problems: everything that cannot be accepted now, in the order of the file.
        complete: whether the file was read and has settled, so that nothing in it waits to be taken.
    """

    upserted: list[Section]
    removed: list[str]
    problems: list[Quarantine]
    complete: bool


class _Identity(NamedTuple):
    size: int
    mtime_ns: int
    inode: int


class _Tail(NamedTuple):
    """What was read from the last known section on, and the hash of the file with it."""

    scans: list[Scan]
    whole: "hashlib.blake2b"


class _Unreadable(Exception):
    """The file cannot be taken as it is."""


class IdeasSource:
    """The incremental reader of one file of ideas, for one thread.

    The last section counts only when the file has not changed for a while: its author may still be writing.
    One that is known to be whole counts at once.
    A section is reported as removed only then, too: many editors empty a file before they write it again.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settle_seconds: float,
        monotonic: Callable[[], float],
        *,
        whole: Callable[[str, bytes], bool] | None = None,
    ) -> None:
        """Follow the file at `path`, which need not be there yet; nothing is read before `poll`.

        Args:
            path: the file.
            settle_seconds: how long the file must be unchanged for its last section to count.
            monotonic: seconds on a clock of this host that never steps back.
            whole: tells by id and revision whether a section is known to be whole, as those are that a
                program left in the inbox; none is where it is not given.
        """
        self._is_known_whole = whole
        self._path = os.fspath(path)
        self._name = os.path.basename(self._path)
        self._settle = settle_seconds
        self._monotonic = monotonic
        self._version = Version(self._name)
        self._seen: _Identity | None = None  # of what was last read; None where it must be read again
        self._appends = False  # whether the next growth may count as an append
        self._changed_at = 0.0
        self._settled = True
        self._told: Section | None = None  # the last section of the file, where it was reported
        self._gone: dict[str, bytes] = {}  # reported once, and not in the file that has not settled yet
        self._shown: tuple[list[Quarantine], bool] | None = None

    def poll(self) -> Update | None:
        """Look at the file, at the cost of one `stat` where it is as it was.

        Returns:
            What changed; None where nothing did.
        """
        now = self._monotonic()
        try:
            identity = _identity(os.stat(self._path))
            if identity == self._seen:
                if self._settled or now < self._changed_at + self._settle:
                    return None
                return self._update([], now)
            return self._update(self._refresh(now), now)
        except ShortRead:
            # It is being written: the next poll tries again.
            self._seen, self._changed_at, self._settled = None, now, False
            return None
        except TooLong as fault:
            return self._trouble(str(fault), fault.line)
        except (_Unreadable, OSError) as fault:
            return self._trouble(_sentence(fault))

    def due(self) -> float | None:
        """The time, on the clock given, at which `poll` has news without a change of the file."""
        return None if self._settled else self._changed_at + self._settle

    def ids(self) -> list[str]:
        """The ids that are accepted as the file was last seen, in its order."""
        return [*self._version.index, *([self._told.id] if self._told else [])]

    def __contains__(self, idea_id: object) -> bool:
        """Whether an id is accepted as the file was last seen."""
        return idea_id in self._version.index or bool(self._told and self._told.id == idea_id)

    def section(self, idea_id: str) -> Section:
        """Read the section of an accepted id again.

        Raises:
            StaleSection: the file no longer holds what was seen there.
        """
        place = self._place(idea_id)
        found = scan(self.read(idea_id).encode())[0]
        return replace(found, offset=place.offset, line=place.line)

    def read(self, idea_id: str) -> str:
        """Read the text of an accepted id again, from its heading to the next one.

        Raises:
            StaleSection: the file no longer holds what was seen there.
        """
        place = self._place(idea_id)
        try:
            with _opened(self._path) as fd:
                return _read(fd, idea_id, place)
        except (OSError, _Unreadable) as fault:
            raise StaleSection(f"{idea_id} cannot be read now: {_sentence(fault)}") from None

    def texts(self, sections: Iterable[Section]) -> Iterator[tuple[Section, str | None]]:
        """Read the texts of many sections while the file is opened once.

        Args:
            sections: those of an update.

        Yields:
            Each section and its text; None where the file no longer holds it.
        """
        try:
            with _opened(self._path) as fd:
                for section in sections:
                    place = Place(section.offset, section.length, section.line, section.sha)
                    try:
                        yield section, _read(fd, section.id, place)
                    except (StaleSection, OSError):
                        yield section, None
        except (OSError, _Unreadable):
            yield from ((section, None) for section in sections)

    @property
    def is_whole(self) -> bool:
        """Whether the file was read as it is, and it is known what is gone from it."""
        return self._seen is not None and not self._gone

    def state(self) -> tuple[Any, ...]:
        """What was read, as plain values for `resume`."""
        return self._version.state(), self._version.whole.digest(), self._told is not None

    def resume(self, state: tuple[Any, ...]) -> bool:
        """Take up what was read by an earlier process, if the file still begins with it.

        Returns:
            Whether it does; if not, nothing has changed and `poll` reads everything.
        """
        content, digest, told = state
        version = Version(self._name)
        version.resume(content)
        try:
            with _opened(self._path) as fd:
                found = _identity(os.fstat(fd))
                for at in range(0, version.size, _PIECE):
                    version.whole.update(read_exactly(fd, min(_PIECE, version.size - at), at))
        except (OSError, ShortRead, _Unreadable):
            return False
        if version.whole.digest() != digest:
            return False
        self._version = version
        self._told = version.last if told else None
        self._seen = found if found.size == version.size else None
        self._appends, self._settled, self._changed_at = True, False, self._monotonic()
        return True

    def verify(self) -> bool:
        """Read the whole file again and compare it with what `poll` took in.

        Returns:
            True where an edit had not been seen; the next poll then reads everything. False where all is as
            known, or where that cannot be told now.
        """
        version, seen = self._version, self._seen
        try:
            with _opened(self._path) as fd:
                if seen is None or _identity(os.fstat(fd)) != seen:
                    return False  # the next poll sees it anyway
                digest = hashlib.blake2b()
                for at in range(0, version.size, _PIECE):
                    digest.update(read_exactly(fd, min(_PIECE, version.size - at), at))
        except (OSError, ShortRead, _Unreadable):
            return False
        if digest.digest() == version.whole.digest():
            return False
        self._seen, self._appends = None, False
        return True

    def _place(self, idea_id: str) -> Place:
        place = self._version.index.get(idea_id)
        if place is None and self._told and self._told.id == idea_id:
            place = Place(self._told.offset, self._told.length, self._told.line, self._told.sha)
        if place is None:
            raise StaleSection(f"{idea_id} is not in {self._name} now")
        return place

    def _known(self, idea_id: str) -> bytes | None:
        """The revision of an id that was reported last; None where it was not reported."""
        place = self._version.index.get(idea_id)
        if place:
            return place.sha
        if self._told and self._told.id == idea_id:
            return self._told.sha
        return self._gone.get(idea_id)

    def _refresh(self, now: float) -> list[Section]:
        """Read what changed: the accepted sections that are not as they were reported, less the last one."""
        with _opened(self._path) as fd:
            before = _identity(os.fstat(fd))
            tail = self._read_tail(fd, before.size)
            version, fresh = (self._version, []) if tail else self._read_whole(fd, before.size)
            edge = read_exactly(fd, min(EDGE, before.size), max(0, before.size - EDGE))
            after = _identity(os.fstat(fd))
        if after != before and after.size <= before.size:
            raise ShortRead
        fresh += self._adopt(version, tail)
        version.size, version.edge = before.size, edge
        # What was read while the file grew may be of two versions: the next reading is of everything.
        self._seen, self._appends = before, after == before
        self._changed_at, self._settled = now, False
        return fresh

    def _read_tail(self, fd: int, size: int) -> _Tail | None:
        """Scan from the last known section on; None where the file did more than grow."""
        known = self._version
        if not self._appends or known.last is None or size <= known.size:
            return None
        if read_exactly(fd, len(known.edge), known.size - len(known.edge)) != known.edge:
            return None
        whole = known.whole.copy()

        def seen(at: int, piece: bytes) -> None:
            whole.update(piece[max(0, known.size - at) :])

        start = known.last.offset
        scans = list(scan_file(fd, offset=start, line=known.last.line, end=size, seen=seen))
        is_same = bool(scans[0].sections) and scans[0].sections[0].offset == start
        return _Tail(scans, whole) if is_same else None

    def _read_whole(self, fd: int, size: int) -> tuple[Version, list[Section]]:
        version = Version(self._name)
        fresh: list[Section] = []
        for found in scan_file(fd, end=size, seen=lambda _, piece: version.whole.update(piece)):
            fresh += version.extend(found, self._known)
        return version, fresh

    def _adopt(self, version: Version, tail: _Tail | None) -> list[Section]:
        """Make what was read the current version, and work out what is gone from the one before."""
        fresh: list[Section] = []
        last = tail.scans[-1].sections[-1] if tail else version.last
        repeated = last is not None and self._known(last.id) == last.sha
        gone = self._gone
        if tail:
            version.last, version.whole = None, tail.whole
            for found in tail.scans:
                fresh += version.extend(found, self._known)
        else:
            old = self._version.index
            gone |= {i: place.sha for i in old if i not in version.index and (place := old.get(i))}
        if self._told:
            gone[self._told.id] = self._told.sha
        self._told = None
        if last and repeated and last.id not in version.index and not version.problem(last):
            self._told = last
            gone.pop(last.id, None)
        self._gone = {name: sha for name, sha in gone.items() if name not in version.index}
        self._version = version
        return fresh

    def _update(self, fresh: list[Section], now: float) -> Update | None:
        """Report what was read; once the file has settled, also its last section and what is gone."""
        self._settled = now >= self._changed_at + self._settle
        problems, removed = list(self._version.problems), list[str]()
        if self._settled:
            problem = self._version.last_problem()
            if problem:
                problems.append(problem)
            else:
                fresh += self._tell_last()
            known_bad = {bad.id for bad in problems}
            removed = [name for name in self._gone if name not in known_bad]
            self._gone = {}
        elif self._is_last_whole():
            fresh += self._tell_last()
        shown = problems, self._settled
        if not fresh and not removed and shown == self._shown:
            return None
        self._shown = shown
        return Update(fresh, removed, problems, self._settled)

    def _is_last_whole(self) -> bool:
        last = self._version.last
        return bool(last and self._is_known_whole and self._is_known_whole(last.id, last.sha))

    def _tell_last(self) -> list[Section]:
        """Accept the last section: a list of it where it was not reported as it is."""
        last = self._version.last
        if last is None or last.id in self._version.index or last == self._told:
            return []
        repeated = self._known(last.id) == last.sha
        self._told = last
        self._gone.pop(last.id, None)
        return [] if repeated else [last]

    def _trouble(self, reason: str, line: int = 1) -> Update | None:
        """Report that the file cannot be read; all that is known of it stays."""
        self._seen, self._settled = None, True
        problems = [*self._version.problems, Quarantine(None, self._name, line, reason)]
        if self._shown == (problems, False):
            return None
        self._shown = problems, False
        return Update([], [], problems, complete=False)


def _identity(found: os.stat_result) -> _Identity:
    if not stat.S_ISREG(found.st_mode):
        raise _Unreadable("this is not a regular file: put the ideas into one")
    if found.st_size > _LARGEST:
        raise _Unreadable(f"the file is larger than {_LARGEST >> 30} GiB: move old ideas to another file")
    return _Identity(found.st_size, found.st_mtime_ns, found.st_ino)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not block
    try:
        yield fd
    finally:
        os.close(fd)


def _read(fd: int, idea_id: str, place: Place) -> str:
    try:
        data = read_exactly(fd, place.length, place.offset)
    except ShortRead:
        data = b""
    if revision(data) != place.sha:
        raise StaleSection(f"{idea_id} changed in the file just now")
    return data.decode()


def _sentence(fault: Exception) -> str:
    if isinstance(fault, FileNotFoundError):
        return "the file is not there: what was read from it before still counts"
    if isinstance(fault, OSError):
        return f"the file cannot be read: {fault.strerror or fault}"
    return str(fault)
