"""Does over a line what must be done, for as long as it takes: a lost line passes."""

from __future__ import annotations

import time

from orze.attempt.executors.faults import Lost, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from orze.attempt.executors.output import Output
    from orze.attempt.executors.over_spec import OverSsh
    from orze.attempt.executors.waiting import Waiting

_FIRST: Final = 0.5  # seconds before the line is tried again; each next pause is twice as long
_LAST: Final = 60.0
_DOWN: Final = 86400.0  # seconds beyond the command's limit for which a machine that was reached may be away


class ToldToEnd(Exception):
    """This process was told to end before anything ran."""


class Persistence:
    """Tries again what a lost line interrupts, with growing pauses.

    Args:
        limit: seconds that the command may run.
    """

    def __init__(self, spec: OverSsh, output: Output, waiting: Waiting, limit: float) -> None:
        self._host = spec["host"]
        self._patience = spec["patience"]
        self._down = limit + _DOWN
        # what is said before each pause is a sign of life, for a keeper that looks for a stall
        self._longest = min(_LAST, spec["stall"] / 3) if spec["stall"] else _LAST
        self._output = output
        self._waiting = waiting
        self._reached = False

    def of(self, do: Callable[[], Any], *, may_end: bool = False) -> Any:
        """Do something until it works.

        Args:
            may_end: it is given up where this process is told to end.

        Returns:
            What it returns.

        Raises:
            Refused: it cannot work, or has not for too long.
            ToldToEnd: see `may_end`.
        """
        pause, since = _FIRST, time.monotonic()
        while True:
            if may_end and self._waiting.told:
                raise ToldToEnd
            heard = self._output.heard
            try:
                done = do()
            except Lost as lost:
                if heard != self._output.heard:  # it worked for a while
                    pause, since, self._reached = _FIRST, time.monotonic(), True
                if time.monotonic() - since > (self._down if self._reached else self._patience):
                    raise Refused(f"{self._host} cannot be reached: {lost}") from None
                self._output.say(f"{lost}; again in {pause:g} s")
                self._waiting.pause(pause)
                pause = min(2 * pause, _FIRST if self._waiting.told else self._longest)
            else:
                self._reached = True
                return done
