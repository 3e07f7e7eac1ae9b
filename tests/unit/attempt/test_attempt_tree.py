"""Process trees: real processes under an interpreter of their own, since the suite must be no subreaper."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_keeper import DEADLINE, KEEPER, ROOT, keeper

from orze.attempt.tree import Ending


def test_an_ordinary_end_is_seen_at_once_and_without_a_look_into_proc():
    found = keeper("""
main = start("print('done')")
looked = []
sys.addaudithook(lambda event, args: looked.append(str(args[0])) if event in ("open", "os.listdir") else None)
status = drive(main)
answer(status=status, looked=looked, printed=rest())
""")
    assert found == {"status": 0, "looked": [], "printed": "done\n"}


@pytest.mark.parametrize(
    ("code", "status"), [("raise SystemExit(3)", 3 << 8), ("os.kill(os.getpid(), 9)", 9)]
)
def test_the_status_is_that_of_waitpid(code: str, status: int):
    found = keeper(f"answer(status=drive(start({code!r})))")
    assert found["status"] == status


def test_a_grandchild_that_ignores_term_is_killed_after_the_grace():
    found = keeper("""
main = start('''
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("deaf")
else:
    say("plain")
rest_for_ever()
''')
said("deaf plain")
begun = now()
status = drive(main, tree.Ending(0.3, begun))
answer(status=status, waited=now() - begun, printed=rest())
""")
    assert found["status"] == 15
    assert found["waited"] >= 0.3
    assert found["printed"] == ""


def test_a_script_saves_its_checkpoint_while_its_workers_live():
    """A loader worker that dies of TERM raises an exception in the very script that is saving."""
    found = keeper("""
main = start('''
def told_worker(*_):
    say("worker told")
    os._exit(0)
def save(*_):
    lives = os.waitpid(worker, os.WNOHANG) == (0, 0)
    say("worker lives" if lives else "worker died")
    os._exit(0)
worker = os.fork()
signal.signal(signal.SIGTERM, save if worker else told_worker)
say("ready")
rest_for_ever()
''')
said("ready ready")
status = drive(main, tree.Ending(20, now()))
answer(status=status, printed=rest())
""")
    assert found == {"status": 0, "printed": "worker lives\nworker told\n"}


def test_term_is_sent_once_to_each_process():
    found = keeper("""
main = start('''
signal.signal(signal.SIGTERM, lambda *_: say("told"))
say("ready")
rest_for_ever()
''')
said("ready")
answer(status=drive(main, tree.Ending(1.2, now())), printed=rest())
""")
    assert found == {"status": 9, "printed": "told\n"}


def test_a_daemon_of_its_own_session_is_ended_after_the_script():
    found = keeper("""
main = start('''
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("daemon")
        rest_for_ever()
    os._exit(0)
os.wait()
''')
said("daemon")
answer(status=drive(main), printed=rest())
""")
    assert found == {"status": 0, "printed": ""}


def test_a_tree_that_forks_on_from_sessions_of_their_own_is_ended():
    """Fifteen processes deaf to TERM, each in its own session; who loses a child makes another."""
    found = keeper("""
main = start('''
left, more = os.pipe()
os.write(more, b"x" * 30)
os.set_blocking(left, False)
def fork(depth):
    if depth < 4 and os.fork() == 0:
        os.setsid()
        live(depth)
def live(depth):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    fork(depth + 1)
    fork(depth + 1)
    say("up")
    while True:
        try:
            os.wait()
            os.read(left, 1)
            fork(depth + 1)
        except (ChildProcessError, BlockingIOError):
            rest_for_ever()
live(0)
''')
said("up " * 15)
status = drive(main, tree.Ending(0.05, now()))
answer(status=status, others=set(rest().split()) - {"up"} == set())
""")
    assert found == {"status": 9, "others": True}


def test_a_grandchild_that_holds_a_file_is_gone_when_the_tree_is(tmp_path: Path):
    found = keeper(
        """
