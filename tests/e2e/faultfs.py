"""A FUSE filesystem that passes everything on to a directory, with faults that are switched on and off.

    python faultfs.py BACKING MOUNTPOINT CONTROL [OPTION=VALUE ...]

CONTROL holds `rules.json`, a list of faults that is read again whenever it changes, and gets
`injected.jsonl`, a line for each time that one of them struck. The options are those of mount.fuse(8); with
`negative_timeout`, `attr_timeout` and `entry_timeout` the kernel keeps what it was told for so many seconds,
as NFS clients do. Each process is a mount of its own: what one has cached, the others know nothing of.
"""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import mfusepy

_TICK = 0.01
_STATVFS = (
    "f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_frsize", "f_namemax",
)  # fmt: skip
_STAT = (
    "st_atime_ns", "st_ctime_ns", "st_gid", "st_ino", "st_mode", "st_mtime_ns", "st_nlink", "st_size",
    "st_uid",
)  # fmt: skip


class Rules:
    """What goes wrong now.

    A rule is a mapping: `ops` (names), `path` (a pattern of the path behind the mount point; for a rename or
    a link the new name), `error` (name of an errno; empty for none), `done` (the call takes effect all the
    same), `times` (how often; none: as long as the rule stands), `chance`, `delay` (seconds), `hang` (until
    the rule is gone), `name`.
    """

    def __init__(self, control: str) -> None:
        self._file = f"{control}/rules.json"
        self._log = os.open(f"{control}/injected.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self._lock = threading.Lock()
        self._version = -1
        self._rules: list[dict[str, Any]] = []
        self._rng = random.Random(1)

    def strike(self, op: str, path: str) -> dict[str, Any] | None:
        """The rule that strikes this call; it has been waited for as the rule says."""
        with self._lock:
            self._read()
            rule = next((rule for rule in self._rules if self._fits(rule, op, path)), None)
            if rule is None:
                return None
            if rule.get("times"):
                rule["left"] = rule.get("left", rule["times"]) - 1
            told = {"op": op, "path": path, "rule": rule.get("name", ""), "error": rule.get("error", "")}
            os.write(self._log, json.dumps(told).encode() + b"\n")
        time.sleep(rule.get("delay", 0))
        while rule.get("hang") and self._stands(rule):
            time.sleep(_TICK)
        return rule

    def _fits(self, rule: dict[str, Any], op: str, path: str) -> bool:
        named = op in rule["ops"] and fnmatch.fnmatchcase(path, rule.get("path", "*"))
        return named and rule.get("left", 1) > 0 and self._rng.random() < rule.get("chance", 1)

    def _stands(self, rule: dict[str, Any]) -> bool:
        with self._lock:
            self._read()
            return any(other.get("name") == rule.get("name") for other in self._rules)

    def _read(self) -> None:
        version = os.stat(self._file).st_mtime_ns
        if version != self._version:
            with open(self._file, encoding="utf-8") as stream:
                self._rules = json.load(stream)
            self._version = version


def faulty(op: str, named: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let the rules strike an operation.

    Args:
        op: its name in the rules.
        named: which of its arguments is the path.
    """

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(self: FaultFs, *args: Any) -> Any:
            rule = self.rules.strike(op, args[named] or "")
            error = getattr(errno, rule["error"]) if rule and rule.get("error") else 0
            if error and not rule.get("done"):
                raise OSError(error, op)
            result = call(self, *args)
            if error:
                raise OSError(error, op)
            return result

        return wrapped

    return around


class FaultFs(mfusepy.Operations):
    """The operations; every path begins with a slash."""

    use_ns = True

    def __init__(self, backing: str, rules: Rules, mounted: str) -> None:
        self.rules = rules
        self._backing = backing
        self._mounted = mounted

    def init(self, path: str) -> None:
        """It is mounted."""
        open(self._mounted, "w", encoding="utf-8").close()

    def _at(self, path: str) -> str:
        return self._backing + path

    @faulty("getattr", 0)
    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = os.fstat(fh) if fh is not None else os.lstat(self._at(path))
        return {name.removesuffix("_ns"): getattr(found, name) for name in _STAT}

    @faulty("readdir", 0)
    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        with os.scandir(self._at(path)) as entries:
            found = [(entry.name, {"st_ino": entry.inode()}, 0) for entry in entries]
        return [(".", {"st_ino": 1}, 0), ("..", {"st_ino": 1}, 0), *found]

    @faulty("readlink", 0)
    def readlink(self, path: str) -> str:
        return os.readlink(self._at(path))

    @faulty("mkdir", 0)
    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self._at(path), mode)
        return 0

    @faulty("rmdir", 0)
    def rmdir(self, path: str) -> int:
        os.rmdir(self._at(path))
        return 0

    @faulty("unlink", 0)
    def unlink(self, path: str) -> int:
        os.unlink(self._at(path))
        return 0

    @faulty("symlink", 0)
    def symlink(self, target: str, source: str) -> int:
        os.symlink(source, self._at(target))
        return 0

    @faulty("link", 0)
    def link(self, target: str, source: str) -> int:
        os.link(self._at(source), self._at(target), follow_symlinks=False)
        return 0

    @faulty("rename", 1)
    def rename(self, old: str, new: str) -> int:
        os.rename(self._at(old), self._at(new))
        return 0

    @faulty("create", 0)
    def create(self, path: str, mode: int, flags: int) -> int:
        return os.open(self._at(path), flags | os.O_CREAT | os.O_NOFOLLOW, mode)

    @faulty("open", 0)
    def open(self, path: str, flags: int) -> int:
        return os.open(self._at(path), flags & ~(os.O_CREAT | os.O_EXCL))

    @faulty("read", 0)
    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    @faulty("write", 0)
    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    @faulty("truncate", 0)
    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(fh if fh is not None else self._at(path), length)
        return 0

    @faulty("fsync", 0)
    def fsync(self, path: str, datasync: int, fh: int) -> int:
        return 0

    @faulty("fsyncdir", 0)
    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        return 0

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self._at(path), mode)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        os.utime(self._at(path), ns=times)
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._at(path))
        return {name: getattr(found, name) for name in _STATVFS}


def main(backing: str, mountpoint: str, control: str, *options: str) -> None:
    """Serve one mount until it is killed."""
    os.umask(0)
    operations = FaultFs(backing, Rules(control), f"{control}/mounted")
    given = dict(option.split("=", 1) for option in options)
    mfusepy.FUSE(operations, mountpoint, foreground=True, use_ino=True, hard_remove=True, **given)


if __name__ == "__main__":
    main(*sys.argv[1:])
