"""A chain on a share that behaves: slots, void records, segments, damage."""

import pytest

from orze.coord.chain import Damaged, Fold, Unreadable
from orze.coord.record import decode, digest, encode, new_record, slot_name
from orze.core.clock import ManualClock
from orze.core.files import RealFiles
from orze.core.memory import MemoryFiles
from tests.fakes.shares import Share, said, say, words

LIMIT = 1 << 20
HOME = "/chain"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=["real", "memory"])
def place(request, tmp_path):
    """A `Files` and an empty directory of it."""
    if request.param == "real":
        return RealFiles(), str(tmp_path)
    files = MemoryFiles()
    files.mkdir(HOME)
    return files, HOME


@pytest.fixture
def files():
    files = MemoryFiles()
    files.mkdir(HOME)
    return files


def put(files, slot, record, directory=HOME):
    """Put a record into a slot as another program, or another version of this one, might."""
    files.write_new(f"{directory}/{slot_name(slot)}", encode(record))
    return digest(encode(record))


def word(text, prev, **more):
    return new_record("WORD", word=text, prev=prev, **more)


def test_records_take_the_slots_in_order_and_name_the_one_before(place, clock):
    files, home = place
    chain = words(files, home, clock)
    tails = [""]
    for text in "abc":
        assert say(chain, text)["word"] == text
        tails.append(chain.fold.tail)
    assert sorted(files.listdir(home)) == ["000001.json", "000002.json", "000003.json"]
    for slot in (1, 2, 3):
        data = files.read(f"{home}/{slot_name(slot)}", LIMIT)
        assert decode(data)["prev"] == tails[slot - 1]
        assert digest(data) == tails[slot]
    assert chain.length == 3


def test_another_process_reads_the_same_state(place, clock):
    files, home = place
    chain, other = words(files, home, clock), words(files, home, clock)
    for text, writer in zip("abcd", [chain, other, other, chain], strict=True):
        say(writer, text)
    assert said(files, home, clock) == chain.fold.said == list("abcd")
    other.refresh()
    assert other.fold.tail == chain.fold.tail


def test_what_is_not_proposed_is_not_written(place, clock):
    files, home = place
    chain = words(files, home, clock)
    say(chain, "a")
    assert say(chain, "a") is None
    assert files.listdir(home) == ["000001.json"]


def test_a_record_that_stands_is_not_appended_again(files, clock):
    chain = words(files, HOME, clock)
    record = new_record("WORD", word="a")
    assert chain.append(lambda: record) is record
    assert chain.append(lambda: record) is record
    assert chain.length == 1
    assert chain.stands(record["nonce"])
    assert not chain.stands("never seen")


def test_a_record_is_found_by_its_nonce_by_another_process(files, clock):
    record = new_record("WORD", word="a")
    words(files, HOME, clock).append(lambda: record)
    later = words(files, HOME, clock)
    say(later, "b")
    assert later.append(lambda: record) is record
    assert later.fold.said == ["a", "b"]


def test_a_void_copy_of_a_record_does_not_undo_it(files, clock):
    chain = words(files, HOME, clock)
    record = new_record("WORD", word="a")
    chain.append(lambda: record)
    put(files, 2, record | {"prev": chain.fold.tail})
    chain.refresh()
    assert chain.length == 2
    assert chain.stands(record["nonce"])
    assert chain.append(lambda: record) is record


def test_a_writer_that_lost_its_slot_proposes_anew_for_the_state_as_it_is(files, clock):
    chain, other = words(files, HOME, clock), words(files, HOME, clock)
    proposed = []

    def propose():
        if not proposed:
            say(other, "theirs")  # comes between our reading and our link
        proposed.append(list(chain.fold.said))
        return new_record("WORD", word="ours")

    chain.append(propose)
    assert proposed == [[], ["theirs"]]
    assert said(files, HOME, clock) == ["theirs", "ours"]


def test_a_record_is_durable_before_it_counts(clock, files):
    share = Share(files)
    chain = words(share, HOME, clock)
    chain.refresh()
    share.calls.clear()
    say(chain, "a")
    assert share.names() == [
        *("listdir", "write_new", "listdir", "link", "sync_dir"),
        *("listdir", "read", "unlink"),
    ]


def test_of_what_was_read_once_only_the_last_record_is_read_again(clock, files):
    share = Share(files)
    chain = words(share, HOME, clock, fanout=1000)
    for text in "abcdef":
        say(chain, text)
    chain.refresh()
    share.calls.clear()
    chain.refresh()
    assert share.names() == ["listdir", "read"]


def test_a_last_record_of_many_kilobytes_is_not_read_at_each_look(clock, files):
    share = Share(files)
    chain = words(share, HOME, clock, fanout=1000)
    say(chain, "a" * 100_000)
    chain.refresh()
    share.calls.clear()
    chain.refresh()
    assert share.names() == ["listdir"]


def test_a_long_chain_whose_last_record_became_another_is_read_anew(clock, files):
    chain, other = words(files, HOME, clock, fanout=1000), words(files, HOME, clock, fanout=1000)
    for text in "abc":
        say(chain, text)
    files.unlink(f"{HOME}/0000/{slot_name(3)}")  # a power failure took what was not synced
    say(other, "x")
    chain.refresh()
    assert chain.fold.said == ["a", "b", "x"]


