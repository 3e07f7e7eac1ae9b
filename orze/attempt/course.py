"""The course of one attempt, from the claim to its last record."""

from __future__ import annotations

import errno
import os

from orze.attempt import metrics, told, verdict
from orze.attempt.chores import Chores
from orze.attempt.ends import Failed, Over
from orze.attempt.projections import METRICS_FILE, project
from orze.attempt.supervise import FENCE, PREEMPT, PRUNE, STALL, STOP, TIMEOUT, Ended, Job, Supervisor
from orze.attempt.workspace import Workspace
from orze.coord.idea_chain import DONE, FAIL, REQUEUE, TRAINED
from orze.coord.record import Record, new_record
from orze.core.paths import FarmPaths
from orze.core.states import Cause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from orze.attempt.pulse import Pulse
    from orze.attempt.spec import Command, Go
    from orze.coord.chain import Chain
    from orze.coord.idea_chain import IdeaFold
    from orze.core.clock import Clock
    from orze.core.files import Files

_RETRY_PAUSE = 1.0  # seconds between tries to append where the share or the disk says no
_TRIES = 10  # to make the attempt's files where the share says one of these
_PASSING = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN})


class Course:
    """Runs one attempt; see `run`."""

    def __init__(
        self,
        go: Go,
        results: str,
        idea_id: str,
        token: str,
        *,
        files: Files,
        clock: Clock,
        chain: Chain,
        fold: IdeaFold,
        pulse: Pulse,
        supervisor: Supervisor,
        locks: list[int],
    ) -> None:
        self._go = go
        self._token = token
        farm = FarmPaths(results)
        self._idea = farm.idea(idea_id)
        self._files = files
        self._clock = clock
        self._chain = chain
        self._fold = fold
        self._pulse = pulse
        self._supervisor = supervisor
        self._locks = locks
        self._space = Workspace(results, idea_id, token, go)
        self._chores = Chores(go, farm, self._space, supervisor, keep=locks)
        self._seconds = 0.0

    def run(self) -> bool:
        """Train, evaluate, record and show.

        Returns:
            False where the lease is lost: then the share is not touched any more, not even to clean up.
        """
        last: Record | None
        try:
            last = self._attempt()
        except Failed as failed:
            last = self._failure(failed)
        except Over as over:
            if over.why == FENCE:
                return False
            last = self._ended_by_others(over.why)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            cause = Cause.DISK_FULL if full else Cause.START
            last = self._failure(Failed(cause, f"cannot prepare the attempt: {error}"))
        except Exception as error:  # noqa: BLE001 - left unsettled, the idea would be run for ever
            last = self._failure(Failed(Cause.START, f"the keeper failed: {type(error).__name__}: {error}"))
        self._pulse.settling()
        if last and self._append(last):
            self._show(self._chain, self._fold)
        self._tidy_up()
        return True

    def _attempt(self) -> Record:
        if why := self._supervisor.wait(self._go["delay"]):
            raise Over(why)
        self._make_space()
        self._chores.check_out()
        trained = self._go["trained"]
        if trained:
            values, self._seconds = dict(trained["metrics"]), trained["seconds"]
            self._pulse.do_soon(self._show)
        else:
            values = self._train()
            if self._go["evaluation"] or self._go["posts"]:
                self._append_or_end(self._record(TRAINED, metrics=values, seconds=self._seconds))
                self._pulse.do_soon(self._show)
        return self._record(DONE, metrics=values, seconds=self._seconds, **self._evaluate())

    def _make_space(self) -> None:
        """Make the attempt's files. A share that fails for a moment says nothing about the experiment."""
        for left in reversed(range(_TRIES)):
            try:
                self._space.make()
            except OSError as error:
                if not left or error.errno not in _PASSING:
                    raise
                if why := self._supervisor.wait(_RETRY_PAUSE):
                    raise Over(why) from None
            else:
                return

    def _train(self) -> dict[str, Any]:
        self._clear_metrics()
        guard = self._chores.guard()
        pre = self._go["pre"]
        if pre:
            self._judge(self._command(pre, self._space.log), Cause.PRE_SCRIPT, pre["timeout"])
        self._pulse.watch((self._space.log, self._space.progress))
        kills = verdict.oom_kill_count()
        command = self._go["train"]
        ended = self._command(
            command,
            self._space.log,
            stall=self._go["stall"],
            prunable=True,
            started=lambda: self._pulse.do_soon(self._show),
        )
        self._seconds = ended.seconds
        try:
            self._judge(ended, None, command["timeout"], verdict.oom_kill_count() - kills)
        except Failed as failed:
            raise self._told_by_script(failed) from None
        guard.check()
        return self._read_metrics()

    def _told_by_script(self, failed: Failed) -> Failed:
        """A script that failed and said why in its metrics file is believed about the reason."""
        if failed.cause not in (Cause.EXIT_CODE, Cause.EXCEPTION):
            return failed
        try:
            self._read_metrics()
        except Failed as told:
            return told if told.cause == Cause.SCRIPT else failed
        return failed

    def _read_metrics(self) -> dict[str, Any]:
        elsewhere = self._idea.projection(METRICS_FILE) if self._go["doors"] else None
        while True:
            try:
                found = metrics.read_metrics(
                    self._space.data, primary=self._go["primary"], elsewhere=elsewhere
                )
            except metrics.MetricsError as error:
                raise Failed(error.cause, error.sentence) from None
            except OSError:  # the share did not answer: that says nothing about the experiment
                if why := self._supervisor.wait(_RETRY_PAUSE):
                    raise Over(why) from None
            else:
                return found.values

    def _evaluate(self) -> dict[str, Any]:
        found: dict[str, Any] = {"evaluated": False, "evaluation_error": "", "post_errors": []}
        evaluation = self._go["evaluation"]
        if evaluation:
            found["evaluation_error"] = self._assess(evaluation)
            found["evaluated"] = not found["evaluation_error"]
        for post in self._go["posts"]:
            if error := self._assess(post):
                found["post_errors"].append(f"{post['name']}: {error}")
        return found

    def _assess(self, command: Command) -> str:
        """Run an evaluation or post script; what went wrong, or nothing."""
        try:
            self._judge(self._command(command, self._space.eval_log), None, command["timeout"], log="eval")
        except Failed as failed:
            return failed.error
        output = command["output"]
        if output and not os.path.isfile(f"{self._space.data}/{output}"):
            return f"it ended well but did not write {output}"
        return ""

    def _command(
        self,
        command: Command,
        log: str,
        *,
        stall: float = 0.0,
        prunable: bool = False,
        started: Any = None,
    ) -> Ended:
        job = Job(
            self._space.argv(command),
            env={**self._go["env"], **self._space.environment()},
            cwd=self._space.cwd,
            log=log,
            timeout=command["timeout"],
            stall=stall,
            keep=self._locks,
            prunable=prunable,
        )
        return self._supervisor.run(job, started or _nothing)

    def _judge(
        self, ended: Ended, cause: Cause | None, timeout: float, kills: int = 0, *, log: str = "train"
    ) -> None:
        if ended.why and ended.why not in (TIMEOUT, STALL):
            raise Over(ended.why)
        if ended.status is None:
            raise Failed(cause or Cause.START, ended.error)
        if self._go.get("elsewhere"):
            told.hear(self._space.input)
        path = self._space.log if log == "train" else self._space.eval_log
        found = verdict.classify(
            exit_status=ended.status,
            killed_for=ended.why or None,
            oom_kills=kills,
            log_tail=verdict.read_tail(path),
            limit=self._go["stall"] if ended.why == STALL else timeout,
        )
        if found.cause == Cause.EXIT_CODE and verdict.disk_is_full(path):
            raise Failed(cause or Cause.DISK_FULL, f"the disk of its log is full; {found.error}")
        if found.cause is not None:
            raise Failed(cause or found.cause, found.error)

    def _failure(self, failed: Failed) -> Record:
        return self._record(FAIL, cause=failed.cause, error=failed.error, seconds=self._seconds)

    def _policy(self, cause: str) -> dict[str, bool]:
        """Whether a failure settles the idea, by what its chain holds of earlier ones."""
        used = self._fold.by_cause.get(cause, 0)
        limit = self._go["max_failures"]
        skip = bool(limit) and self._fold.failures + 1 >= limit
        return {"final": skip or used >= self._go["retry"].get(cause, 0), "skip": skip}

    def _ended_by_others(self, why: str) -> Record | None:
        """The last record, or None where another attempt has the chain, or nobody: there is none to write."""
        if why == PREEMPT:
            return self._record(REQUEUE, cause=Cause.PREEMPTED)
        if why == told.LOST_THERE:
            return self._record(REQUEUE, cause=Cause.HOST_LOST)
        if why == PRUNE:
            return self._settled(Cause.PRUNED, verdict.one_line(self._pulse.prune))
        return self._settled(Cause.STOPPED, "stopped by an operator") if why == STOP else None

    def _settled(self, cause: Cause, error: str) -> Record:
        return self._record(FAIL, cause=cause, error=error, final=True, skip=False, seconds=self._seconds)

    def _record(self, kind: str, **content: object) -> Record:
        frame: Mapping[str, object] = self._go["frame"]
        return new_record(
            kind,
            token=self._token,
            attempt=self._go["attempt"],
            at=self._clock.wall(),
            directory=self._space.data_name,
            **frame,
            **content,
        )

    def _append_or_end(self, record: Record) -> None:
        if not self._append(record):
            raise Over("superseded")

    def _append(self, record: Record) -> bool:
        """Append a record of this attempt; False where it is not this attempt's turn any more.

        A share or a disk that says no is asked again for as long as the chain is there: a result is never
        dropped because it could not be written at once.
        """
        while True:
            try:
                written = self._chain.append(lambda: self._if_current(record))
                return written is not None or self._chain.stands(str(record["nonce"]))
            except FileNotFoundError:
                return False
            except OSError:
                self._clock.sleep(_RETRY_PAUSE)

    def _if_current(self, record: Record) -> Record | None:
        if self._fold.token != self._token:
            return None
        if record["kind"] == FAIL and "final" not in record:
            return record | self._policy(str(record["cause"]))
        return record

    def _clear_metrics(self) -> None:
        """Whatever lies at the top now is of an earlier attempt, and must not be taken for this one's."""
        self._files.unlink(self._idea.projection(METRICS_FILE))
        if not self._go["doors"]:
            self._files.unlink(self._idea.projection("eval.json"))

    def _tidy_up(self) -> None:
        try:
            self._files.unlink(self._idea.stop_request(self._token))
            if self._pulse.prune:
                self._files.unlink(self._idea.prune_request(self._token))
            self._space.close_door()
            self._chores.clear()
        except OSError:
            return  # the farm removes what a keeper leaves

    def _show(self, chain: Chain, fold: IdeaFold) -> None:
        try:
            chain.refresh()
            project(self._files, self._idea, chain, fold)
        except OSError:
            return  # a projection is only shown; the leader writes it later


def _nothing() -> None:
    return
