"""Writing the journal: leaders at once, lost replies, and batches."""

import pytest
from journal_examples import HOME, open_journal, put, records, replay, section

from orze.coord.journal import PARTS
from orze.coord.record import LIMIT
from orze.core.files import make_dirs
from orze.core.memory import MemoryFiles
from tests.fakes.shares import fails_once


@pytest.fixture
def files():
    return MemoryFiles()


@pytest.fixture
def journal(files):
    return open_journal(files)


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
