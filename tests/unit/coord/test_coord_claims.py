"""Claiming an idea: the gate, the record, the wait, and what is never claimed."""

import errno
from itertools import count

import pytest

from orze.coord.claims import Claimed, Claims, Taken, Unsettled
from orze.coord.idea_chain import DONE, FAIL, LOST, REQUEUE, TRAINED
from orze.coord.record import new_record
from orze.core.clock import ManualClock
from orze.core.memory import MemoryFiles
from orze.core.paths import FarmPaths
from orze.core.states import State
from tests.fakes.shares import At, Died, Killed, Share, fails_always, fails_once, remove_tree

PATHS = FarmPaths("/results")
IDEA = PATHS.idea("idea-1")
QUIET = 360.0
LOOK = 30.0
FRAME = {"host": "node1", "pid": 7, "start": 99}


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def files():
    files = MemoryFiles()
    files.mkdir("/results")
    return files


class Host:
    """A daemon that claims for its keepers."""

    def __init__(self, files, clock, name="h"):
        self.name = name
        self.clock = clock
        self.claims = Claims(files, PATHS, clock, quiet=QUIET)

    def claim(self, token=None):
        return self.claims.claim("idea-1", token or self.name, FRAME, {"section": "## idea-1: x\n"})

    def until_settled(self, limit=2 * QUIET):
        """Look every LOOK seconds until it is more than unsettled; after how long, and what it is."""
        for past in range(0, int(limit) + 1, int(LOOK)):
            outcome = self.claim()
            if not isinstance(outcome, Unsettled):
                return past, outcome
            self.clock.advance(LOOK)
        return None


@pytest.fixture
def host(files, clock):
    return Host(files, clock)


def fold_of(files, clock):
    chain, fold = Claims(files, PATHS, clock, quiet=QUIET).open_chain("idea-1")
    chain.refresh()
    return chain, fold


def write(files, clock, kind, **content):
    chain, fold = fold_of(files, clock)
    chain.append(lambda: new_record(kind, token=fold.token, **content))


def test_a_new_idea_is_claimed_at_once(files, clock, host):
    claimed = host.claim()
    assert isinstance(claimed, Claimed)
    assert claimed.record.items() >= {"kind": "CLAIM", "token": "h", "attempt": 1, **FRAME}.items()
    assert claimed.record["section"] == "## idea-1: x\n"
    _, fold = fold_of(files, clock)
    assert (fold.token, fold.claim) == ("h", claimed.record)
    assert files.listdir(IDEA.home) == [".chain"]


def test_what_is_claimed_is_taken_for_others(files, clock, host):
    host.claim()
    taken = Host(files, clock, "other").claim()
    assert isinstance(taken, Taken)
    assert taken.why == "it is TRAINING"
    assert taken.fold.token == "h"


def test_a_claim_that_is_asked_for_again_is_found(host):
    first, second = host.claim(), host.claim()
    assert isinstance(second, Claimed)
    assert second.record == first.record


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (REQUEUE, {}),
        (FAIL, {"cause": "timeout", "final": False}),
        (LOST, {"supersedes": None, "seen_gone": True}),
    ],
)
def test_an_open_idea_is_claimed_again_with_the_next_number(files, clock, host, kind, content):
    host.claim()
    _, fold = fold_of(files, clock)
    write(files, clock, kind, **content | ({"supersedes": fold.tail} if kind == LOST else {}))
    claimed = Host(files, clock, "other").claim()
    assert isinstance(claimed, Claimed)
    assert (claimed.record["attempt"], claimed.fold.token) == (2, "other")


@pytest.mark.parametrize(
    ("kind", "content", "state"),
    [
        (TRAINED, {}, State.EVALUATING),
        (DONE, {}, State.COMPLETED),
        (FAIL, {"cause": "timeout", "final": True}, State.FAILED),
    ],
)
def test_what_runs_or_is_settled_is_taken(files, clock, host, kind, content, state):
    host.claim()
    write(files, clock, kind, **content)
    taken = Host(files, clock, "other").claim()
    assert isinstance(taken, Taken)
    assert taken.fold.state == state
    assert state in taken.why


def test_projections_of_our_own_do_not_hinder_the_next_attempt(files, clock, host):
    host.claim()
    write(files, clock, REQUEUE)
    files.write_new(IDEA.projection("claim.json"), b"{}")
    files.write_new(IDEA.projection("metrics.json"), b"{}")
    assert isinstance(Host(files, clock, "other").claim(), Claimed)


# A directory without a record


