"""Statistics of paired comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wilcoxon

RESAMPLES = 10_000


@dataclass(frozen=True)
class Compared:
    """What the differences of pairs say; of losses, where a difference below 0 is a win.

    Attributes:
        mean: of the differences; low, high: its 95 % interval.
        p: of a two-sided test that they lie around 0.
        wins, ties, losses: pairs by the sign of their difference.
    """

    mean: float
    low: float
    high: float
    p: float
    wins: int
    ties: int
    losses: int


def compare(ours: Sequence[float], theirs: Sequence[float]) -> Compared:
    """Compare two arms, pair by pair.

    The test is Wilcoxon's signed-rank test (Biometrics Bulletin 1, 1945), exact where no two differences are
    alike; differences of 0 are left out, as he did. The interval is the percentile bootstrap of the mean
    (Efron, Annals of Statistics 7, 1979), always from the same resamples.

    Args:
        ours, theirs: losses, in the order of the pairs.

    Raises:
        ValueError: they are not of one length, or empty.
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"{len(ours)} and {len(theirs)} losses make no pairs")
    differences = np.asarray(ours, float) - np.asarray(theirs, float)
    apart = differences[differences != 0]
    picks = np.random.default_rng(0).integers(len(differences), size=(RESAMPLES, len(differences)))
    low, high = np.quantile(differences[picks].mean(axis=1), (0.025, 0.975))
    return Compared(
        mean=float(differences.mean()),
        low=float(low),
        high=float(high),
        p=float(wilcoxon(apart).pvalue) if len(apart) else 1.0,
        wins=int((apart < 0).sum()),
        ties=len(differences) - len(apart),
        losses=int((apart > 0).sum()),
    )


def holm(values: Sequence[float]) -> list[float]:
    """Correct p-values for how many they are (Holm, Scandinavian Journal of Statistics 6, 1979).

    Returns:
        The corrected ones, in the same order.
    """
    corrected = [1.0] * len(values)
    highest = 0.0
    for rank, at in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, values[at] * (len(values) - rank)))
        corrected[at] = highest
    return corrected
