"""The chain of rounds: who may begin one, what a crash at any point leaves, what the books say."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.core.clock import ManualClock
from orze.core.memory import MemoryFiles
from orze.core.paths import FarmPaths
from orze.research.ledger import Entry, Ledger, line, round_of, uuid_of
from orze.research.proposers import Cost
from tests.fakes.shares import Died, Killed, Turns

PATHS = FarmPaths("/results")
RESERVED = Cost(0.5, 1000)


def shared():
    files = MemoryFiles()
    files.mkdir("/results")
    return files


def ledger(files):
    return Ledger(files, PATHS, ManualClock(), frame={"host": "gpu-a", "pid": 1})


def begin(one, number=1, reserved=RESERVED):
    return one.begin(number, proposer="llm", model="m", control=False, reserved=reserved)


def ended(one, **more):
    begun = one.fold.open
    values = {"cost": Cost(0.1, 200), "proposed": 4, "valid": 3, "entries": (Entry(1, "llm", "t"),)}
    return replace(begun, ended=True, **{**values, **more})


def anew(files):
    one = ledger(files)
    one.refresh()
    return one


def lines(files):
    return [
        json.loads(text) for text in files.read(PATHS.research_file("ledger.jsonl"), 1 << 20).splitlines()
    ]


def test_a_round_is_recorded_with_its_reserve_and_settled_with_its_cost():
    files = shared()
    one = ledger(files)
    assert begin(one)
    assert anew(files).fold.reserved == RESERVED
    assert one.end(ended(one))
    fold = anew(files).fold
    assert (fold.open, fold.usd, fold.tokens, fold.price) == (None, 0.1, 200, 0.1)
    (told,) = lines(files)
    assert (told["state"], told["usd"], told["usd_per_idea"], told["new"]) == ("ended", 0.1, 0.1, 1)
    assert told["ideas"][0]["uuid"] == "research-000001-01"


def test_of_two_leaders_one_begins_a_round_whatever_the_order_of_their_calls():
    for order in ([0] * 40, [0, 1] * 20, [0, 0, 1] * 14, [1, 0, 0, 0] * 10):
        files = shared()
        began = Turns(files).run([lambda share: begin(ledger(share)) is not None] * 2, order)
        assert sorted(began) == [False, True]
        assert len(anew(files).fold.rounds) == 1


@pytest.mark.parametrize("number", [0, 2, 7])
def test_a_round_of_another_number_than_the_next_is_not_begun(number):
    assert begin(ledger(shared()), number) is None


def test_no_round_is_begun_while_one_is_open():
    files = shared()
    begin(ledger(files))
    assert begin(anew(files), 2) is None


def test_a_lost_round_costs_what_it_reserved_and_its_late_end_counts_no_more():
    files = shared()
    late = ledger(files)
    begin(late)
    assert anew(files).settle(1)
    assert not late.end(ended(late))
    fold = anew(files).fold
    assert (fold.usd, fold.tokens) == (RESERVED.usd, RESERVED.tokens)
    assert (fold.rounds[0].lost, fold.rounds[0].empty) == (True, True)
    assert lines(files)[0]["state"] == "lost"


def test_settling_twice_or_a_round_that_has_ended_changes_nothing():
    files = shared()
    one = ledger(files)
    begin(one)
    one.end(ended(one))
    assert not anew(files).settle(1)
    assert not anew(files).settle(2)
    assert anew(files).fold.usd == 0.1


def test_a_price_that_is_not_known_is_null_and_never_nothing():
    files = shared()
    one = ledger(files)
    begin(one, reserved=Cost(None, 1000))
    one.end(ended(one, cost=Cost(None, 200)))
    assert anew(files).fold.price is None
    assert lines(files)[0]["usd"] is lines(files)[0]["usd_per_idea"] is None
    assert anew(files).fold.tokens == 200


def test_a_price_per_idea_needs_an_idea():
    files = shared()
    one = ledger(files)
    begin(one)
    one.end(ended(one, entries=()))
    assert lines(files)[0]["usd_per_idea"] is None


def test_after_a_crash_at_any_operation_the_books_hold_and_the_next_round_can_begin():
    crashes = 0
    for at in range(200):
        files = shared()
        share = Killed(files, at)
        try:
            one = ledger(share)
            begin(one)
            one.end(ended(one))
            break
        except Died:
            crashes += 1
        seen = anew(files)
        spent, begun = seen.fold.usd, bool(seen.fold.rounds)
        was_open = seen.fold.open is not None
        seen.settle(1)
        assert seen.fold.usd == (RESERVED.usd if was_open else spent)
        assert seen.fold.usd in ((0.1, RESERVED.usd) if begun else (0.0,))
        assert begin(anew(files), len(seen.fold.rounds) + 1)
    assert crashes > 15


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "BEGIN", "round": 1},
        {"kind": "BEGIN", "round": "1", "proposer": "a", "model": "", "usd": 0, "tokens": 0, "at": 1},
        {
            "kind": "BEGIN",
            "round": 1,
            "proposer": 5,
            "model": "",
            "control": 0,
            "usd": 0,
            "tokens": 0,
            "at": 1,
        },
        {
            "kind": "BEGIN",
            "round": 1,
            "proposer": "a",
            "model": "",
            "control": 0,
            "usd": -1,
            "tokens": 0,
            "at": 1,
        },
        {
            "kind": "BEGIN",
            "round": 1,
            "proposer": "a",
            "model": "",
            "control": 0,
            "usd": 0,
            "tokens": True,
            "at": 1,
        },
        {"kind": "END", "round": 1, "lost": False, "usd": 0, "tokens": 0},
        {"kind": "OTHER", "round": 1},
    ],
)
def test_a_record_that_is_none_of_ours_is_void(record):
    fold = anew(shared()).fold
    assert not fold.apply({**record, "prev": "", "nonce": "n"}, "sha")
    assert (fold.rounds, fold.tail) == ([], "")


def test_an_end_with_strange_members_is_void_and_leaves_the_round_open():
    files = shared()
    one = ledger(files)
    begin(one)
    bad = {
        "kind": "END",
        "round": 1,
        "lost": False,
        "usd": 1.0,
        "tokens": 1,
        "proposed": 1,
        "valid": 1,
        "error": "",
    }
    bad |= {"entries": [["x", 1, 2]], "dropped": [], "seconds": 1.0, "prev": one.fold.tail, "nonce": "n"}
    assert not one.fold.apply(bad, "sha")
    assert one.fold.open is not None
    assert one.fold.usd == 0.0


def test_long_texts_are_cut_before_they_are_recorded():
    files = shared()
    one = ledger(files)
    begin(one)
    one.end(ended(one, dropped=("x" * 9999,) * 99, error="y" * 9999, entries=(Entry(1, "a", "t" * 9999),)))
    kept = anew(files).fold.rounds[0]
    assert (len(kept.dropped), len(kept.dropped[0]), len(kept.error)) == (20, 300, 300)
    assert len(line(kept)["ideas"][0]["title"]) == 300


@given(number=st.integers(1, 10**7), index=st.integers(1, 99))
def test_a_name_in_the_inbox_tells_its_round_and_index(number, index):
    assert round_of(uuid_of(number, index)) == (number, index)


@pytest.mark.parametrize(
    "uuid", ["", "research-", "research-x-1", "research-1", "re-1-1", "research-1-1-1", "research-١-1"]
)
def test_other_names_are_of_no_round(uuid):
    assert round_of(uuid) is None
