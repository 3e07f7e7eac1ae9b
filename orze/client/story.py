"""What the chain of one idea tells of its attempts, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from orze.coord.idea_chain import CLAIM, DONE, FAIL, LOST, REQUEUE, RETRY, TRAINED, IdeaFold, settled_state
from orze.coord.record import Record
from orze.core.paths import attempt_name
from orze.core.states import Cause, State


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt.

    Attributes:
        number, token: what its directory is called by.
        directory: where its files are, under `attempts/`; another's where only evaluation was left.
        began, ended: unix seconds, only shown; `ended` is None while it runs, and where nobody can know.
        seconds: what the training took; None where that is not told.
        state: where it left the idea, or what it does now: QUEUED where the idea ran again after it.
        cause, error: why it failed; of a good one, `error` tells what went wrong after the training.
        metrics: what it reported; nothing where it did not complete.
        retried: somebody asked for another attempt after this one.
    """

    number: int
    token: str
    directory: str
    host: str
    gpu: str
    began: float
    state: State = State.TRAINING
    ended: float | None = None
    seconds: float | None = None
    cause: str = ""
    error: str = ""
    metrics: dict[str, Any] | None = None
    retried: bool = False

    @property
    def name(self) -> str:
        """Its own directory under `attempts/`."""
        return attempt_name(self.number, self.token)

    @property
    def running(self) -> bool:
        """Whether it is at work."""
        return self.state in (State.TRAINING, State.EVALUATING)


class Story(IdeaFold):
    """The fold of an idea that also remembers each of its attempts, in `attempts`."""

    def clear(self) -> None:
        """No record yet."""
        super().clear()
        self.attempts: list[Attempt] = []

    def step(self, record: Record) -> bool:
        """Take in a record if it is legal, and remember what it says of an attempt."""
        trained = self.trained
        if not super().step(record):
            return False
        if record["kind"] == CLAIM:
            self.attempts.append(_begun(record, trained))
        elif self.attempts:
            self.attempts[-1] = _told(self.attempts[-1], record)
        return True

    def find(self, number: int | None) -> Attempt | None:
        """The attempt of this number, or the last one; None where there is none."""
        found = [attempt for attempt in self.attempts if number in (None, attempt.number)]
        return found[-1] if found else None


def _begun(claim: Record, trained: Record | None) -> Attempt:
    number, token = int(claim["attempt"]), str(claim["token"])
    return Attempt(
        number,
        token,
        _directory(trained) if trained else attempt_name(number, token),
        str(claim.get("host", "")),
        str(claim.get("gpu", "")),
        float(claim.get("at", 0.0)),
        State.EVALUATING if trained else State.TRAINING,
    )


def _directory(record: Record) -> str:
    return str(record.get("directory") or attempt_name(record.get("attempt", 0), record["token"]))


def _told(attempt: Attempt, record: Record) -> Attempt:
    """The attempt after a record about it."""
    kind = record["kind"]
    if kind == RETRY:
        return replace(attempt, retried=True)
    if kind == TRAINED:
        return replace(attempt, state=State.EVALUATING, seconds=_number(record.get("seconds")))
    if kind == LOST:
        return replace(
            attempt, state=State.QUEUED, cause=str(Cause.HOST_LOST), error="its host or its keeper went away"
        )
    ended = replace(
        attempt,
        ended=_number(record.get("at")),
        seconds=_number(record.get("seconds")),
        directory=str(record.get("directory") or attempt.directory),
    )
    if kind == DONE:
        metrics = record.get("metrics")
        return replace(
            ended,
            state=settled_state(record),
            error=_after_training(record),
            metrics=metrics if isinstance(metrics, dict) else {},
        )
    final = kind == FAIL and record["final"]
    return replace(
        ended,
        state=settled_state(record) if final else State.QUEUED,
        cause=str(record.get("cause", "")),
        error="" if kind == REQUEUE else str(record.get("error", "")),
    )


def _after_training(done: Record) -> str:
    errors = done.get("post_errors")
    notes = [done.get("evaluation_error"), *(errors if isinstance(errors, list) else [])]
    return "; ".join(str(note) for note in notes if note)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
