"""The keeper on the machine behind ssh: runs one command to the end of its process tree.

Part of the one-file keeper: nothing but the standard library, and Python 3.8. It outlives the connection that
started it. What it is to do stands in the command's directory, and there it leaves what became of it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time

from orze.attempt import tree
from orze.attempt.executors.remote_cards import Cards, NoCards

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SPEC, STATUS, BEGUN, ALIVE, STOP = "spec.json", "status.json", "begun", "alive", "stop"
LOG, WORDS = "log", "words"
KEPT_ELSEWHERE = "ORZE_REMOTE_KEEPER"  # the variable by which a farm on this machine knows whose it is not
FINISHED, STOPPED, TIMEOUT, KILLED, NO_START = "", "stop", "timeout", "killed", "no start"
_LOOK = 0.25  # seconds between two looks for a request to stop
_CARDS = 5.0  # seconds between two looks for a free card
_STRAGGLERS = 5.0  # seconds for what a script left running when it ended by itself


class Keeper:
    """Runs one command; see `run`.

    Args:
        directory: that of the command, with its spec.json.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        with open(f"{directory}/{SPEC}", encoding="utf-8") as stream:
            self._spec: dict[str, Any] = json.load(stream)
        self._told = False  # to end, by the machine
        self._cards: Cards | None = None
        self._seconds = 0.0
        self._wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def run(self) -> None:
        """Wait for cards, run the command, leave its status."""
        kills = _oom_kills()
        try:
            status, why, error = self._run()
        except OSError as failure:
            named = "{}: {}".format(failure.filename or self._spec["argv"][0], failure.strerror)
            status, why, error = None, NO_START, named
        except NoCards as failure:
            status, why, error = None, NO_START, str(failure)
        ended = {"status": status, "why": why, "error": error, "seconds": self._seconds}
        write_whole(
            f"{self._directory}/{STATUS}",
            json.dumps(dict(ended, oom_kills=max(0, _oom_kills() - kills))),
        )

    def _run(self) -> tuple[int | None, str, str]:
        if not self._take_cards():
            return None, self._reason(float("inf")), ""
        argv, env = self._spec["argv"], self._environment()
        log = os.open(
            f"{self._directory}/{LOG}", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666
        )
        write_whole(f"{self._directory}/{BEGUN}", f"{os.getpid()}\n")
        tree.become_subreaper()
        locks = self._cards.locks if self._cards else []
        try:
            pid = tree.spawn(argv, env=env, cwd=self._spec["cwd"], output=log, keep=locks)
        finally:
            os.close(log)
        return self._watch(pid)

    def _take_cards(self) -> bool:
        wanted = self._spec["cards"]
        if not wanted["count"]:
            return True
        self._cards = Cards(wanted["count"], wanted["allowed"], wanted["threshold"])
        said = ""
        while not self._cards.take():
            if self._reason(float("inf")):
                return False
            if self._cards.why != said:
                said = self._cards.why
                self._say(f"waits for a free card ({said})")
            until = _steady() + _CARDS
            while _steady() < until and not self._reason(float("inf")):
                self._sleep(_LOOK)
        self._say(
            "runs on card {}".format(",".join(self._cards.chosen)) if self._cards.chosen else self._cards.why
        )
        return True

    def _environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
        hidden = {"CUDA_VISIBLE_DEVICES": "", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        env.update(self._cards.variables() if self._cards else hidden)
        if self._spec["path"]:
            env["PATH"] = "{}:{}".format(self._spec["path"], env.get("PATH", os.defpath))
        env.update(self._spec["env"])
        env[KEPT_ELSEWHERE] = str(os.getpid())
        return env

    def _watch(self, pid: int) -> tuple[int | None, str, str]:
        begun = _steady()
        status: int | None = None
        why = FINISHED
        ending: tree.Ending | None = None
        while True:
            found = tree.reap(pid)
            now = _steady()
            if found is not None:
                status, self._seconds = found, now - begun
            if status is not None and tree.gone():
                return status, why, ""
            if ending is None:
                why = FINISHED if status is not None else self._reason(begun + self._spec["limit"])
                grace = float(self._spec["grace"])
                if status is not None or why:
                    ending = tree.Ending(min(grace, _STRAGGLERS) if status is not None else grace, now)
            if ending is not None:
                ending.step(now)
            self._sleep(_LOOK if ending is None else min(_LOOK, ending.next_wake(now) - now))

    def _reason(self, until: float) -> str:
        if os.path.exists(f"{self._directory}/{STOP}"):
            return STOPPED
        if self._told:
            return KILLED
        return TIMEOUT if _steady() >= until else FINISHED

    def _sleep(self, seconds: float) -> None:
        if select.select([self._wake], [], [], max(0.0, seconds))[0]:
            os.read(self._wake, 4096)

    def _say(self, words: str) -> None:
        with open(f"{self._directory}/{WORDS}", "a", encoding="utf-8") as stream:
            stream.write(words + "\n")

    def _end(self, *_: object) -> None:
        self._told = True


def write_whole(path: str, text: str) -> None:
    """Write a file that is there whole and for good, or not at all."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _steady() -> float:
    """Seconds that go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _oom_kills() -> int:
    """How many processes the kernel has killed for lack of memory, since boot; 0 where it does not tell."""
    try:
        with open("/proc/vmstat", encoding="ascii") as stream:
            return next((int(line.split()[1]) for line in stream if line.startswith("oom_kill ")), 0)
    except (OSError, ValueError):
        return 0
