"""All that the protocol asks of the shared directory, on the real filesystem.

Each method is one or a few system calls, so that the cost and the crash points of the protocol can be
read off its code. `orze.core.memory.MemoryFiles` keeps the same promises without a disk.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Files(Protocol):
        """The operations of the protocol; every path is absolute, every failure an OSError."""

        def mkdir(self, path: str) -> None:
            """Make one directory, or raise FileExistsError; the server lets exactly one caller win."""
            ...

        def listdir(self, path: str) -> list[str]:
            """Names in a directory, asked of the server (a listing is fresh where a lookup may be stale)."""
            ...

        def read(self, path: str, limit: int) -> bytes:
            """At most `limit` bytes of a regular file; OSError(EFBIG) if there are more."""
            ...

        def write_new(self, path: str, data: bytes) -> None:
            """Make a file that is not there yet, whole and on stable storage."""
            ...

        def overwrite(self, path: str, data: bytes) -> None:
            """Write over the beginning of a file that exists, on stable storage; never makes it."""
            ...

        def link(self, source: str, target: str) -> None:
            """Give a file a second name, or raise FileExistsError."""
            ...

        def replace(self, path: str, data: bytes) -> None:
            """Put a whole file in the place of another at once; readers see the old or the new.

            Its bytes are on stable storage before it has the name; the name is after a `sync_dir`.
            """
            ...

        def symlink(self, target: str, path: str) -> None:
            """Put a symbolic link in the place of whatever has the name; it lasts after a `sync_dir`."""
            ...

        def sync_dir(self, path: str) -> None:
            """Make the names in a directory durable (fsync(2): a file's fsync does not do this)."""
            ...

        def unlink(self, path: str) -> None:
            """Remove a name; it is no error if it is gone."""
            ...

        def rmdir(self, path: str) -> None:
            """Remove an empty directory; it is no error if it is gone."""
            ...

        def stat(self, path: str) -> os.stat_result:
            """The status of what the name leads to."""
            ...


class RealFiles:
    """`Files` on the filesystem of this host."""

    def mkdir(self, path: str) -> None:
        """mkdir(2); the umask decides who may write in it."""
        os.mkdir(path)

    def listdir(self, path: str) -> list[str]:
        """getdents(2)."""
        return os.listdir(path)

    def read(self, path: str, limit: int) -> bytes:
        """open, read, close; neither follows a link nor waits for a FIFO."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read_bounded(descriptor, path, limit)
        finally:
            os.close(descriptor)

    def write_new(self, path: str, data: bytes) -> None:
        """open with O_EXCL, write, fsync, close; a file that could not be written whole is removed."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            try:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            self.unlink(path)
            raise

    def overwrite(self, path: str, data: bytes) -> None:
        """open without O_CREAT, write, fsync, close: a removed file stays removed."""
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def link(self, source: str, target: str) -> None:
        """link(2)."""
        os.link(source, target, follow_symlinks=False)

    def replace(self, path: str, data: bytes) -> None:
        """Write a file beside it, fsync, rename(2) over it; a crash may bring the old one back."""
        scratch = temporary_name(path)
        self.write_new(scratch, data)
        try:
            os.replace(scratch, path)
        except OSError:
            self.unlink(scratch)
            raise

    def symlink(self, target: str, path: str) -> None:
        """symlink(2) beside it, then rename(2) over it."""
        scratch = temporary_name(path)
        os.symlink(target, scratch)
        try:
            os.replace(scratch, path)
        except OSError:
            self.unlink(scratch)
            raise

    def sync_dir(self, path: str) -> None:
        """open, fsync, close."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def unlink(self, path: str) -> None:
        """unlink(2), where gone is gone."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def rmdir(self, path: str) -> None:
        """rmdir(2), where gone is gone."""
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return

    def stat(self, path: str) -> os.stat_result:
        """stat(2)."""
        return os.stat(path)


def make_dirs(files: Files, path: str) -> None:
    """Make a directory and its parents, to last, where they are not there; losing the race is fine.

    Raises:
        OSError: it cannot be made; FileNotFoundError where a parent is removed meanwhile, or leads nowhere.
    """
    try:
        made = make_dir(files, path)
    except FileNotFoundError:
        make_dirs(files, os.path.dirname(path))
        made = make_dir(files, path)
    if made:
        files.sync_dir(os.path.dirname(path))


def make_dir(files: Files, path: str) -> bool:
    """Make one directory where it is not there; whether it was made. Its name lasts after a `sync_dir`."""
    try:
        files.mkdir(path)
    except FileExistsError:
        return False
    return True


def nonce() -> str:
    """16 random hex digits: a name that nobody has used or will use."""
    return os.urandom(8).hex()


def temporary_name(path: str) -> str:
    """A fresh hidden name beside `path`."""
    head, tail = os.path.split(path)
    return f"{head}/.tmp-{nonce()}-{tail}"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _read_bounded(descriptor: int, path: str, limit: int) -> bytes:
    status = os.fstat(descriptor)
    if status.st_mode & 0o170000 != 0o100000:
        raise OSError(22, "not a regular file", path)
    if status.st_size > limit:
        raise OSError(27, f"larger than {limit} bytes", path)
    parts = []
    while part := os.read(descriptor, min(limit + 1, 1 << 20)):
        parts.append(part)
        limit -= len(part)
        if limit < 0:
            raise OSError(27, "grew while it was read", path)
    return b"".join(parts)
