"""What people and programs are told of research: the funnel, what it cost, and whether it pays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orze.report.text import counted, number

_UNKNOWN = "unknown"
_FUNNEL = [
    ("proposed", "proposed"),
    ("valid", "valid"),
    ("left", "new"),
    ("run", "run"),
    ("improved", "improved"),
]


@dataclass(frozen=True, slots=True)
class ArmRow:
    """What one proposer did; `control` is the share that is compared with.

    `left` counts what it put into the queue, `run` what of it ran, `improved` what was a new best by more
    than the noise. `usd` is None where a price is not known.
    """

    name: str
    control: bool
    rounds: int
    proposed: int
    valid: int
    left: int
    run: int
    improved: int
    usd: float | None


@dataclass(frozen=True, slots=True)
class ResearchStanding:
    """Where research stands.

    Attributes:
        mode, proposer: the configured one, and the one that would propose now.
        state: `off` is none; `proposing`, `waiting` or `stopped`.
        why: why none is proposed now; empty while one is.
        dead: why the configured proposer counts as dead; empty where it is well.
        rounds, lost: rounds begun, and those of which nobody knows what became.
        usd: None where the price of a round is not known; tokens, gpu_hours: what was used besides.
        left: what is left of each budget that has a bound.
        arms: what each proposer did.
        last: the last round in one sentence.
        comparison: what the control says, in one sentence; empty without a control.
    """

    mode: str
    proposer: str
    state: str
    why: str = ""
    dead: str = ""
    rounds: int = 0
    lost: int = 0
    usd: float | None = 0.0
    tokens: int = 0
    gpu_hours: float = 0.0
    left: Mapping[str, float] = field(default_factory=dict)
    arms: Sequence[ArmRow] = ()
    last: str = ""
    comparison: str = ""

    def total(self, name: str) -> int:
        """One number of all arms together: proposed, valid, left, run or improved."""
        return sum(int(getattr(arm, name)) for arm in self.arms)

    @property
    def usd_per_idea(self) -> float | None:
        """None where there is no idea, or a price is not known."""
        return self._per(self.total("left"))

    @property
    def usd_per_improvement(self) -> float | None:
        """None where there is no improvement, or a price is not known."""
        return self._per(self.total("improved"))

    def _per(self, count: int) -> float | None:
        return self.usd / count if count and self.usd is not None else None


def research_lines(standing: ResearchStanding) -> list[str]:
    """What stands above the table in report.md, a sentence each."""
    total, why = standing.total, f": {standing.why}" if standing.why else ""
    funnel = [f"{total(name)} {label}" for name, label in _FUNNEL]
    ideas, improvements = standing.usd_per_idea, standing.usd_per_improvement
    each = [("left", ideas, "an idea"), ("improved", improvements, "an improvement")]
    prices = [f"{_usd(price)} {what}" for name, price, what in each if total(name)]
    used = [_usd(standing.usd), counted(standing.tokens, "token"), f"{standing.gpu_hours:.2f} hours of cards"]
    lines = [
        f"{' → '.join(funnel)}, in {counted(standing.rounds, 'round')}",
        f"Now: {standing.proposer} ({standing.state}{why})",
        f"Spent: {'; '.join([', '.join(used), *prices])}",
    ]
    if standing.left:
        left = ", ".join(f"{name} {value:g}" for name, value in standing.left.items())
        lines.append(f"Left of the budgets: {left}")
    return [*lines, *filter(None, (standing.last, standing.dead, standing.comparison))]


def arm_cells(arm: ArmRow) -> tuple[object, ...]:
    """One line of the table in report.md."""
    name = f"{arm.name} (control)" if arm.control else arm.name
    counts = (arm.rounds, arm.proposed, arm.valid, arm.left, arm.run, arm.improved)
    return (name, *counts, _usd(arm.usd))


def research_json(standing: ResearchStanding | None) -> dict[str, Any] | None:
    """The member `research` of status.json. A price that is not known is null, never 0."""
    if standing is None:
        return None
    return {
        "mode": standing.mode,
        "proposer": standing.proposer,
        "state": standing.state,
        "why": standing.why,
        "dead": standing.dead,
        "rounds": standing.rounds,
        "lost": standing.lost,
        "proposed": standing.total("proposed"),
        "valid": standing.total("valid"),
        "new": standing.total("left"),
        "run": standing.total("run"),
        "improved": standing.total("improved"),
        "usd": standing.usd,
        "tokens": standing.tokens,
        "gpu_hours": standing.gpu_hours,
        "usd_per_idea": standing.usd_per_idea,
        "usd_per_improvement": standing.usd_per_improvement,
        "budget_left": dict(standing.left),
        "comparison": standing.comparison,
        "arms": [
            {
                "name": arm.name,
                "control": arm.control,
                "rounds": arm.rounds,
                "proposed": arm.proposed,
                "valid": arm.valid,
                "new": arm.left,
                "run": arm.run,
                "improved": arm.improved,
                "usd": arm.usd,
            }
            for arm in standing.arms
        ],
    }


def compare(arms: Sequence[ArmRow]) -> str:
    """Whether what is not the control improves more often than the control, in one sentence.

    Args:
        arms: of which at least one is the control; else there is nothing to say.

    Returns:
        Both shares and the chance that shares so far apart come of luck alone, by the exact test of Fisher
        (Statistical Methods for Research Workers, 1934), two-sided.
    """
    control = [arm for arm in arms if arm.control]
    main = [arm for arm in arms if not arm.control]
    if not control:
        return ""
    a, n = sum(arm.improved for arm in main), sum(arm.run for arm in main)
    c, m = sum(arm.improved for arm in control), sum(arm.run for arm in control)
    names = ", ".join(dict.fromkeys(arm.name for arm in main)) or "nobody"
    said = f"{names}: {a} of {n} runs improved; control ({control[0].name}): {c} of {m}"
    if not n or not m:
        return f"{said}: nothing to compare yet"
    chance = fisher(a, n - a, c, m - c)
    if chance >= 0.05:
        return f"{said}: no difference is shown (p = {number(chance)})"
    better = "the proposer pays" if a * m > c * n else "the control does better"
    return f"{said}: {better} (p = {number(chance)})"


def fisher(a: int, b: int, c: int, d: int) -> float:
    """The two-sided p of Fisher's exact test for the table ((a, b), (c, d)) of counts."""
    row, column, all_ = a + b, a + c, a + b + c + d
    lowest, highest = max(0, column - (c + d)), min(row, column)
    ways = [math.comb(row, x) * math.comb(all_ - row, column - x) for x in range(lowest, highest + 1)]
    seen = ways[a - lowest]
    return sum(way for way in ways if way <= seen) / sum(ways)


def _usd(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.4f} USD" if value else "0 USD"
