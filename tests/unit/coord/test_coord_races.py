"""Hosts that act at once: changes of turn at every pair of calls, and many random orders."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.coord.chain import Chain
from orze.coord.claims import Claimed, Claims
from orze.coord.idea_chain import CLAIM, DONE, LOST, OPEN, RETRY, RUN, SETTLED, IdeaFold
from orze.coord.leader import Leadership
from orze.coord.record import LIMIT, decode, new_record, slot_name
from orze.core.clock import ManualClock
from orze.core.memory import MemoryFiles
from orze.core.paths import FarmPaths
from tests.fakes.shares import Turns, said, say, words

PATHS = FarmPaths("/results")
HOME = PATHS.idea("idea-1").chain
CLOCK = ManualClock()


def in_turns(first, second, third):
    """An order: the first actor makes some calls, then the second, then the first, then each to its end."""
    return [0] * first + [1] * second + [0] * third


# An append takes 8 calls, 10 where there is a record to verify, and as many again where it loses its slot.
FIRSTS = range(11)
REST = [*product(range(12), (0,)), *product(range(0, 12, 3), (4,))]
RANDOM = st.lists(st.integers(0, 2), max_size=60)


def share(home=HOME):
    files = MemoryFiles()
    for depth in range(2, home.count("/") + 2):
        files.mkdir("/".join(home.split("/")[:depth]))
    return files


def idea_chain(files):
    fold = IdeaFold()
    return Chain(files, HOME, fold, CLOCK), fold


def append(files, propose):
    """Append to the idea's chain as a new process."""
    chain, fold = idea_chain(files)
    return chain.append(lambda: propose(fold))


def records(files, home=HOME):
    """Every record, with its bytes; no slot may be missing and nothing else may be left."""
    names = sorted(files.listdir(home))
    assert names == [slot_name(slot) for slot in range(1, len(names) + 1)]
    return [decode(files.read(f"{home}/{name}", LIMIT)) for name in names]


def state(files):
    chain, fold = idea_chain(files)
    chain.refresh()
    return fold


def claim(token):
    def propose(fold):
        if fold.phase != OPEN:
            return None
        return new_record(CLAIM, token=token, attempt=fold.attempt + 1)

    return propose


def done(token):
    return lambda fold: new_record(DONE, token=token) if fold.token == token else None


def lost(token):
    def propose(fold):
        if fold.token != token:
            return None
        return new_record(LOST, supersedes=fold.tail, seen_gone=True)

    return propose


def retry(end):
    def propose(fold):
        if fold.phase != SETTLED or fold.tail != end:
            return None
        return new_record(RETRY, reopens=end)

    return propose


def run(files, proposals, order):
    actors = [lambda share, propose=propose: append(share, propose) for propose in proposals]
    return Turns(files).run(actors, order)


def check_two_claims(order):
    files = share()
    outcomes = run(files, [claim("a"), claim("b")], order)
    won = [outcome for outcome in outcomes if outcome]
    assert len(won) == 1
    assert [record["token"] for record in records(files)] == [won[0]["token"]]
    assert (state(files).phase, state(files).token) == (RUN, won[0]["token"])


def check_two_words(order):
    files = share("/words")
    actors = [lambda share, text=text: say(words(share, "/words", CLOCK), text) for text in "xy"]
    assert all(Turns(files).run(actors, order))
    assert len(records(files, "/words")) == 2
    assert sorted(said(files, "/words", CLOCK)) == ["x", "y"]


def check_done_against_lost(order):
    files = share()
    append(files, claim("a"))
    finished, reaped = run(files, [done("a"), lost("a")], order)
    assert (finished is None) != (reaped is None)
    fold = state(files)
    assert fold.phase == (SETTLED if finished else OPEN)
    assert append(files, done("a")) is None  # a superseded or settled owner has no legal record
    assert len(records(files)) == 2


