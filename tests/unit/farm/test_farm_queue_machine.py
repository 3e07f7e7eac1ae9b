"""Random changes of a queue, held against a count and an order worked out from nothing."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase

from farm_examples import an_idea
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orze.coord.known import Known
from orze.core.states import RUNNING, SUCCEEDED, TERMINAL, State
from orze.farm.queue import Queue

HOST, CARDS = "gpu-a", 2
IDS = [f"idea-{number:03d}" for number in range(1, 7)]
ids = st.sampled_from(IDS)


class Farm(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue(HOST, CARDS)
        self.cards = CARDS
        self.ideas = {}
        self.bad = {}
        self.known = {}
        self.running = {}
        self.deferred = {}

    @rule(
        idea=ids,
        after=st.lists(ids, max_size=3, unique=True),
        priority=st.sampled_from(["critical", "high", "medium", "low"]),
        gpus=st.sampled_from([1, 1, 2, 3]),
        hosts=st.sampled_from(["", "", "gpu-*", "other"]),
    )
    def write(self, idea, after, priority, gpus, hosts):
        after = [other for other in after if other != idea]
        fields = {"Priority": priority, "GPUs": str(gpus)}
        if after:
            fields["After"] = ", ".join(after)
        if hosts:
            fields["Hosts"] = hosts
        self.ideas[idea] = an_idea(int(idea[5:]), **fields)
        self.bad.pop(idea, None)
        self.queue.set_idea(idea, self.ideas[idea])

    @rule(idea=ids)
    def delete(self, idea):
        self.ideas.pop(idea, None)
        self.bad.pop(idea, None)
        self.queue.set_idea(idea, None)
        self.queue.forget(idea)

    @rule(idea=ids, reason=st.sampled_from(["no YAML", "two blocks"]))
    def spoil(self, idea, reason):
        self.ideas.pop(idea, None)
        self.bad[idea] = reason
        self.queue.set_bad(idea, reason)

    @rule(
        idea=ids,
        outcome=st.sampled_from([None, None, *TERMINAL]),
        held=st.sampled_from(["", "", "held by ann"]),
        withdrawn=st.sampled_from([False, False, True]),
        priority=st.sampled_from([None, None, 0, 1, 2, 3]),
    )
    def journal(self, idea, outcome, held, withdrawn, priority):
        known = self.known.setdefault(idea, Known("", 0))  # the journal changes its values in place
        known.outcome, known.held, known.withdrawn, known.priority = outcome, held, withdrawn, priority
        self.queue.set_known(idea, known)

    @rule(idea=ids, state=st.sampled_from([None, None, *RUNNING]))
    def run(self, idea, state):
        self.running[idea] = state
        self.queue.set_running(idea, state)

    @rule(changes=st.lists(st.tuples(ids, st.sampled_from([None, 0, 3])), max_size=4))
    def load(self, changes):
        """Many changes at once, some of them of one idea."""
        with self.queue.loading():
            for idea, priority in changes:
                known = self.known.setdefault(idea, Known("", 0))
                known.priority = priority
                self.queue.set_known(idea, known)
                self.queue.set_idea(idea, self.ideas.get(idea))
                self.bad.pop(idea, None)

    @rule(cards=st.integers(1, 3))
    def use_other_cards(self, cards):
        self.cards = cards
        self.queue.set_cards(cards)

    @rule(idea=ids)
    def defer(self, idea):
        self.deferred[idea] = "cannot be claimed yet"
        self.queue.defer(idea, "cannot be claimed yet")

    @rule(idea=ids)
    def offer_again(self, idea):
        self.deferred.pop(idea, None)
        self.queue.offer_again(idea)

    def exists(self, idea):
        return any(part.get(idea) is not None for part in (self.ideas, self.bad, self.known, self.running))

    def own(self, idea):
        """Where it stands whatever the others do."""
        known = self.known.get(idea)
        if known and known.outcome:
            return known.outcome
        if self.running.get(idea):
            return self.running[idea]
        if known and known.withdrawn:
            return State.WITHDRAWN
        if known and known.held:
            return State.HELD
        if idea in self.bad:
            return State.QUARANTINED
        return None if idea in self.ideas else State.HELD

    def standing(self, idea):
        """State, and whether it may run here."""
        if own := self.own(idea):
            return own, False
        found = self.ideas[idea]
        afters = {other: self.own(other) for other in found.after if self.exists(other)}
        for other, own in afters.items():
            undecided = own not in TERMINAL or own is State.SKIPPED
            if undecided and self.leads_to(other, idea):
                return State.HELD, False
        for other in found.after:
            if not self.exists(other):
                return State.QUEUED, False
            state = afters[other] or self.standing(other)[0]
            if state not in SUCCEEDED:
                return (State.SKIPPED if state in TERMINAL else State.QUEUED), False
        fits = not found.hosts or any(fnmatchcase(HOST, pattern) for pattern in found.hosts)
        return State.QUEUED, fits and found.gpus <= self.cards and idea not in self.deferred

    def in_force(self, idea):
        """The idea with the priority that was asked for."""
        known = self.known.get(idea)
        asked = known.priority if known else None
        return self.ideas[idea] if asked is None else self.ideas[idea]._replace(priority=asked)

    def leads_to(self, start, goal):
        seen, waiting = set(), [start]
        while waiting:
            current = waiting.pop()
            if current == goal:
                return True
            if current not in seen and current in self.ideas:
                seen.add(current)
                waiting += self.ideas[current].after
        return False

    @invariant()
    def every_idea_stands_where_it_must(self):
        there = {idea: self.standing(idea)[0] for idea in IDS if self.exists(idea)}
        assert {idea: self.queue.get(idea).state for idea in self.queue.ids()} == there
        assert +self.queue.counts == Counter(there.values())
        listed = {idea: state for state in State for idea in self.queue.by_state[state]}
        assert listed == there

    @invariant()
    def the_ready_ones_are_offered_in_order_and_the_others_tell_why_not(self):
        there = {idea: self.standing(idea) for idea in IDS if self.exists(idea)}
        ready = [self.in_force(idea) for idea, (_, may_run) in there.items() if may_run]
        assert list(self.queue.ready(99)) == sorted(ready, key=lambda idea: idea.order)
        blocked = {idea for idea, where in there.items() if where == (State.QUEUED, False)}
        assert set(self.queue.blocked()) == blocked
        assert all(self.queue.get(idea).reason for idea in blocked)


TestFarm = Farm.TestCase
TestFarm.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
