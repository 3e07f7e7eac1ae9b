"""A chain on a share that misbehaves: lost replies, stale pages, full disks and crashes."""

import errno
from itertools import count

import pytest

from orze.coord.chain import Damaged, Unreadable
from orze.coord.record import new_record
from orze.core.clock import ManualClock
from orze.core.memory import MemoryFiles
from tests.fakes.shares import (
    Answers,
    Died,
    Killed,
    Share,
    error,
    fails_always,
    fails_once,
    said,
    say,
    words,
)

HOME = "/chain"
EEXIST, EIO, ENOENT, ENOSPC, ESTALE = errno.EEXIST, errno.EIO, errno.ENOENT, errno.ENOSPC, errno.ESTALE


@pytest.fixture
def clock():
    return ManualClock()


def begun(clock, text="a", fanout=0):
    """A share whose chain holds these words."""
    files = MemoryFiles()
    files.mkdir(HOME)
    for letter in text:
        say(words(files, HOME, clock, fanout=fanout), letter)
    return files


def calls_of_an_append(clock, text="a", fanout=0):
    """The calls that a new process makes to append one more word."""
    share = Share(begun(clock, text, fanout))
    say(words(share, HOME, clock, fanout=fanout), "z")
    return share.names()


def temporaries(files, path=HOME):
    return [name for name in files.listdir(path) if name.startswith(".tmp-")]


# Lost replies


def test_a_record_is_told_to_stand_only_when_its_name_is_synced_though_that_failed_at_first(clock):
    share = Share(fails_once(begun(clock), "sync_dir", ESTALE, done=False))
    chain = words(share, HOME, clock)
    with pytest.raises(OSError, match="ESTALE"):
        say(chain, "b")
    assert chain.append(lambda: None) is None  # whoever asks again has nothing more to append
    assert share.names().count("sync_dir") == 2
    assert "".join(said(share, HOME, clock)) == "ab"
    chain.append(lambda: None)
    assert share.names().count("sync_dir") == 2


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("number", [EEXIST, EIO, ESTALE, ENOENT, errno.ETIMEDOUT, errno.EINTR])
def test_a_link_whose_reply_is_lost_stands_once(clock, number, done):
    files = begun(clock)
    chain = words(fails_once(files, "link", number, done=done), HOME, clock)
    assert say(chain, "b")["word"] == "b"
    assert chain.fold.said == said(files, HOME, clock) == ["a", "b"]
    assert temporaries(files) == []


@pytest.mark.parametrize("refusals", range(1, 6))
def test_the_same_bytes_are_linked_again_until_they_are_seen(clock, refusals):
    files = begun(clock)

    def answer(number, call, arguments):
        if number < refusals:
            raise error(EIO)
        call()

    share = Answers(files, "link", answer)
    say(words(share, HOME, clock), "b")
    assert len({call for call in share.calls if call[0] == "link"}) == 1
    assert share.names().count("link") == refusals + 1
    assert share.names().count("write_new") == 1
    assert said(files, HOME, clock) == ["a", "b"]


def test_a_lost_reply_to_a_lost_race_is_a_lost_race(clock):
    files = begun(clock)

    def answer(number, call, arguments):
        if number == 0:
            say(words(files, HOME, clock), "theirs")
            raise error(EIO)
        call()

    chain = words(Answers(files, "link", answer), HOME, clock)
    say(chain, "ours")
    assert said(files, HOME, clock) == ["a", "theirs", "ours"]


