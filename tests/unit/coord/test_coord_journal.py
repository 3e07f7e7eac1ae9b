"""The journal: entries, what each part of them says, and sections read back."""

import marshal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_examples import HOME, SHA, open_journal, put, records, replay, section

from orze.coord.journal import PRIORITIES
from orze.core.memory import MemoryFiles
from orze.core.states import State


@pytest.fixture
def files():
    return MemoryFiles()


@pytest.fixture
def journal(files):
    return open_journal(files)


def test_an_idea_that_is_registered_is_known_to_every_host(files, journal):
    assert journal.write(1, {"register": [section(1), section(2)]})
    for reader in (journal, replay(files)):
        assert sorted(reader.fold.ideas) == ["idea-001", "idea-002"]
        known = reader.fold.ideas["idea-001"]
        assert (known.sha, known.slot) == (f"{1:064x}", 1)
        assert (known.held, known.withdrawn, known.vanished, known.outcome) == ("", False, False, None)


def test_an_entry_says_who_wrote_it_and_in_which_term(files, journal):
    journal.write(3, {"hold": [["idea-001", "by ann"]]})
    (record,) = records(files)
    assert (record["host"], record["pid"], record["term"], record["kind"]) == ("h", 1, 3, "ENTRY")


STEPS = [
    ({"register": [section(1)]}, {}),
    ({"hold": [["idea-001", "held by ann"]]}, {"held": "held by ann"}),
    ({"release": ["idea-001"]}, {"held": ""}),
    ({"withdraw": ["idea-001"]}, {"withdrawn": True}),
    ({"release": [["idea-001"]]}, {"withdrawn": False}),
    ({"vanish": ["idea-001"]}, {"vanished": True}),
    ({"restore": ["idea-001"]}, {"vanished": False}),
    ({"outcomes": [["idea-001", "FAILED", {"cause": "timeout"}]]}, {"outcome": State.FAILED}),
    ({"outcomes": [["idea-001", "COMPLETED", {}]]}, {"outcome": State.COMPLETED}),
    ({"reopen": ["idea-001"]}, {"outcome": None}),
    ({"register": [["idea-001", SHA, "edited"]]}, {"sha": SHA, "slot": 11}),
    ({"priority": [["idea-001", "critical"]]}, {"priority": 0}),
    ({"priority": [["idea-001", "low"]]}, {"priority": 3}),
    ({"priority": [["idea-001", "section"]]}, {"priority": None}),
]


def test_each_part_changes_what_it_says_and_nothing_else(files, journal):
    expected = {"held": "", "withdrawn": False, "vanished": False, "outcome": None, "priority": None}
    expected |= {"sha": f"{1:064x}", "slot": 1}
    for parts, change in STEPS:
        assert journal.write(1, parts)
        expected |= change
        for reader in (journal, replay(files)):
            known = reader.fold.ideas["idea-001"]
            assert {name: getattr(known, name) for name in expected} == expected


def test_the_parts_of_one_entry_are_applied_in_a_fixed_order(journal):
    journal.write(1, {"release": ["idea-001"], "hold": [["idea-001", "x"]], "register": [section(1)]})
    assert journal.fold.ideas["idea-001"].held == ""


def test_an_id_is_given_to_an_inbox_entry_once_and_for_ever(files, journal):
    journal.write(1, {"alloc": [["u1", "idea-007"]], "register": [section(7)]})
    journal.write(1, {"alloc": [["u1", "idea-008"], ["u2", "idea-009"]]})
    assert replay(files).fold.allocated == {"u1": "idea-007", "u2": "idea-009"}


def test_answers_are_kept_by_the_uuid_of_their_request_up_to_a_bound(journal):
    journal.write(1, {"answers": [[f"u{number}", "done"] for number in range(10_005)]})
    assert len(journal.fold.answers) == 10_000
    assert "u4" not in journal.fold.answers
    assert journal.fold.answers["u10004"] == ("done", True)


@pytest.mark.parametrize(
    ("item", "expected"),
    [(["u", "x", True], ("x", True)), (["u", "x", False], ("x", False)), (["u", "x"], ("x", True))],
)
def test_an_answer_says_whether_it_was_done_and_an_old_one_that_it_was(files, journal, item, expected):
    journal.write(1, {"answers": [item]})
    for reader in (journal, replay(files)):
        answer = reader.fold.answers["u"]
        assert (answer.text, answer.done) == answer == expected


HOST_STEPS = [
    ({"drain": [["gpu-a", "drained by ann"]]}, {"gpu-a": "drained by ann"}, {}),
    (
        {"drain": [["gpu-b", "drained"]], "use": [["gpu-a", "0,1"]]},
        {"gpu-a": "drained by ann", "gpu-b": "drained"},
        {"gpu-a": "0,1"},
    ),
    ({"undrain": ["gpu-a"], "use": [["gpu-a", "cpu:2"]]}, {"gpu-b": "drained"}, {"gpu-a": "cpu:2"}),
    ({"undrain": [["gpu-a"]], "use": [["gpu-a", "default"]]}, {"gpu-b": "drained"}, {}),
    ({"use": [["gpu-c", "default"]]}, {"gpu-b": "drained"}, {}),
]


