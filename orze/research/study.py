"""What a proposer is given: the brief of the leader, and what the round read itself."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orze.ideas.axes import Axis
    from orze.research.brief import Brief


@dataclass(frozen=True, slots=True)
class Trial:
    """A configuration that ran to an end.

    Attributes:
        idea_id: whose it is.
        config: the merged configuration.
        value: the primary metric; None where there is none.
        failed: whether it ended without a result.
        key, seed: `config_key` and `seed_of` of the configuration.
    """

    idea_id: str
    config: Mapping[str, Any]
    value: float | None
    failed: bool
    key: str = ""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Study:
    """All that a proposer may know.

    Attributes:
        brief: what the leader told.
        base: the base configuration, nested.
        space: dotted keys to what may be searched.
        declared: the keys of it that `research.space` names; what it says of them is binding.
        trials: what ended, in the order of the brief.
        unread: how many more ended whose configuration could not be read.
        queued: `config_key` and `seed_of` of what waits or runs.
        goal: GOAL.md, cut to a bound; untrusted.
        steer: steer.md, cut to a bound; the person's word to the researcher.
        rng: the only source of chance, seeded by the round.
    """

    brief: Brief
    base: Mapping[str, Any]
    space: Mapping[str, Axis]
    declared: frozenset[str] = frozenset()
    trials: tuple[Trial, ...] = ()
    unread: int = 0
    queued: frozenset[tuple[str, int]] = frozenset()
    goal: str = ""
    steer: str = ""
    rng: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - no secret is drawn
