"""What the daemon tells on its terminal: log lines, and on a terminal one live line below them."""

from __future__ import annotations

import logging
import os
import threading
from typing import TextIO

from orze.farm.daemon import Daemon
from orze.report.text import clean, duration, width

_REFRESH = 1.0  # seconds
_CLEAR = "\r\x1b[2K"


class Console(logging.Handler):
    """Writes log lines to a stream, with the live line kept below them where the stream is a terminal.

    Args:
        verbose: also tell what only matters to who looks for a fault.
    """

    def __init__(self, stream: TextIO, *, verbose: bool) -> None:
        super().__init__(logging.DEBUG if verbose else logging.INFO)
        self._stream = stream
        self._live = stream.isatty()
        self._daemon: Daemon | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        log = logging.getLogger("orze")
        log.setLevel(self.level)
        log.handlers[:] = [self]
        log.propagate = False

    def attach(self, daemon: Daemon) -> None:
        """Show the live line of a daemon from now on."""
        self._daemon = daemon
        if self._live:
            self._thread = threading.Thread(target=self._refresh, daemon=True)
            self._thread.start()

    def detach(self) -> None:
        """No live line any more."""
        self._stop.set()
        if self._thread:
            self._thread.join(_REFRESH)  # it may be reading from a share that hangs
            self._thread = None
            self._write(_CLEAR)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one log line."""
        lines = [clean(line, 2000) for line in self.format(record).splitlines()]
        self._write((_CLEAR if self._thread else "") + "\n".join(lines) + "\n")

    def _refresh(self) -> None:
        while not self._stop.wait(_REFRESH):
            line = self._line()
            with self.lock or threading.Lock():
                if not self._stop.is_set():
                    self._write(_CLEAR + line)

    def _write(self, text: str) -> None:
        """Write; a closed terminal ends no farm."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stop.set()

    def _line(self) -> str:
        if self._daemon is None:
            return ""
        m = self._daemon.members
        now = m.context.clock.wall()
        parts = [
            f"{attempt.gpu} {attempt.idea_id} {duration(max(0.0, now - attempt.since))} "
            f"{m.attempts.last_metrics(attempt)}".strip()
            for attempt in m.attempts.here()
        ]
        told = [m.orders.drained] if m.orders.drained else []
        text = " | ".join([*parts, f"{m.queue.depth} queued", *told])
        return fit(text, _columns(self._stream) - 1)


def fit(text: str, cells: int) -> str:
    """Make any text one line of at most so many cells of a terminal."""
    line = clean(text, cells)
    while width(line) > cells:
        line = line[:-2] + "…"
    return line


def _columns(stream: TextIO) -> int:
    try:
        return max(20, os.get_terminal_size(stream.fileno()).columns or 80)  # 0: it does not know its size
    except (OSError, ValueError):
        return 80
