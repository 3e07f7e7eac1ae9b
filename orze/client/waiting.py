"""Which ideas have ended, for who waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orze.client.ids import check_known
from orze.client.reader import Reader
from orze.core.states import RUNNING, SUCCEEDED, TERMINAL, State


@dataclass
class Standing:
    """Where the ideas stand that are waited for.

    Attributes:
        waiting: state and reason of those that have not ended, by id.
        ended: the states of the others.
    """

    waiting: dict[str, tuple[State, str]] = field(default_factory=dict)
    ended: dict[str, State] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Whether all have ended, and none otherwise than with a result."""
        return not self.waiting and all(state in SUCCEEDED for state in self.ended.values())


def standing(reader: Reader, idea_ids: Sequence[str]) -> Standing:
    """Where some ideas stand.

    Args:
        reader: one that has read.
        idea_ids: those that are waited for; of a group, all members are.

    Raises:
        UnknownIdea: one of them is not known.
    """
    check_known(idea_ids, reader.queue.ids())
    found = Standing()
    for idea_id in idea_ids:
        entry = reader.queue.get(idea_id)
        members = reader.queue.members_of(idea_id) if entry and entry.state is None else []
        for one in members or [idea_id]:
            _place(reader, one, found)
    return found


def standing_of_all(reader: Reader) -> Standing:
    """Where the ideas of a farm stand.

    Those that an operator holds or has withdrawn are not waited for, and count neither way; quarantined
    sections are not waited for, and count as ended badly.

    Args:
        reader: one that has read.
    """
    found = Standing()
    for state in State:
        if state in RUNNING or state is State.QUEUED:
            for idea_id in reader.queue.by_state[state]:
                _place(reader, idea_id, found)
        elif state not in (State.HELD, State.WITHDRAWN):
            found.ended |= dict.fromkeys(reader.queue.by_state[state], state)
    return found


def _place(reader: Reader, idea_id: str, found: Standing) -> None:
    entry = reader.queue.get(idea_id)
    state = entry.state if entry else None
    if entry is None or state is None:
        return
    if state in TERMINAL:
        found.ended[idea_id] = state
    else:
        found.waiting[idea_id] = state, entry.reason