def test_there_is_no_chain_before_its_directory(clock):
    chain = words(MemoryFiles(), HOME, clock)
    with pytest.raises(FileNotFoundError):
        chain.refresh()
    with pytest.raises(FileNotFoundError):
        say(chain, "a")
    assert chain.fold.said == []


def test_an_empty_directory_is_an_empty_chain(files, clock):
    assert said(files, HOME, clock) == []


VOID = {
    "repeats a word": lambda tail: word("a", tail),
    "names another predecessor": lambda tail: word("b", digest(b"another")),
    "names no predecessor": lambda tail: {"kind": "WORD", "word": "b"},
    "lacks what it needs": lambda tail: {"kind": "WORD", "prev": tail, "nonce": "1"},
    "is empty": lambda tail: {},
    "has a member of another type": lambda tail: word({}, tail) | {"prev": [tail]},
    "has a nonce that is no text": lambda tail: word("a", tail) | {"nonce": [1]},
}


@pytest.mark.parametrize("case", VOID)
def test_a_void_record_keeps_its_slot_and_is_skipped_for_ever(files, clock, case):
    chain = words(files, HOME, clock)
    say(chain, "a")
    tail = chain.fold.tail
    put(files, 2, VOID[case](tail))
    chain.refresh()
    assert (chain.fold.said, chain.fold.tail, chain.length) == (["a"], tail, 2)
    say(chain, "c")
    assert decode(files.read(f"{HOME}/000003.json", LIMIT))["prev"] == tail
    assert said(files, HOME, clock) == ["a", "c"]


def test_a_chain_that_begins_with_a_void_record_goes_on_behind_it(files, clock):
    put(files, 1, word("a", digest(b"gone")))
    chain = words(files, HOME, clock)
    say(chain, "b")
    say(chain, "c")
    assert said(files, HOME, clock) == ["b", "c"]
    assert chain.length == 3


def test_an_illegal_proposal_is_told_and_not_repeated_for_ever(files, clock):
    chain = words(files, HOME, clock)
    say(chain, "a")
    with pytest.raises(ValueError, match="not legal"):
        chain.append(lambda: new_record("WORD", word="a"))
    assert chain.length == 2
    assert said(files, HOME, clock) == ["a"]


def test_a_record_that_is_too_large_is_told_and_the_chain_goes_on(files, clock):
    chain = words(files, HOME, clock)
    with pytest.raises(ValueError, match="larger"):
        say(chain, "ä" * (2 << 20))
    say(chain, "b")
    assert said(files, HOME, clock) == ["b"]
    assert files.listdir(HOME) == ["000001.json"]


def test_other_files_in_the_directory_are_no_records(files, clock):
    for name in ("stop-ab", ".tmp-1", "0000001.json", "notes.json"):
        files.write_new(f"{HOME}/{name}", b"x")
    chain = words(files, HOME, clock)
    say(chain, "a")
    assert said(files, HOME, clock) == ["a"]


@pytest.mark.parametrize("removed", [1, 2, 3])
@pytest.mark.parametrize("fanout", [0, 4])
def test_a_damaged_chain_is_shown_with_what_to_do_and_never_appended_to(clock, fanout, removed):
    files = MemoryFiles()
    files.mkdir(HOME)
    chain = words(files, HOME, clock, fanout=fanout)
    for text in "abcdefg":
        say(chain, text)
    folder = f"{HOME}/0000" if fanout else HOME
    files.unlink(f"{folder}/{slot_name(removed)}")
    before = sorted(files.listdir(folder))
    late = words(files, HOME, clock, fanout=fanout)
    for attempt in (late.refresh, lambda: say(late, "z")):
        with pytest.raises(Damaged, match=f"00000{removed}.json is missing below .*put it back"):
            attempt()
    assert sorted(files.listdir(folder)) == before


def test_a_follower_shows_damage_too(files, clock):
    chain = words(files, HOME, clock)
    for text in "abc":
        say(chain, text)
    files.unlink(f"{HOME}/000002.json")
    with pytest.raises(Damaged, match=r"000002\.json"):
        chain.refresh()


def test_a_repaired_chain_is_read_again(files, clock):
    chain = words(files, HOME, clock)
    for text in "abc":
        say(chain, text)
    kept = files.read(f"{HOME}/000002.json", LIMIT)
    files.unlink(f"{HOME}/000002.json")
    with pytest.raises(Damaged):
        chain.refresh()
    files.write_new(f"{HOME}/000002.json", kept)
    chain.refresh()
    assert chain.fold.said == ["a", "b", "c"]


def test_a_stray_higher_record_is_damage_and_not_filled_up_to(files, clock):
    chain = words(files, HOME, clock)
    say(chain, "a")
    put(files, 5, word("z", chain.fold.tail))
    with pytest.raises(Damaged, match=r"000002\.json is missing below 000005\.json"):
        say(chain, "b")
    assert sorted(files.listdir(HOME)) == ["000001.json", "000005.json"]