@pytest.mark.parametrize("check", [check_two_claims, check_two_words, check_done_against_lost])
@pytest.mark.parametrize("first", FIRSTS)
def test_two_writers_that_change_turns_at_any_calls_fill_one_slot_each(check, first):
    for second, third in REST:
        check(in_turns(first, second, third))


@settings(max_examples=40, deadline=None)
@given(RANDOM)
def test_three_hosts_in_any_order_make_one_claim(order):
    files = share()
    outcomes = run(files, [claim("a"), claim("b"), claim("c")], order)
    assert sum(outcome is not None for outcome in outcomes) == 1
    assert len(records(files)) == 1


@settings(max_examples=40, deadline=None)
@given(RANDOM)
def test_two_reapers_and_an_owner_in_any_order_end_one_attempt_once(order):
    files = share()
    append(files, claim("a"))
    outcomes = run(files, [lost("a"), lost("a"), done("a")], order)
    assert sum(outcome is not None for outcome in outcomes) == 1
    assert len(records(files)) == 2


@settings(max_examples=40, deadline=None)
@given(RANDOM)
def test_a_retry_that_loses_is_satisfied(order):
    files = share()
    append(files, claim("a"))
    append(files, done("a"))
    end = state(files).tail
    outcomes = run(files, [retry(end), retry(end), claim("b")], order)
    assert sum(outcome is not None for outcome in outcomes[:2]) == 1
    kinds = [record["kind"] for record in records(files)]
    assert kinds == [CLAIM, DONE, RETRY] + ([CLAIM] if outcomes[2] else [])


def claiming(token):
    def act(files):
        return Claims(files, PATHS, CLOCK, quiet=360.0).claim("idea-1", token, {}, {})

    return act


@pytest.mark.parametrize("first", FIRSTS)
def test_two_hosts_that_claim_a_new_idea_at_any_calls_claim_it_once(first):
    for second, third in REST:
        files = MemoryFiles()
        files.mkdir("/results")
        outcomes = Turns(files).run([claiming("a"), claiming("b")], in_turns(first, second, third))
        assert sum(isinstance(outcome, Claimed) for outcome in outcomes) == 1
        assert len(records(files)) == 1


@settings(max_examples=40, deadline=None)
@given(RANDOM)
def test_three_hosts_that_claim_again_what_is_open_claim_it_once(order):
    files = share()
    append(files, claim("old"))
    append(files, lost("old"))
    outcomes = Turns(files).run([claiming(token) for token in "abc"], order)
    assert sum(isinstance(outcome, Claimed) for outcome in outcomes) == 1
    assert [record["kind"] for record in records(files)] == [CLAIM, LOST, CLAIM]
    assert records(files)[2]["attempt"] == 2


def leading(token):
    def act(files):
        office = Leadership(files, PATHS.leader, CLOCK, token=token, frame={})
        return office.campaign()

    return act


def leader_of(files):
    office = Leadership(files, PATHS.leader, CLOCK, token="observer", frame={})
    office.refresh()
    return office.fold


@settings(max_examples=40, deadline=None)
@given(RANDOM)
def test_of_hosts_that_campaign_at_once_exactly_one_leads(order):
    files = MemoryFiles()
    files.mkdir("/results")
    outcomes = Turns(files).run([leading(token) for token in "abc"], order)
    assert outcomes.count(True) == 1
    assert leader_of(files).token == "abc"[outcomes.index(True)]
    assert leader_of(files).term == 1


@settings(max_examples=40, deadline=None)
@given(RANDOM)
def test_hosts_that_depose_one_leader_at_once_end_one_term(order):
    files = MemoryFiles()
    files.mkdir("/results")
    leading("old")(files)

    def succeed(token):
        def act(share):
            office = Leadership(share, PATHS.leader, CLOCK, token=token, frame={})
            office.depose("old")
            return office.campaign()

        return act

    outcomes = Turns(files).run([succeed(token) for token in "abc"], order)
    assert outcomes.count(True) == 1
    assert leader_of(files).term == 2
