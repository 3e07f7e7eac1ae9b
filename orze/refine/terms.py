"""The terms of a session: what its decisions and verdicts go by, as its records hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_MOST = 10**6


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session goes by.

    Attributes:
        metric: the primary one.
        ascending: whether smaller is better.
        target: value at which the session has what it looks for; None where there is none.
        repeats: runs of each step.
        parallel: steps that may be open at once.
        plateau_runs, max_failures, divergence_runs: as in revis.yaml; 0 is off.
    """

    metric: str
    ascending: bool
    target: float | None = None
    repeats: int = 1
    parallel: int = 1
    plateau_runs: int = 0
    max_failures: int = 0
    divergence_runs: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Read them from the settings that a record holds; what else is there is for people.

        Raises:
            KeyError, ValueError: they are not there, or not of their kind.
        """
        metric, ascending, target = settings["metric"], settings["ascending"], settings["target"]
        if not (metric and isinstance(metric, str)) or not isinstance(ascending, bool):
            raise ValueError("no metric")
        if target is not None and (type(target) not in (int, float) or not math.isfinite(target)):
            raise ValueError("no target")
        return cls(
            metric,
            ascending,
            target,
            **{name: _whole(settings[name], least=1) for name in ("repeats", "parallel")},
            **{
                name: _whole(settings[name], least=0)
                for name in ("plateau_runs", "max_failures", "divergence_runs")
            },
        )

    def reached(self, value: float) -> bool:
        """Whether a value is at the target or beyond it."""
        if self.target is None:
            return False
        return value <= self.target if self.ascending else value >= self.target


def _whole(value: object, *, least: int) -> int:
    if type(value) is not int or not least <= value <= _MOST:
        raise ValueError("no count")
    return value
