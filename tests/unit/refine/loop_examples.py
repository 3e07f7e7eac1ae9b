"""A loop between a real repository and a farm and a model of paper; what outlives a crash can be copied."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from userrepo import git, make

from orze.config.refine import Budget
from orze.core.clock import ManualClock
from orze.core.memory import MemoryFiles
from orze.ideas.merge import renumber
from orze.ideas.parse import parse
from orze.refine.asking import Answer
from orze.refine.farm_link import Where
from orze.refine.fold import SessionFold
from orze.refine.history import History, refs_of
from orze.refine.loop import Loop
from orze.refine.making import Maker, Rules
from orze.refine.model import End, Ended, Outcome
from orze.refine.repository import Repository
from orze.refine.session import Session, settings_of
from orze.refine.table import Row, rows
from orze.refine.terms import Terms
from orze.research.prompt import Prompt

COMMAND = "python train.py"
TERMS = Terms("loss", ascending=True)
NAME = "s"
RULES = Rules()


def edit(old: str, new: str, hypothesis: str = "It may be better.") -> str:
    """A reply that changes the one line of value.txt."""
    block = f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"
    return f"HYPOTHESIS: {hypothesis}\n\nFILE: value.txt\n{block}"


class PaperFarm:
    """A farm in which a run ends at the second look; its value is what value.txt of its commit holds.

    Attributes:
        runs: section by uuid, in the order of their coming.
        ends: what becomes of a run, by its uuid, where it is something else.
        held: uuids of runs that do not end before they are stopped.
    """

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.runs: dict[str, str] = {}
        self.looked: set[str] = set()
        self.ends: dict[str, Outcome] = {}
        self.held: set[str] = set()
        self.stopped: list[str] = []
        self.quiet = 0.0

    def enqueue(self, uuid: str, section: str) -> None:
        self.runs.setdefault(uuid, section)

    def look(self, uuids: Iterable[str]) -> Mapping[str, Where]:
        return {uuid: self._where(uuid) for uuid in uuids}

    def stop(self, idea_id: str) -> None:
        self.stopped.append(idea_id)

    def silent(self) -> float:
        return self.quiet

    def _where(self, uuid: str) -> Where:
        if uuid not in self.runs:
            return Where(left=False)
        idea_id = f"idea-{list(self.runs).index(uuid) + 1:03d}"
        if idea_id in self.stopped:
            return Where(idea_id, outcome=Outcome(Ended.STOPPED, error="stopped by an operator"))
        if uuid not in self.looked or uuid in self.held:
            self.looked.add(uuid)
            return Where(idea_id)
        return Where(idea_id, outcome=self.ends.get(uuid) or self._ran(uuid))

    def _ran(self, uuid: str) -> Outcome:
        idea = parse(renumber(self.runs[uuid], "idea-1"), path="", line=1)
        value = float(git(self.repository, "show", f"{idea.commit}:value.txt"))
        return Outcome(Ended.COMPLETED, (value,) * idea.repeats, {"loss": value}, seconds=2.0)


class PaperModel:
    """Whoever is asked says what is written for the step and try; each asking is noted.

    Attributes:
        replies: by step and try.
        asked: step and try of each asking, in order.
    """

    def __init__(self, replies: Mapping[tuple[int, int], str]) -> None:
        self.replies = dict(replies)
        self.asked: list[tuple[int, int]] = []
        self.faults: list[tuple[str, ...]] = []
        self.cost: tuple[float | None, int] = (0.5, 100)
        self.slow = False

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def prepare(self, fold: SessionFold, step: int, number: int, faults: tuple[str, ...]) -> Prompt:
        self.faults.append(faults)
        return Prompt("", "")

    def most(self, prepared: Prompt, *, in_usd: bool) -> tuple[float | None, int]:
        return self.cost

    def ask(self, fold: SessionFold, step: int, number: int, prepared: Prompt) -> SimpleNamespace:
        self.asked.append((step, number))
        text = self.replies.get((step, number), "")
        fault = "" if text else "nobody is there"
        answer = Answer(text=text, usd=0.25, tokens=50, fault=fault)
        given_up = Answer(usd=self.cost[0], tokens=self.cost[1], fault="given up", passing=True)
        return SimpleNamespace(poll=lambda: None if self.slow else answer, end=lambda: given_up)

    def collect(self, fold: SessionFold, step: int, number: int, answer: Answer) -> Answer:
        return answer


class Points(MemoryFiles):
    """A directory in which `point` is called behind each record."""

    point: Callable[[], None] = staticmethod(lambda: None)

    def link(self, source: str, target: str) -> None:
        super().link(source, target)
        self.point()


class PointedRepository(Repository):
    """A repository in which `point` is called before and behind each change of a ref."""

    point: Callable[[], None] = staticmethod(lambda: None)

    def set_ref(self, name: str, new: str, old: str | None) -> None:
        self.point()
        super().set_ref(name, new, old)
        self.point()


class World:
    """All that outlives a loop, and loops in it.

    Args:
        top: of the repository, made here where it is not there.
    """

    def __init__(
        self,
        top: Path,
        replies: Mapping[tuple[int, int], str],
        *,
        terms: Terms = TERMS,
        runs: int | None = 4,
        rules: Rules = RULES,
    ):
        self.top, self.terms, self.rules = top, terms, rules
        self.budget = Budget(runs=runs)
        make(top, {"value.txt": "8\n", "train.py": "print(1)\n"})
        self.files = Points()
        self.files.mkdir("/s")
        self.farm, self.model = PaperFarm(top), PaperModel(replies)
        self.said: list[str] = []
        self.daemon: Any = None
        self.clock = ManualClock()
        self.wishes = SimpleNamespace(stop=False, stop_now=False, at_once=False, away=False)
        self.point: Callable[[], None] = lambda: None
        self.session = Session(self.files, "/s/chain", self.clock)
        settings, base = settings_of(terms), git(top, "rev-parse", "HEAD")
        self.session.begin(NAME, base=base, command=COMMAND, settings=settings, budget=self.budget)

    def copy(self, top: Path) -> World:
        """The same as it is on its disks now."""
        shutil.copytree(self.top, top)
        made = copy.copy(self)
        made.top, made.point = top, lambda: None
        made.files = copy.deepcopy(self.files, {id(self.files.point): made.point})
        made.farm, made.model = copy.deepcopy(self.farm), copy.deepcopy(self.model)
        made.farm.repository = top
        made.said = []
        return made

    def loop(self) -> Loop:
        """A new process that takes the session."""
        self.files.point = self.point
        repository = PointedRepository(self.top)
        repository.point = self.point
        self.session = Session(self.files, "/s/chain", self.clock)
        self.session.take(settings_of(self.terms))
        history = History(repository, NAME)
        farm = self.farm
        enqueue = farm.enqueue

        def pointed(uuid: str, section: str) -> None:
            enqueue(uuid, section)
            self.point()

        return Loop(
            self.session,
            history=history,
            maker=Maker(history, self.rules),
            proposer=self.model,
            farm=SimpleNamespace(look=farm.look, stop=farm.stop, silent=farm.silent, enqueue=pointed),
            daemon=self.daemon,
            command=COMMAND,
            seconds=None,
            wishes=self.wishes,
            clock=self.clock,
            say=self.said.append,
        )

    def run(self) -> End:
        """Work to the end."""
        end = self.loop().run()
        assert end is not None
        return end

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is recorded of the steps."""
        return rows(self.session.fold)

    def branch(self) -> list[str]:
        """What value.txt held in each commit of the branch, the first one first."""
        shas = git(self.top, "rev-list", "--reverse", f"refs/heads/revis/{NAME}").split()
        return [git(self.top, "show", f"{sha}:value.txt") for sha in shas]

    def refs(self) -> dict[str, str]:
        """The refs of the steps, by the last part of their names."""
        lines = git(self.top, "for-each-ref", "--format=%(refname) %(objectname)", refs_of(NAME)).splitlines()
        return {name.rpartition("/")[2]: sha for name, sha in (line.split() for line in lines)}
