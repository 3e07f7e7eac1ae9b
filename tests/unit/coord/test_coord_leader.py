"""Who leads: the fold as a table, and daemons that campaign, resign, are deposed and come back."""

import pytest

from orze.coord.leader import LEAD, LOST, RESIGN, LeaderFold, Leadership
from orze.coord.record import digest, encode, new_record
from orze.core.clock import ManualClock
from orze.core.files import make_dirs
from orze.core.memory import MemoryFiles
from tests.fakes.shares import fails_once, remove_tree

HOME = "/results/.orze/leader"


def told(*records):
    """A fold after these records; each is made from the fold before it and must be legal."""
    fold = LeaderFold()
    for make in records:
        assert apply(fold, make(fold))
    return fold


def apply(fold, record):
    record = record | {"prev": fold.tail}
    return fold.apply(record, digest(encode(record)))


def lead(token):
    return lambda fold: new_record(LEAD, token=token, term=fold.term + 1)


def resign(token):
    return lambda fold: new_record(RESIGN, token=token)


def lost(fold):
    return new_record(LOST, token="observer", supersedes=fold.tail)


STORIES = {
    "nobody": (),
    "a leads": (lead("a"),),
    "a resigned": (lead("a"), resign("a")),
    "a is lost": (lead("a"), lost),
    "b leads after a": (lead("a"), lost, lead("b")),
}
RECORDS = {
    "LEAD a": lead("a"),
    "LEAD b": lead("b"),
    "LEAD of nobody": lead(""),
    "LEAD without a token": lambda fold: new_record(LEAD, term=fold.term + 1),
    "LEAD without a term": lambda fold: new_record(LEAD, token="a"),
    "LEAD of a term that was": lambda fold: new_record(LEAD, token="a", term=fold.term),
    "RESIGN a": resign("a"),
    "RESIGN b": resign("b"),
    "RESIGN without a token": lambda fold: new_record(RESIGN),
    "LOST": lost,
    "LOST of another record": lambda fold: new_record(LOST, supersedes="0" * 64),
    "LOST of nothing": lambda fold: new_record(LOST),
    "another kind": lambda fold: new_record("CLAIM", token="a", supersedes=fold.tail),
    "no kind": lambda fold: {"token": "a"},
}
VACANT = {"LEAD a": "a", "LEAD b": "b"}
LEGAL = {  # the story -> {the record that is legal now: who leads then}
    "nobody": VACANT,
    "a leads": {"RESIGN a": "", "LOST": ""},
    "a resigned": VACANT,
    "a is lost": VACANT,
    "b leads after a": {"RESIGN b": "", "LOST": ""},
}


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("story", STORIES)
def test_the_office_changes_where_the_table_says_so_and_nowhere_else(story, record):
    fold = told(*STORIES[story])
    before = dict(vars(fold))
    legal = apply(fold, RECORDS[record](fold))
    assert legal == (record in LEGAL[story])
    if legal:
        assert fold.token == LEGAL[story][record]
        assert fold.term == before["term"] + record.startswith("LEAD")
    else:
        assert vars(fold) == before


def test_the_term_counts_those_who_led_and_the_record_names_who_does():
    fold = told(lead("a"), resign("a"), lead("a"), lost, lead("b"))
    assert (fold.term, fold.lead["token"]) == (3, "b")


@pytest.fixture
def files():
    return MemoryFiles()


@pytest.fixture
def daemon(files):
    def make(token, share=files):
        return Leadership(share, HOME, ManualClock(), token=token, frame={"host": f"host-{token}", "pid": 7})

    return make


def test_the_first_to_campaign_leads_and_the_others_follow(daemon):
    a, b = daemon("a"), daemon("b")
    assert not a.mine
    assert a.campaign()
    assert not b.campaign()
    assert (a.mine, b.mine) == (True, False)
    assert (b.fold.token, b.fold.term, b.fold.lead["host"]) == ("a", 1, "host-a")


def test_a_term_is_above_those_that_the_journal_tells_of_even_where_the_leader_chain_was_removed(daemon):
    a = daemon("a")
    a.campaign(above=41)
    assert a.fold.term == 42


def test_to_campaign_again_changes_nothing(daemon):
    a = daemon("a")
    a.campaign()
    assert a.campaign()
    assert a.fold.term == 1


def test_a_leader_that_resigns_is_followed_at_once(daemon):
    a, b = daemon("a"), daemon("b")
    a.campaign()
    a.resign()
    assert not a.mine
    assert b.campaign()
    assert b.fold.term == 2


def test_only_the_leader_can_resign(daemon):
    a, b = daemon("a"), daemon("b")
    a.campaign()
    b.resign()
    a.refresh()
    assert a.mine


def test_only_the_leader_that_was_found_dead_is_deposed(daemon):
    a, b, c = daemon("a"), daemon("b"), daemon("c")
    a.campaign()
    b.depose("a")
    b.campaign()
    c.depose("a")  # judged long ago
    assert c.fold.token == "b"
    a.refresh()
    assert not a.mine


def test_a_leader_that_was_paused_learns_that_it_does_not_lead(daemon):
    a, b = daemon("a"), daemon("b")
    a.campaign()
    b.depose("a")
    b.campaign()
    a.resign()  # wakes up and wants to go
    b.refresh()
    assert b.mine


def test_a_restarted_daemon_knows_who_leads(daemon):
    daemon("a").campaign()
    late = daemon("late")
    late.refresh()
    assert (late.fold.token, late.fold.term) == ("a", 1)


@pytest.mark.parametrize("done", [True, False])
def test_a_campaign_whose_reply_is_lost_is_won_once(files, daemon, done):
    a = daemon("a", fails_once(files, "link", 5, done=done))
    assert a.campaign()
    b = daemon("b")
    assert not b.campaign()
    assert b.fold.term == 1


def test_a_campaign_that_failed_midway_is_seen_at_the_next_one(files, daemon):
    make_dirs(files, f"{HOME}/0000")
    a = daemon("a", fails_once(files, "sync_dir", 5, done=False))
    with pytest.raises(OSError, match="EIO"):
        a.campaign()
    assert a.campaign()
    assert a.fold.term == 1


def test_an_office_whose_directory_was_removed_is_open_again(files, daemon):
    a, b = daemon("a"), daemon("b")
    a.campaign()
    b.refresh()
    remove_tree(files, HOME)
    with pytest.raises(FileNotFoundError):
        b.refresh()
    assert b.fold.token == ""
    assert b.campaign()
    with pytest.raises(FileNotFoundError):
        remove_tree(files, HOME)
        a.refresh()
    assert not a.mine
