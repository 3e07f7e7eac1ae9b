"""What the loop does next: a pure function of what is recorded and of what it sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from orze.refine.fold import SessionFold, is_refused, is_running
from orze.refine.model import BASELINE, Reason, Step, Try, Verdict
from orze.refine.verdict import diverged, failing, may_repair, plateaued, reached
from orze.report.text import duration

PASSING: Final = 8  # faults of asking behind one another, each after a longer wait, before it is given up


@dataclass(frozen=True, slots=True)
class View:
    """What the loop sees beside the records.

    Attributes:
        active: seconds that the session has been at work, now.
        asking: steps for which somebody is being asked by this process.
        missing: names of recorded runs (Try.uuid) that the farm knows nothing of: they never reached it.
        stopping: steps whose runs were already asked to stop.
        stop, stop_now: what a person asked for.
        usd, tokens: what the next asking may cost at most; usd is None where nobody knows.
    """

    active: float
    asking: frozenset[int] = frozenset()
    missing: frozenset[str] = frozenset()
    stopping: frozenset[int] = frozenset()
    stop: bool = False
    stop_now: bool = False
    usd: float | None = 0.0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a step at this commit: record STEP."""

    step: int
    parent: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for the proposal of a try: record ASK, then ask; `faults` are those of the try before."""

    step: int
    number: int
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Make:
    """Make a commit, or faults, of the answer that is recorded (of the baseline: of the unchanged tree)."""

    step: int
    number: int


@dataclass(frozen=True, slots=True)
class Run:
    """Have the commit of a try run: record RUN, unless it is, and leave it in the farm's inbox."""

    step: int
    number: int


@dataclass(frozen=True, slots=True)
class Judge:
    """Say what became of a step: `orze.refine.verdict.judge`, the final commit, VERDICT."""

    step: int


@dataclass(frozen=True, slots=True)
class StopRuns:
    """Ask the farm to stop the runs of these steps; each is told once, by `View.stopping`."""

    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """End the session: record END."""

    reason: Reason
    sentence: str


Act: TypeAlias = Begin | Ask | Make | Run | Judge | StopRuns | Finish


def decide(fold: SessionFold, view: View) -> list[Act]:
    """Decide what is to be done now.

    Args:
        fold: what is recorded.
        view: what is seen; nothing else has a say.

    Returns:
        The acts, to be done in this order; then it is asked again. None: there is only to wait.
    """
    if fold.end or not fold.begun:
        return []
    if view.stop_now:
        running = [step.number for step in fold.open if is_running(step)]
        return [*_stop(running, view), Finish(Reason.STOPPED, "somebody stopped it at once")]
    if judged := [Judge(step.number) for step in fold.open if _has_ended(fold, step)]:
        return list(judged)
    if closing := _closing(fold, view):
        return _close(fold, view, closing)
    return _go_on(fold, view)


@dataclass(frozen=True, slots=True)
class _Closing:
    """Nothing new is begun, and why; `halts` where runs in progress are stopped, too."""

    reason: Reason
    sentence: str
    halts: bool = False


def _closing(fold: SessionFold, view: View) -> _Closing | None:
    if view.stop:
        return _Closing(Reason.STOPPED, "somebody stopped it", halts=True)
    baseline = fold.steps.get(BASELINE)
    if baseline and baseline.verdict in (Verdict.FAILED, Verdict.VOID):
        return _Closing(Reason.FAILED, f"the baseline gave no result to improve on: {baseline.reason}")
    if sentence := reached(fold):
        return _Closing(Reason.TARGET, sentence, halts=True)
    bound = fold.budget.time
    if bound is not None and view.active >= bound:
        return _Closing(Reason.BUDGET, f"the budget of time, {duration(bound)}, is used up", halts=True)
    if baseline and baseline.verdict is Verdict.STOPPED:
        used = _no_run(fold, 1)
        return _Closing(Reason.BUDGET if used else Reason.STOPPED, used or f"no baseline: {baseline.reason}")
    if sentence := failing(fold):
        return _Closing(Reason.FAILED, sentence)
    if fold.passing >= PASSING:
        return _Closing(Reason.FAILED, f"no answer in {fold.passing} askings; the last: {fold.fault}")
    if sentence := diverged(fold):
        return _Closing(Reason.DIVERGENCE, sentence)
    if sentence := plateaued(fold):
        return _Closing(Reason.PLATEAU, sentence)
    return None


