"""What the machine behind ssh does when it is asked: keep runs in a directory, start, follow, stop, forget.

Part of the one-file keeper: nothing but the standard library, and Python 3.8. Each question is one process of
a few lines (see `orze.attempt.executors.package`); what lasts is in files:

    HOME/keeper-<hash>.pyz              this program
    HOME/lock                           held for each change below
    HOME/base/<project>/                the code of the last run, from which the next copy is made
    HOME/runs/<key>/owner               which attempt has the run now
    HOME/runs/<key>/{code,results,own,resume}/
    HOME/runs/<key>/commands/<name>/    spec.json, log, words, status.json, and at last `fetched`

A run whose owner has not fetched everything is taken over by the next attempt that has the same key: so what
went on while the other machine was away is neither lost nor run twice.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time

from orze.attempt.executors import remote_keeper as keeper
from orze.attempt.executors.remote_follow import Streams, follow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Answer = dict[str, Any]

_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ENOMEM})
_STALE = 86400.0  # seconds after which a fetched run that nobody forgot is removed
_ABANDONED = 30 * 86400.0  # and one that ended and that nobody fetched


def answer(request: Answer) -> Answer:
    """Answer one question; `follow` has written its streams before.

    Args:
        request: `ask` names the question, `home` the directory of it all; the rest is its arguments.

    Returns:
        The answer. `error` and `passing` where it failed; `over` where another attempt has the run.
    """
    asked = {"begin": _begin, "follow": _follow, "stop": _stop, "end": _end}[request["ask"]]
    try:
        return asked(request)
    except Over:
        return {"over": True}
    except OSError as error:
        told = "{}: {}".format(error.filename or request["home"], error.strerror or error)
        return {"error": told, "passing": error.errno in _PASSING}


class Over(Exception):
    """Another attempt has the run."""


class Run:
    """One run's directory.

    Args:
        home: the directory of it all.
        key: its name.
    """

    def __init__(self, home: str, key: str) -> None:
        self.home = home
        self.directory = f"{home}/runs/{key}"

    @property
    def owner(self) -> str:
        """The attempt that has it; empty where there is none."""
        return _read(f"{self.directory}/owner")

    def command(self, name: str) -> str:
        """The directory of a command."""
        return f"{self.directory}/commands/{name}"

    def commands(self) -> list[str]:
        """The directories of the commands that were started."""
        try:
            names = os.listdir(f"{self.directory}/commands")
        except FileNotFoundError:
            return []
        return [self.command(name) for name in names if not name.startswith(".")]

    def unfetched(self) -> list[str]:
        """The commands that run, or have ended and nobody has brought that home."""
        return [command for command in self.commands() if not os.path.exists(f"{command}/fetched")]

    def goes_on(self) -> bool:
        """Whether another attempt has something to take over: a run that is worth following to its end.

        Raises:
            BlockingIOError: a run that was told to stop has not ended yet.
        """
        return any(_goes_on(command) for command in self.unfetched())

    def own(self, attempt: str, idea: str) -> None:
        """Give it to an attempt, with the directories that copies go to."""
        for name in ("commands", "code", f"results/{idea}"):
            os.makedirs(f"{self.directory}/{name}", exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.directory}/{keeper.STOP}")
        keeper.write_whole(f"{self.directory}/owner", attempt)

    def check_owner(self, attempt: str) -> None:
        """Raise Over where another attempt has it."""
        if self.owner != attempt:
            raise Over

    def put_away(self, project: str) -> str:
        """Take it out of the way, its code to where the next copy begins; what is left to be removed."""
        trash = f"{self.home}/trash-{os.getpid()}-{time.time_ns()}"
        os.makedirs(trash)
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.directory, f"{trash}/run")
        if project and os.path.isdir(f"{trash}/run/code"):
            os.makedirs(f"{self.home}/base", exist_ok=True)
            base = f"{self.home}/base/{project}"
            with contextlib.suppress(FileNotFoundError):
                os.rename(base, f"{trash}/base")
            os.rename(f"{trash}/run/code", base)
        return trash


def alive(command: str) -> bool:
    """Whether the keeper of a command lives: it holds a lock for as long as it does."""
    try:
        descriptor = os.open(f"{command}/{keeper.ALIVE}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _begin(request: Answer) -> Answer:
    run, home = Run(request["home"], request["key"]), request["home"]
    trash = ""
    with _locked(home):
        owner = run.owner
        if owner and owner != request["attempt"] and not run.goes_on():
            trash = run.put_away(request["project"])
        run.own(request["attempt"], request["idea"])
        known = os.path.isdir(run.command(request["name"]))
        sent = bool(run.commands())
    _remove(trash)
    _clear(home)
    base = "{}/base/{}".format(home, request["project"])
    return {
        "run": run.directory,
        "known": known,
        "sent": sent,
        "base": base if os.path.isdir(base) else "",
        "rsync": bool(shutil.which("rsync")),
        "host": os.uname().nodename,
        "python": sys.executable,
    }


def _follow(request: Answer) -> Answer:
    run = Run(request["home"], request["key"])
    command = run.command(request["name"])
    with _locked(request["home"]):
        run.check_owner(request["attempt"])
        if not os.path.isdir(command):
            if os.path.exists(f"{run.directory}/{keeper.STOP}"):
                return {"ended": _no_end(keeper.STOPPED)}
            _make(command, request["spec"])
        if not _settled(command) and not alive(command):
            _start(command)
    progress = "{}/{}".format(run.directory, request["progress"]) if request["progress"] else ""
    paths = [f"{command}/{keeper.WORDS}", f"{command}/{keeper.LOG}", progress]
    me = f"{os.getpid()} {time.time_ns()}"
    keeper.write_whole(f"{command}/follower", me)

    def over() -> bool:
        """It has ended, or this is what a lost line left behind, and another follows."""
        return _settled(command) or not alive(command) or _read(f"{command}/follower") != me

    follow(Streams(paths, request["offsets"]), over)
    ended = _read_json(f"{command}/{keeper.STATUS}")
    if ended is None:
        return {"ended": _no_end(keeper.KILLED)}
    return {"ended": ended, "bytes": _size(f"{run.directory}/results")}


def _stop(request: Answer) -> Answer:
    run = Run(request["home"], request["key"])
    with _locked(request["home"]):
        run.check_owner(request["attempt"])
        for directory in (run.directory, *run.commands()):  # of the run: for what is about to be started
            keeper.write_whole(f"{directory}/{keeper.STOP}", "")
    return {}


def _end(request: Answer) -> Answer:
    """The other side has brought everything home, or wants nothing of it."""
    run = Run(request["home"], request["key"])
    trash = ""
    with _locked(request["home"]):
        run.check_owner(request["attempt"])
        command = run.command(request["name"])
        if os.path.isdir(command):
            keeper.write_whole(f"{command}/fetched", "")
        if request["remove"]:
            trash = run.put_away(request["project"])
    _remove(trash)
    return {}


def _no_end(why: str) -> Answer:
    return {"status": None, "why": why, "error": "", "oom_kills": 0}


def _make(command: str, spec: Answer) -> None:
    """Make a command's directory, whole or not at all."""
    draft = f"{os.path.dirname(command)}/.{os.path.basename(command)}.{os.getpid()}"
    os.makedirs(draft)
    keeper.write_whole(f"{draft}/{keeper.SPEC}", json.dumps(spec))
    os.rename(draft, command)