@pytest.mark.parametrize("number", [ENOSPC, errno.EDQUOT, errno.EROFS, errno.EPERM, errno.EMLINK, EIO])
def test_a_link_that_is_always_refused_ends_and_leaves_its_file_for_a_late_reply(clock, number):
    files = begun(clock)
    chain = words(fails_always(files, "link", number), HOME, clock)
    with pytest.raises(OSError, match=errno.errorcode[number]) as refusal:
        say(chain, "b")
    assert not isinstance(refusal.value, FileNotFoundError)
    assert len(temporaries(files)) == 1
    assert said(files, HOME, clock) == ["a"]


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("name", ["listdir", "read", "write_new", "link", "sync_dir", "unlink"])
@pytest.mark.parametrize("at", range(4))
def test_one_error_at_any_call_delays_and_a_second_try_appends_exactly_once(clock, name, at, done):
    files = begun(clock)
    chain = words(fails_once(files, name, EIO, done=done, at=at), HOME, clock)
    record = new_record("WORD", word="b")
    for attempt in range(2):
        try:
            written = chain.append(lambda: None if "b" in chain.fold.said else record)
        except OSError:
            assert attempt == 0
        else:
            break
    assert written is record or chain.stands(record["nonce"])
    assert chain.fold.said == said(files, HOME, clock) == ["a", "b"]


def test_an_append_whose_end_was_not_seen_is_found_by_proposing_it_again(clock):
    files = begun(clock)
    chain = words(fails_once(files, "sync_dir", EIO, done=True), HOME, clock)
    record = new_record("WORD", word="b")
    with pytest.raises(OSError, match="EIO"):
        chain.append(lambda: record)
    assert chain.append(lambda: record) is record
    assert said(files, HOME, clock) == ["a", "b"]


def test_a_temporary_file_that_cannot_be_removed_does_not_undo_the_record(clock):
    files = begun(clock)
    assert say(words(fails_always(files, "unlink", EIO), HOME, clock), "b")["word"] == "b"
    assert said(files, HOME, clock) == ["a", "b"]
    assert len(temporaries(files)) == 1


def test_a_temporary_file_that_somebody_removed_delays(clock):
    files = begun(clock)

    def answer(number, call, arguments):
        if number == 0:
            files.unlink(arguments[0])
        call()

    chain = words(Answers(files, "link", answer), HOME, clock)
    with pytest.raises(OSError, match="temporary file") as refusal:
        say(chain, "b")
    assert not isinstance(refusal.value, FileNotFoundError)  # the chain is there: this attempt is not over
    say(chain, "b")
    assert said(files, HOME, clock) == ["a", "b"]


# Full disks


@pytest.mark.parametrize(
    ("name", "fanout"), [("write_new", 0), ("link", 0), ("write_new", 4), ("link", 4), ("mkdir", 4)]
)
def test_a_full_disk_refuses_an_append_and_the_next_one_works(clock, name, fanout):
    files = begun(clock, "abc", fanout)
    with pytest.raises(OSError, match="ENOSPC"):
        say(words(fails_always(files, name, ENOSPC), HOME, clock, fanout=fanout), "d")
    assert said(files, HOME, clock, fanout=fanout) == list("abc")
    say(words(files, HOME, clock, fanout=fanout), "d")
    assert said(files, HOME, clock, fanout=fanout) == list("abcd")


# Surprising reads delay and never decide


@pytest.mark.parametrize("page", [b"", b"\0" * 64, b'{"kind":"WO'], ids=["empty", "zeros", "half"])
@pytest.mark.parametrize("at", range(4))
def test_a_torn_read_delays_and_never_decides(clock, page, at):
    files = begun(clock, "ab")
    chain = words(files, HOME, clock)
    chain.refresh()
    say(words(files, HOME, clock), "c")
    chain.files = Answers(files, "read", lambda number, call, _: page if number == at else call())
    for _ in range(3):
        try:
            chain.refresh()
        except Unreadable:
            assert chain.fold.said in (["a", "b"], ["a", "b", "c"])
    assert chain.fold.said == ["a", "b", "c"]
    assert chain.length == 3