@pytest.mark.parametrize("content", [b"", b"\0" * 50, b'{"kind"', b"[]", b"\xff"])
def test_bytes_that_are_no_record_decide_nothing(files, clock, content):
    chain = words(files, HOME, clock)
    say(chain, "a")
    files.write_new(f"{HOME}/000002.json", content)
    for attempt in (chain.refresh, lambda: say(chain, "b")):
        with pytest.raises(Unreadable, match="not a record"):
            attempt()
    assert chain.fold.said == ["a"]
    assert sorted(files.listdir(HOME)) == ["000001.json", "000002.json"]


def test_one_record_can_be_read_again_by_its_slot(files, clock):
    chain = words(files, HOME, clock)
    say(chain, "a")
    record, sha = chain.record(1)
    assert (record["word"], sha) == ("a", chain.fold.tail)
    with pytest.raises(Unreadable):
        chain.record(2)


# Segments: with fanout 4 the slots 1-3 lie in 0000, 4-7 in 0001, and so on.


@pytest.fixture
def long(place, clock):
    files, home = place
    chain = words(files, home, clock, fanout=4)
    for text in "abcdefghij":
        say(chain, text)
    return files, home, chain


def test_a_long_chain_is_cut_into_segments(long, clock):
    files, home, chain = long
    assert sorted(files.listdir(home)) == ["0000", "0001", "0002"]
    assert sorted(files.listdir(f"{home}/0001")) == [slot_name(slot) for slot in (4, 5, 6, 7)]
    assert chain.length == 10
    assert said(files, home, clock, fanout=4) == list("abcdefghij")


@pytest.mark.parametrize("length", range(1, 10))
def test_a_follower_at_any_place_reads_on_across_segments(clock, length):
    files = MemoryFiles()
    files.mkdir(HOME)
    chain, follower = words(files, HOME, clock, fanout=4), words(files, HOME, clock, fanout=4)
    for number in range(length):
        say(chain, str(number))
    follower.refresh()
    for number in range(length, 12):
        say(chain, str(number))
    follower.refresh()
    assert follower.fold.said == [str(number) for number in range(12)]
    say(follower, "more")
    chain.refresh()
    assert chain.fold.said[-1] == "more"


def test_the_segments_of_a_chain_that_is_not_begun_need_not_be_there(clock):
    files = MemoryFiles()
    chain = words(files, "/farm/journal", clock, fanout=4)
    chain.refresh()
    assert chain.fold.said == []
    say(chain, "a")
    assert files.listdir("/farm/journal") == ["0000"]


@pytest.mark.parametrize("length", [3, 7])
def test_a_segment_that_is_made_but_empty_is_the_place_of_the_next_record(clock, length):
    files = MemoryFiles()
    chain = words(files, HOME, clock, fanout=4)
    for number in range(length):
        say(chain, str(number))
    files.mkdir(f"{HOME}/{(length + 1) // 4:04d}")
    for reader in (chain, words(files, HOME, clock, fanout=4)):
        reader.refresh()
        assert reader.length == length
    say(chain, "next")
    assert said(files, HOME, clock, fanout=4)[-1] == "next"


@pytest.mark.parametrize("segment", ["0000", "0001"])
def test_a_missing_segment_is_damage(clock, segment):
    files = MemoryFiles()
    chain = words(files, HOME, clock, fanout=4)
    for text in "abcdefghij":
        say(chain, text)
    for name in files.listdir(f"{HOME}/{segment}"):
        files.unlink(f"{HOME}/{segment}/{name}")
    files.rmdir(f"{HOME}/{segment}")
    late = words(files, HOME, clock, fanout=4)
    with pytest.raises(OSError, match=r"missing below|removed"):
        say(late, "z")
    assert segment not in files.listdir(HOME)


def test_the_last_record_of_a_full_segment_is_missed(clock):
    files = MemoryFiles()
    chain = words(files, HOME, clock, fanout=4)
    for text in "abcde":
        say(chain, text)
    files.unlink(f"{HOME}/0000/000003.json")
    late = words(files, HOME, clock, fanout=4)
    with pytest.raises(Damaged, match=r"000003\.json is missing below 000004\.json"):
        say(late, "z")


def test_the_boundary_of_a_thousand_is_crossed(clock):
    files = MemoryFiles()
    files.mkdir(HOME)
    files.mkdir(f"{HOME}/0000")
    tail = ""
    for slot in range(1, 999):
        tail = put(files, slot, word(str(slot), tail), f"{HOME}/0000")
    chain = words(files, HOME, clock, fanout=1000)
    for slot in range(999, 1003):
        say(chain, str(slot))
    assert sorted(files.listdir(HOME)) == ["0000", "0001"]
    assert sorted(files.listdir(f"{HOME}/0001")) == ["001000.json", "001001.json", "001002.json"]
    assert said(files, HOME, clock, fanout=1000) == [str(slot) for slot in range(1, 1003)]


def test_a_fold_must_say_which_records_are_legal():
    with pytest.raises(NotImplementedError):
        Fold().step({})
