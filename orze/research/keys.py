"""Configurations as dotted keys: `training.lr` is the key `lr` below `training`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orze.ideas.sweep import nested as nest

__all__ = ["above", "flatten", "is_seed", "nest"]

MOST: Final = 2000  # keys of one configuration
_SEEDS: Final = {"seed", "random_state"}


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as dotted keys in their order; lists and empty mappings are values.

    A key that holds a dot itself is left out, with what is below it: no dotted key could name it. Beyond
    `MOST` keys the rest is left out as well.
    """
    flat: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("", config)]
    while waiting and len(flat) < MOST:
        name, value = waiting.pop()
        if isinstance(value, Mapping) and (value or not name):
            inner = [(f"{name}.{key}" if name else key, value[key]) for key in value if "." not in key]
            waiting += reversed(inner)
        else:
            flat[name] = value
    return flat


def above(key: str) -> Iterator[str]:
    """The blocks that a dotted key lies in, outermost first."""
    at = key.find(".")
    while at >= 0:
        yield key[:at]
        at = key.find(".", at + 1)


def is_seed(name: str) -> bool:
    """Whether a dotted key holds a seed, which is for luck and not for tuning."""
    last = name.rpartition(".")[2].lower()
    return last in _SEEDS or last.endswith("_seed")
