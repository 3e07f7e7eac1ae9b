"""Heartbeats: who renews, who watches, and what is no proof of death."""

import errno

import pytest

from orze.coord.heartbeat import SIZE, Beat, Watch
from orze.core.clock import ManualClock
from orze.core.files import RealFiles
from orze.core.memory import MemoryFiles
from tests.fakes.shares import Answers, Share, error, fails_always, fails_once

PATH = "/results/.orze/heartbeats/idea-1.token"
OTHER = "/results/.orze/heartbeats/idea-2.token"
STEAL, GAP, LOOK = 180.0, 45.0, 10.0


@pytest.fixture
def files():
    return MemoryFiles()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def beat(files):
    """A keeper on another host, with a clock of its own."""
    beat = Beat(files, PATH, ManualClock(5e6))
    beat.begin()
    return beat


# Renewing


def test_a_heartbeat_is_a_file_of_fixed_length_whose_content_changes(files, beat):
    contents = []
    for _ in range(5):
        contents.append(files.read(PATH, SIZE))
        beat.renew()
    assert len(set(contents)) == 5
    assert {len(content) for content in contents} == {SIZE}


def test_a_renewal_on_a_real_disk_needs_no_space_and_no_new_name(tmp_path):
    beat = Beat(RealFiles(), str(tmp_path / "heartbeats" / "idea-1.t"), ManualClock())
    beat.begin()
    before = (tmp_path / "heartbeats" / "idea-1.t").stat()
    beat.renew()
    after = (tmp_path / "heartbeats" / "idea-1.t").stat()
    assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)


def test_a_name_that_is_somebody_elses_is_refused(files, beat):
    with pytest.raises(FileExistsError):
        Beat(files, PATH, ManualClock()).begin()


def test_a_renewal_is_one_overwriting(files):
    share = Share(files)
    beat = Beat(share, PATH, ManualClock())
    beat.begin()
    share.calls.clear()
    beat.renew()
    assert share.names() == ["overwrite"]


def test_a_removed_heartbeat_is_never_made_again(files, beat):
    files.unlink(PATH)
    with pytest.raises(FileNotFoundError):
        beat.renew()
    assert files.listdir("/results/.orze/heartbeats") == []


def test_the_lease_counts_from_before_the_last_write_that_succeeded(files, clock):
    def slow(number, call, _):
        clock.advance(7.0)
        call()
        if number == 1:
            raise error(errno.EIO)

    beat = Beat(Answers(files, "overwrite", slow), PATH, clock)
    beat.begin()
    assert beat.renewed == 1000.0
    clock.advance(3.0)
    beat.renew()
    assert beat.renewed == 1003.0
    with pytest.raises(OSError, match="EIO"):
        beat.renew()
    assert beat.renewed == 1003.0
    beat.renew()
    assert beat.renewed == 1017.0


def test_a_heartbeat_that_could_not_be_made_has_no_lease(files, clock):
    beat = Beat(fails_always(files, "write_new", errno.ENOSPC), PATH, clock)
    with pytest.raises(OSError, match="ENOSPC"):
        beat.begin()
    assert beat.renewed == 0.0


def test_after_a_failed_renewal_the_next_content_is_new_all_the_same(files):
    beat = Beat(fails_once(files, "overwrite", errno.EIO, done=True), PATH, ManualClock())
    beat.begin()
    before = files.read(PATH, SIZE)
    with pytest.raises(OSError, match="EIO"):
        beat.renew()
    between = files.read(PATH, SIZE)
    beat.renew()
    assert len({before, between, files.read(PATH, SIZE)}) == 3


def test_ending_removes_the_file_and_may_be_repeated(files, beat):
    beat.end()
    beat.end()
    assert files.listdir("/results/.orze/heartbeats") == []


# Watching


