"""Waiting that ends early when the process is told to end, or when a child of it has ended."""

from __future__ import annotations

import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence


class Waiting:
    """What the process may wait for.

    Attributes:
        told: SIGTERM has come: what runs is to be ended.
    """

    def __init__(self) -> None:
        self.told = False
        self._wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._tell)
        signal.signal(signal.SIGINT, self._tell)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # its arrival is written to the pipe

    def readable(self, descriptors: Sequence[int], seconds: float) -> list[int]:
        """Those that can be read, at most `seconds` later; none where something else happened."""
        found = select.select([*descriptors, self._wake], [], [], max(0.0, seconds))[0]
        if self._wake in found:
            os.read(self._wake, 4096)
        return [one for one in found if one != self._wake]

    def pause(self, seconds: float) -> None:
        """Let time pass; less where the process is told to end."""
        until = time.monotonic() + seconds
        before = self.told
        while (left := until - time.monotonic()) > 0 and self.told == before:
            self.readable([], left)

    def ended(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        """Whether a child has ended, at most `seconds` later."""
        until = time.monotonic() + seconds
        while process.poll() is None:
            left = until - time.monotonic()
            if left <= 0:
                return False
            self.readable([], left)
        return True

    def _tell(self, *_: object) -> None:
        self.told = True
