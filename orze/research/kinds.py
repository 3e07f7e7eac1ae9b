"""Which value may stand in the place of another in a configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_SHOWN: Final = 40  # characters of a value in a sentence


def kind(value: Any) -> str:
    """What a value is, in the words of a sentence."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def misfit(known: Any, value: Any) -> str:
    """Why a value cannot stand where a known one does; empty where it can.

    Where null stands anything may come, as for a part that is switched off.
    """
    wanted, given = kind(known), kind(value)
    if wanted in (given, "null"):
        return ""
    return f"{shown(value)} is {given}, and the key holds {wanted}, such as {shown(known)}"


def shown(value: Any) -> str:
    """A value as JSON on one line, cut short."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
