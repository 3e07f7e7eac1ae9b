"""Puts the members of a daemon together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from orze.attempt.executors.make import make_executor
from orze.coord.journal import Journal
from orze.coord.leader import Leadership
from orze.core.files import make_dirs
from orze.farm import cache
from orze.farm.applying import Applier
from orze.farm.attempts import Attempt, Attempts
from orze.farm.board import Board
from orze.farm.cards import Cards
from orze.farm.cleanup import Cleanup
from orze.farm.confirming import Confirming
from orze.farm.context import Context
from orze.farm.duplicates import Duplicates
from orze.farm.environment import Environment
from orze.farm.events import Events
from orze.farm.hosts import Hosts
from orze.farm.intake import Intake
from orze.farm.launch import Launcher
from orze.farm.mirroring import Mirroring
from orze.farm.notifying import Notifying
from orze.farm.orders import Orders
from orze.farm.problems import Problems
from orze.farm.pruning import Pruning
from orze.farm.queue import Queue
from orze.farm.reap import Reaper
from orze.farm.refining import Refining
from orze.farm.researching import Researching
from orze.farm.settling import Settler
from orze.farm.starter import Refusal, Starter
from orze.farm.steward import Steward
from orze.farm.succession import Succession
from orze.farm.telemetry import Telemetry
from orze.ideas.inbox import inbox_of

_SMALL = 2000  # ideas and results


class Assembly:
    """Everything that one daemon is made of.

    Args:
        environ: the environment that training scripts get.

    Raises:
        GpuError: a card was asked for that is not there.
        ConfigError: the interpreter of the scripts is not there.
        OSError: the share did not answer.
    """

    def __init__(self, context: Context, environ: Mapping[str, str]) -> None:
        settings, files, paths, clock = context.settings, context.files, context.paths, context.clock
        for directory in (paths.heartbeats, paths.requests, paths.out):
            make_dirs(files, directory)
        self.context = context
        self._cache = cache.cache_path(paths.results, environ)
        self._kept = 0
        self.problems = Problems(clock.wall)
        self.events = Events()
        self.cards = Cards(settings, environ, steady=clock.steady, ready=self.events.wake)
        self.launcher = Launcher(settings, environ)
        self.executor = make_executor(settings, python=self.launcher.python, environ=environ)
        self.leadership = Leadership(files, paths.leader, clock, token=context.token, frame=context.frame)
        self.journal = Journal(files, paths.journal, clock, frame=context.frame)
        self.environment = Environment(
            settings.code_dir, self.launcher.python, driver=self.cards.driver, steady=clock.steady
        )
        self.queue = Queue(context.machine.host, self.cards.cards_at_most)
        self.orders = Orders(context.machine.host, journal=self.journal, cards=self.cards, queue=self.queue)
        self.intake = Intake(context, self.queue)
        self.hosts = Hosts(context)
        self.attempts = Attempts(context)
        self.board = Board(context, queue=self.queue, attempts=self.attempts, intake=self.intake)
        self._make_tellers(context)
        self.reaper = Reaper(context)
        self._make_steward(context)
        self._make_judges(context)
        self.telemetry = Telemetry(
            paths.results,
            context.machine.host,
            clock=clock,
            queue=self.queue,
            finished=self.board.finished,
        )
        self.cleanup = Cleanup(
            context, queue=self.queue, best=self.board.best_id, python=self.launcher.python
        )

    def _make_tellers(self, context: Context) -> None:
        """Who has ideas proposed, who tells people and trackers, and who sees that a host is lost."""
        self.refining = Refining(context, leadership=self.leadership, problems=self.problems)
        self.researching = Researching(
            context,
            leadership=self.leadership,
            journal=self.journal,
            queue=self.queue,
            intake=self.intake,
            board=self.board,
            hosts=self.hosts,
            attempts=self.attempts,
            problems=self.problems,
        )
        self.notifying = Notifying(
            context,
            leadership=self.leadership,
            hosts=self.hosts,
            attempts=self.attempts,
            queue=self.queue,
            board=self.board,
            researching=self.researching,
        )
        self.succession = Succession(
            context,
            leadership=self.leadership,
            hosts=self.hosts,
            attempts=self.attempts,
            lost=self.notifying.lost,
        )
        self.mirroring = Mirroring(context, leadership=self.leadership, problems=self.problems)

    def _make_steward(self, context: Context) -> None:
        """Who brings what was asked for and what became of attempts into the journal."""
        applier = Applier(
            context,
            journal=self.journal,
            queue=self.queue,
            attempts=self.attempts,
            hosts=self.hosts,
            board=self.board,
        )
        self.steward = Steward(
            context,
            journal=self.journal,
            leadership=self.leadership,
            queue=self.queue,
            intake=self.intake,
            applier=applier,
        )
        self.settler = Settler(
            context,
            queue=self.queue,
            attempts=self.attempts,
            journal=self.journal,
            steward=self.steward,
        )

    def _make_judges(self, context: Context) -> None:
        """Who says what runs again, what need not run, and what need not run on."""
        self.confirming = Confirming(
            context, journal=self.journal, queue=self.queue, board=self.board, problems=self.problems
        )
        self.duplicates = Duplicates(
            context, queue=self.queue, attempts=self.attempts, board=self.board, steward=self.steward
        )
        self.pruning = Pruning(
            context, attempts=self.attempts, queue=self.queue, board=self.board, problems=self.problems
        )

    def starter(self, *, started: Callable[[Attempt], None], refused: Callable[[Refusal], None]) -> Starter:
        """The member that starts attempts; only a daemon that runs ideas has one."""
        context = self.context
        return Starter(
            context,
            launcher=self.launcher,
            executor=self.executor,
            cards=self.cards,
            queue=self.queue,
            intake=self.intake,
            attempts=self.attempts,
            duplicates=self.duplicates,
            events=self.events,
            facts=self.environment.facts,
            started=started,
            refused=refused,
        )

    def load_cache(self) -> None:
        """Take up what the last daemon of this user knew, as far as it still holds."""
        if cache.load(self._cache, intake=self.intake, journal=self.journal, board=self.board):
            self._kept = len(self.journal.fold.ideas) + len(self.board.leaderboard)

    def save_cache(self) -> None:
        """Keep what is known for the next start."""
        if self._worth_keeping():
            cache.save(self._cache, intake=self.intake, journal=self.journal, board=self.board)
            self._kept = len(self.queue) + len(self.board.leaderboard)

    def _worth_keeping(self) -> bool:
        """A small farm is read faster than a cache; and what has hardly changed is not kept again."""
        size = len(self.queue) + len(self.board.leaderboard)
        return size > _SMALL and abs(size - self._kept) > size // 20

    def watch_files(self) -> None:
        """Be woken by what changes on a local disk."""
        folder, name = os.path.split(str(self.context.settings.ideas_file))
        inbox = inbox_of(f"{folder}/{name}")
        if self.context.settings.refine:
            make_dirs(self.context.files, inbox)  # each step comes by it, and should not wait for the poll
        watched = {folder: name, inbox: "", self.context.paths.requests: ""}
        self.events.watch_files({path: only for path, only in watched.items() if os.path.isdir(path)})
