"""Runs plans: one, many, and the smallest that still breaks what a large one broke."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orze.core.errors import OrzeError
from tests.model.invariants import Violation
from tests.model.machinery import installed
from tests.model.plan import Plan, draw
from tests.model.scheduler import Endless
from tests.model.settings import scratch_folder
from tests.model.world import World

_SHRINKS = 60  # further runs that looking for a smaller plan may cost
_SHOWN = 400  # lines of a trace


@dataclass
class Outcome:
    """What came of one run.

    Attributes:
        broken: the sentence of the broken promise; empty where all were kept.
        overlaps: turns in which two attempts at one idea computed at once, within what the lease allows.
    """

    plan: Plan
    broken: str = ""
    steps: int = 0
    seconds: float = 0.0
    overlaps: int = 0
    faults: Counter[str] = field(default_factory=Counter)


@contextmanager
def laboratory() -> Iterator[Path]:
    """Put the simulated system below the product's code, with a directory for ideas.md."""
    folder = scratch_folder()
    try:
        with installed():
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(plan: Plan, folder: Path, trace: list[tuple[Any, ...]] | None = None) -> Outcome:
    """Run one plan, within a laboratory."""
    world = World(plan, folder, trace=trace)
    broken = ""
    try:
        world.run()
    except (Violation, Endless) as found:
        broken = str(found)
    except (Exception, OrzeError) as found:  # a traceback in a daemon or keeper breaks a promise as well
        broken = f"{type(found).__name__} in a process of the farm: {found}"
    return Outcome(plan, broken, world.scheduler.steps, world.scheduler.now, world.overlaps, world.counts)


def first_broken(plans: Iterable[Plan], folder: Path) -> Outcome | None:
    """Run plans until one breaks a promise."""
    return next((found for found in (run(plan, folder) for plan in plans) if found.broken), None)


def shrink(outcome: Outcome, folder: Path) -> Outcome:
    """Leave out faults, ideas and hosts for as long as something still breaks."""
    best, tries = outcome, 0
    changed = True
    while changed and tries < _SHRINKS:
        changed = False
        for smaller in _smaller(best.plan):
            tries += 1
            found = run(smaller, folder)
            if found.broken:
                best, changed = found, True
                break
            if tries >= _SHRINKS:
                break
    return best


def _smaller(plan: Plan) -> Iterator[Plan]:
    for number in range(len(plan.faults)):
        yield plan.without(number)
    if len(plan.ideas) > 1:
        yield replace(plan, ideas=plan.ideas[:-1])
    if len(plan.hosts) > 1:
        yield replace(plan, hosts=plan.hosts[:-1])
    if plan.evaluate:
        yield replace(plan, evaluate=False)
    for number, idea in enumerate(plan.ideas):
        if idea.helper or idea.stubborn or idea.ends != "well":
            plain = replace(idea, helper=False, stubborn=False, ends="well")
            yield replace(plan, ideas=(*plan.ideas[:number], plain, *plan.ideas[number + 1 :]))


def report(outcome: Outcome, folder: Path) -> str:
    """The broken promise, the smallest plan that breaks one, what happened in it, and how to see it again."""
    small = shrink(outcome, folder)
    trace: list[tuple[Any, ...]] = []
    run(small.plan, folder, trace)
    lines = [
        f"seed {outcome.plan.seed}: {outcome.broken}",
        f"again: PYTHONHASHSEED=0 python tests/model/campaign.py --seed {outcome.plan.seed}",
        f"shrunk to: {small.plan}",
        f"which breaks: {small.broken}",
        f"its last {_SHOWN} calls (virtual seconds, process, call, path, outcome):",
        *(_line(entry) for entry in trace[-_SHOWN:]),
        f"{small.seconds:10.3f} {small.broken}",
    ]
    return "\n".join(lines)


def _line(entry: tuple[Any, ...]) -> str:
    time, who, call, path, outcome = entry
    shown = str(path).replace("/farm/results", "")
    return f"{time:10.3f} {who:<22} {call:<11} {shown} -> {outcome}"


def seeds(first: int, count: int) -> Iterator[Plan]:
    """The plans of consecutive seeds."""
    return map(draw, range(first, first + count))


def hashing_is_fixed() -> bool:
    """Whether sets of strings have the same order in every process, without which no seed replays exactly."""
    return os.environ.get("PYTHONHASHSEED") == "0"
