"""What the journal says of one idea."""

from __future__ import annotations

from orze.core.states import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

STATES = {str(state): state for state in State}


class Known:
    """What the journal says of one idea.

    Attributes:
        sha: revision of the section that was registered last, in hex.
        slot: the journal record that holds this section.
        held: why an operator holds it; empty where none does.
        duplicate: why the revision `judged` is held, since another idea has its configuration; empty where it
            is not, or was released.
        judged: the revision that is not looked at again for that: it was found to be a duplicate, or somebody
            asked for it to run again.
        withdrawn: an operator took it back before it began.
        vanished: its section is gone from ideas.md.
        edited: its section is no longer what its outcome came of.
        outcome: its terminal state as last seen; None where it has none. A cache of the idea's own chain.
        priority: the one that an operator asked for, as a number; None where that of its section holds.
        members: how many members its section makes; 0 where it is that of one idea.

    Members of a group are not registered: the `sha` of one is the revision that its outcome came of.
    """

    __slots__ = (
        "duplicate",
        "edited",
        "held",
        "judged",
        "members",
        "outcome",
        "priority",
        "sha",
        "slot",
        "vanished",
        "withdrawn",
    )

    def __init__(self, sha: str, slot: int) -> None:
        self.sha = sha
        self.slot = slot
        self.held = self.duplicate = self.judged = ""
        self.withdrawn = False
        self.vanished = False
        self.edited = False
        self.outcome: State | None = None
        self.priority: int | None = None
        self.members = 0

    def register(self, sha: str, slot: int) -> None:
        """This revision was accepted."""
        self.edited = self.outcome is not None and self.sha != sha
        self.sha, self.slot = sha, slot

    def release(self) -> None:
        """Hold and withdrawal end."""
        self.held = self.duplicate = ""
        self.withdrawn = False

    def reopen(self) -> None:
        """Its outcome holds no more: whatever else has its configuration, it is to run again."""
        self.outcome, self.edited = None, False
        self.duplicate, self.judged = "", self.sha

    def state(self) -> tuple[Any, ...]:
        """All of it as plain values, for `resumed`."""
        rest = (self.held, self.duplicate, self.judged, self.withdrawn, self.vanished, self.edited)
        return self.sha, self.slot, self.outcome and str(self.outcome), self.priority, *rest, self.members

    @classmethod
    def resumed(cls, row: Sequence[Any]) -> Known:
        """What `state` told of."""
        known = cls.__new__(cls)
        known.sha, known.slot, outcome, known.priority, *rest, known.members = row
        known.held, known.duplicate, known.judged, known.withdrawn, known.vanished, known.edited = rest
        known.outcome = STATES[outcome] if outcome else None
        return known
