"""What a session tells people: how it stands, what it is doing, and what is new in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from orze.refine.fold import SessionFold, is_refused
from orze.refine.model import BASELINE, Asked, Ended, Reason, Step, Try, Verdict
from orze.refine.noise import is_better, margin
from orze.refine.table import inherited_command, value_of
from orze.report.text import counted, duration, number

REASONS: Final = {
    Reason.TARGET: "target reached",
    Reason.BUDGET: "budget used",
    Reason.PLATEAU: "plateau",
    Reason.STOPPED: "stopped",
    Reason.FAILED: "failed",
    Reason.DIVERGENCE: "diverged",
}
RUNNING, INTERRUPTED = "running", "interrupted"
_SENTENCE: Final = 300  # characters of a hypothesis or a fault that are told while it goes on


@dataclass(frozen=True, slots=True)
class Use:
    """How much of one kind of budget is used.

    Attributes:
        kind: `time` (seconds), `runs`, `usd` or `tokens`.
        limit: None where there is none.
        told: the same in words.
    """

    kind: str
    used: float
    limit: float | None
    told: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a session stands.

    Attributes:
        state: running, interrupted, or why it ended.
        where: the host that its loop runs on; empty where none does.
        sentence: why it ended.
        steps, kept: how many have a verdict, and how many of them were kept, the baseline aside.
        metric, ascending: what is compared, and whether smaller is better.
        target: None where there is none.
        best, best_value: the best step; None before the baseline has a result.
        baseline: its value.
        change: best_value less baseline.
        noise: standard deviation of a single run; None where it is not known.
        uses: of the budget: all that has a limit or was used.
        unpriced: askings whose price nobody knows.
        doing: what is going on, a line for each open step.
    """

    name: str
    branch: str
    base: str
    state: str
    where: str
    sentence: str
    steps: int
    kept: int
    metric: str
    ascending: bool
    target: float | None
    best: int | None
    best_value: float | None
    baseline: float | None
    change: float | None
    noise: float | None
    uses: tuple[Use, ...]
    unpriced: int
    doing: tuple[str, ...]
    began: float
    last: float


def standing(fold: SessionFold, *, where: str, active: float | None = None) -> Standing:
    """How a session stands.

    Args:
        where: the host that its loop runs on now; empty where it does not.
        active: seconds that it has been at work, where they are more than its last record says.
    """
    first = fold.steps.get(BASELINE)
    baseline, best = value_of(first) if first else None, fold.best_value
    judged = [step for step in fold.steps.values() if step.verdict and step.number != BASELINE]
    state = REASONS[fold.end.reason] if fold.end else RUNNING if where else INTERRUPTED
    return Standing(
        name=fold.name,
        branch=f"revis/{fold.name}",
        base=fold.base,
        state=state,
        where=where,
        sentence=fold.end.sentence if fold.end else "",
        steps=len(judged),
        kept=sum(step.verdict is Verdict.KEPT for step in judged),
        metric=fold.terms.metric,
        ascending=fold.terms.ascending,
        target=fold.terms.target,
        best=fold.best,
        best_value=best,
        baseline=baseline,
        change=None if best is None or baseline is None else best - baseline,
        noise=fold.noise,
        uses=tuple(uses(fold, active)),
        unpriced=fold.unpriced,
        doing=() if fold.end else tuple(doing(fold, step) for step in fold.open),
        began=fold.at[0],
        last=fold.at[1],
    )


def uses(fold: SessionFold, active: float | None = None) -> Iterator[Use]:
    """What is used of the budget; kinds without a limit only where something was.

    Args:
        active: as for `standing`.
    """
    budget, active = fold.budget, max(fold.active, active or 0.0)
    time = f" of {duration(budget.time)}" if budget.time else ""
    yield Use("time", active, budget.time, duration(active) + time)
    runs = f"{fold.runs} of {counted(budget.runs, 'run')}" if budget.runs else counted(fold.runs, "run")
    yield Use("runs", fold.runs, budget.runs, runs)
    if fold.usd or budget.usd:
        of = f" of {dollars(budget.usd)}" if budget.usd else ""
        yield Use("usd", fold.usd, budget.usd, dollars(fold.usd) + of)
    if fold.tokens or budget.tokens:
        of = f" of {budget.tokens:,}" if budget.tokens else ""
        yield Use("tokens", fold.tokens, budget.tokens, f"{fold.tokens:,}{of} tokens")


def dollars(amount: float | None) -> str:
    """An amount of US dollars, with cents, or as many digits as a small one needs."""
    if amount is None:
        return "$?"
    return f"${amount:.2f}" if amount >= 1 or amount == 0 else f"${amount:.2g}"


def doing(fold: SessionFold, step: Step) -> str:
    """What is going on in an open step, in a few words."""
    return f"step {step.number}{_of(step)}: {_doing(step, fold.asked.get(step.number))}"


def _of(step: Step) -> str:
    return " (the baseline)" if step.number == BASELINE else ""