def test_an_empty_directory_is_claimed_after_the_quiet_time_and_not_before(files, host):
    files.mkdir(IDEA.home)
    past, outcome = host.until_settled()
    assert past == QUIET
    assert isinstance(outcome, Claimed)


def test_three_more_looks_are_needed_however_long_they_are_apart(files, clock, host):
    files.mkdir(IDEA.home)
    outcomes = []
    for _ in range(5):
        outcomes.append(isinstance(host.claim(), Claimed))
        clock.advance(10 * QUIET)
    assert outcomes.index(True) == 3


@pytest.mark.parametrize("name", ["notes.txt", "attempts", ".chain/.tmp-1", ".chain/stop-x"])
def test_any_change_of_the_directory_starts_the_wait_again(files, clock, host, name):
    files.mkdir(IDEA.home)
    files.mkdir(IDEA.chain)
    assert host.until_settled(QUIET - LOOK) is None
    files.write_new(f"{IDEA.home}/{name}", b"")
    past, outcome = host.until_settled()
    assert past == QUIET
    assert isinstance(outcome, Claimed)


def test_a_directory_with_void_records_only_is_claimed_after_the_quiet_time(files, host):
    files.mkdir(IDEA.home)
    files.mkdir(IDEA.chain)
    files.write_new(f"{IDEA.chain}/000001.json", b'{"kind":"DONE","token":"gone","prev":"gone"}')
    past, outcome = host.until_settled()
    assert past == QUIET
    assert outcome.record["attempt"] == 1
    assert sorted(files.listdir(IDEA.chain)) == ["000001.json", "000002.json"]


def test_every_host_waits_for_itself_and_one_claims(files, clock):
    files.mkdir(IDEA.home)
    first, second = Host(files, clock, "a"), Host(files, clock, "b")
    assert first.until_settled(QUIET - LOOK) is None
    assert isinstance(second.claim(), Unsettled)
    assert isinstance(first.claim(), Claimed)
    assert isinstance(second.claim(), Taken)


def test_a_wait_is_forgotten_when_somebody_else_claims(files, clock, host):
    """Else a directory of that name that is made much later would be claimed without any wait."""
    files.mkdir(IDEA.home)
    assert host.until_settled(3 * LOOK) is None
    Host(files, clock, "other").until_settled()
    assert isinstance(host.claim(), Taken)
    remove_tree(files, IDEA.home)
    files.mkdir(IDEA.home)  # a plain farm's, which has not written its claim.json yet
    assert isinstance(host.claim(), Unsettled)


def test_a_wait_is_forgotten_when_the_share_fails(files, clock):
    files.mkdir(IDEA.home)
    host = Host(fails_once(files, "listdir", errno.EIO, done=False, at=13), clock)
    with pytest.raises(OSError, match="EIO"):
        host.until_settled()
    past, outcome = host.until_settled()
    assert past == QUIET
    assert isinstance(outcome, Claimed)


@pytest.mark.parametrize("name", ["claim.json", "metrics.json"])
@pytest.mark.parametrize("with_chain", [False, True])
def test_a_directory_of_a_plain_farm_or_a_person_is_never_claimed(files, clock, host, name, with_chain):
    files.mkdir(IDEA.home)
    if with_chain:
        files.mkdir(IDEA.chain)
    files.write_new(f"{IDEA.home}/{name}", b"{}")
    past, outcome = host.until_settled()
    assert past == 0
    assert isinstance(outcome, Taken)
    assert "plain farm" in outcome.why
    clock.advance(100 * QUIET)
    assert isinstance(host.claim(), Taken)
    assert sorted(files.listdir(IDEA.home)) == sorted([name, *([".chain"] if with_chain else [])])


@pytest.mark.parametrize("ours", ["attempts", "latest"])
def test_what_an_unfinished_removal_left_of_our_own_directory_is_claimed_once_it_is_quiet(files, host, ours):
    files.mkdir(IDEA.home)
    files.mkdir(IDEA.chain)
    files.write_new(f"{IDEA.home}/claim.json", b"{}")
    files.mkdir(f"{IDEA.home}/{ours}")
    past, outcome = host.until_settled()
    assert past == QUIET
    assert isinstance(outcome, Claimed)


def test_what_is_left_of_our_own_directory_is_known_by_its_claim(files, host):
    files.mkdir(IDEA.home)
    files.write_new(f"{IDEA.home}/claim.json", b'{"claimed_by": "gpu-a", "attempt": 1}')
    past, outcome = host.until_settled()
    assert past == QUIET
    assert isinstance(outcome, Claimed)


