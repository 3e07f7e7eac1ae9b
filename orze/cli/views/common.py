"""Pieces that several views are made of: tables without frames, states in colour, values in a few cells."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orze.cli.output import text
from orze.client.differ import ABSENT
from orze.report.text import NOTHING, minute, number

_STYLES = {
    "COMPLETED": "green",
    "EVALUATED": "green",
    "TRAINING": "cyan",
    "EVALUATING": "cyan",
    "CLAIMED": "cyan",
    "FAILED": "red",
    "SKIPPED": "yellow",
    "QUARANTINED": "yellow",
    "HELD": "yellow",
    "STOPPED": "yellow",
    "PRUNED": "yellow",
    "WITHDRAWN": "yellow",
}


def state_text(state: str) -> Text:
    """A state, in small letters and its colour."""
    return text(state.lower() or NOTHING, _STYLES.get(state, ""))


def table(
    *columns: str, right: Sequence[str] = (), wide: Sequence[str] = (), elastic: Sequence[str] = ()
) -> Table:
    """A table without a frame.

    Args:
        columns: their headings; an empty one has none.
        right: those of numbers.
        wide: those whose texts wrap where the line is too short.
        elastic: those that give way first where it is; their cells are made by `cut`.
    """
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    made.show_header = any(columns)
    for name in columns:
        made.add_column(
            cut(text(name, limit=40)) if name in elastic else text(name, limit=40),
            justify="right" if name in right else "left",
            no_wrap=name not in wide and name not in elastic,
            overflow="fold" if name in wide else "ellipsis",
        )
    return made


def cut(words: Text) -> Text:
    """A text that is cut, and not wrapped, where its cell is too small."""
    words.no_wrap, words.overflow = True, "ellipsis"
    return words


def facts(rows: Sequence[tuple[str, RenderableType | None]]) -> Table:
    """Names and what is to be said of each; those without anything are left out."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        if value is not None:
            made.add_row(Text(name), value)
    return made


def section(title: str, *content: RenderableType) -> Group:
    """A heading, and what stands below it after an empty line above."""
    return Group(Text(""), Text(title, style="bold"), *content)


def value_text(value: object, limit: int = 200) -> str:
    """Any value of a configuration or of metrics, as short as it can be read."""
    if value is ABSENT:
        return NOTHING
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return config_number(value)
    if isinstance(value, str):
        return value[:limit] if value else '""'
    return json.dumps(value, ensure_ascii=False, default=str)[:limit]


def config_number(value: float) -> str:
    """A number as it was written: 0.0001 and not 1e-04, 12 and not 12.0000."""
    if isinstance(value, int):
        return number(value)
    return f"{value:.10g}"


def metric_text(value: object) -> str:
    """A metric, numbers with four decimals where that reads well."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return value_text(value)


def percent(value: float | None) -> str:
    """A share of time, or a dash."""
    return NOTHING if value is None else f"{value:.0f}%"


def degrees(value: float | None) -> str:
    """A temperature in degrees Celsius, or a dash."""
    return NOTHING if value is None else f"{value:.0f}°C"


def when(unix: float | None) -> str:
    """A time in UTC, or a dash."""
    return NOTHING if not unix else minute(unix)


def from_here(path: str) -> str:
    """A path as one would type it: it is short where one stands in the project."""
    return os.path.relpath(path) if path.startswith(f"{os.getcwd()}/") else path


def joined(parts: Sequence[tuple[str, str]], between: str = " · ") -> Text:
    """Texts with their styles on one line; empty ones are left out."""
    line = Text()
    for words, style in parts:
        if words:
            line.append(between if line else "")
            line.append_text(text(words, style))
    return line
