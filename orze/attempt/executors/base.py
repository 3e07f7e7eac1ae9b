"""What a farm asks of an executor: keepers to tell attempts to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from orze.attempt import wire
from orze.core.identity import start_time

if TYPE_CHECKING:
    from orze.attempt.spec import Go


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


class Executor(Protocol):
    """Runs the attempts of one daemon. They go on without the daemon, and without the executor."""

    @property
    def words(self) -> str:
        """Where attempts run, for people: `processes of this host`."""
        ...

    def check(self) -> None:
        """Make sure that it can work here; called once, before anything else.

        Raises:
            ConfigError: it cannot, and what to do.
        """
        ...

    def open(self) -> None:
        """Have everything there that a keeper needs; OSError where that cannot be."""
        ...

    def keeper(self) -> Keeper:
        """A keeper on this host for one attempt.

        Raises:
            OSError: no process can be started.
        """
        ...

    def adapt(self, go: Go) -> Go:
        """The message for a keeper whose claim stands, its commands made to run where they shall."""
        ...

    def close(self) -> None:
        """Let go of everything but the attempts."""
        ...
