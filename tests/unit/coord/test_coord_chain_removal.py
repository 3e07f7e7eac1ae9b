"""A chain whose directory people remove, and others begin anew, between any two calls."""

import contextlib

import pytest

from orze.coord.chain import Damaged
from orze.core.clock import ManualClock
from orze.core.memory import MemoryFiles
from tests.fakes.shares import At, removal_steps, remove_tree, said, say, words

HOME = "/chain"


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


def replaced(files, clock, others):
    """Remove the chain, and let another host begin it anew with these words (None: it stays away)."""
    remove_tree(files, HOME)
    if others is not None:
        files.mkdir(HOME)
        for word in others:
            say(words(files, HOME, clock), word)


@pytest.mark.parametrize("others", [None, "", "x", "xy", "xyv", "xyvw"])
@pytest.mark.parametrize("at", range(12))
def test_a_chain_removed_between_any_two_calls_is_never_appended_to_as_if_it_stood(clock, at, others):
    files = begun(clock, "ab")
    chain = words(files, HOME, clock)
    chain.refresh()
    share = chain.files = At(files, at, lambda: replaced(files, clock, others))
    try:
        written = say(chain, "z")
    except OSError:
        written = None
    removed = len(share.calls) > at
    if removed and others is None:
        assert files.listdir("/") == []  # nobody but a CLAIM makes it again
        return
    now = said(files, HOME, clock)
    assert [word for word in now if word != "z"] == list(others if removed else "ab")
    assert now.count("z") <= 1
    seen_before_it = share.names()[at:] in ([], ["unlink"])
    if written and not seen_before_it:
        assert "z" in now


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("at", range(12))
def test_a_removal_in_progress_shortens_the_chain_or_is_shown_as_damage(clock, at, step, backwards):
    files = begun(clock, "abcd")
    *records, rmdir = removal_steps(files, HOME)
    steps = [*(reversed(records) if backwards else records), rmdir][: step + 1]

    def remove_some():
        with contextlib.suppress(OSError):  # rmdir finds the temporary file
            for remove in steps:
                remove()

    chain = words(files, HOME, clock)
    chain.refresh()
    chain.files = At(files, at, remove_some)
    with contextlib.suppress(OSError):
        say(chain, "z")
    try:
        now = said(files, HOME, clock)
    except (Damaged, FileNotFoundError):
        return
    kept = [word for word in now if word != "z"]
    assert kept == list("abcd")[: len(kept)]
    assert now.count("z") <= 1


@pytest.mark.parametrize("others", ["", "x", "xy", "xyv"])
def test_a_follower_sees_that_a_chain_was_begun_anew(clock, others):
    files = begun(clock, "ab")
    chain = words(files, HOME, clock)
    chain.refresh()
    replaced(files, clock, others)
    chain.refresh()
    assert chain.fold.said == list(others)
    say(chain, "z")
    assert said(files, HOME, clock) == [*others, "z"]


def test_a_follower_sees_that_a_chain_without_a_valid_record_was_begun_anew(clock):
    files = begun(clock, "")
    first = words(files, HOME, clock)
    say(first, "a")
    remains = files.read(f"{HOME}/000001.json", 1000)
    remove_tree(files, HOME)
    files.mkdir(HOME)
    files.write_new(f"{HOME}/000001.json", remains.replace(b'"prev":""', b'"prev":"gone"'))
    chain = words(files, HOME, clock)
    chain.refresh()
    assert (chain.fold.said, chain.length) == ([], 1)
    replaced(files, clock, "x")
    chain.refresh()
    assert chain.fold.said == ["x"]


def test_a_removed_chain_has_an_empty_state(clock):
    files = begun(clock, "ab")
    chain = words(files, HOME, clock)
    chain.refresh()
    remove_tree(files, HOME)
    with pytest.raises(FileNotFoundError):
        chain.refresh()
    assert (chain.fold.said, chain.length) == ([], 0)


@pytest.mark.parametrize("text", ["ab", "abc", "abcd", "abcdefg"])
def test_a_follower_sees_that_the_segments_of_a_long_chain_are_gone(clock, text):
    files = begun(clock, text, 4)
    chain = words(files, HOME, clock, fanout=4)
    chain.refresh()
    for name in files.listdir(HOME):
        remove_tree(files, f"{HOME}/{name}")
    with pytest.raises(FileNotFoundError):
        chain.refresh()
    assert chain.fold.said == []
    say(chain, "z")
    assert said(files, HOME, clock, fanout=4) == ["z"]


@pytest.mark.parametrize("text", ["abc", "abcd", "abcde", "abcdefg"])
@pytest.mark.parametrize("at", range(14))
def test_a_long_chain_that_is_removed_is_not_begun_anew_in_its_middle(clock, at, text):
    files = begun(clock, text, 4)
    chain = words(files, HOME, clock, fanout=4)
    chain.refresh()
    chain.files = At(files, at, lambda: replaced(files, clock, None))
    with contextlib.suppress(OSError):
        say(chain, "z")
    later = words(files, HOME, clock, fanout=4)
    later.refresh()
    assert later.fold.said in ([], [*text, "z"])
