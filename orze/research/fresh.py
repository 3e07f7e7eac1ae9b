"""Configurations that nobody has tried, and the reply that proposes them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orze.ideas.axes import Axis
from orze.ideas.canonical import config_key
from orze.ideas.parse import deep_merge
from orze.research.keys import flatten, nest
from orze.research.kinds import shown
from orze.research.proposal import LONGEST_HYPOTHESIS, LONGEST_TITLE
from orze.research.proposers import ProposerError, Reply
from orze.research.space import alike, draw, points
from orze.research.study import Study

_TRIES: Final = 1000
_COUNTABLE: Final = 10_000  # configurations of a space that is gone through one by one at last
_NOTHING: Final = (
    "there is nothing to vary: the base configuration has no number that could change; give research.space"
)

BASE: Final = "What everything starts from, and is compared with."

Flat = dict[str, Any]


class Fresh:
    """Tells what was tried from what was not, and remembers what it gave out.

    Args:
        study: what is known.
        frame: what every configuration has besides the searched values, flat; what it changes in the base.
        space: what is searched; that of the study, where it is not given.

    Attributes:
        space, frame: as they were given.

    Raises:
        ProposerError: there is nothing to search.
    """

    def __init__(
        self, study: Study, *, frame: Mapping[str, Any] | None = None, space: Mapping[str, Axis] | None = None
    ) -> None:
        self.space = dict(study.space if space is None else space)
        self.frame = dict(frame or {})
        self._base = study.base
        self._flat_base = flatten(study.base)
        self._rng = study.rng
        self._taken = {key for key, _ in study.queued} | {trial.key for trial in study.trials}
        if not self.space:
            raise ProposerError(_NOTHING)

    def take(self, values: Mapping[str, Any]) -> Flat | None:
        """What must be changed in the base to have these values; None where that was tried or given out.

        Args:
            values: by dotted key; they win over the frame.
        """
        wanted = {**self.frame, **values}
        changes = {
            key: value
            for key, value in wanted.items()
            if key not in self._flat_base or not alike(self._flat_base[key], value)
        }
        key = config_key(deep_merge(self._base, nest(changes)))
        if key in self._taken:
            return None
        self._taken.add(key)
        return changes

    def first(self, guess: Callable[[int], Mapping[str, Any] | None]) -> Flat | None:
        """What the first guess that is new changes; where guessing does not help, any configuration left.

        Args:
            guess: given the number of the try, from 0, tells the values, or None to give up.

        Returns:
            The changes; None where nothing is left.
        """
        for number in range(_TRIES):
            values = guess(number)
            if values is None:
                break
            if (changes := self.take(values)) is not None:
                return changes
        return self._any()

    def drawn(self, _: int = 0) -> Flat | None:
        """Values for every key of the space, drawn independently: a guess for `first`."""
        return {key: draw(axis, self._rng) for key, axis in self.space.items()}

    def _any(self) -> Flat | None:
        count = points(self.space)
        if count is None or count > _COUNTABLE:
            tries = (self.take(self.drawn() or {}) for _ in range(_TRIES))
            return next((changes for changes in tries if changes is not None), None)
        choices = [_every(axis) for axis in self.space.values()]
        rows = list(itertools.product(*choices))
        self._rng.shuffle(rows)
        tries = (self.take(dict(zip(self.space, row, strict=True))) for row in rows)
        return next((changes for changes in tries if changes is not None), None)


def _every(axis: Axis) -> Sequence[Any]:
    """All values of an axis that can be counted."""
    if axis.values or axis.low is None or axis.high is None:
        return axis.values
    return range(round(axis.low), round(axis.high) + 1)


@dataclass(slots=True)
class Written:
    """The ideas of a reply that a program makes.

    Attributes:
        family: the category of all of them.
        ideas: as they stand in the reply.
    """

    family: str
    ideas: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        changes: Mapping[str, Any],
        *,
        why: str,
        told: Mapping[str, Any] | None = None,
        parent: str = "",
        space: Mapping[str, Any] | None = None,
    ) -> None:
        """Add one idea.

        Args:
            changes: dotted keys to values, in place of those of the base.
            why: its hypothesis.
            told: those of them that its title tells; all, where it is not given.
            parent: the idea that it builds on; empty for the base configuration.
            space: the axes in which its values may be searched further, as they are written.
        """
        named = changes if told is None else told
        title = ", ".join(f"{key.rpartition('.')[2]} {shown(value)}" for key, value in named.items())
        self.ideas.append(
            {
                "title": _cut(title or "The base configuration", LONGEST_TITLE),
                "family": self.family,
                "parent": parent or None,
                "hypothesis": _cut(why, LONGEST_HYPOTHESIS),
                "evidence": [parent] if parent else [],
                "overrides": dict(changes),
                "space": dict(space) if space else None,
            }
        )

    def reply(self) -> Reply:
        """The reply.

        Raises:
            ProposerError: it has no idea, as nothing is left to try.
        """
        if not self.ideas:
            raise ProposerError("every configuration of the search space was tried; widen research.space")
        return Reply(json.dumps({"ideas": self.ideas}))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
