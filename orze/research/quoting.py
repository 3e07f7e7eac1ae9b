"""Texts of others inside a prompt: harmless, bounded, and in a fence that they cannot close."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from orze.report.text import clean

if TYPE_CHECKING:
    from jinja2 import Environment

FENCE: Final = "~" * 8
_RUN = re.compile(r"~{6,}|`{6,}")  # six are enough for whatever a text may mean by them
_LINES: Final = 400
_CUT: Final = "[… cut]"
_DEPTH: Final = 6
_ITEMS: Final = 32


class Ready(str):
    """Text that is harmless already and goes into a prompt as it is."""

    __slots__ = ()


def render(name: str, package: str = "orze.research", /, **values: Any) -> str:
    """Fill a template of a package; every value that is not `Ready` becomes one harmless line."""
    return _environment(package).get_template(name).render(**values)


@cache
def _environment(package: str) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package),
        autoescape=False,  # noqa: S701  a prompt is no HTML; `finalize` sees every value
        finalize=lambda value: value if isinstance(value, Ready) else one_line(str(value), 300),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def one_line(text: str, limit: int) -> str:
    """Make any text one harmless line of at most `limit` bytes of UTF-8; a cut is marked by `…`."""
    line = _RUN.sub(_shorter, clean(text, limit))
    data = line.encode()
    if len(data) <= limit:
        return line
    return data[: limit - 3].decode(errors="ignore").rstrip() + "…"


def some_lines(text: str, limit: int) -> list[str]:
    """Make any text harmless lines of at most `limit` bytes in all, without blank ones at either end.

    Returns:
        The lines; the last one says so where something was cut.
    """
    head = text[: 4 * limit].strip().splitlines()
    lines = [_indented(line) for line in head[:_LINES]]
    data = "\n".join(lines).encode()
    if len(data) <= limit and len(text) <= 4 * limit and len(head) <= _LINES:
        return lines
    kept = data[: limit - len(_CUT.encode()) - 1].decode(errors="ignore")
    return [*kept.splitlines(), _CUT]


def row(**values: Any) -> str:
    """One line of JSON: what has no value is left out, numbers are short, texts harmless.

    A text inside JSON cannot pretend to be another field, and one line cannot pretend to be another line.
    """
    told = {name: short(value) for name, value in values.items() if value not in (None, "", (), [], {})}
    return json.dumps(told, ensure_ascii=False, separators=(", ", ": "))


def short(value: Any, *, text: int = 80, depth: int = _DEPTH) -> Any:
    """A value as a prompt shows it: five digits, short texts, few items."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else "a large number"
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict) and depth:
        some = list(value.items())[:_ITEMS]
        return {one_line(str(key), text): short(item, text=text, depth=depth - 1) for key, item in some}
    if isinstance(value, list | tuple) and depth:
        return [short(item, text=text, depth=depth - 1) for item in value[:_ITEMS]]
    return one_line(str(value), text)


def _indented(line: str) -> str:
    """A harmless line with the blanks that it begins with, which lists and code need."""
    blanks = len(line) - len(line.lstrip(" "))
    return " " * min(blanks, 8) + _RUN.sub(_shorter, clean(line, len(line) + 1))


def _shorter(match: re.Match[str]) -> str:
    return match[0][:5]
