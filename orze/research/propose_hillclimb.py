"""The proposer `hillclimb`: changes one thing of the best configuration."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

from orze.ideas.axes import Axis
from orze.research.best import best_trial, settings_of, since
from orze.research.fresh import BASE, Flat, Fresh, Written
from orze.research.kinds import shown
from orze.research.proposers import Reply
from orze.research.space import alike, contains, draw, is_number, place, settle, span
from orze.research.study import Study

_STEPS: Final = (0.2, 0.1, 0.05, 0.025)  # standard deviations of a step, as shares of the axis
_PATIENCE: Final = 100  # tries before one thing more is changed


def propose_hillclimb(study: Study, count: int) -> Reply:
    """Mutate one value of the best configuration, `count` times or as often as the space has more.

    The first idea of a farm is the base configuration itself. Of several ideas each changes another thing, as
    far as it can. A number moves by a normally distributed step on the scale of its axis. While nothing gets
    better the steps shrink, from 0.2 to 0.025 of the axis, each size for as many runs as the space has keys;
    then they begin anew. Of an axis with points, a number moves to one near it, and any other value to any
    other. Where all that is near was tried, two things change at once, then three.
    """
    best = best_trial(study)
    fresh, written = Fresh(study, frame=settings_of(study, best)), Written("hillclimb")
    start = {key: _start(axis, fresh.frame.get(key), study.rng) for key, axis in study.space.items()}
    step = _STEPS[since(study, best) // len(start) % len(_STEPS)]
    if not study.trials and (changes := fresh.take({})) is not None:
        written.add(changes, why=BASE)
    order = study.rng.sample(sorted(start), len(start))
    while len(written.ideas) < count:
        first = len(written.ideas)

        def guess(number: int, first: int = first) -> Flat | None:
            wide = 1 + number // _PATIENCE
            keys = [order[(first + number + offset) % len(order)] for offset in range(wide)]
            moved = {key: _moved(study.space[key], start[key], step, study.rng) for key in keys}
            return None if wide > len(order) else {**start, **moved}

        changes = fresh.first(guess)
        if changes is None:
            break
        _write(written, changes, start, best.idea_id if best else "")
    return written.reply()


def _write(written: Written, changes: Flat, start: Flat, parent: str) -> None:
    moved = {key: value for key, value in changes.items() if key in start and not alike(value, start[key])}
    steps = ", ".join(f"{key} from {shown(start[key])} to {shown(value)}" for key, value in moved.items())
    best = f"{parent} is the best so far" if parent else "Nothing has a result yet"
    written.add(
        changes, told=moved, parent=parent, why=f"{best}; a step of {steps or 'the base'} may improve on it."
    )


def _start(axis: Axis, value: Any, rng: random.Random) -> Any:
    """Where a search begins: at the value of the best, if the space has it."""
    return value if contains(axis, value) else draw(axis, rng)


def _moved(axis: Axis, value: Any, step: float, rng: random.Random) -> Any:
    if axis.values:
        return _another(axis.values, value, step, rng)
    at = place(axis, value)
    return draw(axis, rng) if at is None else settle(axis, rng.gauss(at, step * span(axis)))


def _another(points: Sequence[Any], value: Any, step: float, rng: random.Random) -> Any:
    """Another point: near it where they are numbers, else any."""
    others = [point for point in points if not alike(point, value)]
    if not all(map(is_number, points)) or len(others) < 2:
        return rng.choice(others or points)
    row = sorted(points)
    at = next(number for number, point in enumerate(row) if alike(point, value))
    offset = round(rng.gauss(0, step * len(row))) or rng.choice((-1, 1))
    return row[min(max(at + offset, 0), len(row) - 1)]
