"""Some ideas side by side: what differs in their configurations and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orze.client.differ import ABSENT, Row, differing
from orze.client.whole import Whole


def plain(ideas: Sequence[Whole]) -> dict[str, Any]:
    """The comparison as plain values: for each name that differs, what each idea has there.

    Args:
        ideas: one at least.
    """
    ids = [idea.idea_id for idea in ideas]
    return {
        "ideas": [
            {
                "idea_id": idea.idea_id,
                "title": idea.title,
                "state": idea.state,
                "rank": idea.rank.place if idea.rank else None,
                "config_fault": idea.config.fault,
            }
            for idea in ideas
        ],
        "config": _by_name(ids, differing([idea.config.merged for idea in ideas])),
        "metrics": _by_name(ids, differing([idea.metrics for idea in ideas])),
    }


def _by_name(ids: Sequence[str], rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Name -> idea -> value; an idea that has nothing there is left out."""
    return {
        row.name: {
            idea_id: value for idea_id, value in zip(ids, row.values, strict=True) if value is not ABSENT
        }
        for row in rows
    }
