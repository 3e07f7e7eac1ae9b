"""Where the sessions of a project are, which of them are at work, and what people ask of those."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orze.config.refine import session_name
from orze.core.clock import SystemClock
from orze.core.errors import OrzeError
from orze.core.files import RealFiles, make_dirs
from orze.refine.fold import SessionFold
from orze.refine.session import Session

HOME: Final = ".revis"
_STOP, _STOP_NOW = "stop", "stop-now"


class AtWork(OrzeError):
    """A loop is at work on the session."""


class NoSession(OrzeError):
    """There is no session of that name."""


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one session.

    Attributes:
        home: the directory.
        name: of the session.
    """

    home: Path
    name: str

    @property
    def chain(self) -> str:
        """The records: the truth."""
        return str(self.home / "chain")

    @property
    def log(self) -> Path:
        """What the loop says."""
        return self.home / "loop.log"

    @property
    def farm(self) -> Path:
        """Its own farm, where it has one."""
        return self.home / "farm"

    @property
    def tries(self) -> Path:
        """Drafts: replies, and worktrees of agents."""
        return self.home / "tries"

    def session(self) -> Session:
        """Its records, read.

        Raises:
            OSError: the share did not answer.
        """
        found = Session(RealFiles(), self.chain, SystemClock())
        found.refresh()
        return found

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only loop of this session for a while (flock(2): the kernel ends it with the process).

        Raises:
            AtWork: there is one.
            OSError: the lock cannot be made.
        """
        make_dirs(RealFiles(), str(self.home))
        descriptor = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AtWork(f"a loop is at work on {self.name} already; see: revis status") from None
            yield
        finally:
            os.close(descriptor)

    @property
    def at_work(self) -> bool:
        """Whether a loop is at work on it, on any machine whose locks reach here."""
        try:
            descriptor = os.open(self.home / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    # ---- what people ask

    def ask_to_stop(self, *, now: bool) -> None:
        """Leave the request; asking again, or for more, is fine."""
        (self.home / (_STOP_NOW if now else _STOP)).touch()

    def forget_requests(self) -> None:
        """Those of an earlier loop are no concern of this one."""
        for name in (_STOP, _STOP_NOW):
            with suppress(FileNotFoundError):
                (self.home / name).unlink()

    def is_asked(self, *, now: bool) -> bool:
        """Whether somebody wants it to stop."""
        return (self.home / (_STOP_NOW if now else _STOP)).exists()


@dataclass(frozen=True, slots=True)
class Listed:
    """One session of a project.

    Attributes:
        place: its files.
        fold: what its records say.
        at_work: whether a loop is at work on it.
    """

    place: Place
    fold: SessionFold
    at_work: bool


def place_of(project_dir: Path, name: str) -> Place:
    """The files of a session of that name, whether there is one or not.

    Raises:
        NoSession: no session can have that name.
    """
    try:
        return Place(project_dir / HOME / session_name(name), name)
    except ValueError as error:
        raise NoSession(f"{name[:80]!r} is no name of a session: it {error}") from None


def find(project_dir: Path, name: str) -> Listed:
    """One session.

    Raises:
        NoSession: there is none of that name; the sentence names those there are.
        OSError: the share did not answer.
    """
    place = place_of(project_dir, name)
    fold = place.session().fold
    if not fold.begun:
        known = ", ".join(names(project_dir)) or "none"
        raise NoSession(f"there is no session {name} in {project_dir}; there are: {known}")
    return Listed(place, fold, place.at_work)


def sessions(project_dir: Path) -> list[Listed]:
    """All sessions of a project, the latest last.

    Raises:
        OSError: the share did not answer.
    """
    found = [find(project_dir, name) for name in names(project_dir)]
    return sorted(found, key=lambda one: one.fold.at)


def names(project_dir: Path) -> list[str]:
    """The names of the sessions of a project, sorted."""
    try:
        entries = sorted(os.listdir(project_dir / HOME))
    except FileNotFoundError:
        return []
    return [name for name in entries if os.path.isdir(project_dir / HOME / name / "chain")]


def make_home(project_dir: Path) -> Path:
    """Make `.revis/`, which git ignores."""
    home = project_dir / HOME
    make_dirs(RealFiles(), str(home))
    ignore = home / ".gitignore"
    if not ignore.exists():
        RealFiles().replace(str(ignore), b"*\n")
    return home