def _doing(step: Step, asked: Asked | None) -> str:
    last = step.last
    if asked:
        if asked.answer:
            return "makes the change"
        return "asks for a change" if asked.number == 1 else f"asks for a repair, try {asked.number}"
    if last is None:
        return "begins"
    if is_refused(last):
        return "looks at the faults"
    if last.outcome:
        return "judges the result"
    if last.idea_id:
        return f"runs as {last.idea_id}"
    return "its run waits for the farm" if last.uuid else "its run is prepared"


def change_of(value: float, before: float) -> str:
    """How far a value is from another: `-0.0415 (-12%)`."""
    told = f"{value - before:+.4g}"
    return f"{told} ({(value - before) / abs(before):+.0%})" if before else told


def result_of(step: Step, metric: str) -> str:
    """What came of a step's run, in a few words; empty where nothing did yet."""
    outcome = step.outcome
    if outcome is None:
        return ""
    took = f" in {duration(outcome.seconds)}" if outcome.seconds else ""
    if outcome.ended is Ended.COMPLETED and outcome.value is not None:
        runs = f" (n={len(outcome.values)})" if len(outcome.values) > 1 else ""
        return f"{metric}={number(outcome.value)}{runs}{took}"
    told = outcome.ended.value.replace("_", " ")
    return f"{told}{took}: {outcome.error}" if outcome.error else f"{told}{took}"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened.

    Attributes:
        kind: `step`, `ask`, `change`, `fault`, `run`, `result`, `end`, or a verdict.
    """

    kind: str
    text: str


class News:
    """What is new in a session since it was last looked at.

    Args:
        fold: what is known already and is not told.
    """

    def __init__(self, fold: SessionFold) -> None:
        self._told: set[tuple[object, ...]] = {key for key, _ in _happened(fold)}

    def of(self, fold: SessionFold) -> list[Line]:
        """What has happened since, in order."""
        fresh = [(key, line) for key, line in _happened(fold) if key not in self._told]
        self._told.update(key for key, _ in fresh)
        return [line for _, line in fresh]


def _happened(fold: SessionFold) -> Iterator[tuple[tuple[object, ...], Line]]:
    for step in fold.steps.values():
        for key, line in _of_step(fold, step):
            yield (step.number, *key), line
    if fold.end:
        yield ("end", fold.end, fold.active), Line("end", f"{REASONS[fold.end.reason]}: {fold.end.sentence}")


def _of_step(fold: SessionFold, step: Step) -> Iterator[tuple[tuple[object, ...], Line]]:
    head = f"step {step.number}: "
    asked = fold.asked.get(step.number)
    if step.number == BASELINE:
        yield ("begun",), Line("step", f"{head}the baseline, {step.parent[:10]} as it is")
    for one in step.tries:
        for key, line in _of_try(fold, step, one):
            yield (one.number, *key), Line(line.kind, head + line.text)
    if asked and not asked.answer:
        yield (asked.number, "ask"), Line("ask", head + _doing(step, asked))
    if step.verdict and step.verdict is not Verdict.BASELINE:
        told = f"{step.verdict.value}: {step.reason}" if step.reason else step.verdict.value
        yield ("verdict", step.verdict), Line(step.verdict.value, head + told)


def _of_try(fold: SessionFold, step: Step, one: Try) -> Iterator[tuple[tuple[object, ...], Line]]:
    if step.number != BASELINE:
        # an asking whose answer came between two looks is told all the same
        yield ("ask",), Line("ask", _doing(step, Asked(one.number, None, 0)))
    if one.hypothesis and step.number != BASELINE:
        what = ", ".join(
            [*one.files, *(["the command"] if one.command not in ("", inherited_command(fold, step)) else [])]
        )
        cost = f" ({dollars(one.usd)})" if one.usd else ""
        yield ("change",), Line("change", f"{_short(one.hypothesis)}{f' [{what}]' if what else ''}{cost}")
    for index, fault in enumerate(one.faults):
        yield ("fault", index), Line("fault", f"refused: {_short(fault)}")
    if one.idea_id:
        yield ("idea",), Line("run", f"runs as {one.idea_id}")
    if one.outcome:
        told = result_of(Step(step.number, step.parent, (one,)), fold.terms.metric)
        yield ("outcome",), Line("result", told)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SENTENCE else line[: _SENTENCE - 1] + "…"


def compared(fold: SessionFold, one: Step, other: Step) -> str:
    """What the difference of two results is worth, as a sentence; empty where one has none."""
    values = one.outcome.values if one.outcome else (), other.outcome.values if other.outcome else ()
    first, second = value_of(one), value_of(other)
    if first is None or second is None:
        return ""
    names = f"step {other.number}", f"step {one.number}"
    told = f"{fold.terms.metric} differs by {change_of(second, first)}"
    if first == second:
        return f"{fold.terms.metric} is the same"
    by = margin(fold.noise, len(values[0]), len(values[1]))
    if fold.noise is None:
        return f"{told}; how far single runs lie apart is not known"
    if abs(second - first) <= by:
        return f"{told}, which is within the noise, {number(by)}"
    ascending = fold.terms.ascending
    better = names[0] if is_better(second, first, by=by, ascending=ascending) else names[1]
    return f"{told}: {better} is better by more than the noise, {number(by)}"
