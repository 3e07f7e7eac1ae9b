"""A process that has LiteLLM loaded, and asks each question in a fork of itself: loading takes seconds.

It is tied to the loop and ends with it. A question is one message with three descriptors: where the question
is, where its answer goes, and a pipe that is closed when nobody waits any longer; what comes back is a
descriptor of the process that asks (pidfd_open(2)).
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from orze.refine.boot import command_of
from orze.refine.tied import tie
from orze.research import call
from orze.research.loading import Unusable, load_litellm

_ASK: Final = b"?"
_FDS: Final = 3


class Forked:
    """A process that asks one question, or will as soon as it can; it has the manners of a Popen.

    Args:
        link: by which it is told of.
        lifeline: closed to end it before it has begun.
    """

    def __init__(self, warm: Warm, lifeline: int) -> None:
        self._warm = warm
        self._lifeline: int | None = lifeline
        self.pidfd: int | None = None

    def poll(self) -> int | None:
        """None while it runs, or may begin yet; 0 when it is over, however it went."""
        return self._over(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it is over.

        Raises:
            TimeoutExpired: it is not.
        """
        if self._over(timeout) is None:
            raise subprocess.TimeoutExpired("orze.research.call", timeout or 0.0)
        return 0

    def send_signal(self, number: int) -> None:
        """End it; one that has not begun never begins."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        self._warm.take_in()
        if self.pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def _over(self, seconds: float | None) -> int | None:
        if self.pidfd is None:
            self._warm.take_in()
        if self.pidfd is None:
            return 0 if self._lifeline is None or not self._warm.alive else None
        return 0 if select.select([self.pidfd], [], [], seconds)[0] else None

    def close(self) -> None:
        """Give its descriptors back."""
        for descriptor in (self._lifeline, self.pidfd):
            if descriptor is not None:
                os.close(descriptor)
        self._lifeline = self.pidfd = None


class Warm:
    """The other end: starts the process at once, which is ready some seconds later.

    Args:
        environ: the user's own, with the keys.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)
        self._waiting: deque[Forked] = deque()
        self._start()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def spawn(self, question: int, answer: int) -> Forked:
        """Have a question asked.

        Args:
            question: a descriptor from which it is read; answer: one to which the answer is written.

        Raises:
            OSError: it cannot be.
        """
        if not self.alive:
            self._link.close()
            self._waiting.clear()
            self._start()
        watched, held = os.pipe()
        try:
            socket.send_fds(self._link, [_ASK], [question, answer, watched])
        except OSError:
            os.close(held)
            raise
        finally:
            os.close(watched)
        forked = Forked(self, held)
        self._waiting.append(forked)
        return forked

    def take_in(self) -> None:
        """See which questions are being asked by now; it never waits."""
        while self._waiting:
            try:
                said, descriptors, _, _ = socket.recv_fds(self._link, 1, 1)
            except OSError:
                return  # nothing is there, or it is dead
            if not said:
                return
            self._waiting.popleft().pidfd = descriptors[0]

    def end(self) -> None:
        """End it; what asks is told so, too (it is tied to it)."""
        self._link.close()
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._link.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                command_of("orze.refine.warm", str(theirs.fileno()), tied=True),
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )


def main() -> int:
    """Be that process; its argument is the descriptor of its end of the link."""
    link = socket.socket(fileno=int(sys.argv[1]))
    with contextlib.suppress(Unusable):  # whoever asks is told so
        _load(load_litellm())
    gc.freeze()
    while True:
        said, descriptors, _, _ = socket.recv_fds(link, 1, _FDS)
        if not said:
            return 0
        pid = os.fork()
        if pid == 0:
            link.close()
            _ask(*descriptors)
        pidfd = os.pidfd_open(pid)
        with contextlib.suppress(BrokenPipeError):
            socket.send_fds(link, [_ASK], [pidfd])
        for descriptor in (pidfd, *descriptors):
            os.close(descriptor)
        _reap()


def _load(litellm: Any) -> None:
    """Have all loaded that a question needs, by one that is refused on this machine and leaves no thread."""
    before = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    os.environ.update(dict.fromkeys(before, "*"))
    with socket.socket() as deaf:  # bound, so that nobody else listens there
        deaf.bind(("127.0.0.1", 0))
        with contextlib.suppress(Exception):  # that it fails is what it is for
            litellm.completion(
                model="openai/none",
                messages=[{"role": "user", "content": "-"}],
                api_base=f"http://127.0.0.1:{deaf.getsockname()[1]}",
                api_key="none",
                num_retries=0,
                max_retries=0,
                timeout=1.0,
            )
    for name, value in before.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value


def _ask(question: int, answer: int, lifeline: int) -> None:
    """In the fork: ask, and never come back."""
    try:
        os.setpgid(0, 0)
        tie(os.getppid())
        if select.select([lifeline], [], [], 0.0)[0]:
            return
        os.dup2(question, 0)
        os.dup2(answer, 1)
        call.main()
    finally:
        os._exit(1)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
