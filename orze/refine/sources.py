"""Which files of a project a model is shown: those that the training command reaches first, within a size."""

from __future__ import annotations

import ast
import os
import posixpath
import re
import shlex
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from orze.refine.repository import Blob

_CONFIGS: Final = (".yaml", ".yml", ".toml", ".json", ".ini", ".cfg")
_LARGEST: Final = 256 << 10  # bytes of a file that is read at all
_ENOUGH: Final = 64  # files that are looked at
_PART: Final = 4096  # characters below which a part of a file tells nothing
_LEAST: Final = 512  # bytes of room below which nothing more is looked for
_REST: Final = 24 << 10  # bytes of the files that the command does not reach
_TILDES = re.compile(r"~{32}")  # the fence around a file has to be longer than any row of them
_SECRET = re.compile(
    r"(?:^|/)(?:\.env(?:\..*)?|\.netrc|\.npmrc|\.pypirc|id_(?:rsa|dsa|ecdsa|ed25519)"
    r"|credentials(?:\.[^/]*)?|secrets?(?:\.(?!py$)[^/]*)?|[^/]*\.(?:pem|key|p12))$"
)
_TRIFLES = re.compile(r"(?:^|/)(?:\.git[a-z]+|LICENSE[^/]*|COPYING[^/]*|[^/]*\.lock|package-lock\.json)$")
_WORD = re.compile(r"[^\s=:,;|&()<>\"']+")


@dataclass(slots=True)
class Shown:
    """What is shown of a project.

    Attributes:
        files: text by path, the most useful first, each as it is.
        cut: how many lines are missing at the end of a file that is shown in part.
        others: paths of the files that are not shown.
    """

    files: dict[str, str] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def choose(
    command: str, listing: Mapping[str, Blob], read: Callable[[str], bytes | None], room: int
) -> Shown:
    """Choose what is shown.

    First come the files that the command names, and what they import, then configurations, then the smallest
    files. Files that may hold keys, links, and what is no text are never shown.

    Args:
        command: the line for the shell that trains.
        listing: the files of the commit.
        read: what one of them holds.
        room: bytes of all together, some for the path of each included.
    """
    shown = Shown()
    texts = _Texts(listing, read)
    usual = [path for path, blob in listing.items() if blob.regular and not _SECRET.search(path)]
    first = set[str]()
    rest = _REST
    for path in _in_order(command, texts, usual, first):
        left = room if path in first else min(room, rest)
        if left < _LEAST or texts.looked_at >= _ENOUGH:
            break
        left -= _frame(path)
        if path not in first and texts.size(path) > left:
            continue
        text = texts.of(path)
        if not text:
            continue
        part = text if len(text.encode()) <= left else _beginning(text, left)
        if part is not text and (path not in first or len(part) < _PART):
            continue
        shown.files[path] = part
        if part is not text:
            shown.cut[path] = len(text.splitlines()) - len(part.splitlines())
        used = len(part.encode()) + _frame(path)
        room, rest = room - used, rest - used * (path not in first)
    shown.others = sorted(path for path in listing if path not in shown.files)
    return shown


def named(command: str, paths: Iterable[str]) -> list[str]:
    """The files that a command line names: by their paths, behind `cd`, in an option, or as `-m a.module`."""
    there = set(paths)
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        words = command.split()
    found, directory, before = dict[str, None](), "", ""
    for word in words:
        if before == "cd":
            directory = posixpath.join(directory, word.rstrip(";&"))
        for part in (word, *_WORD.findall(word)):
            module = part.replace(".", "/") if before == "-m" else part
            for name in (module, f"{module}.py", f"{module}/__main__.py", f"{module}/__init__.py"):
                for path in (posixpath.join(directory, name), name):
                    if (path := posixpath.normpath(path)) in there:
                        found[path] = None
        before = word
    return list(found)


def imports(path: str, text: str, paths: Iterable[str]) -> list[str]:
    """The files of the project that a Python file imports, by its own directory, the project's or `src`."""
    there = paths if isinstance(paths, set | dict) else set(paths)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = dict[str, None]()
    for name, level in _imported(tree):
        for place in _places(path, level):
            base = posixpath.normpath(posixpath.join(place, name.replace(".", "/")))
            hit = next((file for file in (f"{base}.py", f"{base}/__init__.py") if file in there), None)
            if hit and hit != path:
                found[hit] = None
                break
    return list(found)


def _imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names of modules and how many packages above they begin; a name from a module may be one itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module, node.level
            yield from ((f"{module}.{alias.name}".lstrip("."), node.level) for alias in node.names)


def _places(path: str, level: int) -> tuple[str, ...]:
    directory = posixpath.dirname(path)
    if not level:
        return directory, "", "src"
    for _ in range(min(level - 1, 32)):
        directory = posixpath.dirname(directory)
    return (directory,)


def _in_order(command: str, texts: _Texts, usual: list[str], first: set[str]) -> Iterator[str]:
    """The files, the most useful first; those that the command reaches are put into `first` as they come."""
    there = set(usual)
    waiting = named(command, there)
    while waiting:
        path = waiting.pop(0)
        if path in first:
            continue
        first.add(path)
        yield path
        if path.endswith(".py") and (text := texts.of(path)):
            waiting += imports(path, text, there)
    rest = [path for path in usual if path not in first and texts.size(path) and not _TRIFLES.search(path)]
    yield from sorted(rest, key=lambda path: (not path.endswith(_CONFIGS), texts.size(path), path))


class _Texts:
    """Files as texts, each read once."""

    def __init__(self, listing: Mapping[str, Blob], read: Callable[[str], bytes | None]) -> None:
        self._listing = listing
        self._read = read
        self._known: dict[str, str | None] = {}

    @property
    def looked_at(self) -> int:
        """How many files were looked at."""
        return len(self._known)

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return self._listing[path].size

    def of(self, path: str) -> str | None:
        """What a file holds; None for one that is no text, is large, or is better not shown."""
        if path not in self._known:
            data = self._read(path) if self.size(path) <= _LARGEST else None
            try:
                text = data.decode() if data is not None and b"\0" not in data else None
            except UnicodeDecodeError:
                text = None
            self._known[path] = None if text is None or _TILDES.search(text) else text
        return self._known[path]


def _frame(path: str) -> int:
    """Bytes around a file: its path, with what does not print replaced, and two fences."""
    return min(3 * len(os.fsencode(path)), 1200) + 160


def _beginning(text: str, size: int) -> str:
    """As many whole lines as fit."""
    part = text.encode()[:size].decode(errors="ignore")
    return part[: part.rfind("\n") + 1]
