"""Every idea and where it stands, as one host sees it; what may run next is kept in order."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from orze.coord.known import Known
from orze.core.states import SUCCEEDED, TERMINAL, State
from orze.ideas.model import Idea, group_of, is_member, member_ids

_LOOP_LIMIT = 1000  # links of an After chain that are followed to find a loop

Order = tuple[int, int, int, str]


class Entry:
    """One idea.

    Attributes:
        idea: what the current file says; None where its section is gone or was never seen here.
        bad: why its present section cannot be accepted; empty where it can.
        known: what the journal says; None where it is not registered yet.
        running: the state of the attempt that owns it, as far as this host knows; None where none does.
        place: its place among the ready ideas; None where it is not among them.
        state, reason: where it stands, and why it does not run, as `Queue` last worked it out. A group that
            is in the file has no state: its members have; nor has a member that its group makes no more.
    """

    __slots__ = ("bad", "idea", "known", "place", "reason", "running", "state")

    def __init__(self) -> None:
        self.bad = ""
        self.idea: Idea | None = None
        self.known: Known | None = None
        self.running: State | None = None
        self.place: Order | None = None
        self.state: State | None = None
        self.reason = ""

    @property
    def effective(self) -> Idea | None:
        """The idea, with the priority that an operator asked for in the place of its own."""
        if self.idea is None or self.known is None or self.known.priority is None:
            return self.idea
        return self.idea._replace(priority=self.known.priority)

    @property
    def edited(self) -> bool:
        """Whether its section is no longer what its outcome came of."""
        known = self.known
        if known is None or self.idea is None or not is_member(self.idea.id):
            return known is not None and known.edited
        return known.outcome is not None and known.sha not in ("", self.idea.sha)

    @property
    def members(self) -> int:
        """How many members it has, as a group in the file or as one that vanished; 0 for an idea."""
        if self.idea:
            return self.idea.members
        return self.known.members if self.known else 0


class Queue:
    """The ideas of a farm for one host. Every change of one idea costs O(log n).

    Args:
        host: this host's name, for the ideas that say where they may run.
        cards: how many cards one idea can have here at most.
    """

    def __init__(self, host: str, cards: int) -> None:
        self._host = host
        self._cards = cards
        self._entries: dict[str, Entry] = {}
        self._ready: list[Order] = []
        self._blocked: dict[str, None] = {}
        self._waiters: dict[str, set[str]] = {}
        self._deferred: dict[str, str] = {}
        self._circling: set[str] = set()
        self._loading: dict[str, None] | None = None
        self.counts: Counter[State] = Counter()
        self.by_state: dict[State, dict[str, None]] = {state: {} for state in State}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, idea_id: object) -> bool:
        return idea_id in self._entries

    def get(self, idea_id: str) -> Entry | None:
        """What is known of an idea."""
        return self._entries.get(idea_id)

    def ids(self) -> Iterable[str]:
        """Every idea that was ever seen."""
        return self._entries.keys()

    def title(self, idea_id: str) -> str:
        """Its title in the current file, or nothing."""
        entry = self._entries.get(idea_id)
        return entry.idea.title if entry and entry.idea else ""

    def members(self, idea_id: str) -> int:
        """How many members a group has, also one that vanished; 0 where it is an idea."""
        entry = self._entries.get(idea_id)
        return entry.members if entry else 0

    def members_of(self, idea_id: str) -> list[str]:
        """Their ids."""
        return member_ids(idea_id, self.members(idea_id))

    def has_ended(self, group: str) -> bool:
        """Whether this is a group all of whose members have ended."""
        members = self.members_of(group)
        return bool(members) and all(self._state(member) in TERMINAL for member in members)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Take in many changes, and work out only at the end where the ideas stand."""
        self._loading = {}
        try:
            yield
        finally:
            touched, self._loading = self._loading, None
            for idea_id in touched:
                self.touch(idea_id)

    def set_idea(self, idea_id: str, idea: Idea | None) -> None:
        """The file has this idea now, or has it no longer."""
        entry = self._entry(idea_id)
        before, after = _awaited(entry.idea), _awaited(idea)
        entry.idea, entry.bad = idea, ""
        self.touch(idea_id)
        if before != after:
            for other in before:
                self._waiters.get(other, set()).discard(idea_id)
            for other in after:
                self._waiters.setdefault(other, set()).add(idea_id)
            self._recheck_circles(idea_id)

    def set_bad(self, idea_id: str, reason: str) -> None:
        """The file has a section of this id that cannot be accepted."""
        self.set_idea(idea_id, None)
        self._entry(idea_id).bad = reason
        self.touch(idea_id)

    def forget(self, idea_id: str) -> None:
        """The file has no such section any more, and nobody else knows the idea."""
        entry = self._entries.get(idea_id)
        if entry and not (entry.idea or entry.bad or entry.known or entry.running):
            self._count(idea_id, entry.state, None)
            self._blocked.pop(idea_id, None)
            self._move(entry, None)
            del self._entries[idea_id]
            for waiter in self._waiters.get(idea_id, ()):
                self.touch(waiter)

    def set_known(self, idea_id: str, known: Known | None) -> None:
        """The journal says this of it, or knows nothing of it."""
        self._entry(idea_id).known = known
        self.touch(idea_id)
        for member in self.members_of(idea_id):
            self.touch(member)

    def set_running(self, idea_id: str, state: State | None) -> None:
        """An attempt owns it, or none does any more."""
        entry = self._entry(idea_id)
        if entry.running is not state:
            entry.running = state
            self.touch(idea_id)
        self.forget(idea_id)

    def defer(self, idea_id: str, reason: str) -> None:
        """Do not offer it until `offer_again`: its directory could not be claimed yet."""
        self._deferred[idea_id] = reason
        self.touch(idea_id)

    def offer_again(self, idea_id: str) -> None:
        """It may be tried again."""
        if self._deferred.pop(idea_id, None) is not None:
            self.touch(idea_id)

    def ready(self, limit: int) -> Iterator[Idea]:
        """The first ideas that may run on this host now, in order, each with the priority that holds."""
        for *_, idea_id in islice(self._ready, limit):
            idea = self._entries[idea_id].effective
            if idea is not None:
                yield idea

    def blocked(self) -> Iterator[str]:
        """Queued ideas that may not run now, each with its `reason`."""
        return (idea_id for idea_id in self._blocked if idea_id in self._entries)

    def set_cards(self, cards: int) -> None:
        """So many cards can one idea have here from now on."""
        if cards != self._cards:
            self._cards = cards
            for idea_id in list(self.by_state[State.QUEUED]):
                entry = self._entries[idea_id]
                if entry.idea and entry.idea.gpus > 1:
                    self.touch(idea_id)

    @property
    def depth(self) -> int:
        """How many ideas are queued, wherever they may run."""
        return self.counts[State.QUEUED]

    def touch(self, idea_id: str) -> None:
        """Work out anew where an idea stands, and what waits for it."""
        if self._loading is not None:
            self._loading[idea_id] = None
            return
        changed = [idea_id]
        while changed:
            current = changed.pop()
            self._circling.discard(current)
            entry = self._entries.get(current)
            if entry is None:
                continue
            before = entry.state
            entry.state, entry.reason = self._standing(current, entry)
            self._place(current, entry)
            if before is not entry.state:
                self._count(current, before, entry.state)
            if entry.members or _matters(before) != _matters(entry.state):
                changed += self._waiters.get(current, ())
                changed += [group_of(current)] if is_member(current) else []

    def _standing(self, idea_id: str, entry: Entry) -> tuple[State | None, str]:
        known = entry.known
        if known and known.outcome:
            return known.outcome, ""
        if entry.running:
            return entry.running, ""
        if known and known.withdrawn:
            return State.WITHDRAWN, "withdrawn by an operator"
        if entry.idea is None and is_member(idea_id):
            return None, ""
        if held := self._hold(idea_id, entry):
            return State.HELD, held
        if entry.bad:
            return State.QUARANTINED, entry.bad
        if entry.idea is None and not self.has_ended(idea_id):
            return State.HELD, "its section vanished from ideas.md; ask to restore or to withdraw it"
        if entry.idea is None or entry.idea.members:
            return None, ""
        return self._waiting(idea_id, entry.idea)

    def _hold(self, idea_id: str, entry: Entry) -> str:
        """Why it is held: by an operator, as a duplicate, or as its group is; empty where it is not."""
        known, group = entry.known, group_of(idea_id)
        above = self._entries[group].known if group != idea_id and group in self._entries else None
        if above and (above.held or above.withdrawn):
            return f"its group {group} is {above.held or 'withdrawn by an operator'}"
        if known is None:
            return ""
        is_judged = entry.idea is not None and known.judged == entry.idea.sha
        return known.held or (known.duplicate if is_judged else "")

    def _waiting(self, idea_id: str, idea: Idea) -> tuple[State, str]:
        if idea.after and (waits := self._waits_for(idea_id, idea)):
            return waits
        if idea_id in self._deferred:
            return State.QUEUED, self._deferred[idea_id]
        return State.QUEUED, self._unfit(idea)

    def _waits_for(self, idea_id: str, idea: Idea) -> tuple[State, str] | None:
        others = [other for named in idea.after for other in self.meant(named)]
        pending = [(other, self._state(other)) for other in others]
        pending = [(other, state) for other, state in pending if state not in SUCCEEDED]
        for other, state in pending:
            undecided = state is State.SKIPPED or (state is not None and state not in TERMINAL)
            if undecided and self._leads_back(idea_id, other):
                self._circling.add(idea_id)
                return State.HELD, f"its After {other} waits for it in turn; change one of them"
        for other, state in pending:
            if state is None:
                return State.QUEUED, f"waits for {other}, which is not in ideas.md"
            if state in TERMINAL:
                return State.SKIPPED, f"its After {other} is {state}"
            return State.QUEUED, f"waits for {other}"
        return None

    def meant(self, named: str) -> list[str]:
        """Whom an idea waits for that names this one: where it is a group, for all of its members."""
        entry = self._entries.get(named)
        stands_itself = entry is not None and entry.idea is None and entry.state is not None
        return [named] if stands_itself else self.members_of(named) or [named]

    def _unfit(self, idea: Idea) -> str:
        if not idea.may_run_on(self._host):
            return f"for hosts {', '.join(idea.hosts)}"
        if idea.gpus > self._cards:
            return f"needs {idea.gpus} cards; {self._host} has {self._cards}"
        return ""

    def _recheck_circles(self, changed: str) -> None:
        """The After of an idea is another: so may be who is in a circle of them."""
        seen: set[str] = set()
        open_ids = [changed, *self._circling]
        while open_ids:
            current = open_ids.pop()
            if current not in seen:
                seen.add(current)
                self.touch(current)
                entry = self._entries.get(current)
                after = entry.idea.after if entry and entry.idea else ()
                if any(self._leads_back(current, other) for other in after):
                    open_ids += self._waiters.get(current, ())

    def _leads_back(self, idea_id: str, start: str) -> bool:
        seen: set[str] = set()
        open_ids = [start]
        while open_ids and len(seen) < _LOOP_LIMIT:
            current = open_ids.pop()
            if current in (idea_id, group_of(idea_id)):
                return True
            entry = self._entries.get(current)
            if current not in seen and entry and entry.idea:
                seen.add(current)
                open_ids += entry.idea.after
        return False

    def _state(self, idea_id: str) -> State | None:
        entry = self._entries.get(idea_id)
        return entry.state if entry else None

    def _entry(self, idea_id: str) -> Entry:
        entry = self._entries.get(idea_id)
        if entry is None:
            entry = self._entries[idea_id] = Entry()
        return entry

    def _count(self, idea_id: str, before: State | None, after: State | None) -> None:
        if before is not None:
            self.counts[before] -= 1
            self.by_state[before].pop(idea_id, None)
        if after is not None:
            self.counts[after] += 1
            self.by_state[after][idea_id] = None

    def _place(self, idea_id: str, entry: Entry) -> None:
        queued = entry.state is State.QUEUED
        if queued and entry.reason:
            self._blocked[idea_id] = None
        else:
            self._blocked.pop(idea_id, None)
        ready = entry.effective if queued and not entry.reason else None
        self._move(entry, ready.order if ready else None)

    def _move(self, entry: Entry, place: Order | None) -> None:
        """Give it this place among the ready ones, or none."""
        if place != entry.place:
            if entry.place:
                del self._ready[bisect_left(self._ready, entry.place)]
            if place:
                insort(self._ready, place)
            entry.place = place


def _awaited(idea: Idea | None) -> tuple[str, ...]:
    """Whom an idea waits for; a group waits for nobody, its members do."""
    return idea.after if idea and not idea.members else ()


def _matters(state: State | None) -> object:
    """What an idea that waits for one in this state can tell of it."""
    told_apart = state is None or state is State.SKIPPED
    return state if told_apart else (state in TERMINAL, state in SUCCEEDED)
