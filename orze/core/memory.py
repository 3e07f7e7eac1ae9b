"""`Files` without a disk: for tests, and for anybody who wants to try the protocol in a process."""

from __future__ import annotations

import errno
import os
import posixpath

_DIRECTORY, _FILE, _LINK = 0o040755, 0o100644, 0o120777


class _Node:
    __slots__ = ("children", "data", "mode", "mtime")

    def __init__(self, mode: int, data: bytes = b"") -> None:
        self.mode = mode
        self.data = data
        self.children: dict[str, _Node] = {}
        self.mtime = 0


class MemoryFiles:
    """A directory tree in memory with the promises of `RealFiles`: whole files, one winner a name."""

    def __init__(self) -> None:
        self._root = _Node(_DIRECTORY)
        self._changes = 0

    def mkdir(self, path: str) -> None:
        """Make one directory."""
        self._add(path, _Node(_DIRECTORY))

    def listdir(self, path: str) -> list[str]:
        """Names in a directory, in no promised order."""
        node = self._find(path)
        if node.mode != _DIRECTORY:
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
        return list(node.children)

    def read(self, path: str, limit: int) -> bytes:
        """The bytes of a file."""
        node = self._find(path)
        if node.mode != _FILE:
            raise OSError(errno.EINVAL, "not a regular file", path)
        if len(node.data) > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes", path)
        return node.data

    def write_new(self, path: str, data: bytes) -> None:
        """Make a file that is not there yet."""
        self._add(path, _Node(_FILE, data))

    def overwrite(self, path: str, data: bytes) -> None:
        """Write over the beginning of a file that exists."""
        node = self._find(path)
        node.data = data + node.data[len(data) :]
        self._touch(node)

    def link(self, source: str, target: str) -> None:
        """Give a file a second name."""
        self._add(target, self._find(source))

    def replace(self, path: str, data: bytes) -> None:
        """Put a whole file in the place of another."""
        self._put(path, _Node(_FILE, data))

    def symlink(self, target: str, path: str) -> None:
        """Put a symbolic link in the place of another name; lookups do not follow it."""
        self._put(path, _Node(_LINK, target.encode()))

    def sync_dir(self, path: str) -> None:
        """Nothing is lost here; the directory must exist."""
        self._find(path)

    def unlink(self, path: str) -> None:
        """Remove a name."""
        try:
            parent, name = self._parent(path)
        except FileNotFoundError:
            return
        if parent.children.pop(name, None) is not None:
            self._touch(parent)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        parent, name = self._parent(path)
        node = parent.children.get(name)
        if node is not None and node.children:
            raise OSError(errno.ENOTEMPTY, "not empty", path)
        self.unlink(path)

    def stat(self, path: str) -> os.stat_result:
        """Mode, size and a modification time that grows with every change."""
        node = self._find(path)
        return os.stat_result((node.mode, id(node), 0, 1, 0, 0, len(node.data), 0, node.mtime, 0))

    def _find(self, path: str) -> _Node:
        node = self._root
        for part in posixpath.normpath(path).strip("/").split("/"):
            if part in ("", "."):
                continue
            try:
                node = node.children[part]
            except KeyError:
                raise FileNotFoundError(errno.ENOENT, "no such file or directory", path) from None
        return node

    def _parent(self, path: str) -> tuple[_Node, str]:
        head, name = posixpath.split(posixpath.normpath(path))
        return self._find(head), name

    def _add(self, path: str, node: _Node) -> None:
        parent, name = self._parent(path)
        if name in parent.children:
            raise FileExistsError(errno.EEXIST, "exists", path)
        parent.children[name] = node
        self._touch(parent)

    def _put(self, path: str, node: _Node) -> None:
        parent, name = self._parent(path)
        parent.children[name] = node
        self._touch(parent)

    def _touch(self, node: _Node) -> None:
        self._changes += 1
        node.mtime = self._changes
