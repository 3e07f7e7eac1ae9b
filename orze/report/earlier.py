"""The earlier result of a configuration, in words."""

from __future__ import annotations

from orze.core.states import SUCCEEDED
from orze.report.leaderboard import Leaderboard, finite
from orze.report.text import clean, number


def same_as(leaderboard: Leaderboard, first: str) -> str:
    """That something is the same as an idea, and how that one ended; empty where it has no result."""
    result = leaderboard.get(first)
    if result is None or result.state not in SUCCEEDED:
        return ""
    primary = leaderboard.primary
    value = finite(result.metrics.get(primary.name)) if primary else None
    told = f"is {result.state}"
    if primary and value is not None:
        told = f"has {clean(primary.name)} {number(value)}"
    return f"the same configuration and seed as {first}, which {told}"
