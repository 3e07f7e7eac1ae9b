"""What the loop tells while it works: lines as they come, and on a terminal one live line below them."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from orze.cli.console import fit
from orze.cli.output import verbatim
from orze.client.project import Project
from orze.core.errors import OrzeError
from orze.refine.places import place_of
from orze.refine.running import farm_of_session, happening, runs_of

_EVERY = 1.0  # seconds
_CLEAR = "\r\x1b[2K"
_VERDICT = re.compile(r"step \d+: (kept|discarded|failed|void|refused|stopped)\b")
_COLORS = {"kept": "32", "discarded": "2", "failed": "31", "void": "31", "refused": "33", "stopped": "33"}


class Live:
    """Tells on stdout what a loop says, each line with its time.

    On a terminal the last line is drawn over each second: what the open steps are doing, how far their runs
    are. In a pipe there is none, and no colour.

    Args:
        home: the project's directory.
        name: of the session.
    """

    def __init__(self, home: Path, name: str) -> None:
        self._home, self._place = home, place_of(home, name)
        self._session = self._place.session()  # a view of its own: the loop works on another
        self._farm: Project | None = None
        self._live = sys.stdout.isatty()
        self._cleared = _CLEAR if self._live else ""
        self._colored = self._live and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._refresh, daemon=True)

    def __enter__(self) -> Self:
        if self._live:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(_EVERY)  # it may be reading from a share that hangs
        with self._lock:
            self._write(self._cleared)

    def say(self, text: str) -> None:
        """Tell one thing; text of models and scripts may be in it."""
        line = f"{time.strftime('%H:%M:%S')} {' '.join(verbatim(text).split())}"
        found = _VERDICT.match(text)
        if found and self._colored:
            line = f"\x1b[{_COLORS[found[1]]}m{line}\x1b[0m"
        with self._lock:
            self._write(f"{self._cleared}{line}\n")  # the live line is drawn below it at the next look

    def _refresh(self) -> None:
        while not self._over.wait(_EVERY):
            try:
                told = self._look()
            except (OSError, OrzeError):
                continue  # the loop itself tells of it
            with self._lock:
                if not self._over.is_set():
                    self._write(self._cleared + fit(told, shutil.get_terminal_size().columns - 1))

    def _look(self) -> str:
        """What is going on, in one line."""
        self._session.refresh()
        fold = self._session.fold
        self._farm = self._farm or farm_of_session(self._place, self._home, os.environ)
        runs = runs_of(self._farm, fold) if self._farm else []
        return " | ".join(happening(fold, runs, time.time()))

    def _write(self, text: str) -> None:
        """Write; a terminal or a pipe that was closed ends no loop, whose log has it all."""
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