class Observer:
    """Looks every LOOK seconds at all heartbeats that it believes in, as a daemon does."""

    def __init__(self, files, clock, paths=(PATH,)):
        self.files = files
        self.clock = clock
        self.paths = list(paths)
        self.watch = Watch(files, clock, steal=STEAL, gap=GAP)

    def look(self):
        folder = PATH.rpartition("/")[0]
        present = {f"{folder}/{name}" for name in self.files.listdir(folder)}
        return self.watch.look(self.paths, present)

    def until(self, seconds, beats=()):
        """Look for so long; return after how many seconds somebody was first called dead, and who."""
        for past in range(0, int(seconds) + 1, int(LOOK)):
            dead = self.look()
            if dead:
                return past, dead
            self.clock.advance(LOOK)
            for beat in beats:
                beat.renew()
        return None


@pytest.fixture
def observer(files, clock, beat):
    return Observer(files, clock)


def test_a_heartbeat_that_is_renewed_lives_for_ever(observer, beat):
    assert observer.until(10 * STEAL, [beat]) is None


def test_a_heartbeat_that_stops_is_dead_after_the_lease_and_not_before(observer):
    assert observer.until(2 * STEAL) == (STEAL, [PATH])


def test_the_dead_stay_dead_until_nobody_believes_in_them(observer):
    observer.until(2 * STEAL)
    assert observer.look() == [PATH]
    observer.paths = []
    assert observer.look() == []


@pytest.mark.parametrize("alive", [10.0, 90.0, 170.0])
def test_a_late_renewal_starts_the_wait_again(observer, beat, alive):
    assert observer.until(alive) is None
    beat.renew()
    past, dead = observer.until(2 * STEAL)
    assert past >= STEAL
    assert dead == [PATH]


def test_every_observer_waits_for_itself(observer, files, clock):
    observer.until(STEAL - LOOK)
    late = Observer(files, clock)
    assert observer.until(LOOK) is not None
    assert late.look() == []
    assert late.until(2 * STEAL) is not None


def test_three_looks_are_needed_however_long_they_are_apart(files, clock, beat):
    watch = Watch(files, clock, steal=10.0, gap=1000.0)
    looks = []
    for _ in range(6):
        looks.append(bool(watch.look([PATH], {PATH})))
        clock.advance(100.0)
    assert looks.index(True) >= 3


def test_an_observer_that_was_paused_begins_again(observer, clock):
    observer.until(STEAL - 2 * LOOK)
    clock.advance(GAP + 1)
    assert observer.look() == []
    past, _ = observer.until(2 * STEAL)
    assert past >= STEAL - LOOK


def test_a_pause_within_the_allowed_gap_is_none(observer, clock):
    observer.until(STEAL - 2 * LOOK)
    clock.advance(GAP - LOOK)
    assert observer.look() == [PATH]


def test_an_observer_that_was_paused_before_its_first_look_begins_then(files, clock, beat):
    observer = Observer(files, clock)
    clock.advance(10 * STEAL)
    assert observer.look() == []
    assert observer.until(2 * STEAL) is not None


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOENT, errno.EACCES])
@pytest.mark.parametrize("at", [1, 5, 17])
def test_a_reading_that_failed_begins_again(files, clock, beat, number, at):
    observer = Observer(fails_once(files, "read", number, done=False, at=at), clock)
    past, dead = observer.until(3 * STEAL)
    assert past >= (at + 1) * LOOK + STEAL
    assert dead == [PATH]


def test_a_heartbeat_that_can_never_be_read_is_never_called_dead(files, clock, beat):
    observer = Observer(fails_always(files, "read", errno.EIO), clock)
    assert observer.until(10 * STEAL) is None


def test_a_torn_page_begins_again(files, clock, beat):
    share = Answers(files, "read", lambda count, call, _: b"\0" * SIZE if count == 10 else call())
    past, _ = Observer(share, clock).until(3 * STEAL)
    assert past >= 10 * LOOK + STEAL


def hang(files, clock, path, at, seconds):
    """Reading number `at` of this path takes very long."""
    counts = {path: 0}

    def answer(_, call, arguments):
        if arguments[0] == path:
            counts[path] += 1
            if counts[path] == at:
                clock.advance(seconds)
        return call()

    return Answers(files, "read", answer)


