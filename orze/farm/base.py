"""The base configuration of a farm: the file, or what a commit holds in its place."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orze.core.errors import OrzeError
from orze.farm.commits import Commits
from orze.ideas.model import IdeaError
from orze.ideas.values import MAX_BYTES, load_values
from orze.report.text import short_commit

if TYPE_CHECKING:
    from orze.attempt.spec import Checkout

_KEPT: Final = 64  # commits whose configuration is remembered


class BadBase(OrzeError):
    """The base configuration cannot be read as one."""


class Base(NamedTuple):
    """A base configuration: its text, and its values within the bounds of an idea's own."""

    text: str
    values: dict[str, Any]


_EMPTY: Final = Base("", {})


class BaseConfig:
    """Reads the base configuration, for one daemon.

    Args:
        path: its file.
        optional: where there is none, it is empty.
    """

    def __init__(self, path: Path, commits: Commits, *, optional: bool) -> None:
        self._path = path
        self._commits = commits
        self._optional = optional
        self._file: tuple[tuple[int, int], Base] | None = None
        self._of_commits: dict[str, Base] = {}

    def read(self, checkout: Checkout | None = None) -> Base:
        """The configuration that holds now, or with a commit.

        Raises:
            BadBase: it is missing, or no configuration.
            BadCommit: git does not answer.
        """
        name = self._commits.inside(self._path) if checkout else ""
        if not checkout or not name:
            return self._of_file()
        base = self._of_commits.get(checkout["commit"])
        if base is None:
            if len(self._of_commits) >= _KEPT:
                self._of_commits.clear()
            base = self._of_commits[checkout["commit"]] = self._of_commit(checkout, name)
        return base

    def _of_commit(self, checkout: Checkout, name: str) -> Base:
        data = self._commits.read(checkout, name, MAX_BYTES)
        place = f"{name} of commit {short_commit(checkout['commit'])}"
        if data is not None:
            return _loaded(data, place)
        if not self._optional:
            raise BadBase(f"{place}: there is none; every idea starts from this configuration")
        return _EMPTY

    def _of_file(self) -> Base:
        path = self._path
        try:
            status = os.stat(path)
        except OSError as error:
            if self._optional and isinstance(error, FileNotFoundError):
                return _EMPTY
            raise BadBase(f"{path}: {error.strerror}; every idea starts from this configuration") from None
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise BadBase(f"{path}: must be a file of at most {MAX_BYTES >> 10} KiB")
        mark = (status.st_mtime_ns, status.st_size)
        if self._file is None or self._file[0] != mark:
            self._file = (mark, _loaded(_content(path), str(path)))
        return self._file[1]


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(MAX_BYTES)
    except OSError as error:
        raise BadBase(f"{path}: {error.strerror}; every idea starts from this configuration") from None


def _loaded(data: bytes, place: str) -> Base:
    try:
        text = data.decode()
        return Base(text, load_values(text, path=place, line=1))
    except UnicodeDecodeError:
        raise BadBase(f"{place}: not UTF-8 text; save the file as UTF-8") from None
    except IdeaError as error:
        raise BadBase(str(error)) from None
