"""Reading values out of JSON that others wrote, without believing that they are what they should be."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from orze.core.files import RealFiles

_LARGEST = 8 << 20  # bytes of a file that daemons replace


def read_object(path: str, limit: int = _LARGEST) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is none that can be read.

    Args:
        path: links on the way to it are followed, since report files are reached through one.
        limit: bytes beyond which a file is not what it should be.
    """
    try:
        found = json.loads(RealFiles().read(os.path.realpath(path), limit))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def text_of(value: object) -> str:
    """A text, and nothing for whatever is none."""
    return value if isinstance(value, str) else ""


def number_of(value: object) -> float | None:
    """A finite number, and None for whatever is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        real = float(value)
    except OverflowError:
        return None
    return real if math.isfinite(real) else None


def count_of(value: object) -> int:
    """A whole number from 0 up, and 0 for whatever is none."""
    real = number_of(value)
    return int(real) if real is not None and real >= 0 else 0


def objects_of(value: object) -> list[dict[str, Any]]:
    """The objects in a list, and nothing for whatever is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