@pytest.mark.parametrize("claim", [b'{"claimed_by": "gpu-a"}', b"[1]", b"", b"\xff", b"{" * 100_000])
def test_a_claim_that_names_no_attempt_is_that_of_a_plain_farm(files, host, claim: bytes):
    files.mkdir(IDEA.home)
    files.write_new(f"{IDEA.home}/claim.json", claim)
    assert isinstance(host.claim(), Taken)


def test_a_plain_farm_that_writes_its_claim_late_keeps_its_idea(files, host):
    files.mkdir(IDEA.home)
    assert host.until_settled(QUIET - LOOK) is None
    files.write_new(f"{IDEA.home}/claim.json", b"{}")
    assert isinstance(host.claim(), Taken)


def test_a_chain_that_cannot_be_read_is_not_claimed(files, host):
    files.mkdir(IDEA.home)
    files.mkdir(IDEA.chain)
    files.write_new(f"{IDEA.chain}/000001.json", b"\0\0\0")
    for _ in range(20):
        with pytest.raises(OSError, match="not a record"):
            host.until_settled()
    assert files.listdir(IDEA.chain) == ["000001.json"]


def test_there_is_nothing_to_claim_in_results_that_vanished(clock):
    with pytest.raises(FileNotFoundError):
        Host(MemoryFiles(), clock).claim()


# Faults


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EIO])
def test_an_own_mkdir_whose_reply_was_lost_is_waited_for(files, clock, number):
    host = Host(fails_once(files, "mkdir", number, done=True), clock)
    if number == errno.EIO:
        with pytest.raises(OSError, match="EIO"):
            host.claim()
    past, outcome = host.until_settled()
    assert past == QUIET
    assert isinstance(outcome, Claimed)


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("name", ["link", "write_new", "sync_dir", "listdir", "read", "unlink"])
def test_a_claim_that_failed_midway_is_found_by_asking_again(files, clock, name, done):
    host = Host(fails_once(files, name, errno.EIO, done=done), clock)
    try:
        outcome = host.claim()
    except OSError:
        _, outcome = host.until_settled()
    assert isinstance(outcome, Claimed)
    chain, fold = fold_of(files, clock)
    assert (chain.length, fold.token) == (1, "h")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("name", ["mkdir", "write_new", "link"])
def test_a_full_disk_claims_nothing(files, clock, name, number):
    with pytest.raises(OSError, match=errno.errorcode[number]):
        Host(fails_always(files, name, number), clock).claim()
    _, outcome = Host(files, clock, "other").until_settled()
    assert isinstance(outcome, Claimed)


def test_after_a_crash_at_any_call_the_idea_is_claimed_once_or_can_be():
    for at in count():
        files, clock = MemoryFiles(), ManualClock()
        files.mkdir("/results")
        try:
            Host(Killed(files, at), clock, "crashed").claim()
        except Died:
            ended = False
        else:
            ended = True
        _, outcome = Host(files, clock, "other").until_settled()
        chain, fold = fold_of(files, clock)
        assert isinstance(outcome, Claimed) == (fold.token == "other")
        assert chain.length == 1
        if ended:
            break
    assert fold.token == "crashed"
    assert at > 8


@pytest.mark.parametrize("at", range(14))
def test_a_directory_removed_between_any_two_calls_of_a_claim_is_claimed_by_one(files, clock, at):
    def remove():
        if "idea-1" in files.listdir("/results"):
            remove_tree(files, IDEA.home)

    try:
        first = Host(At(files, at, remove), clock, "a").claim()
    except OSError:
        first = None
    _, second = Host(files, clock, "b").until_settled()
    chain, fold = fold_of(files, clock)
    assert chain.length == 1
    assert fold.token == ("b" if isinstance(second, Claimed) else "a")
    if isinstance(second, Taken):
        assert isinstance(first, Claimed)


def test_a_claim_costs_these_calls(files, clock):
    share = Share(files)
    Host(share, clock).claim()
    assert share.names() == [
        *("mkdir", "mkdir", "listdir", "write_new", "listdir"),
        *("link", "sync_dir", "listdir", "read", "unlink", "sync_dir", "sync_dir"),
    ]


def test_only_a_claim_makes_the_chain(files, clock):
    chain, fold = Claims(files, PATHS, clock, quiet=QUIET).open_chain("idea-1")
    with pytest.raises(FileNotFoundError):
        chain.append(lambda: new_record(DONE, token=fold.token))
    assert files.listdir("/results") == []
