"""What people ask of a loop at work: by files beside its session, and by signals."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from orze.refine.places import Place


class FileWishes:
    """The wishes for one session; a wish is never taken back."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._signals = 0

    @property
    def stop(self) -> bool:
        """It is to end; what runs may go on."""
        return self._signals > 0 or self._place.is_asked(now=False) or self.stop_now

    @property
    def stop_now(self) -> bool:
        """It is to end, and what runs with it."""
        return self._signals > 1 or self._place.is_asked(now=True)

    @property
    def at_once(self) -> bool:
        """It is to end without waiting for anything."""
        return self._signals > 2

    @property
    def away(self) -> bool:
        """Whoever goes ends the session."""
        return False

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Count SIGINT and SIGTERM for a while, where this is the thread that gets them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._count) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _count(self, *_: object) -> None:
        self._signals += 1


class DaemonWishes(FileWishes):
    """The same for the session of a farm: a signal says that another process goes on with it."""

    @property
    def stop(self) -> bool:
        """It is to end; what runs may go on."""
        return self._place.is_asked(now=False) or self.stop_now

    @property
    def stop_now(self) -> bool:
        """It is to end, and what runs with it."""
        return self._place.is_asked(now=True)

    @property
    def at_once(self) -> bool:
        """Nobody asks for that."""
        return False

    @property
    def away(self) -> bool:
        """This process is to go."""
        return self._signals > 0
