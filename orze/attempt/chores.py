"""What a keeper does around the commands of the user's: make the worktree of a commit, guard files."""

from __future__ import annotations

from orze.attempt import checkout, verdict
from orze.attempt.ends import Failed, Over
from orze.attempt.guard import Guard
from orze.attempt.supervise import TIMEOUT, Job
from orze.core.states import Cause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orze.attempt.spec import Go
    from orze.attempt.supervise import Supervisor
    from orze.attempt.workspace import Workspace
    from orze.core.paths import FarmPaths

_LOOK = 600.0  # seconds that reading the protected files may take


class Chores:
    """Those of one attempt.

    Args:
        keep: descriptors that every command inherits (the locks of its slots).
    """

    def __init__(
        self, go: Go, farm: FarmPaths, space: Workspace, supervisor: Supervisor, *, keep: Sequence[int]
    ) -> None:
        self._go = go
        self._farm = farm
        self._space = space
        self._supervisor = supervisor
        self._keep = keep

    def check_out(self) -> None:
        """Make the worktree, if this attempt runs a commit.

        Raises:
            Failed: git cannot.
            Over: the attempt must end.
        """
        commit = self._go["checkout"]
        if commit is None:
            return
        self._clear_left(commit["repository"])
        command = checkout.add_command(commit, self._space.code)
        env = checkout.git_environment(self._go["env"])
        for pause in checkout.PAUSES:
            error = self._run(command, env, checkout.LIMIT)
            if not error:
                return
            if why := self._supervisor.wait(pause):
                raise Over(why)
        raise Failed(Cause.START, f"git cannot check out commit {commit['commit'][:7]}: {error}")

    def guard(self) -> Guard:
        """What looks after the protected files from now on.

        Raises:
            Failed: they cannot be read.
            Over: the attempt must end.
        """
        env = dict(self._go["env"])
        return Guard(
            self._go["protected"],
            root=self._space.cwd,
            elsewhere=self._go["cwd"] if self._go["checkout"] else "",
            skip=self._farm.results,
            output=f"{self._space.input}/protected.json",
            run=lambda argv: self._run(argv, env, _LOOK),
        )

    def clear(self) -> None:
        """Remove the worktree.

        Raises:
            OSError: it cannot be removed, or not whole.
        """
        if commit := self._go["checkout"]:
            checkout.remove(commit["repository"], self._space.code)

    def _clear_left(self, repository: str) -> None:
        """Remove what killed keepers left of theirs."""
        try:
            checkout.remove_left(repository, self._farm)
        except OSError:
            return  # it is tried again by the next attempt

    def _run(self, argv: list[str], env: Mapping[str, str], limit: float) -> str:
        """Run a command to its end; what went wrong, or nothing."""
        log = self._space.own_log
        ended = self._supervisor.run(
            Job(
                argv,
                env=dict(env),
                cwd="/",
                log=log,
                timeout=limit,
                stall=0.0,
                keep=self._keep,
                prunable=False,
            ),
            lambda: None,
        )
        if ended.why == TIMEOUT:
            return f"it took longer than {limit:g} s"
        if ended.why:
            raise Over(ended.why)
        if ended.status is None:
            return ended.error
        return checkout.words_of(verdict.read_tail(log).decode("utf-8", "replace")) if ended.status else ""
