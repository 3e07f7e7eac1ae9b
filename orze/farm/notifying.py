"""The leader tells people what happens: what it knows becomes news, news is recorded, and then sent."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator

from orze.config.values import News
from orze.coord.leader import Leadership
from orze.core.errors import ConfigError
from orze.core.states import RUNNING, State
from orze.farm.attempts import Attempts
from orze.farm.board import Board, disk_free
from orze.farm.context import Context
from orze.farm.hosts import Hosts
from orze.farm.queue import Queue
from orze.farm.researching import Researching
from orze.notify.delivery import Delivery
from orze.notify.ledger import Ledger, LedgerFile
from orze.notify.news import Best, Event, Now, Told, begin, host_lost, lost_hosts, news
from orze.report.model import Result

_GB = 1e9
_NOTHING = Told(outcomes=0, best=None, empty=True, disk_low=False)
_UNDER_WAY = 3.0  # seconds that a daemon which leaves waits for a message under way
_LAST = 20.0  # and with `--once`, for its last one


class Notifying:
    """Tells people of what happens, while this host leads; without URLs it does nothing at all."""

    def __init__(
        self,
        context: Context,
        *,
        leadership: Leadership,
        hosts: Hosts,
        attempts: Attempts,
        queue: Queue,
        board: Board,
        researching: Researching,
    ) -> None:
        settings = context.settings.notifications
        self._context = context
        self._leadership = leadership
        self._hosts = hosts
        self._attempts = attempts
        self._queue = queue
        self._board = board
        self._researching = researching
        self._kinds = frozenset(settings.on or News)
        self._file = LedgerFile(context.files, context.paths.notify)
        farm = context.settings.project_dir.name or "orze"
        self._delivery = Delivery(farm, settings.urls, settings.every, context.clock.steady)
        self._term = 0  # that of the ledger; 0 while there is none
        self._ledger = Ledger(told=_NOTHING)
        self._unsaved = False
        self._mourned: set[str] = set()

    def check(self) -> None:
        """Raise ConfigError where messages are asked for and cannot be sent from this host."""
        if self._delivery.targets and importlib.util.find_spec("apprise") is None:
            raise ConfigError(["notifications need the package apprise: pip install 'orze[notify]'"])

    @property
    def problems(self) -> list[str]:
        """Which targets are not reached, for people to see; only their schemes are named."""
        return self._delivery.problems if self._leadership.mine else []

    def step(self, *, swept: bool) -> None:
        """Do what is due; nothing in it waits for a target.

        Args:
            swept: whether what was in results/ before is in the journal by now, and so is no news.

        Raises:
            OSError: the share did not take what has to be recorded before it is sent.
        """
        if not self._open(swept=swept):
            return
        self._look()
        self._delivery.send(self._ledger)

    def due(self) -> float:
        """The steady time at which there is something to do though nothing happens."""
        return self._delivery.due(self._ledger) if self._term and self._leadership.mine else float("inf")

    def lost(self, tokens: set[str]) -> None:
        """Daemons are dead and about to be forgotten: record that their hosts are lost.

        Raises:
            OSError: the share did not take it; they must not be forgotten yet.
        """
        if not self._open(swept=False):
            return
        fresh = tokens - self._mourned
        self._note(self._ledger.told, self._losses(fresh, self._names(fresh)))
        self._mourned |= fresh
        self._save()

    def child_ended(self, pid: int) -> None:
        """A child process has ended, perhaps the sender."""
        self._delivery.child_ended(pid)

    def end(self, *, flush: bool) -> None:
        """Leave: wait a moment for a message that is under way, so that nobody sends it again.

        Args:
            flush: also send what waits, and wait for that.

        Raises:
            OSError: as `step`.
        """
        if not self._open(swept=False):
            return
        self._delivery.wait(_LAST if flush else _UNDER_WAY)
        self._look()
        if flush:
            self._delivery.send(self._ledger, now=True)
            self._delivery.wait(_LAST)
            self._look()

    def _open(self, *, swept: bool) -> bool:
        """Have the ledger of the term in which this host leads; whether there is one."""
        if not self._delivery.targets or not self._leadership.mine:
            return False
        term = self._leadership.fold.term
        if self._term == term:
            return True
        kept = self._file.load()
        if kept is None and not swept:
            return False
        if kept is None:
            self._ledger = Ledger(told=begin(self._now(self._board.recorded)))
        else:
            self._ledger = kept[1]
            fallen = [lead for lead in self._leadership.fold.fallen if lead["term"] >= kept[0]]
            names = [str(lead.get("host", "")) for lead in fallen]
            self._note(kept[1].told, self._losses({str(lead["token"]) for lead in fallen}, names))
        self._ledger = self._ledger.with_targets(self._delivery.targets)
        self._delivery.begin()
        self._term, self._unsaved = term, True
        self._save()
        self._file.forget(but=term)
        return True

    def _look(self) -> None:
        """Take in what became of the last round, and what has happened."""
        for name, number in self._delivery.collect().items():
            self._ledger = self._ledger.delivered(name, number)
            self._unsaved = True
        told = self._ledger.told
        self._note(*news(told, self._now(told.outcomes)))
        self._save()

    def _note(self, told: Told, events: Iterable[Event]) -> None:
        """Take in what has happened; a success that is not the best is worth no record."""
        found = list(events)
        if not found and told == self._ledger.told:
            return
        changed = told.model_copy(update={"outcomes": self._ledger.told.outcomes}) != self._ledger.told
        self._unsaved = self._unsaved or bool(found) or changed
        self._ledger = self._ledger.with_events(told, [event for event in found if event.kind in self._kinds])

    def _save(self) -> None:
        """Have it recorded; what cannot be now is recorded at the next step, and only then sent."""
        if self._unsaved:
            self._file.save(self._term, self._ledger)
            self._unsaved = False

    def _now(self, outcomes: int) -> Now:
        """What is known.

        Args:
            outcomes: how many outcomes of the journal need not be looked at.
        """
        board, results = self._board, self._board.leaderboard
        fresh = max(0, board.recorded - outcomes)
        failed = [one for state in (State.FAILED, State.SKIPPED) for one in results.recent(state, fresh)]
        limit = self._context.settings.min_disk_gb
        best, latest, sure = self._best()
        return Now(
            outcomes=board.recorded,
            best=best,
            best_result=latest,
            sure=sure,
            failed=sorted(failed, key=lambda result: result.order),
            queued=self._queue.depth,
            running=sum(self._queue.counts[state] for state in RUNNING),
            disk_gb=disk_free(self._context.paths.results) / _GB if limit else 0.0,
            min_disk_gb=limit,
            research_dead=self._researching.dead,
        )

    def _best(self) -> tuple[Best | None, Result | None, str]:
        """What people are told is the best, its latest result, and how sure that is.

        Where a best has to be confirmed, that is what the report calls the best; else the best single result.
        """
        results, merit = self._board.leaderboard, self._board.merit()
        if self._context.settings.report.confirm:
            config = merit.old if merit.verdict == "one run" else merit.best
            if config is None:
                return None, None, ""
            return self._as_best(config.name, config.mean), results.get(config.ids[-1]), merit.sentence
        ranked = results.best()
        if ranked is None:
            return None, None, ""
        idea_id = ranked.result.idea_id
        called = merit.verdict == "best" and merit.best and idea_id in merit.best.ids
        sure = merit.sentence if called else "best so far, one run"
        return self._as_best(idea_id, ranked.value), ranked.result, sure

    def _as_best(self, idea_id: str, value: float | None) -> Best | None:
        primary = self._board.leaderboard.primary
        if value is None or primary is None:
            return None
        return Best(idea_id=idea_id, metric=primary.name, value=value, ascending=primary.ascending)

    def _losses(self, tokens: set[str], names: Iterable[str]) -> Iterator[Event]:
        """That the hosts with these names are lost, but for those on which another daemon lives."""
        living = [*self._names(self._attempts.daemons - tokens), self._context.machine.host]
        return map(host_lost, lost_hosts(names, living))

    def _names(self, tokens: set[str]) -> list[str]:
        return [row.name for row in self._hosts.rows(tokens, "")]
