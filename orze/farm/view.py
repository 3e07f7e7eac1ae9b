"""What one cycle has seen, as plain values: all that `decide` may look at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlotView:
    """A place for one attempt on this host.

    Attributes:
        card: the card it is on (a CPU slot: its own name); one idea never gets two slots of one card.
        busy: why nothing may start on it now; empty where something may.
        lost: its card is out of use, and not only busy: nothing waits for it.
    """

    name: str
    card: str
    busy: str = ""
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """An idea that may run here now."""

    idea_id: str
    priority: int
    cards: int


@dataclass(frozen=True, slots=True)
class Dead:
    """An attempt whose keeper is dead.

    Attributes:
        here: its processes are of this machine, so they can be ended and its death is certain.
    """

    idea_id: str
    token: str
    here: bool


@dataclass(frozen=True, slots=True)
class View:
    """One host's view of the farm.

    Attributes:
        slots: this host's.
        ready: the first ideas that may run here, best first.
        paused: why nothing is started now (disk low, drained); empty where something may be.
        turn: a number of this host's own for this cycle; hosts that look at one queue begin elsewhere in it.
        farm_slots: free slots of all living hosts, about.
        leads: whether this host leads.
        leader: the token of whoever leads; empty where nobody does.
        leader_dead: its heartbeat has stopped for good, and it is for this host to say so.
        dead: dead attempts of this machine, and all others where this host leads or would be next.
    """

    slots: tuple[SlotView, ...] = ()
    ready: tuple[Candidate, ...] = ()
    paused: str = ""
    turn: int = 0
    farm_slots: int = 1
    leads: bool = False
    leader: str = ""
    leader_dead: bool = False
    dead: tuple[Dead, ...] = ()
