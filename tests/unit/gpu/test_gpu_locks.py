"""The slot locks, held against the real kernel: other processes, other users, links, cleaners."""

import contextlib
import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.gpu.locks import acquire_all, is_taken, try_lock

ROOT = Path(__file__).parents[3]


@pytest.fixture
def lock(tmp_path):
    return str(tmp_path / "orze-slots" / "gpu-x-0.lock")


@contextlib.contextmanager
def python(code, *arguments, **options):
    """Run code in another process that can import orze; it is killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


HOLD = """
import sys
from orze.gpu.locks import try_lock
print(try_lock(sys.argv[1]), flush=True)
sys.stdin.read()
"""


def test_a_lock_is_had_by_one_descriptor_at_a_time_and_ends_when_it_is_closed(lock):
    held = try_lock(lock)
    assert held is not None
    assert try_lock(lock) is None
    assert is_taken(lock)
    os.close(held)
    assert not is_taken(lock)
    again = try_lock(lock)
    assert again is not None
    os.close(again)


def test_looking_at_a_lock_makes_neither_the_file_nor_the_directory(lock):
    assert not is_taken(lock)
    assert not Path(lock).parent.exists()


def test_a_lock_ends_with_the_death_of_its_process(lock):
    with python(HOLD, lock) as holder:
        holder.stdout.readline()
        assert is_taken(lock)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert not is_taken(lock)


def test_an_inherited_lock_outlives_the_process_that_took_it(lock):
    held = try_lock(lock, inheritable=True)
    with python("print(flush=True); input()", close_fds=False) as child:
        child.stdout.readline()
        os.close(held)
        assert is_taken(lock)
        child.communicate("\n")
        assert not is_taken(lock)


def test_a_lock_is_not_inherited_unless_it_is_wanted(lock):
    held = try_lock(lock)
    with python("print(flush=True); input()", close_fds=False) as child:
        child.stdout.readline()
        os.close(held)
        assert not is_taken(lock)


def test_directory_and_file_are_open_to_all_users_whatever_the_umask(lock):
    before = os.umask(0o077)
    try:
        os.close(try_lock(lock))
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(lock).st_mode) == 0o666
    assert stat.S_IMODE(os.stat(Path(lock).parent).st_mode) == 0o1777


def test_a_directory_that_is_there_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o750)
    os.close(try_lock(str(tmp_path / "a.lock")))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


NOBODY = """
import os, sys
from orze.gpu.locks import is_taken, try_lock
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print(is_taken(sys.argv[1]), try_lock(sys.argv[1]) is not None)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to run as another user")
def test_users_share_the_locks():
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:  # tmp_path is closed to other users
        os.chmod(directory, 0o1777)
        path = f"{directory}/orze-slots/gpu-x-0.lock"
        held = try_lock(path)
        with python(NOBODY, path) as other:
            assert other.stdout.readline() == "True False\n"
        os.close(held)
        with python(NOBODY, path) as other:
            assert other.stdout.readline() == "False True\n"


OPENS = """
import os, sys
from orze.gpu.locks import try_lock
flags, name = [], os.path.basename(sys.argv[1])
sys.addaudithook(lambda event, a: flags.append(a[2]) if event == "open" and a[0] == name else None)
try_lock(sys.argv[1])
print([bool(f & os.O_CREAT) for f in flags])
"""


def test_a_file_that_is_there_is_never_opened_with_the_flag_that_creates_it(lock):
    for expected in ["[False, True]", "[False]"]:
        with python(OPENS, lock) as process:
            assert process.stdout.readline().strip() == expected


