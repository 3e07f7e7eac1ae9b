"""Ids of ideas as people type them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from orze.core.errors import OrzeError
from orze.report.text import clean

_NUMBER = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?\Z")
_NAMED = 5


class UnknownIdea(OrzeError):
    """There is no idea of this id.

    Attributes:
        nearest: ids that may have been meant, the likeliest first.
    """

    def __init__(self, idea_id: str, nearest: list[str]) -> None:
        hint = f"; the nearest are {', '.join(nearest)}" if nearest else ": no idea has been seen here yet"
        super().__init__(f"there is no idea {clean(idea_id, 60)}{hint}")
        self.nearest = nearest


def nearest(idea_id: str, known: Iterable[str]) -> list[str]:
    """Up to five known ids that may have been meant, the likeliest first.

    One with the same number, such as idea-007 for idea-7 or 7, comes before those that are written alike, and
    those before the ones that have the next numbers.
    """
    ids = list(known)
    wanted = _number(idea_id)
    same = [other for other in ids if wanted is not None and _number(other) == wanted]
    alike = get_close_matches(idea_id[:100], ids, n=_NAMED, cutoff=0.8) if len(ids) <= 5000 else []
    near = sorted(ids, key=lambda other: (_distance(idea_id, other), other))[:_NAMED]
    return list(dict.fromkeys([*same, *alike, *near]))[:_NAMED]


def check_known(idea_ids: Iterable[str], known: Iterable[str]) -> None:
    """Make sure that there is an idea of each id.

    Raises:
        UnknownIdea: there is none; it names the nearest.
    """
    there = set(known)
    for idea_id in idea_ids:
        if idea_id not in there:
            raise UnknownIdea(idea_id, nearest(idea_id, sorted(there)))


def _number(idea_id: str) -> tuple[int, int] | None:
    """The number of an id, and that in its group, which is 0 for a group and an idea."""
    match = _NUMBER.search(idea_id)
    return (int(match[1]), int(match[2] or 0)) if match else None


def _distance(one: str, other: str) -> tuple[int, int]:
    (number, member), (to, to_member) = _number(one) or (0, 0), _number(other) or (0, 0)
    return abs(number - to), abs(member - to_member)