def test_what_is_asked_of_hosts_holds_until_something_else_is_and_is_no_news_of_an_idea(files, journal):
    for parts, drained, cards in HOST_STEPS:
        assert journal.write(1, parts)
        for reader in (journal, replay(files)):
            assert (reader.fold.drained, reader.fold.cards) == (drained, cards)
            assert reader.fold.drain() == ({}, [])


def test_what_was_followed_is_taken_up_again_as_it_was(files, journal):
    journal.write(1, {"register": [section(1), section(2)], "priority": [["idea-002", "high"]]})
    journal.write(1, {"drain": [["gpu-a", "drained"]], "use": [["gpu-b", "0"]], "answers": [["u", "x"]]})
    again = open_journal(files)
    state = marshal.loads(marshal.dumps(journal.state()))
    assert again.holds(state)
    again.resume(state)
    assert shown(again) == shown(journal)
    assert again.fold.answers["u"].done


def test_what_changed_is_told_once(files, journal):
    journal.write(1, {"register": [section(1), section(2)], "outcomes": [["idea-001", "FAILED", {"a": 1}]]})
    assert journal.fold.drain() == (
        {"idea-001": None, "idea-002": None},
        [("idea-001", State.FAILED, {"a": 1})],
    )
    assert journal.fold.drain() == ({}, [])
    journal.write(1, {"hold": [["idea-002", "x"]], "answers": [["u", "done"]]})
    assert journal.fold.drain() == ({"idea-002": None}, [])
    assert replay(files).fold.drain()[0].keys() == {"idea-001", "idea-002"}


def test_an_outcome_of_an_idea_that_was_never_registered_is_known_too(journal):
    journal.write(1, {"outcomes": [["idea-900", "EVALUATED", {}]]})
    assert journal.fold.ideas["idea-900"].outcome == State.EVALUATED


def test_an_outcome_that_was_assumed_is_no_news(journal):
    journal.fold.assume("idea-001", State.COMPLETED)
    assert journal.fold.ideas["idea-001"].outcome == State.COMPLETED
    assert journal.fold.drain() == ({}, [])


MALFORMED = {
    "a section with a member too few": {"register": [["idea-001", SHA]]},
    "a section that is no text": {"register": [["idea-001", SHA, 7]]},
    "an item that is no list": {"hold": ["idea-001"]},
    "a part that is no list": {"hold": 7},
    "a part that is null": {"hold": None},
    "a part that is a text": {"vanish": "idea-001"},
    "a part that is a mapping": {"vanish": {"idea-001": 1}},
    "a list in the place of an id": {"vanish": [[["idea-001"]]]},
    "an unknown priority": {"priority": [["idea-001", "urgent"]]},
    "a number as priority": {"priority": [["idea-001", 0]]},
    "a name that no host has": {"drain": [["gpu a", "drained"]]},
    "a host that is no text": {"undrain": [[7]]},
    "cards that are no text": {"use": [["gpu-a", [0]]]},
    "an answer that is done perhaps": {"answers": [["u", "x", "yes"]]},
    "an answer with a member too many": {"answers": [["u", "x", True, 1]]},
    "an unknown state": {"outcomes": [["idea-001", "DANCING", {}]]},
    "facts that are no mapping": {"outcomes": [["idea-001", "FAILED", []]]},
    "a term that is no number": {"term": "1"},
    "a term that is a fraction": {"term": 1.5},
    "a term that is null": {"term": None},
    "another kind": {"kind": "SNAPSHOT"},
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_entry_is_void_as_a_whole_and_the_journal_goes_on(files, journal, case):
    journal.write(1, {"register": [section(1)]})
    good = {"alloc": [["u", "idea-9"]], "register": [section(9)], "answers": [["u", "x"]]}
    put(files, journal, **good | MALFORMED[case])
    journal.follow()
    assert list(journal.fold.ideas) == ["idea-001"]
    assert (journal.fold.allocated, journal.fold.answers) == ({}, {})
    assert journal.write(1, {"register": [section(2)]})
    late = replay(files)
    assert late.section("idea-002") == section(2)[2]
    assert late.fold.ideas["idea-002"].slot == 3


def test_an_entry_with_another_predecessor_is_void_and_keeps_its_slot(files, journal):
    journal.write(1, {"register": [section(1)]})
    put(files, journal, prev=SHA, register=[section(8)])
    journal.follow()
    journal.write(1, {"register": [section(2)]})
    for reader in (journal, replay(files)):
        assert list(reader.fold.ideas) == ["idea-001", "idea-002"]
        assert reader.fold.ideas["idea-002"].slot == 3
        assert reader.section("idea-002") == section(2)[2]


def test_an_unknown_state_is_refused_when_it_is_written(files, journal):
    with pytest.raises(ValueError, match="not legal"):
        journal.write(1, {"outcomes": [["idea-001", "DANCING", {}]]})
    assert journal.write(1, {"register": [section(1)]})
    assert list(replay(files).fold.ideas) == ["idea-001"]


IDS = st.sampled_from(["idea-1", "idea-2", "idea-3"])
HOSTS = st.sampled_from(["gpu-a", "gpu-b"])
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "register": st.lists(st.tuples(IDS, st.text(max_size=3), st.text(max_size=5)), max_size=3),
        "outcomes": st.lists(st.tuples(IDS, st.sampled_from(State), st.just({})), max_size=3),
        "hold": st.lists(st.tuples(IDS, st.text(max_size=3)), max_size=3),
        "vanish": st.lists(IDS, max_size=3),
        "restore": st.lists(IDS, max_size=3),
        "priority": st.lists(st.tuples(IDS, st.sampled_from([*PRIORITIES, "section"])), max_size=3),
        "drain": st.lists(st.tuples(HOSTS, st.text(max_size=3)), max_size=2),
        "undrain": st.lists(HOSTS, max_size=2),
        "use": st.lists(st.tuples(HOSTS, st.sampled_from(["0", "cpu", "default"])), max_size=3),
        "answers": st.lists(
            st.tuples(st.text(max_size=2), st.text(max_size=3))
            | st.tuples(st.text(max_size=2), st.text(max_size=3), st.booleans()),
            max_size=3,
        ),
    },
)


