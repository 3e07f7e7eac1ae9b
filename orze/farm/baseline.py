"""The base configuration as the report needs it: its key and its seed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from orze.ideas.canonical import config_key
from orze.ideas.model import IdeaError
from orze.ideas.values import MAX_BYTES, load_values


class Baseline:
    """Reads the base configuration whenever it has changed.

    Args:
        path: the file; while it cannot be read as a configuration, there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: tuple[int, int] | None = None
        self._values: dict[str, Any] | None = None
        self._key = ""

    @property
    def values(self) -> dict[str, Any] | None:
        """The configuration; None while there is none."""
        self._read()
        return self._values

    @property
    def key(self) -> str:
        """Its key; empty while there is none."""
        self._read()
        return self._key

    def _read(self) -> None:
        try:
            status = os.stat(self._path)
        except OSError:
            self._mark, self._values, self._key = None, None, ""
            return
        mark = (status.st_mtime_ns, status.st_size)
        if mark == self._mark:
            return
        self._mark = mark
        self._values = _load(self._path)
        self._key = "" if self._values is None else config_key(self._values)


def _load(path: Path) -> dict[str, Any] | None:
    """Its values; None where it is no configuration, which whoever starts ideas tells people."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream:
            return load_values(stream.read(MAX_BYTES + 1).decode(), path=str(path), line=1)
    except (OSError, UnicodeDecodeError, IdeaError):
        return None
