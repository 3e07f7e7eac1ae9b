"""A small farm as a proposer sees it, and whole rounds on a function in the place of trainings."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orze.ideas.axes import Axis
from orze.ideas.canonical import config_key, seed_of
from orze.ideas.parse import deep_merge
from orze.research.brief import Brief
from orze.research.check import check
from orze.research.proposal import read_reply
from orze.research.proposers import make_proposer
from orze.research.study import Study, Trial

BASE: dict[str, Any] = {
    "data": {"path": "/data/digits", "seed": 0},
    "model": {"type": "mlp", "layers": [64, 64], "dropout": None, "norm": True},
    "training": {"lr": 0.001, "epochs": 30, "momentum": 0.0, "seed": 0},
}
SPACE = {"training.lr": Axis((), 1e-4, 1e-1, True), "training.epochs": Axis((), 10.0, 100.0, False, True)}


def trial(
    number: int, change: Mapping[str, Any], value: float | None, base: Mapping[str, Any] = BASE
) -> Trial:
    """What ran as idea-<number>: the base with a change."""
    config = deep_merge(base, change)
    return Trial(f"idea-{number:03d}", config, value, value is None, config_key(config), seed_of(config))


def study(trials: Sequence[Trial] = (), *, base: Mapping[str, Any] = BASE, **changes: Any) -> Study:
    """A study; names of a `Brief` change that."""
    of_brief = {
        name: changes.pop(name) for name in list(changes) if name in Brief.__slots__ and name != "queued"
    }
    ended = tuple((one.idea_id, one.value, "failed" if one.failed else "ok") for one in trials)
    told: dict[str, Any] = {
        "results": "",
        "ideas_file": "",
        "base_config": "",
        "project_dir": "/",
        "research": {},
    }
    told |= {"round": 1, "count": 4, "metric": "loss", "ascending": True, "ended": ended} | of_brief
    defaults: dict[str, Any] = {"space": SPACE, "declared": frozenset(), "rng": random.Random(told["round"])}
    return Study(brief=Brief(**told), base=base, trials=tuple(trials), **(defaults | changes))


def idea(**changes: Any) -> dict[str, Any]:
    """An idea that is valid as it is."""
    return {
        "title": "A larger step",
        "family": "optimizer",
        "hypothesis": "The loss still falls at the end.",
        "overrides": {"training": {"lr": 0.01}},
    } | changes


def search(
    name: str, start: Study, measure: Callable[[Mapping[str, Any]], float | None], runs: int
) -> list[Trial]:
    """Let a proposer work in rounds of two until so many runs have ended; all that it says must be valid."""
    trials = list(start.trials)
    number = 0
    while len(trials) < runs:
        number += 1
        ended = tuple((one.idea_id, one.value, "failed" if one.failed else "ok") for one in trials)
        brief = replace(start.brief, round=number, ended=ended)
        rng = random.Random(f"{start.brief.round}.{number}")
        now = replace(start, brief=brief, trials=tuple(trials), rng=rng)
        candidates, unread = read_reply(make_proposer(name, now, {}).propose(now, 2, [], "").text)
        checked = check(candidates, now)
        assert (checked.faults, unread) == ([], [])
        for proposal in checked.valid:
            config = deep_merge(start.base, proposal.overrides)
            trials.append(trial(len(trials) + 1, proposal.overrides, measure(config), start.base))
    return trials


def best(trials: Sequence[Trial]) -> float:
    """The smallest value."""
    return min((one.value for one in trials if one.value is not None), default=math.inf)
