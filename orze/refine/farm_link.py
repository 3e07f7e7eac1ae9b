"""A farm as the loop sees it: runs are left in its inbox, followed by its journal, read from its chains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from orze.attempt.projections import directory_of
from orze.attempt.spec import LOG
from orze.client.asking import ask, who_leads
from orze.client.project import Project
from orze.client.reader import Reader
from orze.coord.idea_chain import DONE
from orze.coord.known import Known
from orze.core.states import Cause, State
from orze.farm.outcomes import flatten
from orze.ideas.inbox import enqueue, inbox_of, waiting
from orze.ideas.model import member_ids
from orze.refine.logtail import read_useful
from orze.refine.model import Ended, Outcome

_ASKED_AGAIN: Final = 3.0  # seconds until a farm is asked again to stop a run that goes on
_BY: Final = "revis"
_NAMED: Final = 12  # metrics that a message lists
_LARGEST: Final = 1e30  # value of a metric
_METRIC: Final = frozenset(cause for cause in Cause if cause.startswith("metrics_")) | {Cause.NO_METRICS}
_ENDED: Final[Mapping[str, Ended]] = {
    **dict.fromkeys(_METRIC, Ended.NO_METRIC),
    Cause.METRICS_NOT_FINITE: Ended.NOT_FINITE,
    Cause.PRE_SCRIPT: Ended.SMOKE,
    Cause.TIMEOUT: Ended.TIMEOUT,
    Cause.STALL: Ended.TIMEOUT,
    Cause.STOPPED: Ended.STOPPED,
    "protected": Ended.VOID,
}
# These say something about the machine, not about the change.
_OF_THE_MACHINE: Final = frozenset({Cause.DISK_FULL, Cause.START})


@dataclass(frozen=True, slots=True)
class Where:
    """Where a run stands.

    Attributes:
        idea_id: its idea; empty where the farm has not taken it in yet.
        state: the idea's, as far as it is told; TRAINING from the moment on when a host has claimed it.
        reason: why it waits, where somebody holds it.
        outcome: once it has ended, all repeats of it.
        left: whether the farm has it at all, be it in its inbox.
    """

    idea_id: str = ""
    state: State = State.QUEUED
    reason: str = ""
    outcome: Outcome | None = None
    left: bool = True


class FarmLink:
    """One farm.

    Args:
        project: of the farm; daemons need not run yet.
        metric: the dotted name of the metric that counts.
    """

    def __init__(self, project: Project, metric: str) -> None:
        self._project = project
        self._metric = metric
        self._reader = Reader(project)
        self._inbox = inbox_of(str(project.settings.ideas_file))
        self._asked: dict[str, float] = {}
        self._beat: tuple[object, float] = (None, project.clock.steady())

    @property
    def project(self) -> Project:
        """The farm's."""
        return self._project

    def enqueue(self, uuid: str, section: str) -> None:
        """Leave a run for the farm; the same uuid again leaves nothing.

        Raises:
            OSError: it could not be left.
        """
        enqueue(self._project.files, self._inbox, section, uuid=uuid)

    def look(self, uuids: Iterable[str]) -> dict[str, Where]:
        """See where runs stand. What it costs depends on what is new in the farm.

        Raises:
            OSError: the share did not answer.
        """
        self._reader.follow()
        allocated, wanted = self._reader.journal.fold.allocated, list(uuids)
        left = set(allocated)
        if not left.issuperset(wanted):
            left |= set(waiting(self._project.files, self._inbox))
            self._reader.follow()  # what has gone from the inbox meanwhile is in the journal
        return {
            uuid: self._where(allocated[uuid]) if uuid in allocated else Where(left=uuid in left)
            for uuid in wanted
        }

    def stop(self, idea_id: str) -> None:
        """Ask the farm to end a run, or not to begin it; again only after a while.

        Raises:
            OSError: it could not be asked.
        """
        now = self._project.clock.steady()
        if now - self._asked.get(idea_id, -math.inf) < _ASKED_AGAIN:
            return
        for kind in ("withdraw", "stop"):  # the one is for an idea that waits, the other for one that runs
            ask(self._project, kind, idea_id, by=_BY)
        self._asked[idea_id] = now

    def silent(self) -> float:
        """Seconds for which no daemon that leads has given a sign of life; looked at when it is called.

        Raises:
            OSError: the share did not answer.
        """
        lead, now = who_leads(self._reader), self._project.clock.steady()
        mark = (lead.host, lead.beat) if lead.host and lead.daemons else None
        if mark is not None and mark != self._beat[0]:
            self._beat = mark, now
        return now - self._beat[1]

    # ---- one run

    def _where(self, idea_id: str) -> Where:
        known = self._reader.journal.fold.ideas.get(idea_id)
        if known is None:
            return Where(idea_id)
        ids = member_ids(idea_id, known.members) if known.members else [idea_id]
        states = [_state_of(self._reader.journal.fold.ideas.get(one) or known) for one in ids]
        if None in states:
            reason = known.held or ("its section is gone from the ideas file" if known.vanished else "")
            return Where(idea_id, State.TRAINING if self._is_claimed(ids) else State.QUEUED, reason)
        runs = [self._run(one, state) for one, state in zip(ids, states, strict=True) if state]
        if not all(run.end for run in runs):
            return Where(idea_id)  # somebody had it run again
        return Where(idea_id, runs[0].state, "", outcome_of_runs(runs, self._metric))

    def _is_claimed(self, ids: Iterable[str]) -> bool:
        """Whether one of them has a directory: making it is how a host begins."""
        for one in ids:
            with suppress(FileNotFoundError):
                self._project.files.stat(self._project.paths.idea(one).home)
                return True
        return False

    def _run(self, idea_id: str, state: State) -> Run:
        fold = self._reader.chain(idea_id)
        if not fold.attempt:
            return Run(
                {"kind": "", "error": f"it is {state}, and there is no record of a run of it"}, state, ""
            )
        log = f"{self._project.paths.idea(idea_id).attempts}/{directory_of(fold)}/{LOG}"
        return Run(fold.end or {}, state, log)


