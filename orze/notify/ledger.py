"""The ledger: what waits to be told, and to whom it was told; one small file for each term of a leader.

An event is recorded before it is sent, and its sending after it was done. So whoever leads next loses none,
and repeats at most the one message that was under way when the leader died.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from orze.core.files import make_dirs
from orze.notify.news import Event, Record, Told

if TYPE_CHECKING:
    from orze.core.files import Files

_WAITING = 200  # events that are kept for a target which does not take them
_LIMIT = 1 << 20
_DIGITS = 12


class Ledger(Record):
    """What one leader knows of who was told what.

    Attributes:
        told: how far events were made.
        events: the last ones, oldest first; the number of the newest is `count`.
        count: how many there were in all.
        sent: target -> the number of the last event that it was told.
    """

    told: Told
    events: tuple[Event, ...] = Field(default=(), strict=False)
    count: int = 0
    sent: dict[str, int] = Field(default_factory=dict)

    def with_targets(self, names: Collection[str]) -> Ledger:
        """For the targets of now: a new one is told of what happens from here on."""
        return self._with(sent={name: self.sent.get(name, self.count) for name in names})

    def with_events(self, told: Told, events: Iterable[Event]) -> Ledger:
        """These have happened."""
        added = list(events)
        return self._with(told=told, events=(*self.events, *added), count=self.count + len(added))

    def delivered(self, name: str, number: int) -> Ledger:
        """A target was told of the events up to this number."""
        return self._with(sent={**self.sent, name: max(number, self.sent.get(name, 0))})

    def waiting(self, name: str) -> tuple[list[Event], int]:
        """What a target has yet to be told, and how many more events there were that are kept no more."""
        missing = self.count - self.sent.get(name, self.count)
        kept = min(missing, len(self.events))
        return list(self.events[len(self.events) - kept :]), missing - kept

    def _with(self, **changes: object) -> Ledger:
        """With these changes, and without the events of which every target was told."""
        made = self.model_copy(update=changes)
        missing = min(_WAITING, max((made.count - sent for sent in made.sent.values()), default=0))
        return made.model_copy(update={"events": made.events[max(0, len(made.events) - missing) :]})


class LedgerFile:
    """Keeps the ledger of each term in a file of its own, so that one who was followed disturbs nobody.

    Args:
        directory: where the files are; made when there is something to keep.
    """

    def __init__(self, files: Files, directory: str) -> None:
        self._files = files
        self._directory = directory

    def load(self) -> tuple[int, Ledger] | None:
        """The newest term and its ledger; None where nobody was ever told of anything, or it cannot be read.

        Raises:
            OSError: the share did not answer.
        """
        terms = self._terms()
        if not terms:
            return None
        data = self._files.read(self._path(terms[-1]), _LIMIT)
        try:
            return terms[-1], Ledger.model_validate_json(data)
        except ValidationError:
            return None

    def save(self, term: int, ledger: Ledger) -> None:
        """Keep it, to last.

        Raises:
            OSError: the share did not take it.
        """
        make_dirs(self._files, self._directory)
        self._files.replace(self._path(term), ledger.model_dump_json().encode())
        self._files.sync_dir(self._directory)

    def forget(self, but: int) -> None:
        """Remove those of all other terms; OSError where the share did not answer."""
        for term in self._terms():
            if term != but:
                self._files.unlink(self._path(term))

    def _terms(self) -> list[int]:
        try:
            names = self._files.listdir(self._directory)
        except FileNotFoundError:
            return []
        stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
        return sorted(int(stem) for stem in stems if len(stem) == _DIGITS and stem.isdecimal())

    def _path(self, term: int) -> str:
        return f"{self._directory}/{term:0{_DIGITS}d}.json"
