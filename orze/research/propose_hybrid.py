"""The proposer `hybrid`: a model or a command proposes families and spaces, TPE tunes numbers in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from orze.attempt.spec import INPUT, SECTION
from orze.core.errors import OrzeError
from orze.core.files import RealFiles
from orze.core.paths import FarmPaths
from orze.ideas.axes import Axis
from orze.ideas.parse import parse
from orze.research.bandit import choose
from orze.research.best import best_trial, settings_of
from orze.research.fresh import Flat, Fresh, Written
from orze.research.proposal import LONGEST_FAMILY
from orze.research.propose_optuna import Tpe
from orze.research.proposers import Proposer, ProposerError, Reply, make_proposer
from orze.research.section import SPACE
from orze.research.study import Study
from orze.research.vocabulary import Vocabulary

TUNING: Final = "tuning"
_SECTION_LIMIT: Final = 256 << 10
_WHY: Final = "The values of {keys} are tuned around {parent}, in the space that it was proposed with."


@dataclass(frozen=True, slots=True)
class _Place:
    """Where numbers are tuned.

    Attributes:
        idea_id, family: the best of its family.
        frame: what is kept of its configuration, flat.
        space: what is searched.
        axes: how that was written; empty where it is the search space of the farm.
    """

    idea_id: str
    family: str
    frame: Mapping[str, Any]
    space: Mapping[str, Axis]
    axes: Mapping[str, Any] = field(default_factory=dict)


class Hybrid:
    """Asks a model or a command, or tunes what those proposed: by turns, as each earns it.

    An idea of the first arm may come with a space, which its section keeps in the field `Space`. The second
    arm takes one of the best families that have one, tells TPE of all that ran in this very space, and asks
    it; where Optuna is missing, it draws at random. Where no family has a space, it searches that of the farm
    around the best. While nothing has a result, the first arm is asked.
    """

    def __init__(self, study: Study, settings: Mapping[str, Any]) -> None:
        """Choose the arm of this round.

        Raises:
            ProposerError: the chosen one cannot work.
        """
        ideas = "llm" if settings.get("model") else "command"
        earned = {arm.name: (arm.run, arm.improved) for arm in study.brief.arms}
        arms = {name: earned.get(name, (0, 0)) for name in (ideas, TUNING)}
        has_results = any(not trial.failed for trial in study.trials)
        self._arm = choose(arms, study.rng) if has_results else ideas
        self._asked: Proposer | None = None if self._arm == TUNING else make_proposer(ideas, study, settings)

    @property
    def repairs(self) -> bool:
        """Whether the arm of this round can repair its reply."""
        return self._asked is not None and self._asked.repairs

    def propose(self, study: Study, count: int, faults: Sequence[str], last: str, /) -> Reply:
        """Propose by the arm of this round.

        Raises:
            ProposerError: the arm cannot.
        """
        if self._asked is not None:
            return replace(self._asked.propose(study, count, faults, last), arm=self._arm)
        return replace(tune(study, count), arm=TUNING)


def tune(study: Study, count: int) -> Reply:
    """Propose numbers inside one of the best families.

    Raises:
        ProposerError: nothing is left to try.
    """
    places = list(_places(study))
    while len(places) > 1:  # the best half of the time, the second a quarter, and so on
        chosen = next((place for place in places[:-1] if study.rng.random() < 0.5), places[-1])
        written = _tuned(study, chosen, count)
        if written.ideas:
            return written.reply()
        places.remove(chosen)
    return _tuned(study, places[0], count).reply()


def _tuned(study: Study, place: _Place, count: int) -> Written:
    written = Written(place.family[:LONGEST_FAMILY])
    fresh = Fresh(study, frame=place.frame, space=place.space)
    guess: Callable[[int], Flat | None]
    try:
        guess = Tpe(study, place.space, frame=place.frame).guess
    except ProposerError:  # Optuna is an extra
        guess = fresh.drawn
    why = _WHY.format(keys=", ".join(place.space), parent=place.idea_id or "the base configuration")
    while len(written.ideas) < count and (changes := fresh.first(guess)) is not None:
        told = {key: value for key, value in changes.items() if key in place.space}
        written.add(changes, why=why, told=told, parent=place.idea_id, space=place.axes)
    return written


def _places(study: Study) -> Iterator[_Place]:
    """The best of the families that were proposed with a space, best first; at last the space of the farm."""
    trials = {trial.idea_id: trial for trial in study.trials if not trial.failed}
    vocabulary = Vocabulary(study)
    for known in study.brief.families:
        if trial := trials.get(known.idea_id):
            axes = _axes_of(study.brief.results, known.idea_id)
            space, faults = vocabulary.space(axes)
            if space and not faults:
                frame = _less(settings_of(study, trial), space)
                yield _Place(trial.idea_id, known.family or "tuning", frame, space, axes)
    best = best_trial(study)
    frame = _less(settings_of(study, best), study.space)
    yield _Place(best.idea_id if best else "", "tuning", frame, study.space)


def _less(settings: Mapping[str, Any], space: Mapping[str, Axis]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in space}


def _axes_of(results: str, idea_id: str) -> dict[str, Any]:
    """The space that an idea was proposed with, as its own copy of its section tells; nothing without one."""
    section = f"{FarmPaths(results).idea(idea_id).projection('latest')}/{INPUT}/{SECTION}"
    try:
        text = RealFiles().read(section, _SECTION_LIMIT).decode()
        written = dict(parse(text, path="", line=1).fields).get(SPACE, "{}")
        axes = json.loads(written)
    except (OSError, OrzeError, ValueError, RecursionError):
        return {}
    return axes if isinstance(axes, dict) else {}
