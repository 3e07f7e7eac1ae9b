"""Whether an attempt is hopeless, by its curve and those of others: the two rules of `research.prune`."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

from orze.farm.curves import Curve
from orze.report.text import number

REDUCTION: Final = 4  # of what reaches a rung so many-th part goes on; the paper's eta
_MEDIAN_FROM: Final = 4  # nothing is stopped in the first quarter of the way
_RUNG_FROM: Final = REDUCTION**2  # the lowest rung: two of them before the end


class Bounds(NamedTuple):
    """What keeps the rules from judging too early.

    Attributes:
        first: step before which nothing is stopped; None: a part of `length`.
        length: how many steps a run has that goes to its end; None where that is not known.
        runs: how many others must have got as far.
    """

    first: int | None
    length: int | None
    runs: int

    def begin(self, part: int) -> int | None:
        """The first step at which to judge; None where that is not known yet."""
        if self.first is not None:
            return self.first
        return None if self.length is None else max(1, self.length // part)


def by_median(mine: Curve, ended: Sequence[Curve], bounds: Bounds) -> str:
    """The median stopping rule.

    An attempt is hopeless if its best value so far is worse than the median of what the runs that ended had
    reached by the same step. Source: Golovin et al., Google Vizier (KDD 2017), section 3.2.2, with the best
    value of the others in place of their running average, as both sides are then measured alike.

    Args:
        ended: curves of runs that ended; those that did not get as far have no say.

    Returns:
        The reason to stop it, for people; empty where there is none.
    """
    begin = bounds.begin(_MEDIAN_FROM)
    own, there = mine.cost(mine.last), _costs(mine, ended, mine.last)
    if begin is None or own is None or mine.last < begin or len(there) < bounds.runs:
        return ""
    middle = median(there)
    if own <= middle:
        return ""
    return f"{_at(mine, mine.last, own)}, the median of {len(there)} others there is {_shown(mine, middle)}"


def rung(mine: Curve, bounds: Bounds) -> int:
    """The highest rung that a curve has reached, from 0; -1 below the lowest or where none is known yet."""
    begin = bounds.begin(_RUNG_FROM)
    reached = -1
    while begin is not None and mine.last >= begin * REDUCTION ** (reached + 1):
        reached += 1
    return reached


def by_rungs(mine: Curve, others: Sequence[Curve], bounds: Bounds, reached: int) -> str | None:
    """Asynchronous successive halving, in the form that stops instead of promoting.

    The rungs are geometric: the first step, 4 times that, 16 times that. An attempt that reaches one is
    hopeless unless it is among the best quarter (one at least) of all that have reached it by then. Source:
    Li et al., A System for Massively Parallel Hyperparameter Tuning (MLSys 2020), algorithm 2.

    Args:
        others: curves of runs that run or have ended, stopped ones too: without them, the bar would rise
            with each that is stopped.
        reached: the rung, from `rung`.

    Returns:
        The reason to stop it, for people; empty where it may go on; None where it is too early to tell.
    """
    begin = bounds.begin(_RUNG_FROM)
    if begin is None or reached < 0:
        return None
    step = begin * REDUCTION**reached
    own, there = mine.cost(step), _costs(mine, others, step)
    if own is None or len(there) < bounds.runs:
        return None
    places = max(1, (len(there) + 1) // REDUCTION)
    better = sum(cost < own for cost in there)
    if better < places:
        return ""
    return f"{_at(mine, step, own)}, {better} of {len(there)} others there are better and {places} may go on"


def _costs(mine: Curve, others: Sequence[Curve], step: int) -> list[float]:
    """What others of the same kind of steps had reached by a step."""
    found = (other.cost(step) for other in others if other.axis == mine.axis)
    return [cost for cost in found if cost is not None]


def _at(mine: Curve, step: int, cost: float) -> str:
    return f"pruned at {mine.axis} {step}: {mine.metric} {_shown(mine, cost)}"


def _shown(mine: Curve, cost: float) -> str:
    return number(mine.value(cost))
