"""Removes what orze.yaml's `cleanup` names from the attempts of ended ideas, never of the best."""

from __future__ import annotations

import logging
import os
import signal
import stat
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

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
            ended = {idea_id for state in TERMINAL for idea_id in self._queue.by_state[state]}
            self._clean &= ended  # what ran again is cleaned again
            self._waiting = list(ended - self._clean)
        if self._settings.script and not self._script:
            argv = [*self._python, str(self._settings.script)]
            environment = {**os.environ, "ORZE_RESULTS_DIR": self._context.paths.results}
            self._script = os.posix_spawn(argv[0], argv, environment, setpgroup=0)
            self._kill_at = now + self._settings.timeout

    def _clean_idea(self, idea_id: str) -> None:
        if idea_id == self._best():
            return  # it may be beaten one day: it is looked at again in the next round
        idea = self._context.paths.idea(idea_id)
        try:
            for directory in self._directories(idea.attempts, idea.home):
                for path in _matches(directory, self._settings.patterns):
                    os.unlink(path)
            for name in os.listdir(idea.home):
                _unlink_if_empty(idea.projection(name))
        except FileNotFoundError:
            pass  # it never had a directory, or somebody is just removing it
        self._clean.add(idea_id)

    def _directories(self, attempts: str, home: str) -> list[str]:
        own = [] if self._context.settings.doors else [home]
        try:
            return own + [f"{attempts}/{name}" for name in os.listdir(attempts)]
        except FileNotFoundError:
            return own


def _unlink_if_empty(path: str) -> None:
    """Remove a projection that leads to a file of an attempt which is not there any more."""
    if os.path.islink(path) and os.readlink(path).startswith("attempts/") and not os.path.exists(path):
        os.unlink(path)


def _matches(directory: str, patterns: Iterable[str]) -> list[str]:
    """Regular files below a directory that match; links are neither followed nor taken."""
    found: list[str] = []
    if os.path.islink(directory):
        return found
    wanted = [pattern.split("/") for pattern in patterns]
    for folder, folders, names in os.walk(directory):
        above = [] if folder == directory else os.path.relpath(folder, directory).split("/")
        if not above:
            folders[:] = [name for name in folders if name not in _KEPT]
        for name in names if above else set(names) - _KEPT:
            path = f"{folder}/{name}"
            matching = any(fits([*above, name], pattern) for pattern in wanted)
            if matching and stat.S_ISREG(os.lstat(path).st_mode):
                found.append(path)
    return found


def fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches as a shell would match it; `**` stands for any directories, links left out."""
    if not pattern or not parts:
        return not parts and all(part == "**" for part in pattern)
    shown = pattern[0].startswith(".") or not parts[0].startswith(".")
    if pattern[0] == "**":
        return fits(parts, pattern[1:]) or (shown and fits(parts[1:], pattern))
    return shown and fnmatchcase(parts[0], pattern[0]) and fits(parts[1:], pattern[1:])
