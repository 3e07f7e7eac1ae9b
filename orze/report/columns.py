"""The extra columns of the leaderboard, read from the metrics or from JSON files of an idea."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence

from orze.core.files import RealFiles
from orze.report.model import Column, Metrics
from orze.report.text import clean, number, plain

LARGEST_FILE = 4 * 1024 * 1024
_LONGEST_CELL = 60
# Only formats of a bounded width: `format(1, "1000000000")` would be a gigabyte.
_FORMAT = re.compile(r"[-+ ]?#?0?\d{0,2}[,_]?(?:\.\d{1,2})?[eEfFgGn%d]?", re.ASCII)


def read_cells(columns: Sequence[Column], metrics: Metrics, directory: str) -> tuple[str, ...]:
    """Read and format the extra columns of one idea.

    Args:
        columns: what to show; a column without a source is the metric named by its key.
        metrics: the metrics of the idea's result.
        directory: the idea's own directory. Files are taken from inside it only, after links are resolved.

    Returns:
        One text a column; a dash where there is no value, whatever the reason.
    """
    documents: dict[str, object] = {}
    cells = []
    for column in columns:
        if column.source:
            name, _, path = column.source.partition(":")
            if name not in documents:
                documents[name] = _load(directory, name)
            value = _lookup(documents[name], path)
        else:
            value = metrics.get(column.key)
        cells.append(format_value(value, column.fmt))
    return tuple(cells)


def is_format(fmt: str) -> bool:
    """Tell whether a text is a number format that a column may have, such as `.4f`, `,d` or `.1%`."""
    return _FORMAT.fullmatch(fmt) is not None


def format_value(value: object, fmt: str = "") -> str:
    """Write one value of a column.

    Args:
        value: anything that JSON can hold. A number is written by `fmt`; everything else is shown as it is.
        fmt: a number format, or empty.

    Returns:
        A text without line breaks, not yet escaped for Markdown; a dash for None.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _format_number(value, fmt)
    if isinstance(value, list | dict):
        value = _dump(value)
    return plain(value, _LONGEST_CELL)


def _format_number(value: float, fmt: str) -> str:
    try:
        return clean(format(value, fmt), _LONGEST_CELL) if fmt and is_format(fmt) else number(value)
    except (ValueError, OverflowError):
        return number(value)


def _dump(value: object) -> str | None:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None


def _lookup(value: object, path: str) -> object:
    """Follow a dotted path; a key that itself holds dots is found as well."""
    while path:
        if isinstance(value, dict) and path in value:
            return value[path]
        head, _, path = path.partition(".")
        if isinstance(value, dict):
            value = value.get(head)
        elif isinstance(value, list) and re.fullmatch(r"[0-9]{1,7}", head) and int(head) < len(value):
            value = value[int(head)]
        else:
            return None
    return value


def _load(directory: str, name: str) -> object:
    """Read a JSON file of an idea, or return None if that cannot be done."""
    try:
        home = os.path.realpath(directory)
        path = os.path.realpath(os.path.join(home, name), strict=True)
        if not path.startswith(f"{home}/"):
            return None
        return json.loads(RealFiles().read(path, LARGEST_FILE))
    except (OSError, ValueError, RecursionError):
        return None
