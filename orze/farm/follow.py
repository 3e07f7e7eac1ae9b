"""Follows the attempts of the farm to their ends, and brings what became of them to queue and journal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from orze.core.states import SUCCEEDED, Cause, State
from orze.farm.assembly import Assembly
from orze.farm.attempts import Attempt
from orze.farm.outcomes import outcome_of
from orze.farm.show import Show
from orze.farm.telemetry import cause_of
from orze.farm.view import Dead

_LOG = logging.getLogger("orze")


class Follower:
    """One daemon's view of what runs.

    Attributes:
        started: tokens of the attempts that this daemon started and that have not ended.
        succeeded, failed: how many of those ended so.
    """

    def __init__(self, members: Assembly, show: Show) -> None:
        self._members = members
        self._show = show
        self._watched: set[int] = set()
        self._appeared: dict[str, str] = {}
        self._ended: set[str] = set()
        self.started: set[str] = set()
        self.succeeded = self.failed = 0

    def look(self) -> None:
        """List the heartbeats; OSError where the share did not answer."""
        m = self._members
        judge = m.succession.watches
        changes = m.attempts.look(judge=judge, clones=judge and m.hosts.cloned(m.attempts.daemons))
        self._watch_keepers()
        self._appeared |= {attempt.token: attempt.idea_id for attempt in changes.appeared}
        self._ended |= changes.ended

    def take_in(self) -> None:
        """Take in what began and what ended, by the chains.

        One that cannot be read is a problem to show, and no reason to judge no leader; it is read again at
        the next call.
        """
        with self._members.problems.guard("reading the chains of attempts"):
            self._read_chains()

    def _read_chains(self) -> None:
        m = self._members
        faults: list[OSError] = []
        for token, idea_id in list(self._appeared.items()):
            with _kept(faults):
                if self._on_appeared(token, idea_id):
                    del self._appeared[token]
        for idea_id in list(self._ended):
            with _kept(faults):
                self._settle(idea_id, "")
                self._ended.discard(idea_id)
        for dead in [dead for dead in m.attempts.dead if dead.here]:
            m.cards.outdate()
            with _kept(faults):
                if self._settle(dead.idea_id, dead.token):
                    m.reaper.clean(dead)
                    m.attempts.forget(dead.token)
                    m.attempts.dead.remove(dead)
        if faults:
            raise faults[0]

    def _watch_keepers(self) -> None:
        """Be woken by the ends of the keepers, and wait for no descriptor that is closed by now."""
        m = self._members
        here = {attempt.pidfd: attempt for attempt in m.attempts.here()}
        for descriptor in self._watched - here.keys():
            m.events.forget(descriptor)
        for descriptor in here.keys() - self._watched:
            attempt = here[descriptor]
            if attempt.token not in self.started:
                _LOG.info("%s runs on %s already (attempt %d): adopted", *_named(attempt))
            m.events.on_readable(descriptor, _nothing)
        self._watched = set(here)

    def _on_appeared(self, token: str, idea_id: str) -> bool:
        """Take in a new heartbeat; whether that is done with.

        If the journal tells that the idea has ended, it alone proves nothing: a server that loses its power
        can bring back one that was removed, and a keeper that was let go may have failed to remove its own.

        Raises:
            OSError: the chain cannot be read; nothing is decided by that.
        """
        m = self._members
        entry = m.queue.get(idea_id)
        if entry and entry.known and entry.known.outcome:
            try:
                _, fold = m.attempts.chain(idea_id)
            except FileNotFoundError:  # not claimed yet, or its directory was removed, which the sweep sees
                return not m.attempts.follows(token)
            if outcome_of(fold) is None:
                self._runs_again(idea_id)
        if m.attempts.follows(token):
            m.queue.set_running(idea_id, State.CLAIMED)
        self._show.changed()
        return True

    def _runs_again(self, idea_id: str) -> None:
        m = self._members
        m.journal.fold.assume(idea_id, None)  # whatever the journal has seen
        m.board.drop(idea_id)
        m.steward.told(idea_id)
        if m.leadership.mine:
            m.steward.reopen(idea_id)

    def _settle(self, idea_id: str, token: str) -> bool:
        """See what became of an attempt that is not at work any more.

        Args:
            token: the attempt's; empty where only its heartbeat was seen to be gone.

        Returns:
            False where the chain says that it still runs: its keeper died without a last record.
        """
        m = self._members
        self._show.changed()
        try:
            _, fold = m.attempts.chain(idea_id)
        except FileNotFoundError:
            m.queue.set_running(idea_id, None)
            return True
        if fold.running and fold.token == (token or fold.token):
            m.attempts.watch_chain(idea_id, fold)
            return False
        m.settler.settle(idea_id, fold)
        if token:
            m.telemetry.ended(token, cause_of(fold, token))
        if token in self.started:
            self.started.discard(token)
            self.succeeded += fold.state in SUCCEEDED
            failed = (fold.last_failure or {}).get("token") == token
            self.failed += failed and fold.state is not State.PRUNED
        return True

    def reap(self, dead: Dead) -> bool:
        """Do the next step towards the LOST of a dead attempt.

        Returns:
            False where it is to be tried again in a moment.
        """
        m = self._members
        try:
            chain, fold = m.attempts.chain(dead.idea_id)
        except FileNotFoundError:
            m.reaper.clean(dead)
            m.queue.set_running(dead.idea_id, None)
            m.attempts.forget(dead.token)
            return True
        held = fold.token == dead.token
        if not m.reaper.reap(dead, chain, fold):
            return False
        if held:
            host = (fold.claim or {}).get("host", "?")
            _LOG.warning("%s: attempt %d on %s is lost; queued again", dead.idea_id, fold.attempt, host)
        m.attempts.forget(dead.token)
        if held and dead.here:
            m.telemetry.ended(dead.token, Cause.HOST_LOST)
        m.settler.settle(dead.idea_id, fold)
        self._show.changed()
        return True


def _named(attempt: Attempt) -> tuple[str, str, int]:
    return attempt.idea_id, attempt.gpu, attempt.number


def _nothing() -> None:
    """A keeper has ended: the wake-up is all that is needed."""


@contextmanager
def _kept(faults: list[OSError]) -> Iterator[None]:
    """One chain that cannot be read now must not hide the others; it is read again at the next look."""
    try:
        yield
    except OSError as error:
        faults.append(error)
