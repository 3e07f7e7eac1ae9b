"""The chain of one idea: which records are legal, and what they say of it."""

from __future__ import annotations

from orze.coord.chain import Fold
from orze.coord.record import Record
from orze.core.states import UNCOUNTED, Cause, State

CLAIM, TRAINED, DONE, FAIL, REQUEUE = "CLAIM", "TRAINED", "DONE", "FAIL", "REQUEUE"
LOST, RETRY = "LOST", "RETRY"

OPEN, RUN, EVALUATE, SETTLED = "open", "run", "evaluate", "settled"
_BY_CAUSE: dict[str, State] = {Cause.STOPPED: State.STOPPED, Cause.PRUNED: State.PRUNED}


class IdeaFold(Fold):
    """Where one idea stands.

    Attributes:
        phase: `open` (may be claimed), `run`, `evaluate` (trained, evaluation under way), `settled`.
        attempt: the number of the last attempt, 0 before the first.
        token: who may append now (the current attempt's); empty unless it runs.
        claim: the CLAIM of the last attempt.
        trained: the TRAINED record that the next attempt evaluates instead of training again.
        end: the DONE or final FAIL that settled it.
        failures: attempts that failed by their own fault, since ever.
        by_cause: failures since the last RETRY, for the retry policy.
        afresh_after: the last attempt that succeeded and was retried; later ones go on from one another.
        lost_elsewhere: the attempt before fell silent on another machine and may still write for a while.
        last_failure: the last FAIL, final or not.
        retried_for: the request that the last RETRY was made for.
    """

    def clear(self) -> None:
        """No record yet: the idea is open."""
        super().clear()
        self.phase = OPEN
        self.attempt = 0
        self.token = ""
        self.claim: Record | None = None
        self.trained: Record | None = None
        self.end: Record | None = None
        self.last_failure: Record | None = None
        self.failures = 0
        self.by_cause: dict[str, int] = {}
        self.afresh_after = 0
        self.lost_elsewhere = False
        self.retried_for = ""

    @property
    def running(self) -> bool:
        """Whether an attempt owns the idea."""
        return self.phase in (RUN, EVALUATE)

    @property
    def state(self) -> State:
        """The word that people read; QUEUED where the idea is open."""
        if self.phase == OPEN:
            return State.QUEUED
        if self.phase == RUN:
            return State.TRAINING
        if self.phase == EVALUATE:
            return State.EVALUATING
        return settled_state(self.end or {})

    def step(self, record: Record) -> bool:
        """The transition table of docs/protocol.md."""
        kind = record["kind"]
        if kind == CLAIM:
            return self._claim(record)
        if kind in (TRAINED, DONE, FAIL, REQUEUE):
            return self.running and record["token"] == self.token and self._own(kind, record)
        if kind == LOST:
            return self.running and record["supersedes"] == self.tail and self._lose(record)
        if kind == RETRY:
            return self.phase == SETTLED and record["reopens"] == self.tail and self._retry(record)
        return False

    def _claim(self, record: Record) -> bool:
        token, attempt = record["token"], self.attempt + 1
        if self.phase != OPEN or record["attempt"] != attempt or not (token and isinstance(token, str)):
            return False
        self.phase = EVALUATE if self.trained else RUN
        self.attempt, self.token = attempt, token
        self.claim = record
        return True

    def _own(self, kind: str, record: Record) -> bool:
        if kind == TRAINED:
            if self.phase != RUN:
                return False
            self.phase, self.trained = EVALUATE, record
        elif kind == DONE:
            self._settle(record)
        elif kind == REQUEUE:
            self._reopen(record)
        else:
            self._fail(record)
        return True

    def _fail(self, record: Record) -> None:
        cause = str(record["cause"])
        final = bool(record["final"])
        if cause not in UNCOUNTED:
            self.failures += 1
            self.by_cause[cause] = self.by_cause.get(cause, 0) + 1
        self.last_failure = record
        self.trained = None
        if final:
            self._settle(record)
        else:
            self._reopen(record)

    def _settle(self, record: Record) -> None:
        self.phase, self.token, self.end = SETTLED, "", record

    def _reopen(self, _record: Record) -> bool:
        self.phase, self.token, self.lost_elsewhere = OPEN, "", False
        return True

    def _lose(self, record: Record) -> bool:
        elsewhere = not record["seen_gone"]
        self._reopen(record)
        self.lost_elsewhere = elsewhere
        return True

    def _retry(self, record: Record) -> bool:
        if self.end and self.end.get("kind") == DONE:
            self.afresh_after = self.attempt
        self.phase, self.trained, self.end = OPEN, None, None
        self.by_cause = {}
        self.retried_for = str(record.get("request", ""))
        return True


def settled_state(end: Record) -> State:
    """The state that a DONE or a final FAIL leaves an idea in."""
    if end.get("kind") == DONE:
        return State.EVALUATED if end.get("evaluated") else State.COMPLETED
    if end.get("skip"):
        return State.SKIPPED
    return _BY_CAUSE.get(str(end.get("cause")), State.FAILED)