def _close(fold: SessionFold, view: View, closing: _Closing) -> list[Act]:
    """Runs in progress come to their end, or are stopped; what is not running is not begun any more."""
    running = [step for step in fold.open if is_running(step)]
    acts: list[Act] = [Judge(step.number) for step in fold.open if not is_running(step)]
    acts += [act for step in running if (act := _next(fold, view, step))]
    if closing.halts:
        acts += _stop([step.number for step in running], view)
    if acts or running:
        return acts
    return [Finish(closing.reason, closing.sentence)]


def _go_on(fold: SessionFold, view: View) -> list[Act]:
    acts = [act for step in fold.open if (act := _next(fold, view, step))]
    if asks := [
        act for act in acts if isinstance(act, Ask)
    ]:  # one at a time: each sees what the others reserve
        acts = [act for act in acts if act not in asks[1:]]
    elif begin := _begin(fold, view):
        acts.append(begin)
    waits = any(is_running(step) or step.number in view.asking for step in fold.open)
    if acts or waits or view.active < fold.ask_after:
        return acts
    if fold.open:
        return [Judge(step.number) for step in fold.open]
    return [Finish(Reason.BUDGET, _no_run(fold, 1) or _no_asking(fold, view))]


def _next(fold: SessionFold, view: View, step: Step) -> Act | None:
    """What one open step needs now; None where it waits, or where no budget is left for it."""
    last, asked = step.last, fold.asked.get(step.number)
    if last and last.uuid and last.outcome is None:
        return Run(step.number, last.number) if last.uuid in view.missing else None
    if last and last.commit and not last.uuid:
        return None if _no_run(fold, 0) else Run(step.number, last.number)
    if asked and asked.answer:
        return Make(step.number, asked.number)
    if step.number == BASELINE:
        return Make(step.number, 1)
    if step.number in view.asking or _no_run(fold, 0) or not _may_ask(fold, view):
        return None
    return Ask(step.number, len(step.tries) + 1, _faults(last))


def _begin(fold: SessionFold, view: View) -> Begin | None:
    if _no_run(fold, 1):
        return None
    if not fold.steps:
        return Begin(BASELINE, fold.base)
    if fold.best is None or len(fold.open) >= fold.terms.parallel or not _may_ask(fold, view):
        return None
    return Begin(len(fold.steps), fold.steps[fold.best].commit)


def _may_ask(fold: SessionFold, view: View) -> bool:
    return view.active >= fold.ask_after and not _no_asking(fold, view)


def _no_run(fold: SessionFold, more: int) -> str:
    """Why the budget of runs has no room for the open steps and `more` besides; empty where it has."""
    bound = fold.budget.runs
    needed = (len(fold.open) + more) * fold.terms.repeats
    if bound is None or fold.runs + needed <= bound:
        return ""
    if fold.runs >= bound:
        return f"the budget of {bound} runs is used up"
    return (
        f"of the budget of {bound} runs {bound - fold.runs} are left, and a step takes {fold.terms.repeats}"
    )


def _no_asking(fold: SessionFold, view: View) -> str:
    """Why the budget has no room for another asking; empty where it has."""
    budget, reserved = fold.budget, fold.reserved
    usd, tokens = fold.usd + reserved.usd, fold.tokens + reserved.tokens
    if budget.usd is not None and (usd >= budget.usd or usd + (view.usd or 0.0) > budget.usd):
        return f"of the budget of ${budget.usd:g} too little is left for another proposal: ${usd:.4g} is used"
    if budget.tokens is not None and (tokens >= budget.tokens or tokens + view.tokens > budget.tokens):
        return f"of the budget of {budget.tokens} tokens too little is left for another proposal"
    return ""


def _has_ended(fold: SessionFold, step: Step) -> bool:
    """Whether there is nothing to be done for a step but to say what became of it."""
    last = step.last
    if last is None or step.number in fold.asked:
        return False
    if step.number != BASELINE and is_refused(last):
        return not may_repair(fold, step)
    return last.outcome is not None


def _faults(last: Try | None) -> tuple[str, ...]:
    """Those of the try before, to be repaired."""
    if last is None or last.outcome is None:
        return last.faults if last else ()
    said = [f"the smoke command failed: {last.outcome.error}", last.outcome.tail]
    return tuple(text for text in said if text)


def _stop(numbers: list[int], view: View) -> list[Act]:
    new = tuple(number for number in numbers if number not in view.stopping)
    return [StopRuns(new)] if new else []
