"""Reads a farm as its daemons do, without a part in it: nothing is made there, no card is asked."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace

from orze.client.project import Project
from orze.coord.chain import Chain
from orze.coord.idea_chain import IdeaFold
from orze.coord.journal import Journal
from orze.coord.leader import Leadership
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.core.states import TERMINAL, State
from orze.farm import cache
from orze.farm.attempts import Attempts
from orze.farm.board import Board
from orze.farm.context import make_context
from orze.farm.hosts import Hosts
from orze.farm.intake import Intake
from orze.farm.outcomes import Facts, outcome_of, plain_outcome
from orze.farm.queue import Queue
from orze.farm.steward import number_of

_ANY = 1 << 30  # cards: who reads does not say what a host has too few of
_PATIENCE = 5.0  # seconds for which a file that is being written is read again
_SMALL = 2000  # ideas and results that are read faster than a cache


class Reader:
    """One reading of a farm, and as many more as are wanted; the later ones read what is new.

    Attributes:
        queue: every idea and where it stands. Cards and slots of hosts are not judged.
        journal: what the leaders took in and did.
        intake: ideas.md; its sections and what cannot be accepted.
        attempts: those that have a heartbeat, on all hosts.
        board: the results in order.
        hosts: the daemons that have a heartbeat (`rows`).
        leadership: who leads, as the chain says; `daemons` of attempts tells whether it has a heartbeat.
    """

    def __init__(self, project: Project, environ: Mapping[str, str] | None = None) -> None:
        settings, paths = project.settings, project.paths
        self._clock = _Hasty()
        self.context = replace(make_context(settings, 0.0), files=_Untouched(), clock=self._clock)
        files, frame = self.context.files, self.context.frame
        self._cache = cache.cache_path(paths.results, os.environ if environ is None else environ)
        self._begun = False
        self._listed = -1
        self.queue = Queue(self.context.machine.host, _ANY)
        self.journal = Journal(files, paths.journal, self._clock, frame=frame)
        self.leadership = Leadership(files, paths.leader, self._clock, token=self.context.token, frame=frame)
        self.intake = Intake(self.context, self.queue)
        self.attempts = Attempts(self.context)
        self.board = Board(self.context, queue=self.queue, attempts=self.attempts, intake=self.intake)
        self.hosts = Hosts(self.context)

    def read(self) -> None:
        """Read everything, or what is new since the last call.

        Raises:
            OSError: the share did not answer.
        """
        self.leadership.refresh()
        with _no_garbage(first=not self._begun), self.queue.loading():
            kept = self._load()
            self._follow()
            self._read_ideas()
            self._save(kept)
        self._look()

    def follow(self) -> None:
        """Read what is new in the journal, and nothing else.

        Raises:
            OSError: the share did not answer.
        """
        with _no_garbage(first=not self._begun), self.queue.loading():
            self._load()
            self._follow()

    def chain(self, idea_id: str) -> IdeaFold:
        """What the records of an idea say; those of an idea that never ran say nothing.

        Raises:
            OSError: the share did not answer, or a record is missing.
        """
        fold = IdeaFold()
        with suppress(FileNotFoundError):
            Chain(self.context.files, self.context.paths.idea(idea_id).chain, fold, self._clock).refresh()
        return fold

    # ---- journal, ideas.md and the cache

    def _follow(self) -> None:
        self.journal.follow()
        changed, outcomes = self.journal.fold.drain()
        for idea_id in changed:
            self.queue.set_known(idea_id, self.journal.fold.ideas[idea_id])
        self.board.take(outcomes)

    def _load(self) -> int:
        """Take up what was kept of an earlier reading; returns the size of it."""
        if self._begun:
            return 0
        self._begun = True
        cache.load(self._cache, intake=self.intake, journal=self.journal, board=self.board)
        return len(self.journal.fold.ideas) + len(self.board.leaderboard)

    def _save(self, kept: int) -> None:
        """Keep it for the next command, where that is worth it; it lies in a directory of this user's."""
        size = len(self.queue) + len(self.board.leaderboard)
        if size > _SMALL and abs(size - kept) > size // 20:
            cache.save(self._cache, intake=self.intake, journal=self.journal, board=self.board)

    def _read_ideas(self) -> None:
        self.intake.read()
        until = SystemClock().steady() + _PATIENCE
        while self.intake.behind or self.intake.due() is not None:
            if not self.intake.behind:
                self._clock.sleep(max(0.0, (self.intake.due() or 0.0) - self._clock.steady()))
            self.intake.read()
            if SystemClock().steady() > until and not self.intake.behind:
                return

    # ---- what runs, and what ended without the journal knowing yet

    def _look(self) -> None:
        """List the heartbeats, and see by the chains what the journal does not tell yet."""
        try:
            changes = self.attempts.look(judge=True, clones=True)
        except FileNotFoundError:
            return
        ended = changes.ended | {dead.idea_id for dead in self.attempts.dead if dead.here}
        for attempt in changes.appeared:
            self._note_appeared(attempt.idea_id)
        running = {attempt.idea_id: attempt.state for attempt in self.attempts}
        for idea_id, state in running.items():
            self.queue.set_running(idea_id, state)
        for idea_id in {*ended, *self._open_with_directory(running)}:
            self._settle(idea_id)
        for dead in [dead for dead in self.attempts.dead if dead.here]:
            if not self.chain(dead.idea_id).running:
                self.attempts.forget(dead.token)

    def _note_appeared(self, idea_id: str) -> None:
        """Whatever the journal has seen of it, it runs again if its chain does not say that it ended."""
        known = self.journal.fold.ideas.get(idea_id)
        if known and known.outcome and outcome_of(self.chain(idea_id)) is None:
            self.journal.fold.assume(idea_id, None)
            self.board.drop(idea_id)

    def _open_with_directory(self, running: Iterable[str]) -> Iterator[str]:
        """Ideas that have a directory, do not run and have not ended, as far as the journal tells.

        A directory that has not changed since the last look is not listed again.
        """
        changed = self.context.files.stat(self.context.paths.results).st_mtime_ns
        if changed == self._listed:
            return
        self._listed = changed
        for idea_id in self.context.files.listdir(self.context.paths.results):
            entry = self.queue.get(idea_id)
            ended = entry is not None and entry.state in TERMINAL
            if not ended and number_of(idea_id) >= 0 and idea_id not in running:
                yield idea_id

    def _settle(self, idea_id: str) -> None:
        """See what became of an attempt that has no heartbeat."""
        with suppress(OSError):
            fold = self.chain(idea_id)
            if fold.running:
                self.queue.set_running(idea_id, fold.state)  # nobody has recorded its loss yet
                return
            self.queue.set_running(idea_id, None)
            home = self.context.paths.idea(idea_id).home
            outcome = outcome_of(fold) if fold.attempt else self._plain_outcome(home)
            if outcome:
                self._take(idea_id, *outcome)

    def _plain_outcome(self, home: str) -> tuple[State, Facts] | None:
        """What a plain farm or a person left there."""
        names = self.context.files.listdir(home)
        return plain_outcome(home) if "metrics.json" in names and "attempts" not in names else None

    def _take(self, idea_id: str, state: State, facts: Facts) -> None:
        facts["title"] = self.queue.title(idea_id)
        self.journal.fold.assume(idea_id, state)
        self.queue.set_known(idea_id, self.journal.fold.ideas[idea_id])
        self.board.take([(idea_id, state, facts)])


@contextmanager
def _no_garbage(*, first: bool) -> Iterator[None]:
    """Of what a first reading makes nothing becomes garbage, so nobody need look for it."""
    if not first:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


class _Untouched(RealFiles):
    """The directory for who only reads: a directory that is not there is not made, and counts as empty."""

    def mkdir(self, path: str) -> None:
        """Leave it, as if somebody else had made it: a chain that is not there reads as an empty one."""
        raise FileExistsError(errno.EEXIST, "not made by who only reads", path)


class _Hasty(SystemClock):
    """A clock on which waiting costs nothing: who decides nothing takes ideas.md as it is now."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def steady(self) -> float:
        """Seconds of this host's steady clock, and those that were not waited."""
        return super().steady() + self._ahead

    def sleep(self, seconds: float) -> None:
        """Count them, and go on."""
        self._ahead += seconds