def shown(journal):
    fold = journal.fold
    ideas = {name: [getattr(known, slot) for slot in known.__slots__] for name, known in fold.ideas.items()}
    return ideas, fold.answers, fold.drained, fold.cards, fold.term, fold.tail, fold.records


@settings(max_examples=50, deadline=None)
@given(st.lists(ENTRIES, max_size=6))
def test_a_host_that_follows_and_a_new_one_know_the_same(entries):
    files = MemoryFiles()
    writer, follower = open_journal(files), open_journal(files)
    for parts in entries:
        assert writer.write(1, parts)
        follower.follow()
        assert shown(follower) == shown(writer)
    assert shown(replay(files)) == shown(writer)


# Sections


def test_the_section_that_was_registered_last_is_read_back(files, journal):
    journal.write(1, {"register": [section(1), section(2, "other")]})
    journal.write(1, {"register": [["idea-001", SHA, "edited"]]})
    late = replay(files)
    assert late.section("idea-001") == "edited"
    assert late.section("idea-002") == section(2, "other")[2]


def test_of_two_revisions_in_one_record_the_last_is_read_back(files, journal):
    journal.write(1, {"register": [section(1), ["idea-001", SHA, "edited"]]})
    assert replay(files).section("idea-001") == "edited"


@pytest.mark.parametrize("idea_id", ["idea-404", "idea-900"])
def test_an_idea_without_a_registered_section_has_none(journal, idea_id):
    journal.write(1, {"outcomes": [["idea-900", "COMPLETED", {}]]})
    with pytest.raises(KeyError):
        journal.section(idea_id)


def test_a_section_that_cannot_be_read_now_is_an_error_of_the_share(files, journal):
    journal.write(1, {"register": [section(1)]})
    files.overwrite(f"{HOME}/0000/000001.json", b"\0" * 1000)
    with pytest.raises(OSError, match="not a record"):
        journal.section("idea-001")


def test_a_section_whose_id_was_given_to_another_is_read_back_first(files, journal):
    journal.write(1, {"register": [section(1, "earlier")]})
    journal.write(1, {"vanish": ["idea-001"]})
    journal.write(1, {"register": [["idea-001", SHA, "later"]]})
    late = replay(files)
    assert late.fold.displaced == {"idea-001": 1}
    assert late.section("idea-001") == section(1, "earlier")[2]


def test_a_section_that_comes_back_as_it_was_displaces_nothing(files, journal):
    journal.write(1, {"register": [section(1)]})
    journal.write(1, {"vanish": ["idea-001"]})
    journal.write(1, {"register": [section(1)], "restore": ["idea-001"]})
    assert replay(files).fold.displaced == {}


def test_a_journal_that_lost_its_last_entry_tells_that_what_stood_in_it_holds_no_more(files, journal):
    journal.write(1, {"register": [section(1)]})
    journal.write(1, {"outcomes": [["idea-001", "COMPLETED", {}]]})
    second = replay(files)
    second.fold.drain()
    files.unlink(f"{HOME}/0000/000002.json")
    second.follow()
    assert second.fold.drain() == ({"idea-001": None}, [("idea-001", None, {})])
    assert second.fold.ideas["idea-001"].outcome is None
