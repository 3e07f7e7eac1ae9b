"""Whether a round of research is due and who proposes in it: a pure function of what the leader sees."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from orze.config.research import Budget, Research
from orze.research.ledger import DEAD_AFTER, Round

_AGAIN: Final = 10  # rounds until a proposer that was given up is asked again
_SLOWER: Final = 6  # doublings of the cooldown, while every round stays empty
_SHORTEST: Final = 5.0  # seconds that it has then at least
_LONGEST: Final = 3600.0  # and to which it grows
_SURE: Final = 1.96 * math.sqrt(2)  # times the spread of one run: what two of one kind differ by, in 95 %


@dataclass(frozen=True, slots=True)
class Who:
    """A proposer and its model; the model is empty where none is asked."""

    proposer: str
    model: str = ""
    control: bool = False

    @property
    def name(self) -> str:
        """Both, for people."""
        return f"{self.proposer} ({self.model})" if self.model else self.proposer


@dataclass(frozen=True, slots=True)
class Spent:
    """What research has used: US dollars as far as they are known, tokens, rounds, hours of cards."""

    usd: float = 0.0
    tokens: int = 0
    rounds: int = 0
    gpu_hours: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """What the leader sees. Times are those of its own steady clock, in seconds.

    Attributes:
        now: now.
        settings: the block `research` of orze.yaml.
        rounds: all of them; the last one may be open.
        spent: by them, and by the ideas that they left.
        queued: ideas that wait, those that a round left and nobody has taken in yet among them.
        slots: of the farm.
        ended_at: when this leader saw the last round end; None where it saw none.
        paused: why nothing is started in the farm; empty where something is.
        refused: why the last round could not begin, though it was due; empty where it could.
        best: the best value of the primary metric; None without one. ascending: whether smaller is better.
        idle_runs: runs of research since its last improvement.
    """

    now: float
    settings: Research
    rounds: Sequence[Round] = ()
    spent: Spent = Spent()
    queued: int = 0
    slots: int = 1
    ended_at: float | None = None
    paused: str = ""
    refused: str = ""
    best: float | None = None
    ascending: bool = False
    idle_runs: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """A round is due: its number, who proposes, and how many ideas it may leave."""

    number: int
    who: Who
    count: int


@dataclass(frozen=True, slots=True)
class Wait:
    """None is due: why not, and the steady time at which that may change by itself.

    `final` is true where it never does: only a change of the settings goes on.
    """

    reason: str
    until: float = math.inf
    final: bool = False


def due(view: View) -> Due | Wait:
    """Decide.

    Args:
        view: what is seen; nothing else has a say.

    Returns:
        The round to run now, or why there is none.
    """
    settings = view.settings
    if reason := _stopped(view):
        return Wait(reason, final=True)
    if view.rounds and not view.rounds[-1].ended:
        return Wait(f"round {view.rounds[-1].number} is under way: {view.rounds[-1].who} proposes")
    if view.paused:
        return Wait(view.paused)
    enough = settings.min_queue or max(1, view.slots)
    if view.queued >= enough:
        what = "idea is" if view.queued == 1 else "ideas are"
        return Wait(f"{view.queued} {what} queued; the next round begins below {enough}")
    if view.refused:
        return Wait(view.refused)
    if view.ended_at is not None and view.now < (until := view.ended_at + _cooldown(view)):
        return Wait(f"the last round ended less than {until - view.ended_at:.0f} s ago", until)
    return Due(len(view.rounds) + 1, choose(settings, view.rounds), settings.ideas_per_round)


def choose(settings: Research, rounds: Sequence[Round]) -> Who:
    """Who proposes in the next round.

    The configured proposer; after three empty rounds of its own the next model, at last one without a model.
    One that was given up is asked once more after ten rounds. Of the rounds a fixed share is the control's.
    """
    number = len(rounds) + 1
    share = settings.control
    if share and math.floor(number * share) > math.floor((number - 1) * share):
        return Who(control_of(settings), control=True)
    *others, last = candidates(settings)
    return next((who for who in others if _is_worth_asking(who, rounds, number)), last)


def candidates(settings: Research) -> list[Who]:
    """Everyone who may propose, in the order in which they are asked."""
    mode = settings.mode
    if settings.model and mode in ("llm", "hybrid"):
        first = [Who(mode, model) for model in (settings.model, *settings.fallbacks)]
    else:
        first = [Who(mode)]
    return [*first, Who("random" if mode == "hillclimb" else "hillclimb")]


def control_of(settings: Research) -> str:
    """The proposer to compare with: the best one that needs neither a model nor a package."""
    return "random" if settings.mode == "hillclimb" else "hillclimb"


def dead(settings: Research, rounds: Sequence[Round]) -> str:
    """Why the configured proposer counts as dead: a sentence for people; empty where it is well."""
    first = candidates(settings)[0]
    empty, last = _empty_rounds(first, rounds)
    if empty < DEAD_AFTER:
        return ""
    return f"{first.name} left no valid new idea in its last {empty} rounds: {rounds[last - 1].said}"


def left_of(budget: Budget, spent: Spent) -> dict[str, float]:
    """What is left of each budget that has a bound, 0 at least."""
    return {name: max(0.0, bound - getattr(spent, name)) for name, bound in budget if bound is not None}


def is_better(value: float, than: float, *, ascending: bool, noise: float | None) -> bool:
    """Whether a single run is better by more than luck explains.

    Args:
        noise: standard deviation of a single run; where it is not known, any difference counts.
    """
    margin = _SURE * (noise or 0.0)
    return value < than - margin if ascending else value > than + margin


def improvements(
    values: Iterable[tuple[str, float]], *, ascending: bool, noise: float | None
) -> list[tuple[str, float]]:
    """The runs that improved on all before them, by more than the noise.

    Args:
        values: idea and primary metric of each run, as they ended. The first one improves on nothing.
    """
    found: list[tuple[str, float]] = []
    best: float | None = None
    for idea_id, value in values:
        if best is not None and not is_better(value, best, ascending=ascending, noise=noise):
            continue
        if best is not None:
            found.append((idea_id, value))
        best = value
    return found


def _stopped(view: View) -> str:
    settings, best = view.settings, view.best
    target = settings.target
    if target is not None and best is not None and (best <= target if view.ascending else best >= target):
        return f"the target of {target:g} is reached: {best:g}"
    if settings.plateau and view.idle_runs >= settings.plateau:
        return f"plateau: {view.idle_runs} runs of research brought no improvement beyond the noise"
    for name, left in left_of(settings.budget, view.spent).items():
        if left <= 0:
            return f"budget.{name} of {getattr(settings.budget, name):g} is used up"
    return ""


def _cooldown(view: View) -> float:
    """Longer while nothing comes of it: an empty space is not asked for ideas once a minute for ever."""
    empty = 0
    for one in reversed(view.rounds):
        if not one.empty:
            break
        empty += 1
    cooldown = view.settings.cooldown if empty < DEAD_AFTER else max(_SHORTEST, view.settings.cooldown)
    return max(cooldown, min(_LONGEST, cooldown * (1 << min(_SLOWER, max(0, empty - DEAD_AFTER + 1)))))


def _is_worth_asking(who: Who, rounds: Sequence[Round], number: int) -> bool:
    empty, last = _empty_rounds(who, rounds)
    return empty < DEAD_AFTER or number - last > _AGAIN


def _empty_rounds(who: Who, rounds: Sequence[Round]) -> tuple[int, int]:
    """How many of its rounds stayed empty since one did not, and the number of its last one."""
    empty = last = 0
    for one in reversed(rounds):
        if (one.proposer, one.model) != (who.proposer, who.model) or not one.ended:
            continue
        last = last or one.number
        if not one.empty:
            break
        empty += 1
    return empty, last
