"""The journal: entries, terms, leaders at once, batches, and sections read back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.coord.journal import PARTS, Journal
from orze.coord.record import LIMIT, decode, encode, new_record, slot_name
from orze.core.clock import ManualClock
from orze.core.files import make_dirs
from orze.core.memory import MemoryFiles
from orze.core.states import State
from tests.fakes.shares import fails_once

HOME = "/results/.orze/journal"
SHA = "ab" * 32


@pytest.fixture
def files():
    return MemoryFiles()


@pytest.fixture
def journal(files):
    return open_journal(files)


def open_journal(files):
    return Journal(files, HOME, ManualClock(), frame={"host": "h", "pid": 1})


def replay(files):
    """The journal as a new host reads it."""
    journal = open_journal(files)
    journal.follow()
    return journal


def records(files):
    return [
        decode(files.read(f"{HOME}/{folder}/{name}", LIMIT))
        for folder in sorted(files.listdir(HOME))
        for name in sorted(files.listdir(f"{HOME}/{folder}"))
    ]


def section(number, text="text"):
    return [f"idea-{number:03d}", f"{number:064x}", f"## idea-{number:03d}: {text}\n"]


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
]


def test_each_part_changes_what_it_says_and_nothing_else(files, journal):
    expected = {"held": "", "withdrawn": False, "vanished": False, "outcome": None}
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
    assert journal.fold.answers["u10004"] == "done"


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
    "an unknown state": {"outcomes": [["idea-001", "DANCING", {}]]},
    "facts that are no mapping": {"outcomes": [["idea-001", "FAILED", []]]},
    "a term that is no number": {"term": "1"},
    "a term that is a fraction": {"term": 1.5},
    "a term that is null": {"term": None},
    "another kind": {"kind": "SNAPSHOT"},
}


def put(files, journal, **content):
    """Put an entry into the next slot, as another version of the program might."""
    record = new_record("ENTRY", term=1, prev=journal.fold.tail) | content
    slot = journal.fold.records + 1
    files.write_new(f"{HOME}/{slot // 1000:04d}/{slot_name(slot)}", encode(record))


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


# Leaders


def test_a_leader_that_was_followed_writes_nothing_more(files):
    old, new = open_journal(files), open_journal(files)
    assert old.write(1, {"register": [section(1)]})
    new.follow()
    assert new.write(2, {"register": [section(2)]})
    old.follow()
    assert not old.write(1, {"register": [section(3)]})
    assert len(records(files)) == 2
    assert old.fold.term == 2


def test_an_entry_of_an_earlier_term_is_void(files, journal):
    journal.write(2, {"register": [section(1)]})
    put(files, journal, term=1, register=[section(2)])
    journal.follow()
    assert list(journal.fold.ideas) == ["idea-001"]


@pytest.mark.parametrize("terms", [(1, 2), (2, 1), (1, 1)])
def test_of_two_leaders_at_once_the_second_append_loses_and_must_look_again(files, terms):
    one, other = open_journal(files), open_journal(files)
    for journal in (one, other):
        journal.follow()
        assert journal.fold.allocated == {}
    # both saw an empty journal and give the same id to different entries
    assert one.write(terms[0], {"alloc": [["u1", "idea-001"]], "register": [section(1, "one")]})
    assert not other.write(terms[1], {"alloc": [["u2", "idea-001"]], "register": [section(1, "other")]})
    assert replay(files).fold.allocated == {"u1": "idea-001"}
    assert replay(files).section("idea-001") == section(1, "one")[2]
    assert other.fold.allocated == {"u1": "idea-001"}  # it has looked, and decides anew
    written = other.write(terms[1], {"alloc": [["u2", "idea-002"]], "register": [section(2)]})
    assert written == (terms[1] >= terms[0])


def test_one_leader_writes_again_and_again_without_following(files, journal):
    for number in range(1, 6):
        assert journal.write(1, {"register": [section(number)]})
    assert len(replay(files).fold.ideas) == 5


@pytest.mark.parametrize("done", [True, False])
def test_a_lost_reply_writes_an_entry_once(files, done):
    journal = open_journal(fails_once(files, "link", 5, done=done))
    assert journal.write(1, {"register": [section(1)]})
    assert len(records(files)) == 1


def test_an_entry_whose_end_was_not_seen_is_told_by_following_again(files):
    make_dirs(files, f"{HOME}/0000")
    journal = open_journal(fails_once(files, "sync_dir", 5, done=True))
    with pytest.raises(OSError, match="EIO"):
        journal.write(1, {"register": [section(1)]})
    assert not journal.write(1, {"register": [section(1)]})  # worked out before it was known what stands
    journal.follow()
    assert list(journal.fold.ideas) == ["idea-001"]
    assert journal.write(1, {"register": [section(2)]})


def test_nothing_to_write_is_no_entry(files, journal):
    assert journal.write(1, {})
    assert journal.write(1, {"register": [], "hold": []})
    assert files.listdir(HOME) == []


# Batches


def slices(files):
    return [{part: len(record[part]) for part in PARTS if part in record} for record in records(files)]


def test_many_ideas_are_a_few_records(files, journal):
    assert journal.write(1, {"register": [section(number, "x" * 200) for number in range(20_000)]})
    assert 1 < len(records(files)) <= 3
    assert len(replay(files).fold.ideas) == 20_000


@pytest.mark.parametrize("letter", ["x", "ä", "中", "🦋", '"', "\n", "\0"], ids=ascii)
def test_no_record_grows_past_the_limit_whatever_the_letters(files, journal, letter):
    sections = [section(number, letter * 600_000) for number in range(4)]
    assert journal.write(1, {"register": sections})
    assert sum(part["register"] for part in slices(files)) == 4
    assert journal.section("idea-003") == sections[3][2]


def test_large_facts_are_weighed_too(files, journal):
    outcomes = [[f"idea-{number}", "COMPLETED", {"columns": "x" * 500_000}] for number in range(20)]
    assert journal.write(1, {"outcomes": outcomes})
    assert len(records(files)) > 1
    assert len(replay(files).fold.outcomes) == 20


def test_an_item_that_no_record_could_hold_is_told(files, journal):
    with pytest.raises(ValueError, match="larger than"):
        journal.write(1, {"register": [section(1, "x" * LIMIT)]})
    assert files.listdir(HOME) == []


def test_an_id_is_allocated_in_the_record_that_registers_it(files, journal):
    sections = [section(number, "x" * 900_000) for number in range(12)]
    alloc = [[f"u{number}", f"idea-{number:03d}"] for number in range(12)]
    assert journal.write(1, {"alloc": [*alloc, ["u99", "idea-099"]], "register": sections})
    written = records(files)
    assert len(written) > 2
    for record in written:
        registered = {idea_id for idea_id, *_ in record.get("register", ())}
        assert {idea_id for _, idea_id in record.get("alloc", ())} - {"idea-099"} == registered
    assert replay(files).fold.allocated == dict([*alloc, ["u99", "idea-099"]])


def test_answers_come_after_all_that_they_answer(files, journal):
    journal.write(
        1, {"answers": [["u", "held"]], "hold": [[f"idea-{number}", "x" * 900_000] for number in range(9)]}
    )
    assert [("answers" in part) for part in slices(files)][:-1] == [False] * (len(slices(files)) - 1)
    assert "answers" in slices(files)[-1]


IDS = st.sampled_from(["idea-1", "idea-2", "idea-3"])
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "register": st.lists(st.tuples(IDS, st.text(max_size=3), st.text(max_size=5)), max_size=3),
        "outcomes": st.lists(st.tuples(IDS, st.sampled_from(State), st.just({})), max_size=3),
        "hold": st.lists(st.tuples(IDS, st.text(max_size=3)), max_size=3),
        "vanish": st.lists(IDS, max_size=3),
        "restore": st.lists(IDS, max_size=3),
        "answers": st.lists(st.tuples(st.text(max_size=2), st.text(max_size=3)), max_size=3),
    },
)


def shown(journal):
    fold = journal.fold
    ideas = {name: [getattr(known, slot) for slot in known.__slots__] for name, known in fold.ideas.items()}
    return ideas, fold.answers, fold.term, fold.tail, fold.records


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
