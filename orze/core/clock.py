"""The one way in which time enters the program."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Clock(Protocol):
        """What the protocol asks of time: a steady clock of this host, and a wall clock to show."""

        def steady(self) -> float:
            """Seconds that also count while the machine sleeps (CLOCK_BOOTTIME, clock_gettime(2))."""
            ...

        def wall(self) -> float:
            """Unix seconds, to be shown to people and never compared between hosts."""
            ...

        def sleep(self, seconds: float) -> None:
            """Wait."""
            ...


class SystemClock:
    """The clocks of this machine."""

    def steady(self) -> float:
        """Seconds of CLOCK_BOOTTIME, which goes on while the machine is suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        """Unix seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        time.sleep(seconds)


class ManualClock:
    """A clock that moves only when told, for tests of anything that waits."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start

    def steady(self) -> float:
        """The time told so far."""
        return self._now

    def wall(self) -> float:
        """The same time; a test that needs another has its own clock."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self._now += seconds

    advance = sleep
