"""What the results directory stands on: can it carry the protocol, and how long does it cache?"""

from __future__ import annotations

import os
import re

from orze.core.errors import MountError
from orze.core.files import make_dirs, nonce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orze.core.files import Files

_NFS_DEFAULT = 60.0  # acdirmax of nfs(5), seconds
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "9p", "fuse.sshfs"}
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
        step = "write and fsync a file"
        files.write_new(f"{scratch}/a", b"orze\n")
        step = "make a hard link"
        files.link(f"{scratch}/a", f"{scratch}/b")
        _refuse_second_link(files, scratch)
        step = "replace a file by rename"
        files.replace(f"{scratch}/b", b"new\n")
        step = "read back what was written"
        if files.read(f"{scratch}/b", 16) != b"new\n" or files.read(f"{scratch}/a", 16) != b"orze\n":
            raise OSError(5, "the bytes differ")
        step = "fsync a directory"
        files.sync_dir(scratch)
    except OSError as error:
        raise MountError(
            f"{home}: cannot {step} there ({error.strerror}); the results directory needs a filesystem with "
            "hard links, atomic rename and fsync (a local disk, NFS, EFS, Lustre, GPFS): set results_dir"
        ) from None
    finally:
        _clear(files, scratch)


def attribute_cache(path: str, mountinfo: str | None = None) -> float:
    """The longest time, in seconds, for which this mount may show an old directory (C of docs/protocol.md).

    Args:
        path: a directory on the mount.
        mountinfo: the text of /proc/self/mountinfo (proc(5)); read when not given.

    Returns:
        `acdirmax` of an NFS mount (60 by default, 0 with noac), 60 for other shared filesystems, 0 on a
        local disk.
    """
    if mountinfo is None:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as stream:
            mountinfo = stream.read()
    kind, options = _mount_of(os.path.realpath(path), mountinfo)
    if kind not in _REMOTE:
        return 0.0
    if "noac" in options:
        return 0.0
    for name in ("acdirmax", "actimeo"):
        for option in options:
            if option.startswith(name + "="):
                return float(option.partition("=")[2])
    return _NFS_DEFAULT


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


def _refuse_second_link(files: Files, scratch: str) -> None:
    try:
        files.link(f"{scratch}/a", f"{scratch}/b")
    except FileExistsError:
        return
    raise OSError(5, "a second link to one name was allowed")


def _clear(files: Files, scratch: str) -> None:
    try:
        for name in files.listdir(scratch):
            files.unlink(f"{scratch}/{name}")
        files.rmdir(scratch)
    except OSError:
        return
