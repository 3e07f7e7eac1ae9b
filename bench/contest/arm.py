"""One arm on its way through a task: it asks a proposer, checks what is proposed, runs it, and chooses."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contest.history import Past, shuffled, study_of
from contest.task import SPACE, Entry
from orze.attempt.spec import INPUT, SECTION
from orze.core.errors import OrzeError
from orze.core.paths import FarmPaths
from orze.ideas.merge import renumber
from orze.ideas.parse import deep_merge
from orze.research.check import check
from orze.research.keys import nest
from orze.research.price import CALLS
from orze.research.proposal import Proposal, read_reply
from orze.research.proposers import make_proposer
from orze.research.section import section_of
from orze.research.study import Study

PER_ROUND = 4  # ideas, as research.ideas_per_round
EMPTY_ROUNDS = 3  # one behind another, and an arm gives up


@dataclass(frozen=True)
class Arm:
    """Who proposes, and whether it is told the truth.

    Attributes:
        mode: as in orze.yaml.
        settings: further keys of the block `research`.
        placebo: the outcomes that it is told of are shuffled among the ideas.
    """

    name: str
    mode: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    placebo: bool = False


@dataclass(frozen=True)
class Budget:
    """What an arm may use behind the start, which all share: so many runs, or so many CPU seconds."""

    runs: int
    seconds: float


@dataclass(frozen=True)
class Step:
    """One run.

    Attributes:
        clock: CPU seconds of proposing and training, from the start to the end of this run.
        proposed, valid: ideas from the start to the round of this run.
    """

    config: Mapping[str, Any]
    loss: float | None
    clock: float
    proposed: int
    valid: int


@dataclass(frozen=True)
class Chosen:
    """What an arm has to show at the end of a budget.

    Attributes:
        loss: validation loss of what it chose; test_loss, test_accuracy: of the same, by the test split.
        seconds: CPU seconds up to the last run that was counted.
        proposed, valid, run: ideas so far, the start not counted.
    """

    loss: float
    test_loss: float
    test_accuracy: float
    seconds: float
    proposed: int
    valid: int
    run: int


@dataclass(frozen=True)
class Played:
    """The whole way of an arm: its choice at the end of either budget, the best loss by each run, faults."""

    by_runs: Chosen
    by_seconds: Chosen
    curve: list[float]
    faults: list[str]


def play(arm: Arm, entry: Entry, budget: Budget, home: Path) -> Played:
    """Let an arm run until both budgets are used up, choose for each by validation, then open the test split.

    No proposer is told of the budgets, so what it did up to either end is what it would have done with that
    budget alone.

    Args:
        home: an empty directory for the files of its farm.
    """
    way = _Way(arm, entry, home)
    while len(way.steps) <= budget.runs or way.clock < budget.seconds:
        if way.empty >= EMPTY_ROUNDS:
            break
        way.round()
    cuts = [way.steps[: budget.runs + 1], [step for step in way.steps if step.clock <= budget.seconds]]
    best = [_best(cut) for cut in cuts]
    scores = entry.finish([step.config for step in best])
    by_runs, by_seconds = (
        Chosen(
            loss=step.loss or 0.0,
            test_loss=score["test_loss"],
            test_accuracy=score["test_accuracy"],
            seconds=cut[-1].clock,
            proposed=cut[-1].proposed,
            valid=cut[-1].valid,
            run=len(cut) - 1,
        )
        for step, score, cut in zip(best, scores, cuts, strict=True)
    )
    return Played(by_runs, by_seconds, _curve(cuts[0]), way.faults)


def _best(steps: Sequence[Step]) -> Step:
    """The step with the least validation loss; the first one is the common start and has one."""
    return min((step for step in steps if step.loss is not None), key=lambda step: step.loss or 0.0)


def _curve(steps: Sequence[Step]) -> list[float]:
    losses = [float("inf") if step.loss is None else step.loss for step in steps]
    return list(itertools.accumulate(losses, min))


class _Way:
    """An arm's farm: what it ran, and how long that took."""

    def __init__(self, arm: Arm, entry: Entry, home: Path) -> None:
        self._arm, self._entry, self._home = arm, entry, home
        self._results = str(home / "results")
        self._past: list[Past] = []
        self._proposed = self._valid = self._rounds = self._ideas = 0
        self.steps: list[Step] = []
        self.clock = 0.0
        self.empty = 0
        self.faults: list[str] = []
        start = Proposal("The base configuration", "baseline", "Everything starts from it.", {})
        self._run(start, "")

    def round(self) -> None:
        """Ask once, and run what is valid."""
        self._rounds += 1
        begun = _cpu()
        kept = self._ask()
        self.clock += _cpu() - begun
        self.empty = 0 if kept else self.empty + 1
        for proposal, who in kept:
            self._run(proposal, who)

    def _ask(self) -> list[tuple[Proposal, str]]:
        """As a round of a farm asks: what can be mended is asked for again, twice."""
        study = self._study()
        kept: list[tuple[Proposal, str]] = []
        faults: list[str] = []
        last, taken, most = "", set(study.queued), 0
        try:
            proposer = make_proposer(self._arm.mode, study, study.brief.research)
            for _ in range(CALLS if proposer.repairs else 1):
                wanted = PER_ROUND - len(kept)
                reply = proposer.propose(study, wanted, faults, last)
                candidates, faults = read_reply(reply.text)
                most, last = max(most, len(kept) + len(candidates)), reply.text
                checked = check(candidates, study, queued_keys=taken)
                kept += [(proposal, reply.arm or self._arm.mode) for proposal in checked.valid[:wanted]]
                taken |= {run for proposal, _ in kept for run in proposal.runs}
                faults = [*faults, *checked.faults]
                if not faults or len(kept) >= PER_ROUND:
                    break
        except OrzeError as error:
            faults = [*faults, str(error)]
        self.faults += [f"round {self._rounds}: {fault}" for fault in faults]
        self._proposed += most
        self._valid += len(kept)
        return kept

    def _study(self) -> Study:
        chance = f"{self._entry.task.pair} {self._rounds}"  # the same for all arms of a pair
        past = shuffled(self._past, chance) if self._arm.placebo else self._past
        return study_of(
            past,
            self._entry.task.base,
            number=self._rounds,
            count=PER_ROUND,
            chance=chance,
            results=self._results,
            project_dir=str(self._home),
            research={"mode": self._arm.mode, "space": SPACE, **self._arm.settings},
        )

    def _run(self, proposal: Proposal, who: str) -> None:
        """Run an idea, or every member of its sweep; its section lies where a farm keeps it."""
        self._ideas += 1
        name = f"idea-{self._ideas:03d}"
        section = renumber(section_of(proposal, f"round {self._rounds}, {who}"), name)
        for at, config in enumerate(_configs(proposal, self._entry.task.base), 1):
            own = f"{name}.{at}" if proposal.sweeps else name
            place = Path(FarmPaths(self._results).idea(own).projection("latest"), INPUT, SECTION)
            place.parent.mkdir(parents=True)
            place.write_text(section, encoding="utf-8")
            ran = self._entry.run(config)
            self.clock += ran.seconds if self.steps else 0.0
            self.steps.append(Step(config, ran.loss, self.clock, self._proposed, self._valid))
            self._past.append(Past(own, proposal.title, proposal.family, proposal.parent, who, config, ran))


def _configs(proposal: Proposal, base: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a proposal runs: one configuration, or those of its sweep."""
    merged = deep_merge(base, proposal.overrides)
    axes = proposal.space if proposal.sweeps else {}
    for values in itertools.product(*(axis.values for axis in axes.values())):
        yield deep_merge(merged, nest(dict(zip(axes, values, strict=True))))


def _cpu() -> float:
    """CPU seconds of this process and of the children that it waited for."""
    return sum(os.times()[:4])
