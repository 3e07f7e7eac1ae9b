"""Which metric ranks the results, and which way is better, where orze.yaml does not say."""

from __future__ import annotations

import re
from collections.abc import Collection

from orze.attempt.metrics import PREFERRED

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_TIME = frozenset({"time", "duration", "elapsed", "ms", "sec", "secs", "seconds", "minutes", "hours"})
_COUNT = frozenset({"epoch", "epochs", "step", "steps", "iteration", "iterations", "count", "num", "samples"})
_SETTING = frozenset({"param", "params", "parameters", "size", "memory", "mib", "gib", "flops", "lr", "seed"})
_NO_MERIT = _TIME | _COUNT | _SETTING
_LESS_IS_BETTER = frozenset({"err", "ppl", "rmse", "mae", "mse", "nll", "wer", "cer", "fid"})
_ENDINGS = ("loss", "losses", "error", "errors", "perplexity", "latency")
_DIRECTIONS = {"ascending": True, "asc": True, "descending": False, "desc": False}


def has_merit(name: str) -> bool:
    """Whether a number may tell how good a result is; times, counts and settings do not."""
    return not _NO_MERIT.intersection(_words(name))


def choose(names: Collection[str]) -> str | None:
    """Choose the metric to rank by among those that some completed result has as a finite number.

    Args:
        names: the dotted names of these metrics.

    Returns:
        The first well-known name, else the alphabetically first that is no time, size or count; None where
        nothing is left.
    """
    for name in PREFERRED:
        if name in names:
            return name
    return min(filter(has_merit, names), default=None)


def is_ascending(name: str, sort: str | None) -> bool:
    """Tell whether a smaller value of a metric is better.

    Args:
        name: the dotted name of the metric.
        sort: `ascending` or `descending` (also `asc`, `desc`), or None to go by the words of the name,
            such as loss, error or latency.

    Raises:
        ValueError: `sort` is another word.
    """
    if sort is not None:
        if sort not in _DIRECTIONS:
            raise ValueError(f"report.sort is {sort[:40]!r}: write ascending or descending")
        return _DIRECTIONS[sort]
    return any(word in _LESS_IS_BETTER or word.endswith(_ENDINGS) for word in _words(name))


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