def _goes_on(command: str) -> bool:
    stopped = os.path.exists(f"{command}/{keeper.STOP}")
    if alive(command):
        if stopped:
            raise BlockingIOError(errno.EAGAIN, "an earlier attempt is still being stopped there", command)
        return True
    ended = _read_json(f"{command}/{keeper.STATUS}")
    return ended is not None and not stopped and ended["why"] in (keeper.FINISHED, keeper.TIMEOUT)


def _settled(command: str) -> bool:
    """Whether a command has ended, or began and can never be begun again."""
    ended = os.path.exists(f"{command}/{keeper.STATUS}")
    return ended or (os.path.exists(f"{command}/{keeper.BEGUN}") and not alive(command))


def _start(command: str) -> None:
    """Start its keeper, which has the lock that says it lives from before it is there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    lock = os.open(f"{command}/{keeper.ALIVE}", flags, 0o600)
    errors = os.open(f"{command}/keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.Popen(
            [sys.executable, "-I", "-S", request_program(), command],
            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
            cwd="/", start_new_session=True, pass_fds=[lock],
        )  # fmt: skip
    finally:
        os.close(errors)
        os.close(lock)


def request_program() -> str:
    """The one file that this runs from."""
    return __file__[: __file__.index(".pyz") + 4]


def _clear(home: str) -> None:
    """Remove what nobody came back for."""
    now = time.time()
    for key in os.listdir(f"{home}/runs"):
        run = Run(home, key)
        with contextlib.suppress(OSError), _locked(home):
            age = now - os.stat(f"{run.directory}/owner").st_mtime
            ended = not any(alive(command) for command in run.commands())
            old = age > (_ABANDONED if run.unfetched() else _STALE) and ended
            trash = run.put_away("") if old else ""
        _remove(trash if old else "")
    for name in os.listdir(home):
        if name.startswith("trash-") and now - os.lstat(f"{home}/{name}").st_mtime > _STALE:
            _remove(f"{home}/{name}")


def _remove(trash: str) -> None:
    if trash:
        shutil.rmtree(trash, ignore_errors=True)


@contextlib.contextmanager
def _locked(home: str) -> Iterator[None]:
    descriptor = os.open(f"{home}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _size(directory: str) -> int:
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{parent}/{name}").st_size
    return total


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def _read_json(path: str) -> Answer | None:
    text = _read(path)
    return json.loads(text) if text else None
