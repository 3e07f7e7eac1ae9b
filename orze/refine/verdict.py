"""What becomes of a step, and whether a session goes nowhere: pure functions of what is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from orze.refine.fold import SessionFold, is_refused
from orze.refine.model import BASELINE, Ended, Outcome, Step, Verdict
from orze.refine.noise import is_better, margin
from orze.report.text import clean, number

REPAIRS: Final = 3  # of one step, after the first proposal
STOCK: Final = 10  # refused proposals of a session, beside one for each run that was spent
_REFUSED: Final = 10  # steps behind one another that came to no run: nobody proposes what can be run
_COMPLETED: Final = frozenset({Verdict.KEPT, Verdict.DISCARDED})
_FAILED: Final = frozenset({Verdict.FAILED, Verdict.VOID, Verdict.REFUSED})
_SAID: Final = {
    Ended.SMOKE: "setup or the smoke command failed",
    Ended.CRASHED: "the run crashed",
    Ended.TIMEOUT: "the run took too long",
    Ended.NO_METRIC: "the run wrote no value of {}",
    Ended.NOT_FINITE: "{} is not a finite number",
    Ended.VOID: "the run changed a protected file",
    Ended.STOPPED: "the run was stopped",
}
_LONG: Final = 600  # characters of an error in a reason


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a step, and one sentence that says why."""

    verdict: Verdict
    reason: str


def judge(fold: SessionFold, number: int) -> Judgement:
    """Judge a step that is not running.

    A result is kept if it is better than the best by more than the noise: 1.96·√2·sd/√n, with the standard
    deviation of a single run from all repeats of the session. Where nothing was repeated any better result is
    kept, and the reason says so.

    Args:
        fold: what is recorded, the outcome of the step among it.
        number: of the step.
    """
    step = fold.steps[number]
    outcome = step.outcome
    if outcome is None or (outcome.ended is Ended.SMOKE and number != BASELINE):
        return _without_run(fold, step)
    if outcome.value is not None:
        return _compared(fold, number, outcome, outcome.value)
    verdicts = {Ended.VOID: Verdict.VOID, Ended.STOPPED: Verdict.STOPPED}
    said = _SAID[outcome.ended].format(clean(fold.terms.metric, 60))
    error = clean(outcome.error, _LONG)
    return Judgement(verdicts.get(outcome.ended, Verdict.FAILED), f"{said}: {error}" if error else said)


def may_repair(fold: SessionFold, step: Step) -> bool:
    """Whether the last proposal of a step may be repaired.

    A step has three repairs; in a session not more proposals may be refused than ten, and one for each run
    that was spent.
    """
    return _refused(step) <= REPAIRS and sum(map(_refused, fold.steps.values())) <= STOCK + fold.runs


def reached(fold: SessionFold) -> str:
    """That the best value is at the target, as a sentence; empty where it is not."""
    best, terms = fold.best_value, fold.terms
    if best is None or terms.target is None or not terms.reached(best):
        return ""
    metric = clean(terms.metric, 60)
    return f"step {fold.best} has {metric} {number(best)}, and the target is {number(terms.target)}"


def plateaued(fold: SessionFold) -> str:
    """That none of the last runs that completed was kept, as a sentence; empty where it is not so."""
    count = fold.terms.plateau_runs
    last = [step.verdict for step in fold.recent if step.verdict in _COMPLETED][-count:]
    if not count or len(last) < count or Verdict.KEPT in last:
        return ""
    beyond = " by more than the noise" if fold.noise else ""
    return f"none of the last {_counted(count, 'run')} was better than step {fold.best}{beyond}"


def diverged(fold: SessionFold) -> str:
    """That the last runs all lead away from the baseline, as a sentence; empty where they do not.

    A run does if its value is not finite, or worse than that of the baseline by more than the noise.
    """
    count = fold.terms.divergence_runs
    ran = [
        step
        for step in fold.recent
        if step.number != BASELINE and (step.verdict in _COMPLETED or _not_finite(step))
    ]
    if not count or len(ran) < count or not all(_is_worse(fold, step) for step in ran[-count:]):
        return ""
    return f"the last {_counted(count, 'run')} ended worse than the baseline, or not finite"


def failing(fold: SessionFold) -> str:
    """That the last steps gave no result, as a sentence; empty where they did.

    Steps that were stopped do not count. Ten steps that came to no run are too many in any case.
    """
    behind: list[Step] = []
    for step in reversed(fold.recent):
        if step.verdict in _FAILED:
            behind.append(step)
        elif step.verdict is not Verdict.STOPPED:
            break
    limit = fold.terms.max_failures
    refused = len(behind) >= _REFUSED and all(step.verdict is Verdict.REFUSED for step in behind[:_REFUSED])
    if not behind or not (refused or (limit and len(behind) >= limit)):
        return ""
    return f"{_counted(len(behind), 'step')} behind one another gave no result; the last: {behind[0].reason}"


def _without_run(fold: SessionFold, step: Step) -> Judgement:
    last = step.last
    if last is None or not is_refused(last) or may_repair(fold, step):
        return Judgement(Verdict.STOPPED, "the session ended before it was run")
    fault = (
        last.faults[0]
        if last.faults
        else f"the smoke command failed: {last.outcome.error if last.outcome else ''}"
    )
    proposals = _counted(_refused(step), "proposal")
    return Judgement(Verdict.REFUSED, f"{proposals} came to no run; the last: {clean(fault, _LONG)}")


def _compared(fold: SessionFold, own: int, outcome: Outcome, value: float) -> Judgement:
    best, metric = fold.best_value, clean(fold.terms.metric, 60)
    shown = f"{metric} {number(value)}{_runs(outcome)}"
    if own == BASELINE or best is None:
        return Judgement(Verdict.BASELINE, shown)
    than = f"{number(best)} of step {fold.best}"
    best_runs = fold.steps[fold.best or 0].outcome
    by = margin(fold.noise, len(outcome.values), len(best_runs.values) if best_runs else 1)
    ascending = fold.terms.ascending
    if is_better(value, best, by=by, ascending=ascending):
        known = "; how far runs lie apart is not known (repeats: 2 would tell)"
        beyond = f" by more than the noise, {number(by)}" if fold.noise is not None else ""
        return Judgement(Verdict.KEPT, f"{shown} is better than {than}{beyond or known}")
    if is_better(value, best, by=0.0, ascending=ascending):
        return Judgement(
            Verdict.DISCARDED, f"{shown} is better than {than}, but not by more than the noise, {number(by)}"
        )
    return Judgement(
        Verdict.DISCARDED, f"{shown} is {'the same as' if value == best else 'worse than'} {than}"
    )


def _is_worse(fold: SessionFold, step: Step) -> bool:
    baseline, outcome = fold.steps[BASELINE].outcome, step.outcome
    if _not_finite(step) or outcome is None or outcome.value is None:
        return _not_finite(step)
    if baseline is None or baseline.value is None:
        return False
    by = margin(fold.noise, len(outcome.values), len(baseline.values))
    return is_better(baseline.value, outcome.value, by=by, ascending=fold.terms.ascending)


def _not_finite(step: Step) -> bool:
    return step.outcome is not None and step.outcome.ended is Ended.NOT_FINITE


def _refused(step: Step) -> int:
    return sum(map(is_refused, step.tries))


def _runs(outcome: Outcome) -> str:
    return f" (mean of {len(outcome.values)} runs)" if len(outcome.values) > 1 else ""


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
