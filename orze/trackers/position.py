"""How far the journal has been mirrored to one place, kept beside the journal."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from orze.coord.journal import Journal
from orze.core.files import make_dirs
from orze.core.paths import FarmPaths
from orze.core.states import State

if TYPE_CHECKING:
    from orze.core.clock import Clock
    from orze.core.files import Files

_LIMIT = 1 << 20
_EVERY = 5.0  # seconds between two savings while there is more to do

Outcome = tuple[str, State, dict[str, object]]


class Position:
    """A place in the journal: the record behind which reading goes on, and outcomes that are done from there.

    Where the journal is not the one that was read, as when somebody removed it, all of it is read again.

    Args:
        path: the file that keeps it.
    """

    def __init__(self, files: Files, paths: FarmPaths, clock: Clock, path: str) -> None:
        self._files = files
        self._clock = clock
        self._path = path
        self._new = partial(Journal, files, paths.journal, clock, frame={})
        self._journal, self._done = self._resumed()
        self._saved = clock.steady()

    def pending(self) -> Generator[Outcome, None, None]:
        """What is to be mirrored, in the order of the journal; asking for the next says that one is done.

        It ends when the journal has told of nothing more meanwhile.

        Raises:
            OSError: the share did not answer.
        """
        while True:
            begun = self._state()
            self._journal.follow()
            seen = self._state()
            _, outcomes = self._journal.fold.drain()
            try:
                yield from self._each(outcomes, begun, seen)
                begun, self._done = seen, 0
            finally:
                self._save(begun, seen)
            if not outcomes:
                return

    def _each(self, outcomes: Sequence[Any], begun: list[Any], seen: list[Any]) -> Iterator[Outcome]:
        for number, (idea_id, state, facts) in enumerate(outcomes[self._done :], self._done):
            if state is not None:
                yield idea_id, state, facts
            self._done = number + 1
            if self._clock.steady() >= self._saved + _EVERY:
                self._save(begun, seen)

    def _save(self, begun: list[Any], seen: list[Any]) -> None:
        place = {"begun": begun, "done": self._done, "seen": seen}
        make_dirs(self._files, os.path.dirname(self._path))
        self._files.replace(self._path, json.dumps(place).encode())
        self._files.sync_dir(os.path.dirname(self._path))
        self._saved = self._clock.steady()

    def _state(self) -> list[Any]:
        """Where the journal is being read, without what it told."""
        return [type(part)() if isinstance(part, dict | list) else part for part in self._journal.state()]

    def _resumed(self) -> tuple[Journal, int]:
        try:
            kept = json.loads(self._files.read(self._path, _LIMIT))
            journal = self._new()
            if journal.holds(kept["seen"]):
                journal.resume(kept["begun"])
                return journal, int(kept["done"])
        except (FileNotFoundError, ValueError, TypeError, LookupError):
            pass  # nothing was mirrored yet, or another version wrote it
        return self._new(), 0