@pytest.mark.parametrize("seconds", [GAP + 1, 300.0])
@pytest.mark.parametrize("at", [2, 5, 15])
def test_a_share_that_hangs_proves_nothing_about_anybody(files, clock, beat, seconds, at):
    """Everybody hangs together: when the share comes back, the keepers need a moment to renew."""
    other = Beat(files, OTHER, ManualClock())
    other.begin()
    observer = Observer(hang(files, clock, PATH, at, seconds), clock, [PATH, OTHER])
    past, dead = observer.until(3 * STEAL)
    assert past >= (at - 1) * LOOK + STEAL
    assert sorted(dead) == [PATH, OTHER]


def test_a_share_that_hangs_between_two_that_live_leaves_them_alive(files, clock, beat):
    other = Beat(files, OTHER, ManualClock())
    other.begin()
    observer = Observer(hang(files, clock, PATH, 12, 300.0), clock, [PATH, OTHER])
    for _ in range(11):
        assert observer.look() == []
        clock.advance(2.0)
    assert observer.look() == []  # it hangs here for five minutes
    beat.renew()
    other.renew()
    assert observer.until(STEAL - LOOK) is None


def test_what_is_absent_from_fresh_listings_for_the_lease_is_dead(observer, files):
    observer.until(50.0)
    files.unlink(PATH)
    past, dead = observer.until(2 * STEAL)
    assert past >= STEAL
    assert dead == [PATH]


def test_what_was_never_there_is_dead_after_the_lease(files, clock, beat):
    past, dead = Observer(files, clock, [OTHER]).until(2 * STEAL)
    assert (past, dead) == (STEAL, [OTHER])


def test_a_listing_that_lacks_a_name_once_begins_again(files, clock, beat):
    share = Answers(files, "listdir", lambda count, call, _: [] if count == 10 else call())
    past, _ = Observer(share, clock).until(3 * STEAL)
    assert past >= 10 * LOOK + STEAL


def test_what_is_absent_is_never_asked_for_by_name(files, clock, beat):
    share = Share(files)
    Observer(share, clock, [OTHER]).look()
    assert "read" not in share.names()


def test_the_dead_are_told_from_the_living(files, clock, beat):
    other = Beat(files, OTHER, ManualClock())
    other.begin()
    observer = Observer(files, clock, [PATH, OTHER])
    assert observer.until(2 * STEAL, [other]) == (STEAL, [PATH])


def test_a_path_that_was_forgotten_begins_again(observer):
    observer.until(STEAL - LOOK)
    observer.paths = []
    observer.look()
    observer.paths = [PATH]
    past, _ = observer.until(2 * STEAL)
    assert past >= STEAL


def test_a_file_that_grew_is_no_heartbeat_and_no_proof(files, clock, beat):
    files.replace(PATH, b"x" * (SIZE + 1))
    assert Observer(files, clock).until(3 * STEAL) is None


def test_a_look_that_comes_too_soon_reads_nothing_and_finds_what_the_last_one_found(files, clock, beat):
    share = Share(files)
    watch = Watch(share, clock, steal=STEAL, gap=GAP, every=LOOK)
    found = []
    while not found:
        found = watch.look([PATH], {PATH})
        share.calls.clear()
        again = watch.look([PATH], {PATH})
        assert again == found
        assert share.calls == []
        clock.advance(LOOK)
    assert watch.look([], set()) == []


def test_looks_that_come_too_soon_do_not_count_as_looks(files, clock, beat):
    watch = Watch(files, clock, steal=1.0, gap=GAP, every=LOOK)
    outcomes = []
    for _ in range(20):
        outcomes.append(bool(watch.look([PATH], {PATH})))
        clock.advance(LOOK / 4)
    assert outcomes.index(True) == 12  # the first reading, and three more of them


def test_a_newcomer_is_read_at_once(files, clock, beat):
    other = Beat(files, OTHER, ManualClock())
    other.begin()
    share = Share(files)
    watch = Watch(share, clock, steal=STEAL, gap=GAP, every=LOOK)
    watch.look([PATH], {PATH})
    watch.look([PATH, OTHER], {PATH, OTHER})
    assert ("read", OTHER, SIZE) in share.calls
