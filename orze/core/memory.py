"""`Files` without a disk: for tests, and for anybody who wants to try the protocol in a process."""

from __future__ import annotations

import errno
import os
import posixpath

_DIRECTORY, _FILE, _LINK = 0o040755, 0o100644, 0o120777
_IS_DIRECTORY = "is a directory"


class _Node:
    __slots__ = ("children", "data", "mode", "mtime", "number")

    def __init__(self, mode: int, number: int, data: bytes = b"") -> None:
        self.mode = mode
        self.number = self.mtime = number
        self.data = data
        self.children: dict[str, _Node] = {}


class MemoryFiles:
    """A directory tree in memory with the promises of `RealFiles`: whole files, one winner a name."""

    def __init__(self) -> None:
        self._changes = 0
        self._root = self._new(_DIRECTORY)

    def mkdir(self, path: str) -> None:
        """Make one directory."""
        self._add(path, self._new(_DIRECTORY))

    def listdir(self, path: str) -> list[str]:
        """Names in a directory, in no promised order."""
        return list(self._directory(path).children)

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
        self._add(path, self._new(_FILE, data))

    def overwrite(self, path: str, data: bytes) -> None:
        """Write over the beginning of a file that exists."""
        node = self._find(path)
        if node.mode != _FILE:
            raise OSError(errno.EINVAL, "not a regular file", path)
        node.data = data + node.data[len(data) :]
        self._touch(node)

    def link(self, source: str, target: str) -> None:
        """Give a file a second name."""
        node = self._find(source)
        if node.mode == _DIRECTORY:
            raise PermissionError(errno.EPERM, _IS_DIRECTORY, source)
        self._add(target, node)

    def replace(self, path: str, data: bytes) -> None:
        """Put a whole file in the place of another."""
        self._put(path, self._new(_FILE, data))

    def symlink(self, target: str, path: str) -> None:
        """Put a symbolic link in the place of another name; only `stat` follows it."""
        self._put(path, self._new(_LINK, target.encode()))

    def sync_dir(self, path: str) -> None:
        """Nothing is lost here; the directory must exist."""
        self._directory(path)

    def unlink(self, path: str) -> None:
        """Remove a name."""
        try:
            node = self._find(path)
        except FileNotFoundError:
            return
        if node.mode == _DIRECTORY:
            raise IsADirectoryError(errno.EISDIR, _IS_DIRECTORY, path)
        self._remove(path)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        try:
            node = self._directory(path)
        except FileNotFoundError:
            return
        if node.children:
            raise OSError(errno.ENOTEMPTY, "not empty", path)
        self._remove(path)

    def stat(self, path: str) -> os.stat_result:
        """Mode, size and a modification time that grows with every change."""
        node = self._find(path)
        if node.mode == _LINK:
            return self.stat(posixpath.join(posixpath.dirname(path), node.data.decode()))
        plain = (node.mode, node.number, 0, 1, 0, 0, len(node.data), 0, node.mtime, 0)
        return os.stat_result(plain, {"st_mtime_ns": node.mtime * 1_000_000_000})

    def _find(self, path: str) -> _Node:
        node = self._root
        for part in posixpath.normpath(path).strip("/").split("/"):
            if part == "":
                continue
            if node.mode != _DIRECTORY:
                raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
            try:
                node = node.children[part]
            except KeyError:
                raise FileNotFoundError(errno.ENOENT, "no such file or directory", path) from None
        return node

    def _directory(self, path: str) -> _Node:
        node = self._find(path)
        if node.mode != _DIRECTORY:
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
        return node

    def _parent(self, path: str) -> tuple[_Node, str]:
        head, name = posixpath.split(posixpath.normpath(path))
        return self._directory(head), name

    def _add(self, path: str, node: _Node) -> None:
        parent, name = self._parent(path)
        if name in parent.children or not name:
            raise FileExistsError(errno.EEXIST, "exists", path)
        parent.children[name] = node
        self._touch(parent)

    def _put(self, path: str, node: _Node) -> None:
        parent, name = self._parent(path)
        if name in parent.children and parent.children[name].mode == _DIRECTORY:
            raise IsADirectoryError(errno.EISDIR, _IS_DIRECTORY, path)
        parent.children[name] = node
        self._touch(parent)

    def _remove(self, path: str) -> None:
        parent, name = self._parent(path)
        del parent.children[name]
        self._touch(parent)

    def _new(self, mode: int, data: bytes = b"") -> _Node:
        self._changes += 1
        return _Node(mode, self._changes, data)

    def _touch(self, node: _Node) -> None:
        self._changes += 1
        node.mtime = self._changes
