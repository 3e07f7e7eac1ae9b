"""Tables of a comparison, as text for a terminal that can stand in a page as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from contest.arm import Budget, Chosen, Played
from contest.stats import Compared, compare, holm

REFERENCE = "random"
PLACEBO = ("scripted", "placebo")  # the one comparison besides those with the reference
MARKS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

Pairs = Sequence[Mapping[str, Played]]  # each holds the same arms

_HEAD = """\
{pairs} pairs; log loss, less is better; differences of the test loss, with 95 % intervals;
p of Wilcoxon's signed-rank test, corrected for all {comparisons} comparisons (Holm)"""
_COUNTS = ("proposed", "valid", "run")


@dataclass(frozen=True)
class Verdict:
    """One comparison by the test loss of what was chosen; `p` is corrected for the number of all of them."""

    budget: str
    arm: str
    than: str
    compared: Compared
    p: float


def verdicts(pairs: Pairs) -> list[Verdict]:
    """Every comparison that is made: each arm with the reference, and the placebo, at both budgets."""
    arms = list(pairs[0])
    asked = [(arm, REFERENCE) for arm in arms if arm != REFERENCE]
    asked += [PLACEBO] if set(PLACEBO) <= set(arms) else []
    found = [
        (budget, arm, than, compare(_column(pairs, budget, arm), _column(pairs, budget, than)))
        for budget in ("by_runs", "by_seconds")
        for arm, than in asked
    ]
    corrected = holm([compared.p for *_, compared in found])
    return [Verdict(*one, p) for one, p in zip(found, corrected, strict=True)]


def report(pairs: Pairs, budget: Budget) -> str:
    """All that there is to tell."""
    said = verdicts(pairs)
    parts = [
        _HEAD.format(pairs=len(pairs), comparisons=len(said)),
        f"After {budget.runs} runs\n{_table(pairs, 'by_runs', said)}",
        f"After {budget.seconds:g} CPU seconds, proposing and training\n{_table(pairs, 'by_seconds', said)}",
        f"Mean validation loss above the best of any arm in its pair, after so many runs\n{_regret(pairs)}",
    ]
    parts += [f"Faults\n{faults}"] if (faults := _faults(pairs)) else []
    return "\n\n".join(parts)


def _table(pairs: Pairs, budget: str, said: Sequence[Verdict]) -> str:
    rows = [["arm", "validation", "test", "accuracy", "against random", "p", "won/tied/lost",
             "proposed", "valid", "run", "CPU s"]]  # fmt: skip
    own = [one for one in said if one.budget == budget]
    against = {one.arm: one for one in own if one.than == REFERENCE}
    for arm in pairs[0]:
        chosen = [_chosen(pair, budget, arm) for pair in pairs]
        rows.append(
            [
                arm,
                f"{fmean(one.loss for one in chosen):.4f}",
                f"{fmean(one.test_loss for one in chosen):.4f}",
                f"{fmean(one.test_accuracy for one in chosen):.4f}",
                *(_cells(against[arm]) if arm in against else ["", "", ""]),
                *(f"{fmean(getattr(one, name) for one in chosen):.1f}" for name in _COUNTS),
                f"{fmean(one.seconds for one in chosen):.2f}",
            ]
        )
    lines = [_aligned(rows)]
    for one in own:
        if one.than != REFERENCE:
            difference, p, counts = _cells(one)
            lines.append(f"{one.arm} against {one.than}: {difference}, p {p}, {counts}")
    return "\n".join(lines)


def _cells(one: Verdict) -> list[str]:
    compared = one.compared
    return [
        f"{compared.mean:+.4f} [{compared.low:+.4f}, {compared.high:+.4f}]",
        f"{one.p:.3f}" if one.p >= 0.001 else "<0.001",
        f"{compared.wins}/{compared.ties}/{compared.losses}",
    ]


def _regret(pairs: Pairs) -> str:
    longest = min(len(played.curve) for pair in pairs for played in pair.values()) - 1
    marks = [*(mark for mark in MARKS if mark < longest), longest]
    rows = [["arm", *map(str, marks)]]
    floors = [min(played.curve[-1] for played in pair.values()) for pair in pairs]
    for arm in pairs[0]:
        above = [
            fmean(pair[arm].curve[mark] - floor for pair, floor in zip(pairs, floors, strict=True))
            for mark in marks
        ]
        rows.append([arm, *(f"{value:.4f}" for value in above)])
    return _aligned(rows)


def _faults(pairs: Pairs) -> str:
    """How many each arm made, and the first of them."""
    lines = []
    for arm in pairs[0]:
        faults = [fault for pair in pairs for fault in pair[arm].faults]
        lines += [f"{arm}: {len(faults)}, the first: {faults[0]}"] if faults else []
    return "\n".join(lines)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _chosen(pair: Mapping[str, Played], budget: str, arm: str) -> Chosen:
    chosen: Chosen = getattr(pair[arm], budget)
    return chosen


def _column(pairs: Pairs, budget: str, arm: str) -> list[float]:
    return [_chosen(pair, budget, arm).test_loss for pair in pairs]
