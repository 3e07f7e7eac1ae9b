"""The keepers of this host that have no attempt yet, and the nursery that forks them."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path
from typing import Any

from orze.attempt import keeper, wire
from orze.core.identity import start_time

_PROGRAM = str(Path(keeper.__file__).resolve())
_PATIENCE = 10.0  # seconds for which a nursery may not answer


class Keeper:
    """A keeper process and the two pipes to it.

    Attributes:
        pid, start: which process it is (see orze.core.identity).
        replies: readable when it has answered, or is dead.
    """

    def __init__(self, pid: int, requests: int, replies: int) -> None:
        self.pid = pid
        self.start = start_time(pid) or 0
        self._requests = requests
        self.replies = replies

    def tell(self, **message: Any) -> bool:
        """Send a message; False where the keeper is dead."""
        try:
            wire.send(self._requests, message)
        except BrokenPipeError:
            return False
        return True

    def answer(self) -> str:
        """Why the keeper cannot have what it was told to prepare; empty where it is ready."""
        message = wire.receive(self.replies)
        return str(message["ready"]) if message else "the keeper died"

    def let_go(self) -> None:
        """Close the pipes: a keeper with an attempt does not need them, one without leaves."""
        os.close(self._requests)
        os.close(self.replies)


class Nursery:
    """The process that forks the keepers of a daemon; another takes its place where it dies."""

    def __init__(self) -> None:
        self._link: socket.socket | None = None

    def open(self) -> socket.socket:
        """Start it, if it is not there, and return the socket to it; it answers a moment later."""
        if self._link is None:
            self._link = _start()
        return self._link

    def keeper(self) -> Keeper:
        """A keeper for an attempt.

        Raises:
            OSError: no process can be started.
        """
        try:
            return self._fork()
        except ConnectionError:  # somebody killed it; its keepers go on
            return self._fork()

    def close(self) -> None:
        """Send it away; keepers stay."""
        if self._link:
            self._link.close()
            self._link = None

    def _fork(self) -> Keeper:
        theirs_in, requests = os.pipe2(os.O_CLOEXEC)
        replies, theirs_out = os.pipe2(os.O_CLOEXEC)
        try:
            return Keeper(self._ask([theirs_in, theirs_out]), requests, replies)
        except OSError:
            self.close()
            os.close(requests)
            os.close(replies)
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)

    def _ask(self, pipes: list[int]) -> int:
        link = self.open()
        socket.send_fds(link, [b"\0"], pipes)
        answer = link.recv(keeper.PID_BYTES)
        if not answer:
            raise ConnectionResetError(errno.ECONNRESET, "the process that starts keepers was killed")
        pid = int.from_bytes(answer, "big")
        if pid == 0:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return pid


def _start() -> socket.socket:
    ours, theirs = socket.socketpair()
    ours.settimeout(_PATIENCE)
    # PATH alone: what a training script gets travels in its Go message, never by inheritance
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    with theirs:
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", _PROGRAM],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), keeper.FROM_DAEMON),
                (os.POSIX_SPAWN_OPEN, keeper.TO_DAEMON, os.devnull, os.O_WRONLY, 0),
            ],
            setsid=True,
        )
    return ours
