"""What came of the ideas that research left: which ran, which improved, and what each proposer has earned."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from orze.ideas.model import group_of
from orze.report.research import ArmRow, ResearchStanding, compare
from orze.research.brief import Arm
from orze.research.control import improvements
from orze.research.ledger import LedgerFold, Round, round_of

Ended = tuple[str, float | None, bool]


@dataclass(frozen=True, slots=True)
class Yield:
    """What came of the ideas of research.

    Attributes:
        ideas: id of each idea that is known to be of research -> its round and index.
        run: those of them that ran to an end, in the order of their ends.
        improved: those of these that were a new best by more than the noise.
        idle_runs: how many ran since the last improvement of anybody.
        best: the best value of the farm; None without one.
        gpu_hours: hours of cards that they took.
    """

    ideas: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    run: tuple[str, ...] = ()
    improved: frozenset[str] = frozenset()
    idle_runs: int = 0
    best: float | None = None
    gpu_hours: float = 0.0


def yield_of(
    allocated: Mapping[str, str], ended: Sequence[Ended], *, ascending: bool, noise: float | None
) -> Yield:
    """Work out what came of the ideas, but for the hours that they took.

    Args:
        allocated: the id that each inbox entry was given.
        ended: id, primary metric and whether it ended well, of all that ran, as they ended.
        noise: standard deviation of a single run; None where it is not known.
    """
    ideas = {idea_id: place for uuid, idea_id in allocated.items() if (place := round_of(uuid))}
    values = [(idea_id, value) for idea_id, value, _ in ended if value is not None]
    better = {idea_id for idea_id, _ in improvements(values, ascending=ascending, noise=noise)}
    run: dict[str, None] = {}
    idle = 0
    for idea_id, _, _ in ended:
        group = group_of(idea_id)
        if group in ideas:
            run[group] = None
            idle += 1
        if idea_id in better:
            idle = 0
    best = (min if ascending else max)((value for _, value in values), default=None)
    improved = frozenset(group for idea_id in better if (group := group_of(idea_id)) in ideas)
    return Yield(ideas, tuple(run), improved, idle, best)


def earned(rounds: Sequence[Round], came: Yield) -> tuple[Arm, ...]:
    """What each arm has earned, for who shares out the next ideas; the control is no arm."""
    names = _names(rounds)
    tallies: dict[str, list[int]] = {}
    for one in rounds:
        for entry in () if one.control else one.entries:
            tallies.setdefault(entry.arm, [0, 0, 0])[0] += 1
    for column, ideas in ((1, came.run), (2, came.improved)):
        for idea_id in ideas:
            name, control = names.get(came.ideas[idea_id], ("", True))
            if not control and name in tallies:
                tallies[name][column] += 1
    return tuple(Arm(name, *counts) for name, counts in tallies.items())


def standing_of(
    fold: LedgerFold,
    came: Yield,
    *,
    mode: str,
    proposer: str,
    state: str,
    why: str,
    left: Mapping[str, float],
) -> ResearchStanding:
    """Everything that people are told."""
    arms = arm_rows(fold.rounds, came)
    return ResearchStanding(
        mode=mode,
        proposer=proposer,
        state=state,
        why=why,
        rounds=len(fold.rounds),
        lost=sum(one.lost for one in fold.rounds),
        usd=fold.price,
        tokens=fold.tokens,
        gpu_hours=came.gpu_hours,
        left=left,
        arms=arms,
        last=_told(fold.rounds[-1]) if fold.rounds else "",
        comparison=compare(arms),
    )


def arm_rows(rounds: Sequence[Round], came: Yield) -> tuple[ArmRow, ...]:
    """One row for each proposer and model, and for those of the control."""
    who = {one.number: (one.who, one.control) for one in rounds}
    run = _count(came.run, came, who)
    improved = _count(came.improved, came, who)
    found = []
    for name, control in dict.fromkeys(who.values()):
        own = [one for one in rounds if (one.who, one.control) == (name, control)]
        prices = [one.cost.usd for one in own if one.ended]
        found.append(
            ArmRow(
                name=name,
                control=control,
                rounds=len(own),
                proposed=sum(one.proposed for one in own),
                valid=sum(one.valid for one in own),
                left=sum(len(one.entries) for one in own),
                run=run.get((name, control), 0),
                improved=improved.get((name, control), 0),
                usd=None if None in prices else sum(price or 0.0 for price in prices),
            )
        )
    return tuple(found)


def _count(
    ideas: Collection[str], came: Yield, who: Mapping[int, tuple[str, bool]]
) -> dict[tuple[str, bool], int]:
    counts: dict[tuple[str, bool], int] = {}
    for idea_id in ideas:
        if (name := who.get(came.ideas[idea_id][0])) is not None:
            counts[name] = counts.get(name, 0) + 1
    return counts


def _names(rounds: Sequence[Round]) -> dict[tuple[int, int], tuple[str, bool]]:
    return {(one.number, entry.index): (entry.arm, one.control) for one in rounds for entry in one.entries}


def _told(last: Round) -> str:
    """The last round in one sentence."""
    if not last.ended:
        return f"Round {last.number}, {last.who}: under way"
    if last.lost:
        return f"Round {last.number}, {last.who}: lost; what it may have cost counts as spent"
    counts = f"{last.proposed} proposed, {last.valid} valid, {len(last.entries)} new"
    text = f"Round {last.number}, {last.who}: {counts}"
    return f"{text}; {last.said}" if last.empty or last.error else text
