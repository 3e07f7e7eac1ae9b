"""Reads and writes the records of one session; docs and rules of the records are in orze/refine/fold.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from orze.config.refine import Budget
from orze.coord.chain import Chain
from orze.coord.record import Record, new_record
from orze.core.errors import OrzeError
from orze.core.files import make_dirs, nonce
from orze.refine import records as rec
from orze.refine.fold import SessionFold
from orze.refine.model import Outcome, Reason, Try, Verdict
from orze.refine.terms import Terms
from orze.report.text import clean

if TYPE_CHECKING:
    from orze.core.clock import Clock
    from orze.core.files import Files

_FANOUT = 1000


class Superseded(OrzeError):
    """Another process has taken the session over, or it has ended: this one has no say any more."""


class OtherMetric(OrzeError):
    """The settings name another metric, or direction, than the session was begun with."""


class Session:
    """Reads and writes the records of one session.

    Every method that writes one raises Superseded where this process does not own the session, ValueError
    where the record is not legal, and OSError where the share failed: then the record may stand or not, and
    `refresh` and a new decision tell.

    Args:
        directory: of its chain: `.revis/<name>/chain`, or below results/ for the session of a farm.
        clock: its steady time counts as work from `take` on.
        frame: host and process, shown in TAKE.
    """

    def __init__(
        self, files: Files, directory: str, clock: Clock, *, frame: Mapping[str, object] | None = None
    ) -> None:
        self.fold = SessionFold()
        self.token = ""
        self._files = files
        self._directory = directory
        self._clock = clock
        self._frame = dict(frame or {})
        self._chain = Chain(files, directory, self.fold, clock, fanout=_FANOUT)
        self._worked = (0.0, 0.0)  # active seconds at a steady time

    def refresh(self) -> None:
        """Read what is new; where nothing has begun, nothing is there. OSError decides nothing."""
        try:
            self._chain.refresh()
        except FileNotFoundError:
            self.fold.clear()

    @property
    def active(self) -> float:
        """Seconds that the session has been at work: until now, where this process owns it."""
        if not self.token or self.token != self.fold.owner or self.fold.end:
            return self.fold.active
        before, since = self._worked
        return max(self.fold.active, before + self._clock.steady() - since)

    def begin(
        self, name: str, *, base: str, command: str, settings: Mapping[str, Any], budget: Budget
    ) -> bool:
        """Begin the session.

        Args:
            base: the commit that the baseline runs.
            command: its training command.
            settings: plain values; those of Terms among them.

        Returns:
            Whether it is this call that began it.
        """
        make_dirs(self._files, self._directory)
        record = self._record(
            rec.BEGIN,
            name=name,
            base=base,
            command=command,
            settings=dict(settings),
            budget=budget.model_dump(exclude_none=True),
        )
        return self._chain.append(lambda: None if self.fold.begun else record) is not None

    def take(self, settings: Mapping[str, Any]) -> None:
        """Become the owner; a session that has ended goes on.

        Args:
            settings: as for `begin`; metric and direction are those that it began with.

        Raises:
            OtherMetric: they are not.
            ValueError: nothing was begun.
        """
        self.refresh()
        if not self.fold.begun:
            raise ValueError("there is no session to take")
        self._check_metric(Terms.of(settings))
        token = nonce()
        record = self._record(rec.TAKE, token=token, settings=dict(settings), **self._frame)

        def propose() -> Record:
            return record | {"takes": self.fold.owner}

        self._chain.append(propose)
        self.token, self._worked = token, (self.fold.active, self._clock.steady())

    def step(self, number: int, parent: str) -> None:
        """Begin a step at the commit `parent`."""
        self._append(rec.STEP, step=number, parent=parent)

    def ask(self, step: int, number: int, *, usd: float | None, tokens: int) -> None:
        """Record, before anybody is asked for it, what the proposal of a try may cost at most."""
        self._append(rec.ASK, step=step, **{"try": number}, usd=usd, tokens=tokens)

    def answer(
        self,
        step: int,
        number: int,
        *,
        text: str = "",
        changes: Mapping[str, bytes | None] | None = None,
        usd: float | None,
        tokens: int,
        fault: str = "",
        passing: bool = False,
    ) -> None:
        """Record the answer as it came.

        Args:
            changes: what an agent changed; None where a model was asked.
            usd: what it cost; None where nobody knows.
            fault: why there is no answer.
            passing: whether asking again later may give one, as with a server that is busy.
        """
        try:
            content = rec.changes_content(changes)
            if len(text) > rec.REPLY:
                raise ValueError(f"the answer has more than {rec.REPLY} characters")
        except ValueError as error:
            text, content, fault, passing = "", None, str(error), False
        self._append(
            rec.ANSWER,
            step=step,
            **{"try": number},
            text=text,
            changes=content,
            usd=usd,
            tokens=tokens,
            fault=rec.cut(fault, rec.FAULT),
            passing=passing,
        )

    def tried(self, step: int, one: Try) -> None:
        """Record what was made of the answer: number, hypothesis, files, command, and commit or faults."""
        if len(one.command) > rec.COMMAND:
            too_long = f"the command line has more than {rec.COMMAND} characters"
            one = replace(one, command="", commit="", faults=(too_long,))
        self._append(rec.TRY, step=step, **rec.try_content(one))

    def run(self, step: int, number: int, uuid: str) -> None:
        """Record under which name the run will be left in the farm's inbox, before it is."""
        self._append(rec.RUN, step=step, **{"try": number}, uuid=uuid)

    def idea(self, step: int, number: int, idea_id: str) -> None:
        """Record which idea the run became."""
        self._append(rec.IDEA, step=step, **{"try": number}, idea=idea_id)

    def outcome(self, step: int, number: int, outcome: Outcome) -> None:
        """Record what came of the run."""
        self._append(rec.OUTCOME, step=step, **{"try": number}, **rec.outcome_content(outcome))

    def verdict(self, step: int, verdict: Verdict, reason: str, commit: str) -> None:
        """Record the verdict; `commit` is the child commit that tells it, empty where there is none."""
        self._append(rec.VERDICT, step=step, verdict=verdict.value, reason=rec.cut(reason), commit=commit)

    def tick(self) -> None:
        """Record the active seconds, so that a crash forgets few of them."""
        self._append(rec.TICK)

    def extend(self, budget: Budget) -> None:
        """Record the budget in all, from now on (`orze.refine.budget.extended` makes it)."""
        self._append(rec.EXTEND, budget=budget.model_dump(exclude_none=True))

    def end(self, reason: Reason, sentence: str) -> None:
        """Record that the session has ended, and why."""
        self._append(rec.END, reason=reason.value, sentence=rec.cut(sentence))

    def _check_metric(self, terms: Terms) -> None:
        begun = self.fold.terms
        if (terms.metric, terms.ascending) != (begun.metric, begun.ascending):
            less = "smaller" if begun.ascending else "larger"
            raise OtherMetric(
                f"the session {self.fold.name} was begun with the metric {clean(begun.metric)}, {less} is "
                "better: put that back into the settings, or begin another session"
            )

    def _append(self, kind: str, **content: object) -> None:
        record = self._record(kind, token=self.token, **content)
        fold = self.fold

        def propose() -> Record | None:
            return record if self.token and fold.owner == self.token and not fold.end else None

        if self._chain.append(propose) is None:
            raise Superseded(f"another process has taken the session {fold.name} over, or it has ended")

    def _record(self, kind: str, **content: object) -> Record:
        return new_record(kind, active=self.active, at=self._clock.wall(), **content)


def uuid_of(session: str, step: int, number: int) -> str:
    """The name in the farm's inbox of the run of one try: the same again adds nothing."""
    return f"revis-{session}-{step}-{number}"


def settings_of(terms: Terms, **more: object) -> dict[str, Any]:
    """What `begin` and `take` are given: the terms, and what else is to be remembered for people."""
    return {**more, **asdict(terms)}
