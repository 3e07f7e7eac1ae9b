"""A log that is followed on a terminal or in a pipe while it grows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orze.core.clock import Clock

_EVERY = 0.5  # seconds between two looks at a log that is followed
_ENDED = 4  # so many looks apart it is asked whether it goes on


def follow_log(find: Callable[[], str], lines: int, *, goes_on: Callable[[], bool], clock: Clock) -> None:
    """Print the end of a log, and what is appended to it, until nothing more will be.

    Args:
        find: tells where the log is, which can move; it need not be there yet.
        lines: of its end that are printed first.
        goes_on: whether somebody still writes it.
    """
    from orze.client.logs import Lines, read_end, read_on

    reading, offset, ended, looks = Lines(), -1, False, 0
    shown = _Shown()
    while True:
        try:
            data, offset = read_end(find(), lines) if offset < 0 else read_on(find(), offset)
        except OSError:
            data = b""  # nothing has been printed yet
        shown.lines(reading.feed(data))
        shown.partial(reading.partial)
        if data:
            continue
        if ended:
            shown.close(reading.partial)
            return
        looks += 1
        ended = looks % _ENDED == 0 and not goes_on()
        if not ended:
            clock.sleep(_EVERY)


class _Shown:
    """Prints lines, and on a terminal also the line that has not ended, which the next one is drawn over."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._drawn = ""

    def lines(self, lines: list[str]) -> None:
        """Print lines that have ended."""
        if lines:
            self._clear()
            print("\n".join(lines), flush=True)

    def partial(self, line: str) -> None:
        """Draw a line that has not ended, if it is another than before."""
        if self._live and line != self._drawn:
            import shutil

            from orze.cli.console import fit

            self._clear()
            self._drawn = line
            print(fit(line, shutil.get_terminal_size().columns - 1), end="", flush=True)

    def close(self, line: str) -> None:
        """Nothing follows: a line that has not ended is all there is of it."""
        if line:
            self.lines([line])

    def _clear(self) -> None:
        if self._drawn:
            print("\r\x1b[2K", end="")
            self._drawn = ""
