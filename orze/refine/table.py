"""Every iteration of a session as a row of plain values: parent, change, result, verdict, cost."""

from __future__ import annotations

from dataclasses import dataclass

from orze.refine.fold import SessionFold
from orze.refine.model import Step


@dataclass(frozen=True, slots=True)
class Row:
    """One step.

    Attributes:
        step: its number; 0 is the baseline.
        verdict: empty while it is open.
        parent: the step that it starts from; None for the baseline.
        ended: how its run ended; empty where there was none yet.
        value: the primary metric, the mean of its repeats; None without one.
        runs: repeats that gave a value.
        change: the value less that of its parent; None where one of them is missing.
        hypothesis: of the last try.
        files: that it changes.
        command: the line that trains, where it is another than its parent's.
        reason: of the verdict.
        seconds: of training, all repeats and tries together.
        usd: what asking cost, all tries together; None where nobody knows.
        tokens: the same.
        tries: how many there were.
        commit: the one that records it, or, while it is open, the one that runs.
        ran: the one that ran.
    """

    step: int
    verdict: str
    parent: int | None
    ended: str
    value: float | None
    runs: int
    change: float | None
    hypothesis: str
    files: tuple[str, ...]
    command: str
    reason: str
    seconds: float
    usd: float | None
    tokens: int
    tries: int
    commit: str
    ran: str


def rows(fold: SessionFold) -> tuple[Row, ...]:
    """All steps of a session, in order."""
    return tuple(_row(fold, fold.steps[number]) for number in sorted(fold.steps))


def parent_of(fold: SessionFold, step: Step) -> Step | None:
    """The step that another starts from; None for the baseline."""
    found = (one for one in fold.steps.values() if one.commit == step.parent and one.number != step.number)
    return next(found, None)


def inherited_command(fold: SessionFold, step: Step) -> str:
    """The line that trains where a step begins."""
    parent = parent_of(fold, step)
    return command_of(fold, parent) if parent else fold.command


def command_of(fold: SessionFold, step: Step) -> str:
    """The line that trains in a step, as far as it is known: its own, else that of its parent."""
    for one in reversed(step.tries):
        if one.command:
            return one.command
    return fold.command


def value_of(step: Step) -> float | None:
    """The primary metric that a step came to; None without one."""
    return step.outcome.value if step.outcome else None


def cost_of(step: Step) -> tuple[float | None, int]:
    """US dollars, or None where nobody knows, and tokens of all askings of a step."""
    prices = [one.usd for one in step.tries]
    known = [price for price in prices if price is not None]
    return (sum(known) if len(known) == len(prices) else None), sum(one.tokens for one in step.tries)


def _row(fold: SessionFold, step: Step) -> Row:
    parent = parent_of(fold, step)
    last, outcome, value = step.last, step.outcome, value_of(step)
    before = value_of(parent) if parent else None
    usd, tokens = cost_of(step)
    command = command_of(fold, step)
    ran = next((one.commit for one in reversed(step.tries) if one.commit), "")
    return Row(
        step=step.number,
        verdict=step.verdict.value if step.verdict else "",
        parent=parent.number if parent else None,
        ended=outcome.ended.value if outcome else "",
        value=value,
        runs=len(outcome.values) if outcome else 0,
        change=None if value is None or before is None else value - before,
        hypothesis=last.hypothesis if last else "",
        files=last.files if last else (),
        command=command if command != inherited_command(fold, step) else "",
        reason=step.reason,
        seconds=sum(one.outcome.seconds for one in step.tries if one.outcome),
        usd=usd,
        tokens=tokens,
        tries=len(step.tries),
        commit=step.commit or ran,
        ran=ran,
    )
