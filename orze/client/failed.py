"""Choosing among the ideas that failed."""

from __future__ import annotations

from orze.client.reader import Reader
from orze.core.errors import OrzeError
from orze.core.states import Cause, State


class NoCause(OrzeError):
    """A word that is no cause of failure."""


def causes_named(word: str) -> frozenset[str]:
    """The causes that a word means: a cause by its name, or all that have the word in it, as `oom` has two.

    Raises:
        NoCause: there is none; the sentence lists them.
    """
    found = {str(cause) for cause in Cause if word in (cause, *cause.split("_"))}
    if not found:
        raise NoCause(f"{word[:40]!r} is no cause of failure; known are {', '.join(Cause)}")
    return frozenset({word} if word in found else found)


def failed_ideas(reader: Reader, cause: str | None = None) -> list[str]:
    """Ids of the ideas that are FAILED, by number.

    Args:
        reader: one that has read.
        cause: only those that failed so; see `causes_named`.

    Raises:
        NoCause: there is no such cause.
    """
    wanted = causes_named(cause) if cause else None
    board = reader.board.leaderboard
    results = board.recent(State.FAILED, len(board))
    chosen = [result.idea_id for result in results if wanted is None or result.cause in wanted]
    return sorted(chosen, key=lambda idea_id: (len(idea_id), idea_id))
