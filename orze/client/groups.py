"""What is known of a group: its members, where each of them stands, and what that makes of the group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from orze.client.explain import Explanation
from orze.client.reader import Reader
from orze.core.states import RUNNING, SUCCEEDED, State

_NAMED = 30  # members that an explanation tells of one by one
_OPEN = (*RUNNING, State.QUEUED, State.HELD)


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a group.

    Attributes:
        state: None where it is not known, as its group has vanished.
        reason: why it does not run; empty where there is nothing to say.
        value: of its result in the primary metric; None where it has none.
    """

    idea_id: str
    title: str
    state: State | None
    reason: str = ""
    value: float | None = None


def members(reader: Reader, idea_id: str) -> tuple[Member, ...]:
    """The members of a group, in order; none where this is an idea."""
    board = reader.board.leaderboard
    found = []
    for one in reader.queue.members_of(idea_id):
        entry, result = reader.queue.get(one), board.get(one)
        value = result.metrics.get(board.primary.name) if result and board.primary else None
        number = float(value) if isinstance(value, int | float) else None
        state, reason = (entry.state, entry.reason) if entry else (None, "")
        found.append(Member(one, reader.queue.title(one), state, reason, number))
    return tuple(found)


def state_of(found: Iterable[Member]) -> State:
    """What the states of its members make of a group.

    As long as one is not at its end, the liveliest of theirs; then the first that is no success, if any.
    """
    states = [member.state for member in found if member.state]
    for state in _OPEN:
        if state in states:
            return state
    failed = [state for state in states if state not in SUCCEEDED]
    return (failed or states or [State.QUEUED])[0]


def explain_group(idea_id: str, found: tuple[Member, ...]) -> Explanation:
    """Where the members of a group stand."""
    counts = Counter(member.state.lower() if member.state else "not there" for member in found)
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    answer = Explanation(f"{idea_id} is a group of {len(found)}: {told}")
    for member in found[:_NAMED]:
        state = member.state.lower() if member.state else "not there"
        answer.because.append(
            f"{member.idea_id} is {state}" + (f": {member.reason}" if member.reason else "")
        )
    if len(found) > _NAMED:
        answer.because.append(f"and {len(found) - _NAMED} more")
    answer.change.append(f"orze explain {idea_id}.1 tells of one of them; requests about {idea_id} go to all")
    return answer
