"""Has new ideas proposed, by a process for each round, while this host leads and its queue runs low."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from orze.config.research import Research
from orze.coord.journal import Journal
from orze.coord.leader import Leadership
from orze.core.errors import ConfigError
from orze.core.identity import lives
from orze.farm.attempts import Attempts
from orze.farm.board import Board
from orze.farm.briefing import brief_of, waiting
from orze.farm.context import Context
from orze.farm.hosts import Hosts
from orze.farm.intake import Intake
from orze.farm.problems import Problems
from orze.farm.queue import Queue
from orze.report.research import ResearchStanding
from orze.research.control import Due, Spent, View, Wait, choose, dead, due, left_of
from orze.research.job import LAST_SECONDS, Job, Outcome
from orze.research.ledger import Ledger, uuid_of
from orze.research.process import RoundProcess
from orze.research.ready import lacking
from orze.research.standing import Yield, earned, standing_of, yield_of

_LOOK: Final = 60.0  # seconds between two looks for rounds that others ran, and for hosts that came or went
_TAKEN_IN: Final = 60.0  # seconds for what a round left to be taken in by the queue
_REST: Final = 30.0  # seconds until the next round after one that could not be begun
_SHARE: Final = 20  # times what working out the yield took, until it is done again
_KILL: Final = 5.0  # seconds behind its own last ones, for a round that does not end by itself
_LATEST: Final = 500  # ideas of which it is looked up again how long they took
_HOUR: Final = 3600.0


class Researching:
    """Starts a round where one is due, and keeps what people are told of research.

    It does nothing before `begin`, and nothing at all without a block `research` in orze.yaml.
    """

    def __init__(
        self,
        context: Context,
        *,
        leadership: Leadership,
        journal: Journal,
        queue: Queue,
        intake: Intake,
        board: Board,
        hosts: Hosts,
        attempts: Attempts,
        problems: Problems,
    ) -> None:
        self._context = context
        self._settings = context.settings.researcher
        self._leadership = leadership
        self._journal = journal
        self._queue = queue
        self._intake = intake
        self._board = board
        self._hosts = hosts
        self._attempts = attempts
        self._problems = problems
        self._ledger = Ledger(context.files, context.paths, context.clock, frame=context.frame)
        self._active = False
        self._process: RoundProcess | None = None
        self._deadline = 0.0
        self._term = 0
        self._look_at = float("-inf")
        self._slots = 1
        self._seen: tuple[int, int, float] = (-1, 0, 0.0)  # rounds begun and ended, and since when
        self._ended_at: float | None = None
        self._rest_until = float("-inf")
        self._refused = self._fault = ""
        self._yield = Yield()
        self._yield_of = -1
        self._took: dict[str, float] = {}
        self._yield_at = float("-inf")
        self._decided: Due | Wait = Wait("")

    def check(self) -> None:
        """Raise ConfigError where research is configured and cannot be done on this host.

        Where a budget in US dollars is to be held, a program is asked which prices are known: seconds.
        """
        if problems := lacking(self._settings):
            raise ConfigError(problems)

    def begin(self) -> None:
        """From now on, start rounds."""
        self._active = self._settings is not None

    @property
    def dead(self) -> str:
        """Why the configured proposer counts as dead; empty where it is well."""
        return dead(self._settings, self._ledger.fold.rounds) if self._settings else ""

    def step(self) -> float:
        """Start a round if one is due; it waits for nothing.

        Returns:
            The steady time at which there is more to do.

        Raises:
            OSError: the share did not answer, or no process can be started.
        """
        if not self._active or self._settings is None:
            return float("inf")
        now = self._context.clock.steady()
        if self._process:
            if now >= self._deadline:
                self._process.kill()
            return self._deadline if now < self._deadline else float("inf")
        if self._term != self._leadership.fold.term or now >= self._look_at:
            self._look(now)
        self._show()
        self._decided = self._decide(now)
        if isinstance(self._decided, Due) and now >= self._rest_until:
            self._look(now)  # somebody may have run a round in the foreground
            self._decided = self._decide(now)
            if isinstance(self._decided, Due):
                self._start(self._decided, now)
                return self._deadline
        until = self._decided.until if isinstance(self._decided, Wait) else self._rest_until
        return min(until, self._look_at)

    def child_ended(self, pid: int, status: int) -> bool:
        """A child process of the daemon has ended; returns whether it was a round."""
        process = self._process
        if process is None or process.pid != pid:
            return False
        self._process = None
        now = self._context.clock.steady()
        with self._problems.guard("research"):
            outcome = process.ended(status, self._context.files, self._context.paths)
            self._rest_until = now + (_REST if outcome.fault else 0.0)
            self.settle(outcome, process.number)
            self._note(now)
        return True

    def settle(self, outcome: Outcome, number: int) -> None:
        """Take in what came of a round whose process was waited for: it will not record its end any more.

        Raises:
            OSError: the share did not answer; it is settled at a later look.
        """
        self._refused, self._fault = outcome.refused, outcome.fault
        self._ledger.refresh()
        self._ledger.settle(number)

    def job(self, decided: Due) -> Job:
        """What a round is told.

        Raises:
            OSError: the share did not answer.
        """
        research = self._settings or Research()
        came = self._fresh_yield()
        brief = brief_of(
            self._context,
            board=self._board,
            queue=self._queue,
            ended=self._board.leaderboard.ended(),
            hosts=self._hosts.rows(self._attempts.daemons, ""),
            arms=earned(self._ledger.fold.rounds, came),
            number=decided.number,
            count=decided.count,
            model=decided.who.model,
            left=left_of(research.budget, self._spent()),
        )
        return Job(
            brief=brief.plain(),
            proposer=decided.who.proposer,
            model=decided.who.model,
            control=decided.who.control,
            waiting=waiting(self._queue),
            timeout=research.round_timeout,
        )

    def next_round(self) -> Due | Wait:
        """The round that a person asks for now: budgets hold; queue, cooldown, target and plateau do not.

        Raises:
            OSError: the share did not answer.
        """
        research = self._settings or Research()
        self._ledger.refresh()
        self._settle_lost(self._context.clock.steady())
        self._fresh_yield()
        asked = research.model_copy(update={"target": None, "plateau": 0})
        return due(View(now=0.0, settings=asked, rounds=self._ledger.fold.rounds, spent=self._spent()))

    def standing(self) -> ResearchStanding | None:
        """What people are told; None where no research is configured."""
        research = self._settings
        if research is None:
            return None
        if not self._active:
            self._ledger.refresh()
        fold, decided = self._ledger.fold, self._decided
        stopped = isinstance(decided, Wait) and decided.final
        proposing = self._process is not None or fold.open is not None
        came = self._fresh_yield()
        told = standing_of(
            fold,
            came,
            mode=research.mode,
            proposer=choose(research, fold.rounds).name,
            state="proposing" if proposing else "stopped" if stopped else "waiting",
            why=decided.reason if isinstance(decided, Wait) else "",
            left=left_of(research.budget, self._spent()),
        )
        return replace(told, dead=self.dead)

    # ---- look

    def _look(self, now: float) -> None:
        """See what others did: rounds of the leader before, rounds in the foreground, lost ones."""
        if self._term != self._leadership.fold.term:
            self._term = self._leadership.fold.term
            self._seen = (-1, 0, 0.0)
        self._look_at = now + _LOOK
        self._ledger.refresh()
        self._note(now)
        rows = self._hosts.rows(self._attempts.daemons, "")
        self._slots = sum(len(row.cards) for row in rows)
        self._settle_lost(now)

    def _note(self, now: float) -> None:
        """Remember when rounds were first seen to have begun or ended."""
        rounds = self._ledger.fold.rounds
        ended = sum(one.ended for one in rounds[-1:]) + max(0, len(rounds) - 1)
        if (len(rounds), ended) != self._seen[:2]:
            if ended and ended != self._seen[1]:
                self._ended_at = now
            self._seen = (len(rounds), ended, now)

    def _settle_lost(self, now: float) -> None:
        """End a round whose process is gone, as far as that can be known."""
        begun = self._ledger.fold.open
        if begun is None or self._settings is None:
            return
        frame = self._ledger.fold.frame
        gone = self._context.machine.sees(frame) and not lives(int(frame["pid"]), int(frame["start"]))
        patience = self._settings.round_timeout + LAST_SECONDS + _KILL + self._context.steal
        if gone or now - self._seen[2] > patience:
            self._ledger.settle(begun.number)
            self._note(now)

    # ---- decide

    def _decide(self, now: float) -> Due | Wait:
        research = self._settings
        if research is None:
            return Wait("no research is configured", final=True)
        primary = self._board.leaderboard.primary
        came = self._fresh_yield()
        return due(
            View(
                now=now,
                settings=research,
                rounds=self._ledger.fold.rounds,
                spent=self._spent(),
                queued=self._queue.depth + self._on_its_way(now),
                slots=self._slots,
                ended_at=self._ended_at,
                paused=self._paused(),
                refused=self._refused,
                best=came.best,
                ascending=primary.ascending if primary else False,
                idle_runs=came.idle_runs,
            )
        )

    def _paused(self) -> str:
        if self._intake.behind or self._intake.due() is not None or self._intake.unregistered:
            return "ideas.md is being read"
        return next(iter(self._problems.of("disk") + self._problems.of("settings")), "")

    def _spent(self) -> Spent:
        fold = self._ledger.fold
        return Spent(fold.usd, fold.tokens, len(fold.rounds), self._yield.gpu_hours)

    def _on_its_way(self, now: float) -> int:
        """Ideas of the last round that the queue has not taken in yet; for a minute, since it may not."""
        rounds = self._ledger.fold.rounds
        if not rounds or self._ended_at is None or now > self._ended_at + _TAKEN_IN:
            return 0
        allocated = self._journal.fold.allocated
        ids = [allocated.get(uuid_of(rounds[-1].number, entry.index)) for entry in rounds[-1].entries]
        return sum(idea_id is None or idea_id not in self._queue for idea_id in ids)

    def _fresh_yield(self) -> Yield:
        """What came of the ideas; worked out anew where there are new results, and not all the time."""
        clock = self._context.clock
        now = clock.steady()
        if self._yield_of != self._board.recorded and now >= self._yield_at:
            primary = self._board.leaderboard.primary
            came = yield_of(
                self._journal.fold.allocated,
                self._board.leaderboard.ended(),
                ascending=primary.ascending if primary else False,
                noise=self._board.merit().noise,
            )
            self._yield = replace(came, gpu_hours=self._hours(came))
            self._yield_of = self._board.recorded
            self._yield_at = clock.steady() + _SHARE * (clock.steady() - now)
        return self._yield

    def _hours(self, came: Yield) -> float:
        """Hours of cards that the trainings of these ideas took, those of members included."""
        board = self._board.leaderboard
        latest = set(came.run[-_LATEST:])  # their members may still come in, or run again
        for idea_id in came.run:
            if idea_id in latest or idea_id not in self._took:
                found = [board.get(one) for one in board.members(idea_id) or [idea_id]]
                times = [one.seconds * len(one.gpu.split(",")) for one in found if one]
                self._took[idea_id] = sum(times) / _HOUR
        return sum(self._took[idea_id] for idea_id in came.run)

    # ---- act

    def _show(self) -> None:
        """What a person should look at."""
        faults = [f"{self._fault}; it is tried again"] if self._fault else []
        faults += [text] if (text := self.dead) else []
        self._problems.show("rounds of research", [f"research: {fault}" for fault in faults])

    def _start(self, decided: Due, now: float) -> None:
        self._rest_until = now + _REST
        self._process = RoundProcess(self.job(decided))
        research = self._settings
        limit = research.round_timeout if research else 0.0
        self._deadline = now + limit + LAST_SECONDS + _KILL
        self._decided = Wait(f"round {decided.number} is under way: {decided.who.name} proposes")
