"""What to do about what was seen: pure functions from a view to effects, tested as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from orze.farm.view import Candidate, Dead, SlotView, View


@dataclass(frozen=True, slots=True)
class Launch:
    """Prepare a keeper on these slots and claim this idea for it."""

    idea_id: str
    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reap:
    """Record that an attempt is lost, so that its idea can run again."""

    dead: Dead


@dataclass(frozen=True, slots=True)
class Depose:
    """Record that the leader is dead."""

    token: str


@dataclass(frozen=True, slots=True)
class Campaign:
    """Try to become the leader."""


Effect = Launch | Reap | Depose | Campaign


def decide(view: View) -> list[Effect]:
    """What this host should do now. Pure: the same view gives the same effects."""
    return [*_lead(view), *map(Reap, _reapable(view)), *_launch(view)]


def _lead(view: View) -> Iterator[Effect]:
    if view.leader and view.leader_dead:
        yield Depose(view.leader)
    if not view.leader or view.leader_dead:
        yield Campaign()


def _reapable(view: View) -> Iterator[Dead]:
    return (dead for dead in view.dead if dead.here or view.leads)


def _launch(view: View) -> Iterator[Launch]:
    if view.paused:
        return
    free = [slot for slot in view.slots if not slot.busy]
    working = len({slot.card for slot in view.slots if not slot.lost})
    for candidate in _from_own_place(view.ready, view.turn, view.farm_slots):
        if not free:
            return
        if candidate.cards > working:
            continue  # until a lost card is back it can run on other hosts only
        chosen = _choose(free, candidate.cards)
        if chosen is None:
            return  # the next idea needs more cards than are free: those that are wait for it
        yield Launch(candidate.idea_id, tuple(slot.name for slot in chosen))
        free = [slot for slot in free if slot not in chosen]


def _from_own_place(ready: Sequence[Candidate], turn: int, farm_slots: int) -> Iterator[Candidate]:
    """The candidates by priority, each priority begun at another place among the first `farm_slots`."""
    for _, group in groupby(ready, key=lambda candidate: candidate.priority):
        same = list(group)
        width = max(1, min(farm_slots, len(same)))
        start = turn % width
        yield from same[start:width]
        yield from same[:start]
        yield from same[width:]


def _choose(free: Sequence[SlotView], cards: int) -> list[SlotView] | None:
    """One slot on each of as many cards, or None where there are not enough."""
    by_card: dict[str, SlotView] = {}
    for slot in free:
        by_card.setdefault(slot.card, slot)
    return list(by_card.values())[:cards] if len(by_card) >= cards else None
