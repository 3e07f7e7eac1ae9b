"""What operators ask of this host: whether it starts anything, and on which cards."""

from __future__ import annotations

import logging
from dataclasses import replace

from orze.coord.journal import Journal
from orze.farm.cards import Cards
from orze.farm.queue import Queue
from orze.report.model import HostRow

_LOG = logging.getLogger("orze")


class Orders:
    """Brings what the journal says of the farm's hosts to the members of this one.

    Args:
        host: this host's name.

    Attributes:
        drained: who drained this host, which starts nothing for as long; empty where nobody did.
    """

    def __init__(self, host: str, *, journal: Journal, cards: Cards, queue: Queue) -> None:
        self._host = host
        self._journal = journal
        self._cards = cards
        self._queue = queue
        self._seen: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self.drained = ""

    def take_in(self) -> bool:
        """Do as the journal says; called in each cycle, since cards that were asked for may come back.

        Returns:
            Whether the orders of any host have changed.
        """
        fold = self._journal.fold
        self._drain(fold.drained.get(self._host, ""))
        if self._cards.use(fold.cards.get(self._host)):
            self._queue.set_cards(self._cards.cards_at_most)
            _LOG.info("slots in use from now on: %s", ", ".join(slot.name for slot in self._cards.slots))
        before, self._seen = self._seen, (dict(fold.drained), dict(fold.cards))
        return self._seen != before

    def mark(self, row: HostRow) -> HostRow:
        """What a host tells of itself, with what is asked of it."""
        fold = self._journal.fold
        return replace(row, drained=row.name in fold.drained, cards_asked=fold.cards.get(row.name, ""))

    def _drain(self, drained: str) -> None:
        if drained and not self.drained:
            _LOG.info("this host is %s: it takes no new ideas, what runs goes on", drained)
        elif self.drained and not drained:
            _LOG.info("this host takes new ideas again")
        self.drained = drained
