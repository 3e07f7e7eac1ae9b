"""The loop: it looks at the session, the farm and who was asked, decides, and does what was decided.

Whatever it does is recorded in the session before or behind it, so that a loop that was killed between any
two lines is followed by one that loses and doubles nothing: what is asked is recorded first, what is
committed or left in a farm is the same when it is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from orze.core.errors import OrzeError
from orze.refine.asking import Answer, Asking
from orze.refine.decide import Act, Ask, Begin, Finish, Judge, Make, Run, StopRuns, View, decide
from orze.refine.farm_link import Where
from orze.refine.fold import is_running
from orze.refine.history import History
from orze.refine.making import Maker
from orze.refine.model import End, Reason, Step
from orze.refine.proposing import Proposing
from orze.refine.section import section_of
from orze.refine.session import Session, Superseded, uuid_of
from orze.refine.story import News
from orze.refine.verdict import judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orze.core.clock import Clock

_PAUSE: Final = 0.05  # seconds between two looks while something happens
_CALM: Final = 0.2  # the same when nothing has happened for a while
_WHILE: Final = 30.0
_TICK: Final = 60.0  # seconds of work that a crash may forget
_SILENCE: Final = 90.0  # seconds without a sign of life of a farm that are told
_LISTEN: Final = 10.0  # seconds between two looks for such signs
_REST: Final = 1.0  # seconds behind something that went wrong
_PATIENCE: Final = 90.0  # seconds that a run has to end in when it is to be stopped at once


class Farm(Protocol):
    """What the loop asks of a farm; see FarmLink."""

    def enqueue(self, uuid: str, section: str) -> None:
        """Leave a run."""

    def look(self, uuids: Iterable[str]) -> Mapping[str, Where]:
        """See where runs stand."""

    def stop(self, idea_id: str) -> None:
        """Ask for the end of a run."""

    def silent(self) -> float:
        """Seconds without a sign of life."""


class Daemon(Protocol):
    """What the loop asks of a farm of its own; see PrivateFarm."""

    def tend(self, now: float) -> str:
        """Keep it alive; what there is to tell."""

    @property
    def hopeless(self) -> str:
        """Why it cannot be kept alive; empty where it can."""

    def end(self) -> None:
        """Send it away."""


class Wishes(Protocol):
    """What people ask of the loop while it runs."""

    @property
    def stop(self) -> bool:
        """It is to end; what runs may go on."""

    @property
    def stop_now(self) -> bool:
        """It is to end, and what runs with it."""

    @property
    def at_once(self) -> bool:
        """It is to end without waiting for anything."""

    @property
    def away(self) -> bool:
        """This process is to go; the session is for another one to go on with."""


class Loop:
    """One process at work on one session, which it owns.

    Args:
        session: taken by this process.
        command: the training command of the farm's own settings.
        seconds: the longest time of a run; None for that of the farm.
        daemon: of a farm of its own; None where others run it.
        say: called with each line for people.
    """

    def __init__(
        self,
        session: Session,
        *,
        history: History,
        maker: Maker,
        proposer: Proposing,
        farm: Farm,
        daemon: Daemon | None,
        command: str,
        seconds: float | None,
        wishes: Wishes,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._session = session
        self._history = history
        self._maker = maker
        self._proposer = proposer
        self._farm = farm
        self._daemon = daemon
        self._command = command
        self._seconds = seconds
        self._wishes = wishes
        self._clock = clock
        self._say = say
        self._news = News(session.fold)
        self._askings: dict[int, tuple[int, Asking]] = {}
        self._answers: dict[int, Answer] = {}  # that are there, and not recorded yet
        self._stopping: set[int] = set()
        self._missing: frozenset[str] = frozenset()
        self._most: tuple[float | None, int] = (0.0, 0)
        self._told: dict[str, str] = {}
        self._changed_at = self._ticked_at = clock.steady()
        self._listen_at = self._changed_at + _LISTEN
        self._halted_at: float | None = None
        self._tail = ""

    def run(self) -> End | None:
        """Work until the session has ended, or this process is to go: then there is no end yet.

        Raises:
            Superseded: another process has taken it over.
        """
        try:
            self._settle_branch()
            with self._guard("asking"):
                self._proposer.open()
            while (end := self._session.fold.end) is None and not self._wishes.away:
                if not self.turn():
                    self._clock.sleep(self._pause())
            self._settle_branch()
            return end
        finally:
            for _, asking in self._askings.values():
                asking.end()
            self._proposer.close()
            if self._daemon:
                self._daemon.end()

    def turn(self) -> bool:
        """Once around; whether anything was done."""
        guard = self._guard("the session")
        with guard:
            self._session.refresh()
            self._observe()
            for act in self._decide():
                self._do(act)
            self._keep_time()
        self._tell_news()
        if guard.failed:
            self._clock.sleep(_REST)
        changed = self._session.fold.tail != self._tail
        self._tail = self._session.fold.tail
        if changed:
            self._changed_at = self._clock.steady()
        return changed

    # ---- look

    def _observe(self) -> None:
        now = self._clock.steady()
        if self._daemon and (told := self._daemon.tend(now)):
            self._say(told)
        self._look_at_runs()
        self._listen(now)
        for step, (number, asking) in list(self._askings.items()):
            answer = asking.poll()
            if answer is not None:
                self._take(step, number, answer)

    def _look_at_runs(self) -> None:
        running = [step for step in self._session.fold.open if is_running(step)]
        self._stopping &= {step.number for step in running}
        found = self._farm.look([step.last.uuid for step in running if step.last]) if running else {}
        self._missing = frozenset(uuid for uuid, where in found.items() if not where.left)
        for step in running:
            if step.last and (where := found.get(step.last.uuid)):
                self._see(step, step.last.number, where)

    def _see(self, step: Step, number: int, where: Where) -> None:
        if where.idea_id and step.last and not step.last.idea_id:
            self._session.idea(step.number, number, where.idea_id)
        if where.outcome:
            self._session.outcome(step.number, number, where.outcome)
        elif where.idea_id and step.number in self._stopping:
            self._farm.stop(where.idea_id)
        waits = f"step {step.number} waits in the farm: {where.reason}" if where.reason else ""
        self._tell(f"step {step.number}", waits)

    def _listen(self, now: float) -> None:
        """Tell of a farm in which no daemon gives a sign of life."""
        if now < self._listen_at or not any(map(is_running, self._session.fold.open)):
            return
        self._listen_at = now + _LISTEN
        silent = self._farm.silent() > _SILENCE
        self._tell("silence", "no daemon of the farm gives a sign of life: start one there" if silent else "")

    def _take(self, step: int, number: int, answer: Answer) -> None:
        """Record an answer, unless that was done when the share said that it failed."""
        fold = self._session.fold
        if step not in self._answers:
            self._answers[step] = self._proposer.collect(fold, step, number, answer)
        answer = self._answers[step]
        asked = fold.asked.get(step)
        if asked and asked.number == number and not asked.answer:
            self._session.answer(
                step,
                number,
                text=answer.text,
                changes=answer.changes,
                usd=answer.usd,
                tokens=answer.tokens,
                fault=answer.fault,
                passing=answer.passing,
            )
        del self._askings[step], self._answers[step]

    # ---- decide

    def _decide(self) -> list[Act]:
        wishes, fold = self._wishes, self._session.fold
        if wishes.stop_now and self._halted_at is None:
            self._halted_at = self._clock.steady()
        if self._daemon and self._daemon.hopeless:
            return [Finish(Reason.FAILED, self._daemon.hopeless)]
        if wishes.stop and not wishes.stop_now and not fold.end:
            return [Finish(Reason.STOPPED, "somebody stopped it; a run in progress goes on to its end")]
        return decide(fold, self._view())

    def _view(self) -> View:
        halted = self._halted_at is not None
        late = halted and self._clock.steady() > (self._halted_at or 0.0) + _PATIENCE
        return View(
            active=self._session.active,
            asking=frozenset(self._askings),
            missing=self._missing,
            stopping=frozenset(self._stopping),
            stop=halted,
            stop_now=late or self._wishes.at_once,
            usd=self._most[0],
            tokens=self._most[1],
        )

    # ---- act

    def _do(self, act: Act) -> None:
        match act:
            case Begin():
                self._session.step(act.step, act.parent)
            case Ask():
                self._ask(act)
            case Make():
                self._session.tried(act.step, self._maker.make(self._session.fold, act.step, act.number))
            case Run():
                self._run(act)
            case Judge():
                self._judge(act.step)
            case StopRuns():
                self._stopping |= set(act.steps)
            case Finish():
                for step in list(self._askings):
                    self._give_up(step)
                self._session.end(act.reason, act.sentence)

    def _ask(self, act: Ask) -> None:
        """Record what it may cost, then ask; unless that is more than is left."""
        fold = self._session.fold
        prepared = self._proposer.prepare(fold, act.step, act.number, act.faults)
        self._most = self._proposer.most(prepared, in_usd=fold.budget.usd is not None)
        if act not in decide(fold, self._view()):
            return
        usd, tokens = self._most
        self._session.ask(act.step, act.number, usd=usd, tokens=tokens)
        try:
            self._askings[act.step] = act.number, self._proposer.ask(fold, act.step, act.number, prepared)
        except (OSError, OrzeError) as error:
            told = f"nobody can be asked: {error}"
            self._session.answer(act.step, act.number, usd=0.0, tokens=0, fault=told, passing=True)

    def _run(self, act: Run) -> None:
        """Record that there will be a run, then leave it in the farm; it is left once, however often."""
        fold = self._session.fold
        step = fold.steps[act.step]
        one = step.tries[-1]
        parent = next((other for other in fold.steps.values() if other.commit == step.parent), None)
        section = section_of(
            commit=one.commit,
            hypothesis=one.hypothesis,
            origin=f"{fold.name}, step {act.step}",
            command="" if one.command == self._command else one.command,
            repeats=fold.terms.repeats,
            parent=parent.last.idea_id if parent and parent.last else "",
            seconds=self._seconds,
        )
        uuid = one.uuid or uuid_of(fold.name, act.step, act.number)
        if not one.uuid:
            self._session.run(act.step, act.number, uuid)
        self._farm.enqueue(uuid, section)

    def _judge(self, number: int) -> None:
        """Write what came of a step into git, then record it."""
        self._give_up(number)
        fold = self._session.fold
        judgement = judge(fold, number)
        commit = self._history.conclude(fold, fold.steps[number], judgement)
        self._session.verdict(number, judgement.verdict, judgement.reason, commit)
        self._settle_branch()

    def _settle_branch(self) -> None:
        """Point the branch to the best; where somebody works on it, that waits, and the session goes on."""
        with self._guard("the branch"):
            self._history.settle(self._session.fold)

    def _give_up(self, step: int) -> None:
        """End an asking whose answer nobody needs; what it cost is recorded."""
        if step in self._askings:
            number, asking = self._askings[step]
            self._take(step, number, asking.end())

    def _keep_time(self) -> None:
        now = self._clock.steady()
        if now - self._ticked_at > _TICK and not self._session.fold.end:
            self._ticked_at = now
            self._session.tick()

    # ---- tell

    def _pause(self) -> float:
        return _PAUSE if self._clock.steady() - self._changed_at < _WHILE else _CALM

    def _tell_news(self) -> None:
        for line in self._news.of(self._session.fold):
            self._say(line.text)

    def _tell(self, about: str, text: str) -> None:
        """Tell something once, and again when it was different in between."""
        if text and self._told.get(about) != text:
            self._say(text)
        self._told[about] = text

    def _guard(self, about: str) -> _Guard:
        return _Guard(self._tell, about)


class _Guard:
    """Whatever goes wrong inside is told, and tried again in the next turn; being superseded is the end.

    Attributes:
        failed: whether it did.
    """

    def __init__(self, tell: Callable[[str, str], None], about: str) -> None:
        self._tell = tell
        self._about = about
        self.failed = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Superseded) or not isinstance(error, OSError | OrzeError | None):
            return False
        self.failed = error is not None
        told = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        self._tell(self._about, f"{told}{where}; it is tried again" if error else "")
        return self.failed
