"""Directories that others may write in, opened and gone through without ever following a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from orze.farm.cleanup import fits

_BLOCK: Final = 512  # bytes of st_blocks, inode(7)


@contextmanager
def opened(top: str, *below: str) -> Iterator[int]:
    """The descriptor of a directory below `top`, which alone may be a link.

    Raises:
        OSError: it is not there, or there is a link on the way.
    """
    with ExitStack() as stack:
        descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        for name in below:
            descriptor = stack.enter_context(opened_at(descriptor, name))
        yield descriptor


@contextmanager
def opened_at(above: int, name: str) -> Iterator[int]:
    """The descriptor of a directory in another; OSError where it is a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def matches(
    folder: int, name: str, patterns: Sequence[Sequence[str]], kept: Collection[str]
) -> Iterator[tuple[int, str, os.stat_result]]:
    """Regular files below a directory that match: descriptor of their directory, name, status.

    Args:
        folder: descriptor of the directory above.
        name: its name.
        patterns: the parts of each, as `cleanup.patterns` of orze.yaml has them.
        kept: names that are neither taken nor gone into, at any depth.

    Raises:
        OSError: it is not there, or a link.
    """
    with opened_at(folder, name) as top:
        for path, folders, files, place in os.fwalk(".", dir_fd=top):  # it follows no links
            folders[:] = [below for below in folders if below not in kept]
            above = [] if path == "." else path[2:].split("/")
            for file in files:
                if file not in kept and any(fits([*above, file], pattern) for pattern in patterns):
                    status = os.stat(file, dir_fd=place, follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield place, file, status


def size_of(folder: int, name: str) -> tuple[int, int]:
    """Files and bytes of a whole directory."""
    files = size = 0
    with opened_at(folder, name) as top:
        for _, _, names, place in os.fwalk(".", dir_fd=top):
            files += len(names)
            size += sum(space(os.stat(file, dir_fd=place, follow_symlinks=False)) for file in names)
    return files, size


def space(status: os.stat_result) -> int:
    """Bytes that become free; none where the file has other names."""
    return status.st_blocks * _BLOCK if status.st_nlink == 1 else 0


def unlink_if_dangling(home: int, name: str) -> None:
    """Remove what was shown at the top of an idea's directory and leads to a file that is gone."""
    try:
        target = os.readlink(name, dir_fd=home)
    except OSError:
        return  # no link
    if target.startswith("attempts/") and not _exists(home, target):
        os.unlink(name, dir_fd=home)


def _exists(home: int, target: str) -> bool:
    try:
        os.stat(target, dir_fd=home)
    except FileNotFoundError:
        return False
    return True