@pytest.mark.parametrize("number", [ENOENT, ESTALE, EIO, errno.EACCES])
def test_a_listed_record_that_cannot_be_opened_is_no_removed_chain(clock, number):
    files = begun(clock, "a")
    chain = words(files, HOME, clock)
    chain.refresh()
    say(words(files, HOME, clock), "b")
    chain.files = fails_always(files, "read", number)
    with pytest.raises(OSError, match=r"0000|errno|E") as refusal:
        chain.refresh()
    assert not isinstance(refusal.value, FileNotFoundError)
    assert chain.fold.said == ["a"]
    chain.files = files
    chain.refresh()
    assert chain.fold.said == ["a", "b"]


@pytest.mark.parametrize("lacks", [{1}, {2}, {3}, {1, 2}, {2, 3}, {1, 2, 3}])
@pytest.mark.parametrize("looks", [1, 2])
def test_a_listing_that_lacks_names_now_and_then_is_not_believed(clock, lacks, looks):
    files = begun(clock, "abc")
    chain = words(files, HOME, clock)
    chain.refresh()
    hidden = {f"{slot:06d}.json" for slot in lacks}

    def answer(number, call, _):
        return [name for name in call() if number >= looks or name not in hidden]

    chain.files = Answers(files, "listdir", answer)
    chain.refresh()
    assert chain.fold.said == ["a", "b", "c"]
    say(chain, "d")
    assert said(files, HOME, clock) == list("abcd")


@pytest.mark.parametrize("at", range(6))
def test_a_listing_that_lacks_names_during_an_append_loses_nothing(clock, at):
    files = begun(clock, "ab")
    share = Answers(files, "listdir", lambda number, call, _: [] if number == at else call())
    chain = words(share, HOME, clock)
    try:
        say(chain, "c")
    except OSError:
        say(chain, "c")
    assert said(files, HOME, clock) == ["a", "b", "c"]
    assert chain.fold.said == ["a", "b", "c"]


@pytest.mark.parametrize("looks", [1, 2])
def test_a_gap_that_one_listing_shows_is_no_damage(clock, looks):
    files = begun(clock, "abc")

    def answer(number, call, _):
        return [name for name in call() if number >= looks or name != "000002.json"]

    chain = words(Answers(files, "listdir", answer), HOME, clock)
    chain.refresh()
    assert chain.fold.said == ["a", "b", "c"]


def test_a_gap_that_stays_is_damage(clock):
    files = begun(clock, "abc")
    hide = Answers(files, "listdir", lambda number, call, _: [name for name in call() if "2" not in name])
    with pytest.raises(Damaged):
        words(hide, HOME, clock).refresh()


@pytest.mark.parametrize("late", range(1, 5))
def test_a_slot_that_is_listed_late_is_never_filled_twice(clock, late):
    files = begun(clock)
    reader = words(files, HOME, clock)
    reader.refresh()
    say(words(files, HOME, clock), "theirs")

    def answer(number, call, _):
        return [name for name in call() if number >= late or name != "000002.json"]

    reader.files = Answers(files, "listdir", answer)
    say(reader, "ours")
    assert said(files, HOME, clock) == reader.fold.said == ["a", "theirs", "ours"]


# A crash after every single call


@pytest.mark.parametrize(
    ("text", "fanout"), [("", 0), ("a", 0), ("ab", 4), ("abc", 4), ("abcdefg", 4), ("", 4)]
)
def test_after_a_crash_at_any_call_the_record_stands_once_or_not_at_all(clock, text, fanout):
    for at in count():
        files = begun(clock, text, fanout)
        crashed = False
        try:
            say(words(Killed(files, at), HOME, clock, fanout=fanout), "z")
        except Died:
            crashed = True
        assert said(files, HOME, clock, fanout=fanout) in (list(text), [*text, "z"])
        for word in "zy":
            say(words(files, HOME, clock, fanout=fanout), word)
        assert said(files, HOME, clock, fanout=fanout) == [*text, "z", "y"]
        if not crashed:
            break
    assert at == len(calls_of_an_append(clock, text, fanout))
