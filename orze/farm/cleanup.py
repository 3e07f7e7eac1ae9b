"""Removes what orze.yaml's `cleanup` names from the attempts of ended ideas, never of the best."""

from __future__ import annotations

import glob
import logging
import os
import signal
from collections.abc import Callable, Iterable

from orze.attempt.projections import CLAIM_FILE, METRICS_FILE
from orze.attempt.spec import CONFIG, INPUT
from orze.core.states import TERMINAL
from orze.farm.context import Context
from orze.farm.queue import Queue

_LOG = logging.getLogger("orze")
_BUDGET = 0.2  # seconds of one cycle
_KEPT = frozenset({CLAIM_FILE, METRICS_FILE, CONFIG, INPUT, ".chain", "attempts", ".orze"})


class Cleanup:
    """The leader's rounds of cleaning; each idea is cleaned once after it ended.

    Args:
        best: the id of the best idea, which is kept; empty where there is none.
        python: the interpreter of the scripts.
    """

    def __init__(self, context: Context, *, queue: Queue, best: Callable[[], str], python: list[str]) -> None:
        self._context = context
        self._settings = context.settings.cleanup
        self._queue = queue
        self._best = best
        self._python = python
        self._clean: set[str] = set()
        self._waiting: list[str] = []
        self._next = context.clock.steady() + self._settings.interval
        self._script = 0
        self._kill_at = 0.0

    def step(self) -> bool:
        """Do what is due, for at most a fifth of a second.

        Returns:
            Whether there is more to do at once.
        """
        now = self._context.clock.steady()
        if self._script and now >= self._kill_at:
            os.killpg(self._script, signal.SIGKILL)
            _LOG.warning("the cleanup script took longer than %g s and was ended", self._settings.timeout)
            self._kill_at = float("inf")
        if now >= self._next and not self._waiting:
            self._next = now + self._settings.interval
            self._begin_round(now)
        while self._waiting and self._context.clock.steady() - now < _BUDGET:
            self._clean_idea(self._waiting.pop())
        return bool(self._waiting)

    def child_ended(self, pid: int, status: int) -> None:
        """A child process has ended, perhaps the script."""
        if pid == self._script:
            self._script = 0
            if status:
                _LOG.warning("the cleanup script failed (wait status %d)", status)

    def _begin_round(self, now: float) -> None:
        if self._settings.patterns:
            ended = (idea_id for state in TERMINAL for idea_id in self._queue.by_state[state])
            self._waiting = [idea_id for idea_id in ended if idea_id not in self._clean]
        if self._settings.script and not self._script:
            argv = [*self._python, str(self._settings.script)]
            environment = {**os.environ, "ORZE_RESULTS_DIR": self._context.paths.results}
            self._script = os.posix_spawn(argv[0], argv, environment, setpgroup=0)
            self._kill_at = now + self._settings.timeout

    def _clean_idea(self, idea_id: str) -> None:
        if idea_id == self._best():
            return  # it may be beaten one day: it is looked at again in the next round
        self._clean.add(idea_id)
        idea = self._context.paths.idea(idea_id)
        for directory in self._directories(idea.attempts, idea.home):
            for path in _matches(directory, self._settings.patterns):
                os.unlink(path)
        for name in os.listdir(idea.home):
            link = idea.projection(name)
            if os.path.islink(link) and not os.path.exists(link):
                os.unlink(link)

    def _directories(self, attempts: str, home: str) -> list[str]:
        if not self._context.settings.doors:
            return [home]
        try:
            return [f"{attempts}/{name}" for name in os.listdir(attempts)]
        except FileNotFoundError:
            return []


def _matches(directory: str, patterns: Iterable[str]) -> list[str]:
    """Regular files below a directory that match; links are neither followed nor taken."""
    found = []
    root = os.path.realpath(directory)
    for pattern in patterns:
        for name in glob.glob(pattern, root_dir=directory, recursive=True):
            path = f"{directory}/{name}"
            inside = os.path.realpath(os.path.dirname(path)).startswith(root)
            kept = name.partition("/")[0] in _KEPT
            if inside and not kept and os.path.isfile(path) and not os.path.islink(path):
                found.append(path)
    return found
