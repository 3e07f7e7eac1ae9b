"""Keeps the process at work that refines the code, as orze.yaml's `refine` says, while this host leads."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Final

from orze.config.load import load_settings
from orze.coord.leader import Leadership
from orze.core.errors import ConfigError
from orze.core.files import make_dirs
from orze.farm.context import Context
from orze.farm.problems import Problems

LOG: Final = "loop.log"
_CODE: Final = str(Path(__file__).resolve().parents[2])
# PYTHONPATH would be seen by all that the process starts. It is told to end when this daemon is gone.
_BOOT: Final = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from orze.refine.tied import tie
tie(int(sys.argv.pop(1)))
from orze.refine.main import main
sys.exit(main())
"""
_GRACE: Final = 10.0  # seconds that it has to end
_FIRST, _LONGEST = 5.0, 600.0  # seconds until it is started again; twice as many behind each failure
_KEPT: Final = 4 << 20  # bytes of its log, before another is begun
_FLAGS: Final = ("results_dir", "ideas_file")


class Refining:
    """One process, started again where it fails. It does nothing before `begin`.

    Attributes:
        pid: of the process; 0 while there is none.
    """

    def __init__(self, context: Context, *, leadership: Leadership, problems: Problems) -> None:
        self._context = context
        self._settings = context.settings
        self._leadership = leadership
        self._problems = problems
        self._active = False
        self.pid = 0
        self._began = 0.0
        self._kill_at: float | None = None
        self._pause = _FIRST
        self._start_at = float("-inf")
        self._done_in = -1

    def check(self) -> None:
        """Raise ConfigError where `refine` is given, and its process would not see this very farm."""
        file = self._settings.config_file
        if self._settings.refine is None or file is None:
            return
        told = load_settings(file, {}, file.parent, os.environ)
        wrong = [key for key in _FLAGS if getattr(told, key) != getattr(self._settings, key)]
        if wrong:
            raise ConfigError([f"refine: {key} must be that of {file}, not of a flag" for key in wrong])

    def begin(self) -> None:
        """From now on, have the process at work while this host leads."""
        self._active = self._settings.refine is not None

    def step(self) -> float:
        """Start the process where it is due, end it where this host does not lead; it waits for nothing.

        Returns:
            The steady time at which there is more to do.

        Raises:
            OSError: the share did not answer, or no process can be started.
        """
        now = self._context.clock.steady()
        if self.pid:
            if not self._leadership.mine:
                self._end(now)
            return float("inf") if self._kill_at is None else self._kill_at
        if not self._active or not self._leadership.mine or self._done_in == self._leadership.fold.term:
            return float("inf")
        if now >= self._start_at:
            self._start(now)
            return float("inf")
        return self._start_at

    def child_ended(self, pid: int, status: int) -> None:
        """A child process of the daemon has ended, perhaps this one.

        Where it says that there is nothing to do (status 0) it is not started again while this host leads on.
        """
        if not self.pid or pid != self.pid:
            return
        now = self._context.clock.steady()
        told, self.pid = self._kill_at is not None, 0
        self._kill_at = None
        _signal_group(pid, signal.SIGKILL)  # what it left behind
        if told:
            self._start_at, self._pause = now, _FIRST
        elif status == 0:
            self._done_in = self._leadership.fold.term
            self._problems.show("refining", [])
        else:
            self._failed(now, status)

    def end(self) -> None:
        """Tell the process to end; it goes on where it was when it is started again."""
        if self.pid:
            self._end(self._context.clock.steady())

    def _failed(self, now: float, status: int) -> None:
        if now - self._began > _LONGEST:
            self._pause = _FIRST
        self._start_at = now + self._pause
        code = os.waitstatus_to_exitcode(status)
        how = f"by signal {-code}" if code < 0 else f"with status {code}"
        said = f"refine: its process ended {how} and is started again"
        self._problems.show("refining", [f"{said}; results/.orze/refine/{LOG} may tell why"])
        self._pause = min(2 * self._pause, _LONGEST)

    def _end(self, now: float) -> None:
        if self._kill_at is None:
            self._kill_at = now + _GRACE
            _signal_group(self.pid, signal.SIGTERM)
        elif now >= self._kill_at:
            self._kill_at = now + _GRACE
            _signal_group(self.pid, signal.SIGKILL)

    def _start(self, now: float) -> None:
        self._start_at = now + self._pause  # where it cannot be started
        log = f"{self._context.paths.refine}/{LOG}"
        make_dirs(self._context.files, self._context.paths.refine)
        if os.path.exists(log) and os.path.getsize(log) > _KEPT:
            os.replace(log, f"{log}.old")
        words = [_CODE, str(os.getpid()), "--config-file", str(self._settings.config_file)]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-c", _BOOT, *words],
            {**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o666),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setpgroup=0,
        )
        self._began = now


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return  # whoever waits for it learns that it has ended
