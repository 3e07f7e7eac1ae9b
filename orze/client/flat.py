"""Configurations as flat names and plain values, read fast enough for all ideas of a farm."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from orze.attempt.spec import CONFIG
from orze.client.differ import flatten
from orze.core.files import RealFiles
from orze.ideas.model import IdeaError
from orze.ideas.values import load_values

Value = str | int | float | bool | None
Row = dict[str, Value]

_LARGEST: Final = 1 << 20  # bytes of an idea.yaml
_REMEMBERED: Final = 20_000  # lines
_LINE = re.compile(r"( *)(?:([A-Za-z_][A-Za-z0-9_-]*):(?: (.+))?|- (.+))")
_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,15})")
_FLOAT = re.compile(r"-?[0-9]{1,17}\.[0-9]{1,17}(?:e[-+][0-9]{1,3})?")
_WORDS = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*")
_QUOTED = re.compile(r"'([ -&(-~]*)'")
_OPENS: Final = object()  # stands for a value on the lines that follow
_EMPTY: Final = {"{}", "[]"}
_NAMES: Final[Mapping[str, Value]] = {"true": True, "false": False, "null": None}
_OTHER_NAMES: Final = {"true", "false", "null", "yes", "no", "on", "off"}  # YAML 1.1, in any case


class _Unsure(Exception):
    """This is not the YAML that the farm itself writes."""


def flat(values: Mapping[str, Any]) -> Row:
    """Nested mappings as dotted names; a list, or an empty mapping, as its JSON."""
    return {name: _plain(value) for name, value in flatten(values).items()}


class Configs:
    """Reads what ran from results/<idea>/idea.yaml."""

    def __init__(self) -> None:
        self._files = RealFiles()
        self._lines: dict[str, tuple[int, str, Any]] = {}

    def ran(self, home: str) -> Row | None:
        """The configuration with which an idea ran; None where it did not run or cannot be read.

        Args:
            home: the idea's directory.
        """
        try:
            return self.read(self._files.read(f"{home}/{CONFIG}", _LARGEST).decode())
        except (OSError, UnicodeDecodeError, IdeaError):
            return None

    def read(self, text: str) -> Row:
        """`flat` of a YAML text; what the farm itself writes, in block style, is read many times faster.

        Raises:
            IdeaError: it is no mapping, or over a bound.
        """
        try:
            return self._quick(text)
        except _Unsure:
            return flat(load_values(text, path=CONFIG, line=1))

    def _quick(self, text: str) -> Row:
        found: Row = {}
        lists: dict[str, list[Any]] = {}
        levels = [(0, "")]  # indentation and the names above
        blocks: set[str] = set()
        opened = ""  # the full name of the key whose values follow
        for line in text.splitlines():
            indent, key, value = self._line(line)
            if not key:
                if not opened or indent != levels[-1][0]:
                    raise _Unsure
                lists.setdefault(opened, []).append(value)
                continue
            if opened and opened not in lists:
                if indent <= levels[-1][0]:
                    raise _Unsure
                levels.append((indent, f"{opened}."))
                blocks.add(opened)
            while indent < levels[-1][0]:
                levels.pop()
            name = levels[-1][1] + key
            if indent != levels[-1][0] or name in found or name in lists or name in blocks:
                raise _Unsure
            opened = name if value is _OPENS else ""
            if not opened:
                found[name] = value
        if opened not in {"", *lists} or not (found or lists):
            raise _Unsure
        return found | {name: _plain(values) for name, values in lists.items()}

    def _line(self, line: str) -> tuple[int, str, Any]:
        """Indentation, key (empty for an item of a list) and value (`_OPENS` where it follows)."""
        known = self._lines.get(line)
        if known is None:
            if len(self._lines) >= _REMEMBERED:
                self._lines.clear()
            known = self._lines[line] = _read_line(line)
        return known


def _read_line(line: str) -> tuple[int, str, Any]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise _Unsure
    indent, key, written, item = match.groups()
    if key and key.lower() in _OTHER_NAMES:
        raise _Unsure
    if key and written is None:
        return len(indent), key, _OPENS
    if written in _EMPTY:
        return len(indent), key, written
    return len(indent), key or "", _read_value(written or item)


def _read_value(written: str) -> Any:
    if written in _NAMES:
        return _NAMES[written]
    if _INT.fullmatch(written):
        return int(written)
    if _FLOAT.fullmatch(written):
        return float(written)
    if match := _QUOTED.fullmatch(written):
        return match[1]
    if _WORDS.fullmatch(written) and written.lower() not in _OTHER_NAMES:
        return written
    raise _Unsure


def _plain(value: Any) -> Value:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | Mapping) else value
