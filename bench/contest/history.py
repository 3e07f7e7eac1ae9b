"""What an arm has run, and the brief and study that a farm would make of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contest.task import METRIC, SPACE, Ran
from orze.ideas.canonical import config_key, seed_of
from orze.research.brief import Arm, Brief, Failure, Known
from orze.research.control import improvements
from orze.research.opening import declared_space
from orze.research.study import Study, Trial

GOAL = "Find the configuration with the lowest validation loss that three epochs on the digits allow."


@dataclass(frozen=True)
class Past:
    """One idea that ran.

    Attributes:
        arm: who proposed it; empty for the start that all arms share.
        ran: what came of it, as the proposer is told.
    """

    idea_id: str
    title: str
    family: str
    parent: str
    arm: str
    config: Mapping[str, Any]
    ran: Ran


def study_of(
    past: Sequence[Past], base: Mapping[str, Any], *, number: int, count: int, chance: str, **more: Any
) -> Study:
    """What a proposer is told in one round.

    Args:
        past: what ran, in its order.
        number: of the round.
        count: how many ideas are wanted.
        chance: seed of the round's only source of chance.
        more: further fields of the brief: its paths, and `research`.
    """
    brief = replace(_brief(past, number, count), **more)
    space = declared_space(SPACE, base)
    rng = random.Random(chance)
    return Study(brief, base, space, frozenset(space), tuple(map(_trial, past)), goal=GOAL, rng=rng)


def shuffled(past: Sequence[Past], chance: str) -> list[Past]:
    """The same ideas, with what came of each given to another one: feedback that teaches nothing."""
    outcomes = [one.ran for one in past]
    random.Random(chance).shuffle(outcomes)
    return [replace(one, ran=ran) for one, ran in zip(past, outcomes, strict=True)]


def _trial(past: Past) -> Trial:
    config, loss = past.config, past.ran.loss
    return Trial(past.idea_id, config, loss, loss is None, config_key(config), seed_of(config))


def _brief(past: Sequence[Past], number: int, count: int) -> Brief:
    known = [_known(one) for one in past]
    good = sorted((one for one in known if one.value is not None), key=lambda one: one.value or 0.0)
    values = [(one.idea_id, one.value) for one in known if one.value is not None]
    better = improvements(values, ascending=True, noise=None)
    order = {one.idea_id: at for at, one in enumerate(past, 1)}
    families = {one.family: one for one in reversed(good)}  # the best of each comes last and stays
    return Brief(
        round=number,
        count=count,
        metric=METRIC,
        ascending=True,
        results="",
        ideas_file="",
        base_config="",
        project_dir="",
        research={},
        verdict=f"best so far, one run: {good[0].idea_id}" if good else "",
        baseline=past[0].ran.loss if past else None,
        baseline_n=min(1, len(past)),
        top=tuple(good[:8]),
        families=tuple(sorted(families.values(), key=lambda one: one.value or 0.0)[:12]),
        recent=tuple(known[:-9:-1]),
        failures=tuple(_failures(past)),
        trend=tuple((order[idea_id], value) for idea_id, value in [*values[:1], *better][-30:]),
        arms=tuple(_arms(past, {idea_id for idea_id, _ in better})),
        timeout=60.0,
        ended=tuple((one.idea_id, one.ran.loss, "failed" if one.ran.loss is None else "ok") for one in past),
    )


def _known(past: Past) -> Known:
    failed = past.ran.loss is None
    return Known(
        past.idea_id,
        past.title,
        past.family,
        past.parent,
        state="FAILED" if failed else "COMPLETED",
        cause="reported" if failed else "",
        error=past.ran.error,
        value=past.ran.loss,
        mean=past.ran.loss,
        n=int(not failed),
        seconds=past.ran.seconds,
    )


def _failures(past: Sequence[Past]) -> list[Failure]:
    errors = [one.ran.error for one in past if one.ran.loss is None]
    return [Failure("reported", len(errors), errors[-1])] if errors else []


def _arms(past: Sequence[Past], better: set[str]) -> list[Arm]:
    ran = Counter(one.arm for one in past if one.arm)
    improved = Counter(one.arm for one in past if one.idea_id in better)
    return [Arm(name, left=count, run=count, improved=improved[name]) for name, count in ran.items()]
