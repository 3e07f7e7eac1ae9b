"""The keepers of this host that have no attempt yet: one is started ahead of need."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from orze.attempt import keeper, wire
from orze.core.identity import start_time

_PROGRAM = str(Path(keeper.__file__).resolve())


class Keeper:
    """A keeper process and the two pipes to it.

    Attributes:
        pid, start: which process it is (see orze.core.identity).
        replies: readable when it has answered, or is dead.
    """

    def __init__(self) -> None:
        theirs_in, ours_out = os.pipe2(os.O_CLOEXEC)
        ours_in, theirs_out = os.pipe2(os.O_CLOEXEC)
        # PATH alone: what a training script gets travels in its Go message, never by inheritance
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", _PROGRAM],
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs_in, keeper.FROM_DAEMON),
                    (os.POSIX_SPAWN_DUP2, theirs_out, keeper.TO_DAEMON),
                ],
                setsid=True,
            )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self.start = start_time(self.pid) or 0
        self._requests = ours_out
        self.replies = ours_in

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


class Reserve:
    """Keeps one keeper started ahead."""

    def __init__(self) -> None:
        self._spare: Keeper | None = None

    def take(self) -> Keeper:
        """A keeper for an attempt; OSError where no process can be started."""
        spare, self._spare = self._spare, None
        return spare or Keeper()

    def refill(self) -> None:
        """Start the next one, if there is none."""
        if self._spare is None:
            self._spare = Keeper()

    def give_back(self, unused: Keeper) -> None:
        """Take back a keeper whose claim failed."""
        if self._spare is None:
            self._spare = unused
        else:
            unused.let_go()

    def close(self) -> None:
        """Send the spare one away."""
        if self._spare:
            self._spare.let_go()
            self._spare = None
