"""Plays whole sessions: real records and decisions, with a world of dice around them."""

from __future__ import annotations

import random
from dataclasses import replace

from orze.config.refine import Budget
from orze.coord.record import LIMIT
from orze.core.clock import ManualClock
from orze.core.memory import MemoryFiles
from orze.refine.decide import Act, Ask, Begin, Finish, Judge, Make, Run, StopRuns, View, decide
from orze.refine.fold import SessionFold, is_running
from orze.refine.model import Ended, Outcome, Try
from orze.refine.session import Session, settings_of, uuid_of
from orze.refine.terms import Terms
from orze.refine.verdict import judge

BASE = "a" * 40
TERMS = Terms("val_loss", ascending=True, max_failures=3, plateau_runs=0)
CHAIN = "/session/chain"
ASK_USD, ASK_TOKENS = 0.25, 100


def completed(*values: float) -> Outcome:
    return Outcome(Ended.COMPLETED, values, {"val_loss": values[0]}, seconds=1.0)


def ended(how: Ended, error: str = "it broke") -> Outcome:
    return Outcome(how, error=error, tail="line 1\nline 2")


def sha(*parts: object) -> str:
    return random.Random(repr(parts)).randbytes(20).hex()


class Crash(Exception):
    """The process dies."""


class Play:
    """One session. `files` and `farm` outlive a crash, as disk and farm do."""

    def __init__(self, terms: Terms = TERMS, budget: Budget | None = None, rng: random.Random | None = None):
        self.files, self.clock, self.terms = MemoryFiles(), ManualClock(), terms
        self.files.mkdir("/session")
        self.budget = budget or Budget()
        self.rng = rng or random.Random(1)
        self.crashes = 0.0  # probability of a crash behind a record
        self.farm: dict[str, Outcome | None] = {}
        self.asked_of: list[tuple[int, int]] = []
        self.stop = False
        self.open_session()

    def open_session(self) -> None:
        self.session = Session(self.files, CHAIN, self.clock, frame={"host": "h"})
        self.asking: set[int] = set()
        self.stopping: set[int] = set()
        settings = settings_of(self.terms, entry="python train.py")
        self.session.begin("s", base=BASE, command="python train.py", settings=settings, budget=self.budget)
        self.session.take(settings)

    @property
    def fold(self) -> SessionFold:
        return self.session.fold

    def view(self, **more: object) -> View:
        known = {"asking": frozenset(self.asking), "stopping": frozenset(self.stopping), "stop": self.stop}
        missing = frozenset(
            step.last.uuid for step in self.fold.open if is_running(step) and step.last.uuid not in self.farm
        )
        return View(self.session.active, missing=missing, usd=ASK_USD, tokens=ASK_TOKENS, **{**known, **more})

    def decide(self, **more: object) -> list[Act]:
        return decide(self.fold, self.view(**more))

    def do(self, act: Act) -> None:
        """One act, with the records that belong to it."""
        session, fold = self.session, self.fold
        match act:
            case Begin():
                session.step(act.step, act.parent)
            case Ask():
                session.ask(act.step, act.number, usd=ASK_USD, tokens=ASK_TOKENS)
                self.may_crash()
                self.asking.add(act.step)
                self.asked_of.append((act.step, act.number))
            case Make():
                session.tried(act.step, self.made(act))
            case Run():
                one = fold.steps[act.step].tries[-1]
                if not one.uuid:
                    session.run(act.step, act.number, uuid_of("s", act.step, act.number))
                    self.may_crash()
                self.farm.setdefault(fold.steps[act.step].tries[-1].uuid, None)
            case Judge():
                self.asking.discard(act.step)
                said = judge(fold, act.step)
                session.verdict(act.step, said.verdict, said.reason, sha("final", act.step))
            case StopRuns():
                self.stopping |= set(act.steps)
            case Finish():
                session.end(act.reason, act.sentence)
        self.may_crash()

    def made(self, act: Make) -> Try:
        """A commit, or faults where the answer says so; always the same of the same answer."""
        one = Try(act.number, "h", ("train.py",), "python train.py", sha(act.step, act.number))
        asked = self.fold.asked.get(act.step)
        faults = (asked.answer.fault or asked.answer.text,) if asked and asked.answer.text != "good" else ()
        return replace(one, commit="", faults=faults) if faults else one

    def may_crash(self) -> None:
        if self.crashes and self.rng.random() < self.crashes:
            raise Crash

    def turn(self) -> bool:
        """Decide and do; whether there was anything to do. A crash is followed by another process."""
        try:
            acts = self.decide()
            for act in acts:
                self.do(act)
        except Crash:
            self.open_session()
            return True
        return bool(acts)

    def settle(self) -> None:
        """Until there is only to wait."""
        while self.turn():
            pass

    def answer(self, step: int, text: str = "good", **more: object) -> None:
        self.asking.discard(step)
        cost = {"usd": 0.1, "tokens": 50, **more}
        self.session.answer(step, self.fold.asked[step].number, text=text, **cost)
        self.settle()

    def end_run(self, step: int, outcome: Outcome) -> None:
        one = self.fold.steps[step].tries[-1]
        assert one.uuid in self.farm, "the farm does not know of it"
        self.farm[one.uuid] = outcome
        self.session.outcome(step, one.number, outcome)
        self.settle()

    def baseline(self, *values: float) -> None:
        self.settle()
        self.end_run(0, completed(*(values or (1.0,))))

    def improve(self, step: int, *values: float) -> None:
        """A proposal and its result."""
        self.answer(step)
        self.end_run(step, completed(*values))


def records_of(play: Play) -> list[bytes]:
    """The records of a session as they lie there."""
    folder = f"{CHAIN}/0000"
    return [play.files.read(f"{folder}/{name}", LIMIT) for name in sorted(play.files.listdir(folder))]


def a_session(seed: int, crashes: float = 0.05) -> Play:
    """A session that went anyhow."""
    rng = random.Random(seed)
    play = Play(Terms("val_loss", ascending=True, parallel=rng.choice([1, 2])), Budget(runs=4, usd=3.0), rng)
    play.crashes = crashes
    for _ in range(150):
        play.clock.advance(rng.choice([0.1, 10.0]))
        if not play.turn() and not step_on(play, rng):
            break
    return play


def step_on(play: Play, rng: random.Random) -> bool:
    """One thing that happens outside; False where nothing can."""
    running = [s for s in play.fold.open if s.last and s.last.uuid and not s.last.outcome]
    if running and (rng.random() < 0.5 or not play.asking):
        step = rng.choice(running)
        how = rng.choice([Ended.COMPLETED, Ended.COMPLETED, Ended.CRASHED, Ended.SMOKE, Ended.VOID])
        outcome = completed(rng.random()) if how is Ended.COMPLETED else ended(how)
        play.session.outcome(step.number, step.last.number, outcome)
        play.farm[step.last.uuid] = outcome
    elif play.asking:
        step = play.asking.pop()
        text, fault = rng.choice([("good", ""), ("good", ""), ("bad", ""), ("", "busy")])
        number = play.fold.asked[step].number
        play.session.answer(step, number, text=text, usd=0.1, tokens=1, fault=fault, passing=bool(fault))
    return bool(running or play.asking or not play.fold.end)