@dataclass(frozen=True, slots=True)
class Run:
    """One run that has ended.

    Attributes:
        end: its last record; empty where it runs again.
        state: of its idea.
        log: the file; empty where it never began.
    """

    end: Mapping[str, Any]
    state: State
    log: str


def outcome_of_runs(runs: Sequence[Run], metric: str) -> Outcome:
    """What came of a commit: all its runs completed, or else what the first that did not says.

    Args:
        runs: the repeats, in their order.
        metric: the dotted name of the metric that counts.
    """
    judged = [(run, *_judge(run, metric)) for run in runs]
    bad = next((one for one in judged if one[1] is not Ended.COMPLETED), None)
    told, ended, error, _ = bad or judged[0]
    metrics = told.end.get("metrics")
    return Outcome(
        ended=ended,
        values=() if bad else tuple(value for _, _, _, value in judged if value is not None),
        metrics=flatten(metrics if isinstance(metrics, Mapping) else {}),
        seconds=sum(float(run.end.get("seconds", 0.0)) for run in runs),
        error=error,
        tail=read_useful(told.log) if bad and told.log else "",
        log=told.log,
    )


def _judge(run: Run, metric: str) -> tuple[Ended, str, float | None]:
    """How one run ended, the sentence that says why, and its value."""
    if run.end["kind"] == DONE:
        return _measure(run.end.get("metrics"), metric)
    if run.state is State.WITHDRAWN:
        return Ended.STOPPED, "it was taken back before it began", None
    cause, error = str(run.end.get("cause", "")), str(run.end.get("error", ""))
    if cause in _OF_THE_MACHINE:
        error = f"the machine is at fault, not the change ({cause}): {error}"
    return _ENDED.get(cause, Ended.CRASHED), error, None


def _measure(metrics: object, metric: str) -> tuple[Ended, str, float | None]:
    flat = flatten(metrics if isinstance(metrics, Mapping) else {})
    if metric not in flat:
        named = ", ".join(sorted(flat)[:_NAMED]) or "nothing"
        return Ended.NO_METRIC, f"its metrics do not hold {metric}; they hold {named}", None
    value = flat[metric]
    if value is None:
        return Ended.NOT_FINITE, f"{metric} is not finite", None
    if isinstance(value, bool | str):
        return Ended.NO_METRIC, f"{metric} is no number", None
    if abs(value) >= _LARGEST:
        return Ended.NOT_FINITE, f"{metric} is {value:.3g}: too large to be compared", None
    return Ended.COMPLETED, "", float(value)


def _state_of(known: Known) -> State | None:
    if known.outcome:
        return known.outcome
    return State.WITHDRAWN if known.withdrawn else None
