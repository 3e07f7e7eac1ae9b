"""What the results directory stands on: can it carry the protocol, and how long does it cache?"""

from __future__ import annotations

import os
import re

from orze.core.errors import MountError
from orze.core.files import make_dirs, nonce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orze.core.files import Files

_NFS_DEFAULT = 60.0  # acdirmax of nfs(5), seconds
# Filesystems of one host, as mountinfo names them; one that is not known here may be shared.
_LOCAL = {
    "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuse.fuse-overlayfs", "fuseblk",
    "jfs", "ntfs3", "overlay", "ramfs", "reiserfs", "tmpfs", "vfat", "xfs", "zfs",
}  # fmt: skip
_CACHE = re.compile(r"(acdirmax|actimeo)=(\d{1,9})")
_OCTAL = re.compile(r"\\([0-7]{3})")


def preflight(files: Files, home: str) -> None:
    """Try in `home` what every promise rests on: exclusive create, link, rename and fsync.

    Raises:
        MountError: one of them does not work here; the sentence says which and what to do.
    """
    step = "make a directory"
    scratch = f"{home}/preflight-{nonce()}"
    try:
        make_dirs(files, home)
        files.mkdir(scratch)
        _refuse_again("directory", lambda: files.mkdir(scratch))
        step = "write and fsync a file"
        files.write_new(f"{scratch}/a", b"orze\n")
        _refuse_again("file", lambda: files.write_new(f"{scratch}/a", b""))
        step = "make a hard link"
        files.link(f"{scratch}/a", f"{scratch}/b")
        _refuse_again("link", lambda: files.link(f"{scratch}/a", f"{scratch}/b"))
        step = "replace a file by rename"
        files.replace(f"{scratch}/b", b"new\n")
        step = "read back what was written"
        if files.read(f"{scratch}/b", 16) != b"new\n" or files.read(f"{scratch}/a", 16) != b"orze\n":
            raise OSError(5, "the bytes differ")
        step = "fsync a directory"
        files.sync_dir(scratch)
    except OSError as error:
        raise MountError(
            f"{home}: cannot {step} there ({error.strerror or error}); the results directory needs a "
            "filesystem with hard links, atomic rename and fsync (a local disk, NFS, EFS, Lustre, GPFS): "
            "set results_dir"
        ) from None
    finally:
        _clear(files, scratch)


def attribute_cache(path: str, mountinfo: str | None = None) -> float:
    """The longest time, in seconds, for which this mount may show an old directory (C of docs/protocol.md).

    Args:
        path: a directory on the mount.
        mountinfo: the text of /proc/self/mountinfo (proc(5)); read when not given.

    Returns:
        `acdirmax` of an NFS mount (60 by default, 0 with noac), 60 for other shared filesystems and for
        unknown ones, 0 on a local disk.
    """
    if mountinfo is None:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as stream:
            mountinfo = stream.read()
    kind, options = _mount_of(os.path.realpath(path), mountinfo)
    if kind in _LOCAL or "noac" in options:
        return 0.0
    told = {match[1]: match[2] for option in options if (match := _CACHE.fullmatch(option))}
    return float(told.get("acdirmax") or told.get("actimeo") or _NFS_DEFAULT)


def _mount_of(path: str, mountinfo: str) -> tuple[str, list[str]]:
    best, found = "", ("", [""])
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        if len(fields) < 6 or len(tail) < 3:
            continue
        point = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, found = point, (tail[0], f"{fields[5]},{tail[2]}".split(","))
    return found


def _refuse_again(what: str, make: Callable[[], None]) -> None:
    try:
        make()
    except FileExistsError:
        return
    raise OSError(5, f"a second {what} of one name was allowed")


def _clear(files: Files, scratch: str) -> None:
    try:
        for name in files.listdir(scratch):
            files.unlink(f"{scratch}/{name}")
        files.rmdir(scratch)
    except OSError:
        return
