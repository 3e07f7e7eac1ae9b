"""Whether changed files can be read at all: Python, YAML, JSON and TOML, without running anything."""

from __future__ import annotations

import json
import tomllib
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # absent where PyYAML lacks libyaml
_MOST_BYTES: Final = 1 << 20
_DEEPEST: Final = 100  # lists and mappings of YAML in one another
_NULL: Final = b"\0"


def syntax_faults(changes: Mapping[str, bytes | None]) -> list[str]:
    """Look whether changed files are what their names say.

    Args:
        changes: new contents by path; None for a file that is gone.

    Returns:
        One sentence for each file that is not, as `train.py:12: invalid syntax: …`.
    """
    found = []
    for path, content in sorted(changes.items()):
        check = _CHECKS.get(path.rpartition(".")[2].lower()) if "." in path else None
        if check is None or content is None:
            continue
        if len(content) > _MOST_BYTES:
            found.append(f"{path}:1: has {len(content)} bytes; {_MOST_BYTES} are the most that are looked at")
            continue
        fault = _fault(check, content)
        if fault:
            found.append(f"{path}:{fault}")
    return found


def _fault(check: Callable[[bytes], str], content: bytes) -> str:
    """`line: sentence`, or ""."""
    try:
        return check(content)
    except UnicodeDecodeError as error:
        return f"{_line(content, error.start)}: is not UTF-8"
    except (RecursionError, MemoryError):
        return "1: is nested too deeply"
    except ValueError as error:  # such as a number of more digits than Python reads
        return f"1: {error}"


def _python(content: bytes) -> str:
    if _NULL in content:
        return f"{_line(content, content.find(_NULL))}: holds a null byte"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(content, "<change>", "exec", dont_inherit=True)
    except SyntaxError as error:
        line = error.lineno or 1
        text = b"".join(content.split(b"\n")[line - 1 : line]).decode("utf-8", "replace").strip()
        return f"{line}: {error.msg}" + (f": `{text[:200]}`" if text else "")
    return ""


def _yaml(content: bytes) -> str:
    return yaml_fault(content.decode("utf-8-sig"))


def yaml_fault(text: str) -> str:
    """Look whether a text is YAML, of one or more documents, that can be composed.

    It goes by events, since libyaml's composer recurses without a limit and ends the process on a deep text.

    Returns:
        `line: sentence`, or "" where it is.
    """
    depth, line, anchors = 0, 1, set[object]()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            line = event.start_mark.line + 1 if event.start_mark else line
            if isinstance(event, yaml.DocumentStartEvent):
                anchors = set()
            elif isinstance(event, yaml.AliasEvent) and event.anchor not in anchors:
                return f"{line}: there is no anchor &{event.anchor}"
            anchors.add(getattr(event, "anchor", None))
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                return f"{line}: is nested too deeply"
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return f"{line}: {error.problem or error.context or 'is no YAML'}"
    except yaml.YAMLError as error:
        return f"1: {' '.join(str(error).split())[:200]}"
    return ""


def _json(content: bytes) -> str:
    try:
        json.loads(content.decode("utf-8"))
    except json.JSONDecodeError as error:
        return f"{error.lineno}: {error.msg}"
    return ""


def _toml(content: bytes) -> str:
    try:
        tomllib.loads(content.decode("utf-8"))
    except tomllib.TOMLDecodeError as error:
        sentence, _, where = str(error).rpartition(" (at ")
        line = where.partition("line ")[2].partition(",")[0]
        return f"{line if line.isdecimal() else _line(content, len(content))}: {sentence or error}"
    return ""


def _line(content: bytes, at: int) -> int:
    return content.count(b"\n", 0, at) + 1


_CHECKS: Final[Mapping[str, Callable[[bytes], str]]] = {
    "py": _python,
    "pyi": _python,
    "yaml": _yaml,
    "yml": _yaml,
    "json": _json,
    "toml": _toml,
}
