"""Runs one command of the user's under the rules of its attempt, and ends its whole process tree."""

from __future__ import annotations

import os
import select

from orze.attempt import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orze.attempt.pulse import Pulse
    from orze.core.clock import Clock

FENCE, STOP, PREEMPT = "fence", "stop", "preempt"
TIMEOUT, STALL, PRUNE = "timeout", "stall", "prune"
_STRAGGLERS = 5.0  # seconds for what a script left running when it ended by itself


class Job:
    """One command and its limits.

    Args:
        argv: the command.
        env: its whole environment.
        cwd: its working directory.
        log: where its output is appended.
        timeout: seconds after which it is ended.
        stall: seconds without growth of the watched files after which it is ended; 0 for no limit.
        keep: descriptors that it inherits (the locks of its slots).
        prunable: it is the training, which early stopping may end.
    """

    __slots__ = ("argv", "cwd", "env", "keep", "log", "prunable", "stall", "timeout")

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: dict[str, str],
        cwd: str,
        log: str,
        timeout: float,
        stall: float,
        keep: Sequence[int],
        prunable: bool,
    ) -> None:
        self.argv = argv
        self.env = env
        self.cwd = cwd
        self.log = log
        self.timeout = timeout
        self.stall = stall
        self.keep = keep
        self.prunable = prunable


class Ended:
    """How a command ended.

    Attributes:
        status: as waitpid(2) gives it; None where it could not be started.
        why: the reason for which the keeper ended it; empty where it ended by itself.
        error: the sentence of a command that could not be started.
        seconds: how long it ran.
    """

    __slots__ = ("error", "seconds", "status", "why")

    def __init__(self, status: int | None, why: str = "", error: str = "", seconds: float = 0.0) -> None:
        self.status = status
        self.why = why
        self.error = error
        self.seconds = seconds


class Supervisor:
    """The main thread's loop around a running command.

    Args:
        pulse: what the share says; read, never waited for.
        wake: a pipe that is written by signals and by the pulse.
        grace: seconds between TERM and KILL.
        kill: seconds between them where the lease is lost (K).
    """

    def __init__(self, pulse: Pulse, clock: Clock, *, wake: int, grace: float, kill: float) -> None:
        self._pulse = pulse
        self._clock = clock
        self._wake = wake
        self._grace = grace
        self._kill = kill
        self._poll = select.poll()
        self._poll.register(wake, select.POLLIN)
        self.preempted = False

    def must_end(self, now: float) -> str:
        """Why nothing of this attempt may run any more, whatever command it is; empty where it may."""
        if self._pulse.fenced(now):
            return FENCE
        if self._pulse.over:
            return self._pulse.over
        if self._pulse.stop:
            return STOP
        return PREEMPT if self.preempted else ""

    def run(self, job: Job, started: Callable[[], None]) -> Ended:
        """Run a command until no process of its tree is left; where the attempt must end, it is not started.

        Args:
            started: called once it runs; it must be quick, and what it raises is its own affair.
        """
        if why := self.must_end(self._clock.steady()):
            return Ended(None, why)
        output = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            pid = tree.spawn(job.argv, env=job.env, cwd=job.cwd, output=output, keep=job.keep)
        except OSError as error:
            return Ended(None, error=f"{error.filename or job.argv[0]}: {error.strerror}")
        finally:
            os.close(output)
        begun = self._clock.steady()
        started()
        return self._watch(pid, job, begun)

    def wait(self, seconds: float) -> str:
        """Let time pass while nothing runs; returns at once with the reason where the attempt must end."""
        until = self._clock.steady() + seconds
        while not (why := self.must_end(now := self._clock.steady())) and now < until:
            self._sleep(until - now)
        return why

    def _watch(self, pid: int, job: Job, begun: float) -> Ended:
        ended = Ended(None)
        ending: tree.Ending | None = None
        while True:
            status = tree.reap(pid)
            now = self._clock.steady()
            if status is not None:
                ended.status, ended.seconds = status, now - begun
            if ended.status is not None and tree.gone():
                return ended
            if ending is None:
                ended.why = "" if ended.status is not None else self._reason(job, begun, now)
                if ended.status is not None:
                    ending = tree.Ending(min(self._grace, _STRAGGLERS), now)
                elif ended.why:
                    ending = tree.Ending(self._patience(ended.why), now)
            elif self._pulse.fenced(now):
                ending.hasten(now + self._kill)
            if ending is not None:
                ending.step(now)
            self._sleep(self._next(job, begun, ending, now))

    def _reason(self, job: Job, begun: float, now: float) -> str:
        if why := self.must_end(now):
            return why
        if now - begun >= job.timeout:
            return TIMEOUT
        if job.stall and self._pulse.quiet >= job.stall:
            return STALL
        return PRUNE if job.prunable and self._pulse.prune else ""

    def _patience(self, why: str) -> float:
        lease_lost = why not in (STOP, PREEMPT, TIMEOUT, STALL, PRUNE)
        return min(self._kill, self._grace) if lease_lost else self._grace

    def _next(self, job: Job, begun: float, ending: tree.Ending | None, now: float) -> float:
        # a stall, a stop and the like are told by the pulse
        wake = begun + job.timeout if ending is None else ending.next_wake(now)
        fence = self._pulse.fence_at()
        if fence > now:
            wake = min(wake, fence + 0.001)
        return wake - now

    def _sleep(self, seconds: float) -> None:
        if self._poll.poll(max(0.0, seconds) * 1000):
            os.read(self._wake, 4096)
