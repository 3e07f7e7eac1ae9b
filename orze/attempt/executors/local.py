"""Attempts in processes of this host, and the nursery that forks their keepers."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orze.attempt import keeper
from orze.attempt.executors.base import Keeper

if TYPE_CHECKING:
    from orze.attempt.spec import Go

_PROGRAM = str(Path(keeper.__file__).resolve())
_PATIENCE = 10.0  # seconds for which a nursery may not answer


class Local:
    """The executor `local`: each keeper is a process of this host in a session of its own."""

    words = "processes of this host"

    def __init__(self) -> None:
        self._nursery = Nursery()

    def check(self) -> None:
        """Nothing is needed."""

    def open(self) -> None:
        """Start the nursery; it is there a moment later."""
        self._nursery.open()

    def keeper(self) -> Keeper:
        """A keeper of this host.

        Raises:
            OSError: no process can be started.
        """
        return Keeper(*self._nursery.fork())

    def adapt(self, go: Go) -> Go:
        """The message as it is."""
        return go

    def close(self) -> None:
        """Send the nursery away; keepers stay."""
        self._nursery.close()


class Nursery:
    """The process that forks the keepers of a daemon; another takes its place where it dies."""

    def __init__(self) -> None:
        self._link: socket.socket | None = None

    def open(self) -> socket.socket:
        """Start it, if it is not there, and return the socket to it; it answers a moment later."""
        if self._link is None:
            self._link = _start()
        return self._link

    def fork(self) -> tuple[int, int, int]:
        """A new keeper.

        Returns:
            Its pid, the descriptor for what it is told, and that of its answers.

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

    def _fork(self) -> tuple[int, int, int]:
        theirs_in, requests = os.pipe2(os.O_CLOEXEC)
        replies, theirs_out = os.pipe2(os.O_CLOEXEC)
        try:
            return self._ask([theirs_in, theirs_out]), requests, replies
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
