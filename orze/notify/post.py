"""Sends messages by a process of their own, and learns which of them arrived.

The process is given the URLs through an anonymous file (memfd_create(2)) that is its standard input, and
answers in another: neither a full pipe nor a silent server can make the daemon wait, and the URLs are neither
in an argument nor in a file.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

SENT = ""
NO_ANSWER = "no answer"
_LIMIT = 60.0  # seconds for one round, in which every target is asked at once
_ANSWERS = 1 << 20
_CODE = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True)
class Letter:
    """A message to one target.

    Attributes:
        name: the target, as messages about it may call it.
        url: where it is, for apprise; it is shown nowhere.
        title, body: the message; with an empty body the URL is only tried for its form.
    """

    name: str
    url: str
    title: str
    body: str

    def __repr__(self) -> str:
        """Without the URL."""
        return f"Letter({self.name!r}, {self.title!r})"


class Post:
    """One round of letters at a time.

    Args:
        steady: the clock, in seconds.
    """

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._pid = 0
        self._answers = -1
        self._kill_at = 0.0
        self._ended = False

    @property
    def busy(self) -> bool:
        """Whether a round was begun and its answers not taken."""
        return bool(self._pid)

    @property
    def deadline(self) -> float:
        """The steady time at which the round is ended, if it has not ended by itself."""
        return self._kill_at

    def begin(self, letters: Iterable[Letter]) -> None:
        """Start sending.

        Raises:
            OSError: no process can be started.
        """
        with os.fdopen(os.memfd_create("letters"), "wb") as source:
            source.write(json.dumps([asdict(letter) for letter in letters]).encode())
            source.seek(0)
            self._answers = os.memfd_create("answers")
            try:
                self._pid = _spawn(source.fileno(), self._answers)
            except OSError:
                os.close(self._answers)
                raise
        self._ended = False
        self._kill_at = self._steady() + _LIMIT

    def child_ended(self, pid: int) -> None:
        """A child process of the daemon has ended and was collected, perhaps this one."""
        self._ended = self._ended or pid == self._pid

    def answers(self) -> Mapping[str, str] | None:
        """Target -> why it was not reached, or `SENT`; who did not answer is missing. None: not yet ended."""
        if not self._ended:
            if self._steady() >= self._kill_at:
                self._kill_at = float("inf")
                with suppress(ProcessLookupError):
                    os.killpg(self._pid, signal.SIGKILL)
            return None
        with os.fdopen(self._answers, "rb") as stream:
            stream.seek(0)
            told = stream.read(_ANSWERS).splitlines()
        self._pid = 0
        return dict(map(_answer, told))

    def wait(self, seconds: float) -> None:
        """Wait until the round has ended, at most this long; for who is about to leave."""
        if not self._pid or self._ended:
            return
        with suppress(ProcessLookupError, ChildProcessError):
            descriptor = os.pidfd_open(self._pid)
            try:
                if select.select([descriptor], [], [], seconds)[0]:
                    self._ended = os.waitpid(self._pid, 0)[0] == self._pid
            finally:
                os.close(descriptor)


def _spawn(source: int, answers: int) -> int:
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "orze.notify.send"],
            {**os.environ, "PYTHONPATH": _CODE},
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, to) for to, fd in enumerate((source, answers, null))],
            setpgroup=0,
        )
    finally:
        os.close(null)


def _answer(line: bytes) -> tuple[str, str]:
    """One line of the sender; a line that was cut off is an answer of nobody."""
    try:
        name, why = json.loads(line)
    except ValueError:
        return "", SENT
    return str(name), str(why)
