"""A small keeper in an interpreter of its own, to be driven by the tests of process trees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = str(Path(__file__).parents[3])
DEADLINE = 30  # seconds; every wait below is for an event, this bounds it

# A small keeper: one loop, woken by SIGCHLD, as the real one is. `main` is a driver's own code.
KEEPER = """
import json, os, select, signal, sys, time
sys.path.insert(0, sys.argv[1])
from orze.attempt import tree

tree.become_subreaper()
wake, woken = os.pipe()
os.set_blocking(woken, False)
signal.signal(signal.SIGCHLD, lambda *_: None)
signal.set_wakeup_fd(woken)
log, output = os.pipe()  # each process of the tree holds `output`: end of file on `log` = none is left
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHON": sys.executable}


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


SAY = '''
import os, signal, sys
def say(word):
    os.write(1, word.encode() + bytes([10]))
def rest_for_ever():
    while True:
        signal.pause()
'''


def start(code, *arguments):
    argv = [sys.executable, "-I", "-S", "-c", SAY + code, *arguments]
    return tree.spawn(argv, env=ENV, cwd="/", output=output)


def said(words):
    found = b""
    while found.count(b"\\n") < len(words.split()):
        found += os.read(log, 4096)
    assert sorted(found.split()) == sorted(words.encode().split()), found


def drive(main, ending=None):
    '''Until nothing is left; TERM to what is left when `main` has ended, and KILL 0.2 s later.'''
    status = None
    while True:
        found = tree.reap(main)
        status = status if found is None else found
        if tree.gone():
            return status
        if ending is None and status is not None:
            ending = tree.Ending(0.2, now())
        if ending:
            ending.step(now())
        pause = max(0, ending.next_wake(now()) - now()) if ending else None
        if select.select([wake], [], [], pause)[0]:
            os.read(wake, 4096)


def rest():
    '''What the tree printed until its last process had gone.'''
    os.close(output)
    parts = []
    while part := os.read(log, 65536):
        parts.append(part)
    return b"".join(parts).decode()


def answer(**what):
    print(json.dumps(what))
"""


def keeper(code: str, *arguments: str, options: tuple[str, ...] = ()) -> dict[str, object]:
    """Run `code` in a small keeper and return what it answered; nothing may be printed on standard error."""
    argv = [sys.executable, *options, "-I", "-S", "-c", KEEPER + code, ROOT, *arguments]
    done = subprocess.run(
        argv, input="", capture_output=True, text=True, timeout=DEADLINE, check=False, start_new_session=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)
