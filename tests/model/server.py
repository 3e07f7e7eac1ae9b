"""The simulated file server: one tree, of which a power failure drops whatever was not made durable.

Nothing here misbehaves by itself: what clients see of it, and when, is the business of `tests.model.share`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from random import Random
from typing import Any

DIRECTORY, FILE, LINK = 0o040755, 0o100644, 0o120777
_LINKS = 8  # symbolic links followed in one path


class Node:
    """A file, directory or symbolic link.

    Attributes:
        saved: what a power failure leaves: bytes of a file (None: nothing was ever flushed), names of a
            directory.
    """

    __slots__ = ("children", "data", "mode", "mtime", "number", "saved")

    def __init__(self, mode: int, number: int, mtime: float, data: bytes = b"") -> None:
        self.mode = mode
        self.number = number
        self.mtime = mtime
        self.data = data
        self.children: dict[str, Node] = {}
        self.saved: Any = {} if mode == DIRECTORY else None


class Server:
    """The tree and its operations, each of which happens at once.

    Args:
        now: virtual seconds, for modification times.

    Attributes:
        told: called as told(what, path, node) behind every change: what is `made`, `removed` or `written`.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._numbers = 0
        self.root = self.new(DIRECTORY)
        self.dirty: dict[int, Node] = {}
        self.told: Callable[[str, str, Node], None] = lambda what, path, node: None

    def new(self, mode: int, data: bytes = b"") -> Node:
        """A node without a name."""
        self._numbers += 1
        return Node(mode, self._numbers, self._now(), data)

    def find(self, path: str, links: int = _LINKS) -> Node:
        """The node of a path; symbolic links are followed everywhere but at its end."""
        node = self.root
        parts = path.split("/")
        for index, part in enumerate(parts):
            if not part or (part == "." and node.mode != LINK):
                continue
            if node.mode == LINK:
                head = "/".join(parts[: index - 1])
                there = os.path.normpath(f"{head}/{node.data.decode()}")
                if not links:
                    raise _error(errno.ELOOP, path)
                return self.find("/".join([there, *parts[index:]]), links - 1)
            if node.mode != DIRECTORY:
                raise _error(errno.ENOTDIR, path)
            try:
                node = node.children[part]
            except KeyError:
                raise _error(errno.ENOENT, path) from None
        return node

    def directory(self, path: str) -> Node:
        """The directory at a path."""
        node = self.find(path)
        if node.mode == LINK:
            node = self.find(f"{path}/.")
        if node.mode != DIRECTORY:
            raise _error(errno.ENOTDIR, path)
        return node

    def add(self, path: str, node: Node) -> None:
        """Give a node a name that is free."""
        head, _, name = path.rpartition("/")
        parent = self.directory(head)
        if name in parent.children:
            raise _error(errno.EEXIST, path)
        self._put(parent, name, node)
        self.told("made", path, node)

    def put(self, path: str, node: Node) -> None:
        """Give a node a name, in the place of a file that has it."""
        head, _, name = path.rpartition("/")
        parent = self.directory(head)
        if name in parent.children and parent.children[name].mode == DIRECTORY:
            raise _error(errno.EISDIR, path)
        self._put(parent, name, node)
        self.told("made", path, node)

    def remove(self, path: str, *, directory: bool) -> None:
        """Take a name away."""
        head, _, name = path.rpartition("/")
        parent = self.directory(head)
        node = parent.children.get(name)
        if node is None:
            raise _error(errno.ENOENT, path)
        if directory != (node.mode == DIRECTORY):
            raise _error(errno.ENOTDIR if directory else errno.EISDIR, path)
        if node.children:
            raise _error(errno.ENOTEMPTY, path)
        del parent.children[name]
        self._touch(parent)
        self.told("removed", path, node)

    def write(self, path: str, data: bytes) -> Node:
        """Write over the beginning of a file."""
        node = self.regular(path)
        node.data = data + node.data[len(data) :]
        self._touch(node)
        self.told("written", path, node)
        return node

    def regular(self, path: str) -> Node:
        """The regular file at a path, which is no link."""
        node = self.find(path)
        if node.mode != FILE:
            raise _error(errno.ELOOP if node.mode == LINK else errno.EINVAL, path)
        return node

    def save(self, node: Node) -> None:
        """fsync."""
        node.saved = dict(node.children) if node.mode == DIRECTORY else node.data
        self.dirty.pop(node.number, None)

    def status(self, node: Node) -> os.stat_result:
        """What stat(2) tells."""
        plain = (node.mode, node.number, 0, 1, 0, 0, len(node.data), 0, int(node.mtime), 0)
        return os.stat_result(plain, {"st_mtime_ns": int(node.mtime * 1e9)})

    def power_failure(self, chance: Random) -> int:
        """Every name and byte that was not flushed is kept or dropped, each for itself.

        Returns:
            How many names and files were dropped.
        """
        dirty, self.dirty = self.dirty, {}
        return sum(self._drop(node, chance) for node in dirty.values())

    def _drop(self, node: Node, chance: Random) -> int:
        if node.mode != DIRECTORY:
            if chance.random() < 0.5:
                return 0
            node.data = node.saved if node.saved is not None else b""
            return 1
        dropped = 0
        for name in sorted(node.children.keys() | node.saved.keys()):
            old, new = node.saved.get(name), node.children.get(name)
            if old is new or chance.random() < 0.4:
                continue
            dropped += 1
            if old is None:
                del node.children[name]
            else:
                node.children[name] = old
        node.saved = dict(node.children)
        return dropped

    def _put(self, parent: Node, name: str, node: Node) -> None:
        parent.children[name] = node
        self._touch(parent)

    def _touch(self, node: Node) -> None:
        node.mtime = self._now()
        self.dirty[node.number] = node


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
