"""What became of attempts: from their chains, or the files of a plain farm, to queue and journal."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from orze.attempt.projections import METRICS_FILE
from orze.coord.idea_chain import IdeaFold
from orze.coord.journal import Journal
from orze.core.states import SUCCEEDED, TERMINAL, State
from orze.farm.attempts import Attempts
from orze.farm.context import Context
from orze.farm.outcomes import Facts, outcome_of, plain_outcome
from orze.farm.queue import Queue
from orze.farm.steward import Steward, number_of
from orze.report.primary import choose

_LOG = logging.getLogger("orze")


class Settler:
    """Brings what the chains say into the queue, and into the journal where this host leads."""

    def __init__(
        self,
        context: Context,
        *,
        queue: Queue,
        attempts: Attempts,
        journal: Journal,
        steward: Steward,
    ) -> None:
        self._context = context
        self._queue = queue
        self._attempts = attempts
        self._journal = journal
        self._steward = steward
        self._names: set[str] = set()

    def settle(self, idea_id: str, fold: IdeaFold) -> None:
        """An attempt of this idea is over, and this is what the chain says now."""
        self._queue.set_running(idea_id, None)
        outcome = outcome_of(fold)
        if outcome is None:
            failure = fold.last_failure
            if failure and failure.get("attempt") == fold.attempt:
                _LOG.warning("%s failed (%s): %s; queued again", idea_id, failure["cause"], failure["error"])
            return
        state, facts = outcome
        if state in SUCCEEDED:
            where = "" if facts["host"] == self._context.machine.host else f" on {facts['host']}"
            _LOG.info("%s is %s%s after %.0f s%s", idea_id, state, where, facts["seconds"], _first(facts))
        else:
            _LOG.warning("%s is %s (%s): %s", idea_id, state, facts["cause"], facts["error"])
        self._note(idea_id, state, facts)

    def sweep(self, *, anew: bool = True) -> bool:
        """Look at what is in results/ and not known to have ended.

        Args:
            anew: list results/; else the last listing is gone by. An attempt can end, or be brought back by a
                server that lost its power, without a change there and without a heartbeat to be seen.

        Returns:
            Whether anything was found.

        Raises:
            OSError: the share did not answer.
        """
        if not anew:
            return self._inspect_all(self._open())
        listed = self._context.files.listdir(self._context.paths.results)
        self._names = {name for name in listed if number_of(name) >= 0}
        ended = [idea for state in TERMINAL for idea in self._queue.by_state[state]]
        removed = [self._removed(idea_id) for idea_id in ended if idea_id not in self._names]
        return self._inspect_all(self._names) or any(removed)

    def _open(self) -> list[str]:
        """Those that have a directory but have not ended, as far as is known."""
        states = [state for state in State if state not in TERMINAL]
        return [idea for state in states for idea in self._queue.by_state[state] if idea in self._names]

    def _inspect_all(self, ideas: Iterable[str]) -> bool:
        running = {attempt.idea_id for attempt in self._attempts if attempt.claimed}
        found, fault = False, None
        for idea_id in ideas:
            entry = self._queue.get(idea_id)
            if idea_id in running or (entry and entry.known and entry.known.outcome):
                continue
            try:
                found = self._inspect(idea_id) or found
            except OSError as error:
                fault = error  # one directory that cannot be read must not hide the others
        if fault:
            raise fault
        return found

    def _removed(self, idea_id: str) -> bool:
        """Somebody removed the directory of a settled idea: that is how people ask for it to run again."""
        entry = self._queue.get(idea_id)
        if not (entry and entry.known and entry.known.outcome):
            return False  # withdrawn, or skipped for what another did: it never had one
        if self._is_there(idea_id):
            return False  # the listing was an old one
        _LOG.info("%s: its directory was removed; queued again", idea_id)
        self._steward.reopen(idea_id)
        self._journal.fold.assume(idea_id, None)
        self._queue.touch(idea_id)
        return True

    def _is_there(self, idea_id: str) -> bool:
        """Whether an idea has a directory, or one cannot tell: one listing that lacks it is no proof."""
        try:
            self._context.files.stat(self._context.paths.idea(idea_id).home)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def _inspect(self, idea_id: str) -> bool:
        try:
            _, fold = self._attempts.chain(idea_id)
        except FileNotFoundError:
            return self._inspect_plain(idea_id)
        if fold.running:
            self._attempts.watch_chain(idea_id, fold)
            return False
        if fold.end is None:
            return False
        self.settle(idea_id, fold)
        return True

    def _inspect_plain(self, idea_id: str) -> bool:
        home = self._context.paths.idea(idea_id).home
        names = self._context.files.listdir(home)
        if METRICS_FILE not in names or "attempts" in names:
            return (
                False  # with attempts it is ours, its chain just being removed: what lies there is no input
            )
        outcome = plain_outcome(home)
        if outcome is None:
            return False
        self._note(idea_id, *outcome)
        return True

    def _note(self, idea_id: str, state: State, facts: Facts) -> None:
        facts["title"] = self._queue.title(idea_id)
        self._steward.note(idea_id, state, facts)
        self._journal.fold.assume(idea_id, state)
        self._queue.set_known(idea_id, self._journal.fold.ideas[idea_id])


def _first(facts: Facts) -> str:
    """A few numbers for the log, the one that ranks first."""
    metrics = facts.get("metrics", {})
    numbers = {
        name: value
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    first = choose(numbers)
    names = sorted(numbers, key=lambda name: name != first)
    return ": " + " ".join(f"{name}={numbers[name]:.4g}" for name in names[:3]) if names else ""
