"""Which of several proposers is asked next: the share of each is earned by what came of its ideas."""

from __future__ import annotations

import random
from collections.abc import Mapping


def choose(arms: Mapping[str, tuple[int, int]], rng: random.Random) -> str:
    """Choose by Thompson sampling, with a flat prior on the chance that one idea is an improvement.

    Each arm draws from the Beta distribution of its chance, and the largest draw wins: an arm is chosen as
    often as it is likely to be the best one (Thompson, Biometrika 25, 1933; Chapelle and Li, NeurIPS 2011).

    Args:
        arms: how many ideas of each have run, and how many of those improved on the best; one at least.

    Returns:
        The name of an arm. The same for the same state of `rng`, in whatever order the arms are given.
    """
    draws = {}
    for name in sorted(arms):
        ran, improved = arms[name]
        good = min(max(improved, 0), max(ran, 0))
        draws[name] = rng.betavariate(1 + good, 1 + max(ran, 0) - good)
    return max(draws, key=lambda name: draws[name])
