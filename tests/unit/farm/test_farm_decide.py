"""What a view makes a daemon do: tables and properties of one pure function."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.farm.decide import Campaign, Depose, Launch, Reap, decide
from orze.farm.view import Candidate, Dead, SlotView, View

MINE = View(leads=True, leader="me")  # a host that leads has nothing to do about the office


def slots(*names: str, busy: dict[str, str] | None = None) -> tuple[SlotView, ...]:
    """Slots such as "0" or "1#2"; what stands before `#` is the card."""
    return tuple(SlotView(name, name.partition("#")[0], (busy or {}).get(name, "")) for name in names)


def ready(*ideas: str) -> tuple[Candidate, ...]:
    """Ideas such as "a", "a:2" (two cards), "a@1" (priority 1)."""
    made = []
    for text in ideas:
        idea, _, priority = text.partition("@")
        name, _, cards = idea.partition(":")
        made.append(Candidate(name, int(priority or 2), int(cards or 1)))
    return tuple(made)


def launches(view: View) -> list[tuple[str, str]]:
    return [(one.idea_id, " ".join(one.slots)) for one in decide(view) if isinstance(one, Launch)]


@pytest.mark.parametrize(
    ("free", "candidates", "expected"),
    [
        pytest.param(slots("0", "1"), ready("a", "b", "c"), [("a", "0"), ("b", "1")], id="in order"),
        pytest.param(slots("0", "1"), ready("a"), [("a", "0")], id="fewer ideas than slots"),
        pytest.param(slots("0"), (), [], id="no idea"),
        pytest.param((), ready("a"), [], id="no slot"),
        pytest.param(slots("0", "1", busy={"0": "runs x"}), ready("a"), [("a", "1")], id="a busy slot"),
        pytest.param(slots("0", busy={"0": "unknown"}), ready("a"), [], id="all busy"),
        pytest.param(slots("0", "1", "2"), ready("a:2", "b"), [("a", "0 1"), ("b", "2")], id="two cards"),
        pytest.param(
            slots("0", "1", busy={"1": "runs x"}),
            ready("a:2", "b"),
            [],
            id="the others wait with the first for its cards",
        ),
        pytest.param(slots("0"), ready("a:2", "b"), [("b", "0")], id="nobody waits for cards there are not"),
        pytest.param(slots("0", "1"), ready("a", "b:2", "c"), [("a", "0")], id="those behind it wait too"),
        pytest.param(
            slots("0#0", "0#1", "1#0"),
            ready("a:2", "b"),
            [("a", "0#0 1#0"), ("b", "0#1")],
            id="one slot a card",
        ),
        pytest.param(slots("0#0", "0#1"), ready("a:2"), [], id="two slots of one card are not two cards"),
        pytest.param(
            slots("0#0", "0#1"), ready("a", "b"), [("a", "0#0"), ("b", "0#1")], id="two share a card"
        ),
        pytest.param(
            slots("0#0", "0#1", "1#0", busy={"0#0": "runs x"}),
            ready("a:2"),
            [("a", "0#1 1#0")],
            id="the next slot",
        ),
    ],
)
def test_free_slots_take_the_first_ideas(free, candidates, expected):
    assert launches(View(slots=free, ready=candidates, leads=True, leader="me")) == expected


@pytest.mark.parametrize(("lost", "expected"), [(False, []), (True, [("b", "1")])])
def test_an_idea_waits_for_cards_that_are_busy_and_not_for_those_that_are_lost(lost: bool, expected):
    two = (SlotView("0", "0", "runs x", lost), SlotView("1", "1"))
    assert launches(View(slots=two, ready=ready("a:2", "b"), leads=True, leader="me")) == expected


def test_a_paused_host_starts_nothing_and_does_the_rest():
    dead = Dead("x", "t", here=True)
    view = View(slots=slots("0"), ready=ready("a"), paused="disk low", dead=(dead,))
    assert decide(view) == [Campaign(), Reap(dead)]


@pytest.mark.parametrize(
    ("turn", "farm_slots", "expected"),
    [
        (0, 3, "abcd"),
        (1, 3, "bcad"),  # the first three places turn, the fourth idea stays behind them
        (2, 3, "cabd"),
        (3, 3, "abcd"),
        (1, 1, "abcd"),  # one free slot in the farm: nobody to make way for
        (1, 0, "abcd"),
        (5, 100, "bcda"),
    ],
)
def test_hosts_begin_at_different_places_among_the_first(turn, farm_slots, expected):
    view = View(
        slots=slots("0", "1", "2", "3"),
        ready=ready(*"abcd"),
        turn=turn,
        farm_slots=farm_slots,
        leads=True,
        leader="me",
    )
    assert "".join(idea for idea, _ in launches(view)) == expected


def test_a_turn_never_puts_an_idea_before_a_more_urgent_one():
    view = View(
        slots=slots(*"01234"),
        ready=ready("a@0", "b@0", "c@1", "d@1", "e@1"),
        turn=1,
        farm_slots=5,
        leads=True,
        leader="me",
    )
    assert [idea for idea, _ in launches(view)] == ["b", "a", "d", "e", "c"]


@pytest.mark.parametrize(
    ("here", "leads", "reaped"),
    [(True, False, True), (True, True, True), (False, True, True), (False, False, False)],
)
def test_the_dead_are_reaped_by_their_own_machine_or_the_leader(here, leads, reaped):
    dead = Dead("idea-1", "token", here=here)
    found = decide(View(dead=(dead,), leads=leads, leader="somebody"))
    assert found == ([Reap(dead)] if reaped else [])


@pytest.mark.parametrize(
    ("leader", "leader_dead", "expected"),
    [
        ("", False, [Campaign()]),
        ("other", False, []),
        ("other", True, [Depose("other"), Campaign()]),
        ("", True, [Campaign()]),
    ],
)
def test_a_vacant_office_is_run_for_and_a_dead_leader_deposed_first(leader, leader_dead, expected):
    assert decide(View(leader=leader, leader_dead=leader_dead)) == expected


def test_office_then_the_dead_then_launches():
    dead = Dead("x", "t", here=True)
    view = View(slots=slots("0"), ready=ready("a"), leader="other", leader_dead=True, dead=(dead,))
    assert decide(view) == [Depose("other"), Campaign(), Reap(dead), Launch("a", ("0",))]


slot_views = st.builds(
    lambda used, cards: tuple(
        SlotView(
            f"{card}#{k}", str(card), "busy" if (card, k) in used else "", (card, k) in used and card > 2
        )
        for card, count in enumerate(cards)
        for k in range(count)
    ),
    st.sets(st.tuples(st.integers(0, 4), st.integers(0, 2))),
    st.lists(st.integers(1, 3), max_size=5),
)
candidates = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=12).map(
    lambda rows: tuple(
        Candidate(f"idea-{n}", priority, cards) for n, (priority, cards) in enumerate(sorted(rows))
    )
)
views = st.builds(
    View,
    slots=slot_views,
    ready=candidates,
    paused=st.sampled_from(["", "", "", "disk low"]),
    turn=st.integers(0, 1 << 30),
    farm_slots=st.integers(0, 20),
    leads=st.booleans(),
    leader=st.sampled_from(["", "me", "other"]),
    leader_dead=st.booleans(),
    dead=st.lists(st.builds(Dead, st.sampled_from("xyz"), st.text(), st.booleans()), max_size=3).map(tuple),
)


@given(views)
def test_launches_fit_the_free_slots(view):
    cards = {candidate.idea_id: candidate.cards for candidate in view.ready}
    card_of = {slot.name: slot.card for slot in view.slots}
    made = [one for one in decide(view) if isinstance(one, Launch)]
    taken = [name for one in made for name in one.slots]
    assert len(taken) == len(set(taken))
    assert set(taken) <= {slot.name for slot in view.slots if not slot.busy}
    assert len({one.idea_id for one in made}) == len(made)
    for one in made:
        assert len({card_of[name] for name in one.slots}) == len(one.slots) == cards[one.idea_id]


@given(views)
def test_the_same_view_gives_the_same_effects_and_is_left_alone(view):
    before = copy.deepcopy(view)
    assert decide(view) == decide(view)
    assert view == before


@given(views)
def test_urgency_is_kept_whatever_the_turn(view):
    priority = {candidate.idea_id: candidate.priority for candidate in view.ready}
    made = [priority[one.idea_id] for one in decide(view) if isinstance(one, Launch)]
    assert made == sorted(made)


@given(views.map(lambda view: View(slots=view.slots, ready=view.ready, farm_slots=view.farm_slots)))
def test_without_a_turn_the_order_is_exactly_the_queue_s(view):
    made = [one.idea_id for one in decide(view) if isinstance(one, Launch)]
    working = len({slot.card for slot in view.slots if not slot.lost})
    assert made == [candidate.idea_id for candidate in view.ready if candidate.cards <= working][: len(made)]


@given(views)
def test_a_slot_stays_free_only_for_want_of_ideas_or_for_one_that_needs_more_cards(view):
    made = [one for one in decide(view) if isinstance(one, Launch)]
    taken = {name for one in made for name in one.slots}
    free = [slot for slot in view.slots if not slot.busy and slot.name not in taken]
    waiting = [
        candidate for candidate in view.ready if candidate.idea_id not in {one.idea_id for one in made}
    ]
    if free and waiting and not view.paused:
        assert any(candidate.cards > len({slot.card for slot in free}) for candidate in waiting)
