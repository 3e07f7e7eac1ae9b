"""A directory for the socket of a line, whose name must be short; what killed processes left is removed."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shutil
import tempfile
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_NAME: Final = "orze-ssh-"
_ALIVE: Final = "alive"  # a file that is locked for as long as the directory is in use
_LENGTH: Final = 72  # bytes of a parent that leave room for the name of a socket (unix(7): 108 in all)
_BORN: Final = 60.0  # seconds within which a directory gets its lock


class Room:
    """A directory that nobody else can look into.

    Attributes:
        path: its name.
    """

    def __init__(self) -> None:
        parent = tempfile.gettempdir()
        short = len(os.fsencode(parent)) < _LENGTH and parent.isascii()
        parent = parent if short else "/tmp"  # noqa: S108 - mkdtemp is safe in it
        _sweep(parent)
        self.path = tempfile.mkdtemp(prefix=_NAME, dir=parent)
        self._lock = _open(self.path)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove it with all that it holds."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _sweep(parent: str) -> None:
    for path in glob.glob(f"{glob.escape(parent)}/{_NAME}*"):
        with contextlib.suppress(OSError):  # it is in use, another user's, or gone by now
            status = os.lstat(path)
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < _BORN:
                continue
            lock = _open(path)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _open(directory: str) -> int:
    return os.open(f"{directory}/{_ALIVE}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
