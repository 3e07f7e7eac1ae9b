"""How far runs of one kind lie apart, and which difference of two means is more than that."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

_SURE: Final = 1.96  # the 97.5 % quantile of the normal distribution


def pooled(samples: Iterable[Sequence[float]]) -> float | None:
    """Standard deviation of a single run, from repeats of several configurations (a pooled variance).

    Args:
        samples: the values of each configuration; a single one tells nothing.

    Returns:
        None where nothing was repeated, or no finite number comes of it.
    """
    spread, freedom = 0.0, 0
    for values in samples:
        if len(values) > 1:
            mean = math.fsum(value / len(values) for value in values)
            spread = math.hypot(spread, *(value - mean for value in values))
            freedom += len(values) - 1
    if not freedom:
        return None
    sd = spread / math.sqrt(freedom)
    return sd if math.isfinite(sd) else None


def margin(noise: float | None, runs: int, others: int) -> float:
    """What the means of two samples of one kind differ by at most, in 95 of 100 cases.

    With n runs in both it is 1.96·√2·sd/√n.

    Args:
        noise: standard deviation of a single run; None, where nobody knows, is as good as none.
        runs, others: how many runs are in each mean.
    """
    return _SURE * (noise or 0.0) * math.sqrt(1 / runs + 1 / others)


def is_better(value: float, than: float, *, by: float, ascending: bool) -> bool:
    """Whether a value is better by more than `by`; equal values are not."""
    gain = than - value if ascending else value - than
    return gain > by
