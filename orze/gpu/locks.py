"""The locks that keep two attempts off one slot of a host: flock on one file per slot.

A lock belongs to an open descriptor and to every copy that child processes inherit. Nobody unlocks it: it
ends when the last copy is closed, at the latest when the last process that has one dies (flock(2)). The
keeper imports this module at its start, so it needs nothing but `os`, `fcntl` and `time`. It is part of the
one-file keeper of the executor `ssh` as well, and so runs on Python 3.8.
"""

from __future__ import annotations

import fcntl
import os
import time

# O_NOFOLLOW: a link planted in the shared directory is refused. O_NONBLOCK: a planted pipe cannot hang us.
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_TRIES = 1000


def try_lock(path: str, *, inheritable: bool = False) -> int | None:
    """Take the lock of one slot if nobody has it. It waits for nobody but a passing `is_taken`.

    Args:
        path: the lock file, absolute; it and its directory are made where missing, open to all users.
        inheritable: whether child processes keep the lock across exec.

    Returns:
        The descriptor that holds the lock for as long as it or a copy is open; None where it is taken.

    Raises:
        OSError: the file cannot be used (no permission, a link, a full disk).
    """
    for _ in range(_TRIES):
        descriptor = _open(path, create=True)
        keep = False
        try:
            if not _lock_exclusively(descriptor):
                return None
            keep = _is_still_at(path, descriptor)
            if keep:
                os.set_inheritable(descriptor, inheritable)
                return descriptor
        finally:
            if not keep:
                os.close(descriptor)
    return None


def acquire_all(paths: list[str], *, inheritable: bool = False) -> list[int] | None:
    """Take all of these locks or none, waiting as little as `try_lock`.

    They are tried in sorted order, so of several processes that want overlapping sets one always succeeds.

    Args:
        paths: lock files, absolute; naming one twice is the same as once.
        inheritable: as for `try_lock`.

    Returns:
        One descriptor a lock, in the sorted order of the paths; None where one of them is taken.

    Raises:
        OSError: as for `try_lock`; none is held then.
    """
    held: list[int] = []
    complete = False
    try:
        for path in sorted(set(paths)):
            descriptor = try_lock(path, inheritable=inheritable)
            if descriptor is None:
                return None
            held.append(descriptor)
        complete = True
        return held
    finally:
        if not complete:
            for descriptor in held:
                os.close(descriptor)


def is_taken(path: str) -> bool:
    """Tell whether somebody holds the lock, without keeping anybody from taking it.

    Raises:
        OSError: the file is there but cannot be opened, so nothing is known.
    """
    try:
        descriptor = _open(path, create=False)
    except FileNotFoundError:
        return False
    try:
        return not _flock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _flock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_exclusively(descriptor: int) -> bool:
    """Lock against everybody; where a shared lock is to be had, `is_taken` is only looking: try again."""
    for _ in range(_TRIES):
        if _flock(descriptor, fcntl.LOCK_EX):
            return True
        if not _flock(descriptor, fcntl.LOCK_SH):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(0.001)
    return False


def _is_still_at(path: str, descriptor: int) -> bool:
    """A cleaner of temporary files may have removed the file between our open and our lock."""
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def _open(path: str, *, create: bool) -> int:
    parent, name = os.path.split(path)
    directory = _open_directory(parent, create=create)
    try:
        for _ in range(_TRIES):
            try:
                # No O_CREAT yet: fs.protected_regular refuses it on another user's file (proc_sys_fs(5)).
                return os.open(name, _FLAGS, dir_fd=directory)
            except FileNotFoundError:
                if not create:
                    raise
            try:
                descriptor = os.open(name, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=directory)
            except FileExistsError:
                continue
            os.fchmod(descriptor, 0o666)  # whatever the umask: other users must be able to open it
            return descriptor
        raise FileNotFoundError(f"{path} is removed as often as it is made")
    finally:
        os.close(directory)


def _open_directory(path: str, *, create: bool) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        if not create:
            raise
    try:
        os.mkdir(path)
        os.chmod(path, 0o1777)  # noqa: S103 - like /tmp: all users add files, none removes another's
    except FileExistsError:
        pass  # another process made it meanwhile
    return os.open(path, flags)
