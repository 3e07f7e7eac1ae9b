"""The key of a configuration: one name for all that say the same, whatever their seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quote
from typing import Any

_DIGITS = 16  # of a key: 64 bits
_MARK = 8  # hex digits of the key, and as many of the seed, in the mark of a run
_SEEDS = 1 << 62  # a whole number from here on is no seed: a record of a claim could not hold it
_TRAINING, _SEED = "training", "seed"


def seed_of(merged: Mapping[str, Any]) -> int:
    """The seed of a configuration: `training.seed`, else `seed`, where that is a whole number, else 0."""
    for block in (merged.get(_TRAINING), merged):
        if isinstance(block, Mapping) and _is_seed(block.get(_SEED)):
            return int(block[_SEED])
    return 0


def add_seed(merged: Mapping[str, Any], extra: int) -> Mapping[str, Any]:
    """The configuration with so much added to its seed; the same where it has none."""
    training = merged.get(_TRAINING)
    if isinstance(training, Mapping) and _is_seed(training.get(_SEED)):
        return {**merged, _TRAINING: {**training, _SEED: training[_SEED] + extra}}
    return {**merged, _SEED: merged[_SEED] + extra} if _is_seed(merged.get(_SEED)) else merged


def config_key(merged: Mapping[str, Any], *, commit: str = "", command: str = "") -> str:
    """Name a merged configuration, its seed apart.

    The order of keys does not matter, and numbers that are equal are one number, as 1 and 1.0. A truth value
    is no number, and a text is only itself. The seed is the one that `seed_of` tells.

    Args:
        merged: what would run: mappings, lists, texts, numbers, truth values and None, at any depth that
            `orze.ideas.values` accepts.
        commit: the whole hash of the commit that would run; empty for the code as it lies there.
        command: the idea's own command line; empty for that of the farm.

    Returns:
        16 hex digits of the SHA-256 of its canonical form.
    """
    code = f"\n{commit}\n{command}" if commit or command else ""  # no canonical form has a line break
    written = _written(_without_seed(merged)) + code
    return hashlib.sha256(written.encode()).hexdigest()[:_DIGITS]


def run_mark(key: str, seed: int) -> str:
    """Sixteen hex digits that stand for a configuration with its seed in the names of running attempts.

    Two runs that are no duplicates share one by chance only: once in 2^32 pairs, or less.
    """
    return key[:_MARK] + hashlib.sha256(str(seed).encode()).hexdigest()[:_MARK]


def _is_seed(value: object) -> bool:
    return type(value) is int and abs(value) < _SEEDS


def _without_seed(merged: Mapping[str, Any]) -> Mapping[str, Any]:
    training = merged.get(_TRAINING)
    if isinstance(training, Mapping) and _is_seed(training.get(_SEED)):
        return {**merged, _TRAINING: _less_seed(training)}
    return _less_seed(merged) if _is_seed(merged.get(_SEED)) else merged


def _less_seed(block: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != _SEED}


def _written(value: Any) -> str:
    """The canonical form, which no two different values share."""
    if isinstance(value, str):
        return quote(value)
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:x}"  # decimals would be slow, and Python writes 4300 of them at most
    if isinstance(value, float):
        return f"{int(value):x}" if math.isfinite(value) and value.is_integer() else value.hex()
    if isinstance(value, Mapping):
        members = [f"{quote(str(name))}:{_written(value[name])}" for name in sorted(value, key=str)]
        return "{" + ",".join(members) + "}"
    return "[" + ",".join([_written(below) for below in value]) + "]"
