"""The share as one host sees it: caches of an NFS client, calls that take time, and replies that lie.

The caches follow nfs(5) and what was measured on Linux clients: a name that was absent stays absent for up
to 60 s to `stat` and 22 s to `open`; the status of a file is kept for 3 to 60 s; opening a file that is
there, and listing a directory, ask the server; a listing makes the next lookups in it fresh. Where a fault
makes listings and contents stale, they are at most `STALE` seconds old.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from tests.model.scheduler import Scheduler
from tests.model.server import DIRECTORY, FILE, LINK, Node, Server

STALE = 60.0  # seconds: acdirmax of nfs(5)
_OPEN_STALE = 22.0  # seconds for which open(2) was seen to trust an absent name
_REPEATED = {  # what the repetition of a call is told whose first reply was lost
    "mkdir": errno.EEXIST, "link": errno.EEXIST, "write_new": errno.EEXIST, "unlink": errno.ENOENT,
    "rmdir": errno.ENOENT, "replace": errno.ENOENT, "symlink": errno.ENOENT,
}  # fmt: skip
CHANGING = frozenset({*_REPEATED, "overwrite", "sync_dir"})


class Trouble:
    """What goes wrong with the calls of one host at this moment.

    Attributes:
        rates: kind of fault -> chance for each call.
        until: virtual time up to which no call is answered.
        stale: whether listings and contents come from the cache.
    """

    def __init__(self) -> None:
        self.rates: dict[str, tuple[float, Random]] = {}
        self.until = 0.0
        self.gives_up = False
        self.stale = False


class SimFiles:
    """`orze.core.files.Files` for the processes of one host.

    Args:
        pace: decides how long calls take.
        remember: whether what was read is kept for faults of staleness.
        log: called with what happened, for the trace and the counts.
    """

    def __init__(
        self,
        server: Server,
        scheduler: Scheduler,
        *,
        pace: Random,
        remember: bool,
        log: Callable[[str, str, str, str], None],
    ) -> None:
        self.server = server
        self.trouble = Trouble()
        self.traced = False
        self._scheduler = scheduler
        self._pace = pace
        self._remember = remember
        self._log = log
        self._absent: dict[str, dict[str, float]] = {}
        self._status: dict[str, tuple[float, os.stat_result]] = {}
        self._names: dict[str, tuple[float, list[str]]] = {}
        self._contents: dict[str, tuple[float, bytes, int]] = {}  # with the directory that it was read in
        self.calls = 0
        self.crash_at = 0
        self.crash: Callable[[], None] = _nothing
        self.trap: Callable[[str, str], float] = lambda source, target: 0.0

    # ---- the operations of the protocol

    def mkdir(self, path: str) -> None:
        self._call("mkdir", path, lambda: self._make(path, self.server.new(DIRECTORY)))

    def listdir(self, path: str) -> list[str]:
        return list(self._call("listdir", path, lambda: self._list(path)))

    def read(self, path: str, limit: int) -> bytes:
        data: bytes = self._call("read", path, lambda: self._read(path))
        if len(data) > limit:
            raise _error(errno.EFBIG, path)
        return data

    def write_new(self, path: str, data: bytes) -> None:
        self._call("write_new", path, lambda: self._write_new(path, data))

    def overwrite(self, path: str, data: bytes) -> None:
        self._call("overwrite", path, lambda: self._overwrite(path, data))

    def link(self, source: str, target: str) -> None:
        late = self.trap(source, target)
        self._call("link", target, lambda: self._make(target, self.server.regular(source)), late)

    def replace(self, path: str, data: bytes) -> None:
        self._call("replace", path, lambda: self._replace(path, data))

    def symlink(self, target: str, path: str) -> None:
        self._call("symlink", path, lambda: self._put(path, self.server.new(LINK, target.encode())))

    def sync_dir(self, path: str) -> None:
        self._call("sync_dir", path, lambda: self.server.save(self.server.directory(path)))

    def unlink(self, path: str) -> None:
        self._gone_is_gone("unlink", path)

    def rmdir(self, path: str) -> None:
        self._gone_is_gone("rmdir", path)

    def stat(self, path: str) -> os.stat_result:
        found: os.stat_result = self._call("stat", path, lambda: self._stat(path))
        return found

    # ---- what other code asks of the operating system

    def exists(self, path: str) -> bool:
        """os.path.exists: a lookup, which trusts the caches, and takes every error for an absence."""
        try:
            self.stat(path)
        except OSError:
            return False
        return True

    def readlink(self, path: str) -> str:
        """readlink(2)."""
        return str(self._call("readlink", path, lambda: self._readlink(path)))

    def write_plain(self, path: str, data: bytes) -> None:
        """A file written as programs write: nothing is flushed to the disk of the server."""
        self._call("write_plain", path, lambda: self._write_plain(path, data))

    # ---- how a call goes

    def _call(self, name: str, path: str, do: Callable[[], Any], late: float = 0.0) -> Any:
        thread = self._scheduler.current
        if thread is None:  # the test itself asks
            return do()
        self.calls += 1
        trouble, scheduler = self.trouble, self._scheduler
        wait = 0.001 + self._pace.random() * 0.004 + late
        if trouble.rates:
            wait += self._fault("delay") * 30.0
        thread.call = do
        scheduler.block(scheduler.now + wait)
        while trouble.until > scheduler.now:
            scheduler.block(trouble.until + self._pace.random())
            if trouble.gives_up:
                thread.call = None
                self._log(name, path, "EIO", "hang")
                raise _error(errno.EIO, path)
        thread.call = None
        if self.crash_at and self.calls >= self.crash_at:
            self._crash_here(do)
        return self._perform(name, path, do)

    def _perform(self, name: str, path: str, do: Callable[[], Any]) -> Any:
        kind = self._draw(name) if self.trouble.rates else ""
        if kind in ("eio", "estale", "enospc"):
            number = getattr(errno, kind.upper())
            self._log(name, path, errno.errorcode[number], kind)
            raise _error(number, path)
        try:
            found = do()
        except OSError as error:
            if self.traced:
                self._log(name, path, errno.errorcode.get(error.errno or 0, "?"), "")
            raise
        if kind == "lost":
            number = (
                _REPEATED.get(name, errno.EIO) if self.trouble.rates["lost"][1].random() < 0.7 else errno.EIO
            )
            if number == errno.ENOENT and name in ("unlink", "rmdir"):
                return found
            self._log(name, path, f"done, but {errno.errorcode[number]}", kind)
            raise _error(number, path)
        if self.traced:
            self._log(name, path, "ok", "")
        return found

    def _draw(self, name: str) -> str:
        for kind in self.trouble.rates:
            if kind in ("lost", "enospc") and name not in CHANGING:
                continue
            if kind == "enospc" and name in ("unlink", "rmdir", "sync_dir"):
                continue
            if kind != "delay" and self._fault(kind):
                return kind
        return ""

    def _fault(self, kind: str) -> float:
        """0, or a number above 0 where this fault strikes."""
        rate, chance = self.trouble.rates.get(kind, (0.0, self._pace))
        return chance.random() + 1e-9 if rate and chance.random() < rate else 0.0

    def _crash_here(self, do: Callable[[], Any]) -> None:
        if self.crash_at % 2:  # the server has done it, and nobody is left to be told
            with suppress(OSError):
                do()
        self.crash_at = 0
        self.crash()
        self._scheduler.block(None)

    def _gone_is_gone(self, name: str, path: str) -> None:
        try:
            self._call(name, path, lambda: self._remove(path, directory=name == "rmdir"))
        except FileNotFoundError:
            return

    # ---- caches

    def _look_up(self, path: str, lasting: float) -> Node:
        """The node of a path, unless this client believes that there is none."""
        head, _, name = path.rpartition("/")
        absent = self._absent.get(head)
        now = self._scheduler.now
        if absent and (since := absent.get(name)) is not None:
            if now - since < lasting:
                raise _error(errno.ENOENT, path)
            del absent[name]
        try:
            return self.server.find(path)
        except FileNotFoundError:
            self._absent.setdefault(head, {})[name] = now - self._pace.random() * 10.0
            raise

    def _own_change(self, path: str) -> None:
        head, _, name = path.rpartition("/")
        absent = self._absent.get(head)
        if absent:
            absent.pop(name, None)
        self._status.pop(path, None)
        self._status.pop(head, None)
        self._names.pop(head, None)
        self._names.pop(path, None)
        self._contents.pop(path, None)
        self._forget_another(head)

    def _forget_another(self, head: str) -> None:
        """A change was answered by the directory that is there now: what another of its name held is gone."""
        held = [path for path in self._contents if path.rpartition("/")[0] == head]
        for path in held:
            if self._contents[path][2] != self.server.directory(head).number:
                del self._contents[path]

    def _list(self, path: str) -> list[str]:
        now = self._scheduler.now
        if self.trouble.stale and path in self._names and now - self._names[path][0] < STALE:
            return self._names[path][1]
        names = list(self.server.directory(path).children)
        self._absent.pop(path, None)
        if self._scheduler.current:
            self._scheduler.current.listed[path] = now
        if self._remember:
            self._names[path] = (now, names)
        return names

    def _read(self, path: str) -> bytes:
        now = self._scheduler.now
        if self.trouble.stale and path in self._contents and now - self._contents[path][0] < STALE:
            return self._contents[path][1]
        node = self._look_up(path, _OPEN_STALE)
        if node.mode != FILE:
            node = self.server.regular(path)
        if self._remember:
            self._contents[path] = (now, node.data, self.server.directory(path.rpartition("/")[0]).number)
        return node.data

    def _stat(self, path: str) -> os.stat_result:
        now = self._scheduler.now
        until, status = self._status.get(path, (0.0, None))
        if status and now < until:
            return status
        node = self._look_up(path, STALE)
        if node.mode == LINK:
            node = self.server.find(f"{path}/.")
        status = self.server.status(node)
        shortest = 30.0 if node.mode == DIRECTORY else 3.0
        self._status[path] = (now + shortest + self._pace.random() * (STALE - shortest), status)
        return status

    def _readlink(self, path: str) -> str:
        node = self._look_up(path, STALE)
        if node.mode != LINK:
            raise _error(errno.EINVAL, path)
        return node.data.decode()

    # ---- changes

    def _make(self, path: str, node: Node) -> None:
        self.server.add(path, node)
        self._own_change(path)

    def _put(self, path: str, node: Node) -> None:
        self.server.put(path, node)
        self._own_change(path)

    def _write_new(self, path: str, data: bytes) -> None:
        node = self.server.new(FILE, data)
        self._make(path, node)
        self.server.save(node)

    def _replace(self, path: str, data: bytes) -> None:
        node = self.server.new(FILE, data)
        self._put(path, node)
        self.server.save(node)

    def _overwrite(self, path: str, data: bytes) -> None:
        self.server.save(self.server.write(path, data))
        self._own_change(path)

    def _write_plain(self, path: str, data: bytes) -> None:
        node = self.server.new(FILE, data)
        self._put(path, node)
        self.server.dirty[node.number] = node

    def _remove(self, path: str, *, directory: bool) -> None:
        self.server.remove(path, directory=directory)
        self._own_change(path)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


def _nothing() -> None:
    return
