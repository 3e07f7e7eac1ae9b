"""The proposer `random`: every value is drawn from the search space, whatever is known."""

from __future__ import annotations

from orze.research.fresh import Fresh, Written
from orze.research.proposers import Reply
from orze.research.study import Study

_WHY = "Drawn at random from the search space: what the other proposers are compared with."


def propose_random(study: Study, count: int) -> Reply:
    """Draw `count` independent configurations, fewer where the space has no more.

    Nothing of what is known matters to it but whether a configuration was tried before.
    """
    fresh, written = Fresh(study), Written("random")
    for _ in range(count):
        changes = fresh.first(fresh.drawn)
        if changes is None:
            break
        written.add(changes, why=_WHY)
    return written.reply()
