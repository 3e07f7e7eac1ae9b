"""From the chain of an idea, or the files of a plain farm, to the outcome that the journal remembers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from orze.attempt.metrics import MetricsError, read_metrics
from orze.coord.idea_chain import DONE, IdeaFold
from orze.core.states import State

_METRICS = 64  # numbers of one result that the journal keeps
_TEXT = 300
_DEPTH = 4
_LARGEST = sys.float_info.max  # a larger whole number is none that a report could show

Facts = dict[str, Any]


def outcome_of(fold: IdeaFold) -> tuple[State, Facts] | None:
    """How a settled idea ended; None where it is not settled."""
    if fold.end is None:
        return None
    end, claim = fold.end, fold.claim or {}
    facts: Facts = {
        "attempt": fold.attempt,
        "host": str(claim.get("host", "")),
        "gpu": str(claim.get("gpu", "")),
        "at": end.get("at", 0.0),
        "seconds": end.get("seconds", 0.0),
        "dir": str(end.get("directory", "")),
        "sha": str(claim.get("sha", "")),
        "config": str(claim.get("config", "")),
        "seed": claim.get("seed", 0),
    }
    if claim.get("commit"):
        facts["commit"] = str(claim["commit"])
    if end["kind"] == DONE:
        metrics = end.get("metrics")
        facts["metrics"] = flatten(metrics if isinstance(metrics, dict) else {})
        notes = [end.get("evaluation_error"), *(end.get("post_errors") or [])]
        facts["error"] = "; ".join(str(note)[:_TEXT] for note in notes if note)
    else:
        facts["cause"] = str(end.get("cause", ""))
        facts["error"] = str(end.get("error", ""))[:_TEXT]
    return fold.state, facts


def plain_outcome(directory: str) -> tuple[State, Facts] | None:
    """The outcome that a plain farm or a person left as metrics.json; None where there is none."""
    try:
        found = read_metrics(directory, primary=None)
    except MetricsError as error:
        if error.cause != "script":
            return None
        return State.FAILED, {"cause": str(error.cause), "error": error.sentence[:_TEXT]}
    seconds = found.values.get("training_time")
    facts: Facts = {"metrics": flatten(found.values)}
    if isinstance(seconds, int | float) and not isinstance(seconds, bool):
        facts["seconds"] = float(seconds)
    return State.COMPLETED, facts


def flatten(metrics: Mapping[str, Any]) -> dict[str, float | str | bool | None]:
    """Nested metrics as dotted names, short texts and at most 64 of them."""
    flat: dict[str, float | str | bool | None] = {}
    waiting: list[tuple[str, Any, int]] = [
        (name, value, 0) for name, value in reversed(list(metrics.items()))
    ]
    while waiting and len(flat) < _METRICS:
        name, value, depth = waiting.pop()
        if isinstance(value, Mapping) and depth < _DEPTH:
            waiting += [(f"{name}.{key}", below, depth + 1) for key, below in reversed(list(value.items()))]
        elif value is None or isinstance(value, bool | int | float):
            flat[name[:_TEXT]] = value if value is None or abs(value) <= _LARGEST else None
        elif isinstance(value, str):
            flat[name[:_TEXT]] = value[:_TEXT]
    return flat