import fcntl
main = start('''
import fcntl
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(file, fcntl.LOCK_EX)
if os.fork() == 0:
    say("holds")
    rest_for_ever()
''', sys.argv[2])
said("holds")
status = drive(main)
fcntl.flock(os.open(sys.argv[2], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
answer(status=status)
""",
        str(tmp_path / "lock"),
    )
    assert found == {"status": 0}


def test_a_process_group_is_killed_at_one_stroke():
    found = keeper("""
main = start('''
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
say("deaf")
rest_for_ever()
''')
said("deaf deaf")
tree.Ending(0, now()).step(now())
printed = rest()
answer(printed=printed, status=drive(main))
""")
    assert found == {"printed": "", "status": 9}


def test_a_lost_lease_hastens_the_end():
    found = keeper("""
main = start('''
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say("deaf")
rest_for_ever()
''')
said("deaf")
ending = tree.Ending(1000, now())
ending.step(now())
ending.hasten(now() + 0.05)
answer(status=drive(main, ending))
""")
    assert found == {"status": 9}


def test_kill_is_repeated_every_second_for_what_does_not_go_and_that_is_named():
    """A zombie that nobody reaps is the nearest to a process that hangs in the kernel."""
    found = keeper("""
main = start("pass")
os.waitid(os.P_PID, main, os.WEXITED | os.WNOWAIT)
sent = []
SENDS = ("os.kill", "os.killpg")
sys.addaudithook(lambda event, args: sent.append((moment, *args)) if event in SENDS else None)
ending = tree.Ending(2, 100.0)
for moment in (100.0, 100.5, 102.0, 102.5, 103.0, 104.0):
    ending.step(moment)
answer(
    sent=[(moment, pid == main, number) for moment, pid, number in sent],
    wake_at=ending.next_wake(104.0),
    named=ending.stuck() == [f"{main} ({os.path.basename(sys.executable)}, state Z)"],
    status=drive(main),
)
""")
    assert found["sent"] == [[100.0, True, 15], [102.0, True, 9], [103.0, True, 9], [104.0, True, 9]]
    assert found["wake_at"] == 105.0
    assert found["named"] is True
    assert found["status"] == 0


def test_both_ways_of_listing_children_agree_and_include_what_was_adopted():
    found = keeper("""
main = start('''
if os.fork() == 0:
    if os.fork() == 0:
        say(str(os.getpid()))
        signal.pause()
    os._exit(0)
os.wait()
say("x")
rest_for_ever()
''')
lines = b""
while lines.count(b"\\n") < 2:
    lines += os.read(log, 100)
adopted = next(int(word) for word in lines.split() if word != b"x")
answer(
    same=sorted(tree.children()) == sorted(tree._children_by_scan()) == sorted([main, adopted]),
    status=drive(main, tree.Ending(5, now())),
)
""")
    assert found == {"same": True, "status": 15}


FAILURES = [  # argv, working directory, and what is said of it
    (["no-such-program"], "/", errno.ENOENT, "no-such-program"),
    (["/no/such/program"], "/", errno.ENOENT, "/no/such/program"),
    (["./secret"], "{tmp}", errno.EACCES, "./secret"),
    (["secret"], "/", errno.EACCES, "{tmp}/secret"),
    (["./nonsense"], "{tmp}", errno.ENOEXEC, "./nonsense"),
    (["true"], "{tmp}/nowhere", errno.ENOENT, "{tmp}/nowhere"),
    (["true"], "{tmp}/secret", errno.ENOTDIR, "{tmp}/secret"),
    (["true", "a\0b"], "/", errno.EINVAL, ""),
]


def test_a_command_that_cannot_start_says_why_and_leaves_no_zombie(tmp_path: Path):
    (tmp_path / "secret").write_text("#!/bin/sh\n")
    (tmp_path / "nonsense").write_text("nonsense")
    (tmp_path / "nonsense").chmod(0o755)
    text = json.dumps([case[:2] for case in FAILURES]).replace("{tmp}", str(tmp_path))
    found = keeper(
        """
ENV["PATH"] += ":" + sys.argv[3]
told = []
for argv, cwd in json.loads(sys.argv[2]):
    try:
        tree.spawn(argv, env=ENV, cwd=cwd, output=output)
    except OSError as error:
        told.append((error.errno, error.filename, error.strerror, tree.gone()))
answer(told=told)
""",
        text,
        str(tmp_path),
    )
    assert found["told"] == [
        [number, name.replace("{tmp}", str(tmp_path)), os.strerror(number), True]
        for _, _, number, name in FAILURES
    ]


def test_a_program_is_looked_for_on_the_path_of_its_own_environment(tmp_path: Path):
    for directory, mode in (("closed", 0o644), ("open", 0o755)):
        (tmp_path / directory).mkdir()
        script = tmp_path / directory / "trainer"
        script.write_text(f'#!/bin/sh\necho {directory} "$@" in "$PWD"\n')
        script.chmod(mode)
    found = keeper(
        """
tmp = sys.argv[2]
env = {"PATH": f"{tmp}/missing:{tmp}/closed:{tmp}/open"}
drive(tree.spawn(["trainer", "one two"], env=env, cwd=tmp, output=output))
drive(tree.spawn(["open/trainer"], env=env, cwd=tmp, output=output))
answer(printed=rest())
""",
        str(tmp_path),
    )
    assert found["printed"] == f"open one two in {tmp_path}\nopen in {tmp_path}\n"


def test_a_command_gets_a_clean_process():
    found = keeper("""
kept, other = os.pipe()
os.set_inheritable(other, True)
code = '''
import json, os, sys
print(json.dumps({
    "leads": os.getpid() == os.getsid(0) == os.getpgrp(),
    "stdin": os.readlink("/proc/self/fd/0"),
    "output": os.readlink("/proc/self/fd/1") == os.readlink("/proc/self/fd/2"),
    "open": [fd for fd in range(1024) if os.path.exists(f"/proc/self/fd/{fd}")],
    "environment": dict(os.environ),
}))
'''
argv = [sys.executable, "-I", "-S", "-c", code, str(kept)]
status = drive(tree.spawn(argv, env={"LANG": "C.UTF-8", "A": "b=c"}, cwd="/", output=output, keep=[kept]))
answer(status=status, kept=kept, child=json.loads(rest()))
""")
    child = found["child"]
    assert found["status"] == 0
    assert child["open"] == [0, 1, 2, found["kept"]]
    assert child["environment"] == {"LANG": "C.UTF-8", "A": "b=c"}
    assert (child["leads"], child["stdin"], child["output"]) == (True, "/dev/null", True)


def test_a_command_gets_every_signal_as_a_shell_would_give_it():
    """Python ignores SIGPIPE, and a child would inherit that."""
    found = keeper("""
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
drive(tree.spawn(["cat", "/proc/self/status"], env=ENV, cwd="/", output=output))
answer(status=rest(), still=signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
""")
    fields = dict(line.split(":\t") for line in str(found["status"]).splitlines())
    classic = (1 << 31) - 1  # the C library keeps two of those above for itself
    assert (int(fields["SigIgn"], 16) & classic, int(fields["SigBlk"], 16)) == (0, 0)
    assert found["still"] is True


def test_a_fork_beside_the_heartbeat_thread_warns_of_nothing():
    found = keeper(
        """
import _thread
lock = _thread.allocate_lock()
lock.acquire()
_thread.start_new_thread(lock.acquire, ())
answer(status=drive(start("pass")))
""",
        options=("-W", "error"),
    )
    assert found == {"status": 0}


def test_the_script_dies_with_its_keeper():
    code = """
output = int(sys.argv[2])
log, output_of_log = os.pipe()
main = tree.spawn(
    [sys.executable, "-I", "-S", "-c", SAY + 'say("up"); rest_for_ever()'],
    env=ENV, cwd="/", output=output_of_log, keep=[output],
)
said("up")
os.write(output, b"up")
os.kill(os.getpid(), signal.SIGKILL)
"""
    read, write = os.pipe()
    argv = [sys.executable, "-I", "-S", "-c", KEEPER + code, ROOT, str(write)]
    with subprocess.Popen(argv, pass_fds=[write]) as process, open(read, "rb") as stream:
        os.close(write)
        assert process.wait(DEADLINE) == -9
        assert stream.read() == b"up"  # end of file: the script, which held the pipe, is dead


def test_the_next_wake_is_the_kill_or_a_second_from_now():
    ending = Ending(grace=30, now=100.0)
    assert ending.next_wake(100.0) == 101.0
    assert ending.next_wake(129.5) == 130.0
    ending.hasten(110.0)
    ending.hasten(120.0)
    assert ending.next_wake(109.5) == 110.0


HEAVY = {
    "ctypes", "subprocess", "pathlib", "dataclasses", "typing", "tempfile", "logging", "inspect", "hashlib",
    "socket", "threading", "shutil", "asyncio", "contextlib", "datetime", "random", "traceback", "site",
}  # fmt: skip
LIGHT = """
import sys
sys.path.insert(0, sys.argv[1])
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
bare = resident()
for name in sys.argv[2:]:
    __import__(name)
print(bare, resident(), *sorted(sys.modules))
"""


def loaded(*modules: str) -> tuple[int, int, set[str]]:
    argv = [sys.executable, "-I", "-S", "-c", LIGHT, ROOT, *modules]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, check=True)
    bare, resident, *names = done.stdout.split()
    return int(bare), int(resident), set(names)


@pytest.mark.parametrize("module", ["tree", "verdict", "metrics"])
def test_the_keeper_loads_nothing_heavy(module: str):
    _, _, names = loaded(f"orze.attempt.{module}")
    assert not HEAVY & names


def test_the_keeper_stays_small():
    modules = [f"orze.attempt.{name}" for name in ("tree", "verdict", "metrics")]
    loaded(*modules)  # compiled once
    bare, resident, _ = loaded(*modules)
    assert resident < bare + 4096, f"{resident} KiB, of which the bare interpreter has {bare}"