def test_a_link_in_place_of_the_file_is_refused_and_what_it_points_to_is_left_alone(lock, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    victim.chmod(0o600)
    Path(lock).parent.mkdir()
    os.symlink(victim, lock)
    for use in (try_lock, is_taken):
        with pytest.raises(OSError, match="symbolic links"):
            use(lock)
    assert (victim.read_text(), stat.S_IMODE(victim.stat().st_mode)) == ("mine", 0o600)


def test_a_link_in_place_of_the_directory_is_refused(lock, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", Path(lock).parent)
    with pytest.raises(OSError, match="Not a directory"):
        try_lock(lock)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_pipe_in_place_of_the_file_does_not_hang(lock):
    Path(lock).parent.mkdir()
    os.mkfifo(lock)
    held = try_lock(lock)
    assert held is not None
    os.close(held)


CLEANED = """
import os, sys
from orze.gpu.locks import try_lock
path, left = sys.argv[1], [3]
def cleaner(event, arguments):
    if event == "fcntl.flock" and left and left.pop():
        os.unlink(path)
sys.addaudithook(cleaner)
print(os.path.samestat(os.fstat(try_lock(path)), os.stat(path)))
"""


def test_a_file_that_a_cleaner_removes_before_it_is_locked_is_made_again(lock):
    with python(CLEANED, lock) as process:
        assert process.stdout.readline().strip() == "True"


LOOK = """
import sys
from orze.gpu.locks import is_taken
print(flush=True)
while True:
    is_taken(sys.argv[1])
"""


def test_looking_at_a_lock_never_keeps_anybody_from_taking_it(lock):
    os.close(try_lock(lock))
    with python(LOOK, lock) as first, python(LOOK, lock) as second:
        first.stdout.readline()
        second.stdout.readline()
        for _ in range(3000):
            held = try_lock(lock)
            assert held is not None
            os.close(held)


# Says so when it has tried a second time, and what came of it at the end.
TRY = """
import fcntl, sys
from orze.gpu.locks import try_lock
tries = []
def count(event, arguments):
    if event == "fcntl.flock" and arguments[1] == fcntl.LOCK_EX | fcntl.LOCK_NB:
        tries.append(1)
        if len(tries) == 2:
            print("tries on", flush=True)
sys.addaudithook(count)
print(try_lock(sys.argv[1]) is not None, flush=True)
sys.stdin.read()
"""


def test_of_two_that_meet_a_look_at_the_lock_one_gets_it(lock):
    look = try_lock(lock)
    fcntl.flock(look, fcntl.LOCK_SH)
    with python(TRY, lock) as one, python(TRY, lock) as other:
        for process in (one, other):
            assert process.stdout.readline() == "tries on\n"
        os.close(look)
        assert sorted(process.stdout.readline() for process in (one, other)) == ["False\n", "True\n"]


# While both locks are held there is a file, which must not be there before.
FIGHT = """
import os, sys
from orze.gpu.locks import acquire_all
print(flush=True)
sys.stdin.readline()
rounds, mark = 0, min(sys.argv[1:]) + ".mark"
while rounds < 1000:
    held = acquire_all(sys.argv[1:])
    if held:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        os.unlink(mark)
        rounds += 1
        for descriptor in held:
            os.close(descriptor)
print("done")
"""


def test_two_processes_that_want_the_same_locks_in_opposite_orders_both_get_on_and_never_together(tmp_path):
    a, b = str(tmp_path / "a.lock"), str(tmp_path / "b.lock")
    with python(FIGHT, a, b) as one, python(FIGHT, b, a) as other:
        for fighter in (one, other):
            fighter.stdout.readline()
        for fighter in (one, other):
            fighter.stdin.write("\n")
            fighter.stdin.flush()
        assert [fighter.stdout.readline().strip() for fighter in (one, other)] == ["done", "done"]


NAMES = st.sampled_from("abcde")


@settings(max_examples=50, deadline=None)
@given(held=st.sets(NAMES), wanted=st.lists(NAMES, max_size=6))
def test_several_locks_are_taken_all_or_none(held, wanted):
    with tempfile.TemporaryDirectory() as directory:
        path = {name: f"{directory}/{name}.lock" for name in "abcde"}
        others = [try_lock(path[name]) for name in held]
        got = acquire_all([path[name] for name in wanted])
        taken = {name for name in path if is_taken(path[name])}
        for descriptor in [*others, *(got or [])]:
            os.close(descriptor)
        assert (got is None) == bool(held & set(wanted))
        assert taken == (held if got is None else held | set(wanted))
        assert got is None or len(got) == len(set(wanted))


def test_several_locks_are_taken_in_one_order_whoever_asks(tmp_path):
    paths = [str(tmp_path / name) for name in ("b.lock", "a.lock", "c.lock")]
    held = acquire_all(paths)
    assert [os.readlink(f"/proc/self/fd/{descriptor}") for descriptor in held] == sorted(paths)
    for descriptor in held:
        os.close(descriptor)


def test_no_descriptor_is_left_open_but_those_that_hold_a_lock(tmp_path):
    before = os.listdir("/proc/self/fd")
    path, wrong = str(tmp_path / "new" / "a.lock"), tmp_path / "wrong"
    wrong.mkdir()
    held = acquire_all([path])
    for use in (try_lock, is_taken):
        use(path)
        with pytest.raises(IsADirectoryError):
            use(str(wrong))
    assert acquire_all([str(tmp_path / "0"), path]) is None
    os.close(held[0])
    assert os.listdir("/proc/self/fd") == before


def test_a_lock_that_cannot_be_used_leaves_none_held(tmp_path):
    (tmp_path / "b.lock").mkdir()
    with pytest.raises(IsADirectoryError):
        acquire_all([str(tmp_path / "a.lock"), str(tmp_path / "b.lock")])
    assert not is_taken(str(tmp_path / "a.lock"))


BARE = """
import os, sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
import orze.gpu.locks
print(sorted(set(sys.modules) - before))
"""


def test_the_module_brings_nothing_else_into_a_bare_interpreter():
    command = [sys.executable, "-I", "-S", "-c", BARE, str(ROOT)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out == "['__future__', 'fcntl', 'orze', 'orze.gpu', 'orze.gpu.locks']\n"
