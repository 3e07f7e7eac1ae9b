"""A session as a chain of records: what is known of it follows from them alone, whoever reads them.

Which record is legal when; one that is not is void. All but BEGIN and TAKE are legal only from the owner,
and while the session has not ended. Every record carries `active`, the seconds that the session has been at
work.

| record  | legal | says |
| ------- | ----- | --- |
| BEGIN   | first | name, base commit, command, settings, budget |
| TAKE    | it names the owner that it follows | the new owner; what has ended is open again |
| STEP    | next number; behind the baseline only where that has a result | the commit it starts from |
| ASK     | the step is open and needs a proposal | what the answer may cost at most |
| ANSWER  | the step's ASK is open | the answer as it came, and what it cost |
| TRY     | the answer is there; the baseline needs none | a commit to run, or faults |
| RUN     | the try has a commit, and no run | under which name it is left in the farm's inbox |
| IDEA    | the try has a RUN | its idea in the farm |
| OUTCOME | the try has a RUN | what came of it |
| VERDICT | the step is open, not running, and has come to it | the verdict, the commit that tells it |
| TICK    | always | nothing more |
| EXTEND  | always | the budget in all, from now on |
| END     | always | why the session ended |

An ASK that has no ANSWER when its owner is superseded, the step is asked for again, or gets its verdict,
counts as spent with all that it may have cost. When a session that has ended is taken up again, the steps
that were stopped, and a baseline that gave no result, are open again; their last try is to be run once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from orze.config.refine import Budget
from orze.coord.chain import Fold
from orze.coord.record import Record, is_name
from orze.refine import records as rec
from orze.refine.model import BASELINE, Answered, Asked, End, Ended, Reason, Reserved, Step, Try, Verdict
from orze.refine.noise import pooled
from orze.refine.terms import Terms

_WAIT: Final = 5.0  # active seconds between a fault that passes and the next asking; each time the double
_WITHOUT_VALUE: Final = frozenset({Ended.CRASHED, Ended.TIMEOUT, Ended.NO_METRIC, Ended.NOT_FINITE})


class SessionFold(Fold):
    """All that is known of a session.

    Attributes:
        name, base, command: as it began: the commit that the baseline runs, and its training command.
        settings: as the owner last told them; `terms` is what decisions go by.
        budget: in all.
        steps: by number. judged: those with a verdict, in the order of the verdicts; `recent` are the last of
            them, from where the session was last taken up again on.
        best, best_value: the baseline or the step that was kept last; None before.
        asked: step -> the proposal that was asked for, while no try is made of it.
        passing: faults of asking, one behind the other, that pass by themselves; fault: the last of them.
        ask_after: active seconds before which nobody is asked again.
        owner: the token of the only process that may append; empty before the first TAKE.
        taken: the last TAKE: where that process is.
        active: seconds that the session has been at work.
        usd, tokens: spent on answers; unpriced: answers whose price nobody knows.
        runs: spent; a run that was stopped, or refused by the smoke command, is not.
        end: why it ended; None while it has not.
        at: unix seconds of its beginning and its last record, shown only.
    """

    def clear(self) -> None:
        """Nothing was begun."""
        super().clear()
        self.name = self.base = self.command = self.owner = ""
        self.settings: Mapping[str, Any] = {}
        self.terms = Terms("", ascending=False)
        self.budget = Budget()
        self.steps: dict[int, Step] = {}
        self.judged: list[int] = []
        self._since = 0
        self.best: int | None = None
        self.asked: dict[int, Asked] = {}
        self.passing = 0
        self.fault = ""
        self.ask_after = 0.0
        self.taken: Record = {}
        self.active = self.usd = 0.0
        self.tokens = self.unpriced = self.runs = 0
        self.end: End | None = None
        self.at = (0.0, 0.0)
        self._uuids: set[str] = set()

    @property
    def begun(self) -> bool:
        """Whether there is a session."""
        return bool(self.name)

    @property
    def best_value(self) -> float | None:
        """The primary metric of the best step."""
        outcome = self.steps[self.best].outcome if self.best is not None else None
        return outcome.value if outcome else None

    @property
    def noise(self) -> float | None:
        """Standard deviation of a single run, from all repeats; None where nothing was repeated."""
        return pooled(step.outcome.values for step in self.steps.values() if step.outcome)

    @property
    def open(self) -> list[Step]:
        """The steps without a verdict, by number."""
        return [step for step in self.steps.values() if step.verdict is None]

    @property
    def recent(self) -> list[Step]:
        """The steps judged since the session began or was last taken up again, in that order."""
        return [self.steps[number] for number in self.judged[self._since :]]

    @property
    def reserved(self) -> Reserved:
        """What the open askings may still cost."""
        open_ones = [one for one in self.asked.values() if one.answer is None]
        return Reserved(sum(one.usd or 0.0 for one in open_ones), sum(one.tokens for one in open_ones))

    def step(self, record: Record) -> bool:
        """The table above."""
        kind = record["kind"]
        active, at = rec.amount(record["active"]), rec.amount(record["at"])
        if kind == rec.BEGIN:
            legal = not self.begun and self._begin(record)
        elif kind == rec.TAKE:
            legal = self.begun and self._take(record)
        else:
            legal = bool(self.owner) and record["token"] == self.owner and self.end is None
            legal = legal and kind in _OWN and _OWN[kind](self, record)
        if legal:
            self.active = max(self.active, active)
            self.at = (self.at[0] or at, at)
        return legal

    def _begin(self, record: Record) -> bool:
        name, base = rec.name(record["name"]), rec.commit(record["base"])
        command, budget = rec.text(record["command"], rec.COMMAND), rec.budget_of(record["budget"])
        settings = rec.mapping(record["settings"])
        self.terms = Terms.of(settings)
        self.name, self.base, self.command, self.settings, self.budget = name, base, command, settings, budget
        return True

    def _take(self, record: Record) -> bool:
        settings = rec.mapping(record["settings"])
        terms = Terms.of(settings)
        same = (terms.metric, terms.ascending) == (self.terms.metric, self.terms.ascending)
        if record["takes"] != self.owner or record["token"] == self.owner or not same:
            return False
        for number in list(self.asked):
            self._spend_open(number)
        if self.end:
            self._open_again()
        self.owner, self.settings, self.terms, self.taken = str(record["token"]), settings, terms, record
        self.passing, self.ask_after = 0, 0.0
        return True

    def _open_again(self) -> None:
        self.end = None
        for number, step in self.steps.items():
            baseline = number == BASELINE and self.best is None
            if step.verdict is Verdict.STOPPED or (baseline and step.verdict):
                self.judged.remove(number)
                self.steps[number] = _once_more(step)
        self._since = len(self.judged)

    def _step(self, record: Record) -> bool:
        number, parent = rec.whole(record["step"]), rec.commit(record["parent"])
        if number != len(self.steps) or (number != BASELINE and self.best is None):
            return False
        self.steps[number] = Step(number, parent)
        return True

    def _ask(self, record: Record) -> bool:
        step, usd, tokens = self._open_step(record), rec.price(record["usd"]), rec.whole(record["tokens"])
        number = rec.whole(record["try"])
        asked = self.asked.get(step.number)
        waits = step.last is None or is_refused(step.last)
        if step.number == BASELINE or number != len(step.tries) + 1 or not waits or (asked and asked.answer):
            return False
        self._spend_open(step.number)
        self.asked[step.number] = Asked(number, usd, tokens)
        return True

    def _answer(self, record: Record) -> bool:
        step, number = self._open_step(record), rec.whole(record["try"])
        usd, tokens, passing = rec.price(record["usd"]), rec.whole(record["tokens"]), record["passing"]
        answer = Answered(
            rec.text(record["text"], rec.REPLY),
            rec.read_changes(record["changes"]),
            rec.text(record["fault"], rec.FAULT),
            rec.amount(record["at"]),
        )
        asked = self.asked.get(step.number)
        if not asked or asked.answer or asked.number != number or not isinstance(passing, bool):
            return False
        self._spend(usd, tokens)
        if passing and answer.fault:
            del self.asked[step.number]
            self.ask_after = rec.amount(record["active"]) + _WAIT * 2**self.passing
            self.passing += 1
            self.fault = answer.fault
        else:
            self.asked[step.number] = replace(asked, usd=usd, tokens=tokens, answer=answer)
            self.passing = 0
        return True

    def _try(self, record: Record) -> bool:
        step, one = self._open_step(record), rec.read_try(record)
        if one.number != len(step.tries) + 1:
            return False
        if step.number == BASELINE:
            if step.tries or one.faults:
                return False
        else:
            asked = self.asked.get(step.number)
            if not asked or not asked.answer or asked.number != one.number:
                return False
            del self.asked[step.number]
            one = replace(one, usd=asked.usd, tokens=asked.tokens)
        self.steps[step.number] = replace(step, tries=(*step.tries, one))
        return True

    def _run(self, record: Record) -> bool:
        one, uuid = self._open_try(record), rec.name(record["uuid"])
        if not one.commit or one.uuid or uuid in self._uuids:
            return False
        self._uuids.add(uuid)
        return self._replace(record, replace(one, uuid=uuid))

    def _idea(self, record: Record) -> bool:
        one, idea_id = self._open_try(record), record["idea"]
        if not one.uuid or one.idea_id or one.outcome or not is_name(idea_id):
            return False
        return self._replace(record, replace(one, idea_id=idea_id))

    def _outcome(self, record: Record) -> bool:
        one, outcome = self._open_try(record), rec.read_outcome(record)
        if not one.uuid or one.outcome:
            return False
        if outcome.ended not in (Ended.SMOKE, Ended.STOPPED):
            self.runs += self.terms.repeats
        return self._replace(record, replace(one, outcome=outcome))

    def _verdict(self, record: Record) -> bool:
        step, verdict = self._open_step(record), Verdict(record["verdict"])
        reason, sha = rec.text(record["reason"]), record["commit"]
        if sha:
            rec.commit(sha)
        if is_running(step) or not _is_met(step, verdict):
            return False
        self._spend_open(step.number)
        self.steps[step.number] = replace(step, verdict=verdict, reason=reason, commit=sha)
        self.judged.append(step.number)
        if verdict in (Verdict.BASELINE, Verdict.KEPT):
            self.best = step.number
        return True

    def _tick(self, _record: Record) -> bool:
        return True

    def _extend(self, record: Record) -> bool:
        self.budget = rec.budget_of(record["budget"])
        return True

    def _end(self, record: Record) -> bool:
        self.end = End(Reason(record["reason"]), rec.text(record["sentence"]))
        return True

    def _open_step(self, record: Record) -> Step:
        step = self.steps.get(rec.whole(record["step"]))
        if step is None or step.verdict is not None:
            raise ValueError("no open step")
        return step

    def _open_try(self, record: Record) -> Try:
        last = self._open_step(record).last
        if last is None or last.number != rec.whole(record["try"]):
            raise ValueError("no open try")
        return last

    def _replace(self, record: Record, one: Try) -> bool:
        step = self._open_step(record)
        self.steps[step.number] = replace(step, tries=(*step.tries[:-1], one))
        return True

    def _spend_open(self, number: int) -> None:
        """Forget an asking of which no answer will come; what it may have cost counts as spent."""
        asked = self.asked.get(number)
        if asked and asked.answer is None:
            self._spend(asked.usd, asked.tokens)
            del self.asked[number]

    def _spend(self, usd: float | None, tokens: int) -> None:
        self.usd += usd or 0.0
        self.unpriced += usd is None
        self.tokens += tokens


def is_refused(one: Try) -> bool:
    """Whether a try came to no run: nothing could be made of it, or the smoke command failed."""
    return bool(one.faults) or (one.outcome is not None and one.outcome.ended is Ended.SMOKE)


def is_running(step: Step) -> bool:
    """Whether a run of it is on its way, from the moment it is recorded that there will be one."""
    return bool(step.last and step.last.uuid and step.last.outcome is None)


def _is_met(step: Step, verdict: Verdict) -> bool:
    """Whether the step has come to what the verdict says."""
    ended = step.outcome.ended if step.outcome else None
    baseline = step.number == BASELINE
    match verdict:
        case Verdict.BASELINE:
            return baseline and ended is Ended.COMPLETED
        case Verdict.KEPT | Verdict.DISCARDED:
            return not baseline and ended is Ended.COMPLETED
        case Verdict.FAILED:
            return ended in _WITHOUT_VALUE or (baseline and ended is Ended.SMOKE)
        case Verdict.VOID:
            return ended is Ended.VOID
        case Verdict.REFUSED:
            return not baseline and step.last is not None and is_refused(step.last)
        case Verdict.STOPPED:
            return ended in (None, Ended.STOPPED, Ended.SMOKE)


def _once_more(step: Step) -> Step:
    """The step as it was before its last run, which is to be done again."""
    opened, last = replace(step, verdict=None, reason="", commit=""), step.last
    if last is None or last.outcome is None or (is_refused(last) and step.number != BASELINE):
        return opened
    sha = step.commit or last.commit  # of the same tree; it is the one that a reference of git holds
    again = Try(last.number + 1, last.hypothesis, last.files, last.command, sha)
    return replace(opened, tries=(*step.tries, again))


_OWN: Final[Mapping[str, Callable[[SessionFold, Record], bool]]] = {
    rec.STEP: SessionFold._step,
    rec.ASK: SessionFold._ask,
    rec.ANSWER: SessionFold._answer,
    rec.TRY: SessionFold._try,
    rec.RUN: SessionFold._run,
    rec.IDEA: SessionFold._idea,
    rec.OUTCOME: SessionFold._outcome,
    rec.VERDICT: SessionFold._verdict,
    rec.TICK: SessionFold._tick,
    rec.EXTEND: SessionFold._extend,
    rec.END: SessionFold._end,
}
