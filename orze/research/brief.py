"""What the leading host knows when a round of research begins, as plain values that go to its process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Known:
    """One idea and what became of it.

    Attributes:
        state: its terminal state, such as `COMPLETED`.
        cause, error: why it failed; empty where it did not.
        value: the primary metric of this run, None where there is none.
        mean, n, low, high: of all runs of its configuration: their mean, how many, and the 95 % interval
            (None where one run alone tells none).
        seconds: how long the training took.
    """

    idea_id: str
    title: str = ""
    family: str = ""
    parent: str = ""
    state: str = ""
    cause: str = ""
    error: str = ""
    value: float | None = None
    mean: float | None = None
    n: int = 0
    low: float | None = None
    high: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """How many ideas failed with one cause, and what one of them said."""

    cause: str
    count: int
    example: str = ""


@dataclass(frozen=True, slots=True)
class Arm:
    """What one proposer has earned: ideas that it left, that have run, and that improved on the best."""

    name: str
    left: int = 0
    run: int = 0
    improved: int = 0


@dataclass(frozen=True, slots=True)
class Brief:
    """The farm as one round of research sees it. All texts are data of others, and bounded.

    Attributes:
        round: number of the round, from 1.
        count: how many ideas the round may leave.
        metric: name of the primary metric, empty while there is none; ascending: whether smaller is better.
        verdict: one sentence on how sure the best is.
        baseline, baseline_n: mean of the base configuration's runs and how many they are; None without any.
        noise: standard deviation of a single run, None where it is not known.
        top: at most 8, best first (by the end of their interval that is less good).
        families: the best of each category, at most 12.
        recent: the last 8 that ended, latest first.
        failures: by cause, most frequent first.
        queued: id and title, at most 20, of what waits or runs.
        trend: order and value of each new best, at most 30.
        arms: what each proposer has earned so far.
        budget_left: of `usd`, `tokens`, `rounds`, `gpu_hours`, those that have a bound.
        cards: names of the farm's cards; memory_mib: memory of the largest, None where not known.
        timeout: longest training in seconds.
        ended: id, value and "ok" or "failed" of the last 10,000 that ended, oldest first.
        results, ideas_file, base_config, project_dir: absolute paths.
        research: the block `research` of orze.yaml as plain values, paths as texts.
    """

    round: int
    count: int
    metric: str
    ascending: bool
    results: str
    ideas_file: str
    base_config: str
    project_dir: str
    research: Mapping[str, Any]
    verdict: str = ""
    baseline: float | None = None
    baseline_n: int = 0
    noise: float | None = None
    top: tuple[Known, ...] = ()
    families: tuple[Known, ...] = ()
    recent: tuple[Known, ...] = ()
    failures: tuple[Failure, ...] = ()
    queued: tuple[tuple[str, str], ...] = ()
    trend: tuple[tuple[int, float], ...] = ()
    arms: tuple[Arm, ...] = ()
    budget_left: Mapping[str, float] = field(default_factory=dict)
    cards: tuple[str, ...] = ()
    memory_mib: float | None = None
    timeout: float = 3600.0
    ended: tuple[tuple[str, float | None, str], ...] = ()

    def plain(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """What `plain` told of.

        Raises:
            TypeError: something is missing or unknown.
        """
        values = dict(plain)
        for name, kind in (("top", Known), ("families", Known), ("recent", Known), ("failures", Failure)):
            values[name] = tuple(kind(**item) for item in values.get(name, ()))
        values["arms"] = tuple(Arm(**item) for item in values.get("arms", ()))
        for name in ("queued", "trend", "ended"):
            values[name] = tuple(tuple(item) for item in values.get(name, ()))
        values["cards"] = tuple(values.get("cards", ()))
        unknown = values.keys() - {one.name for one in fields(cls)}
        if unknown:
            raise TypeError(f"a brief has no {', '.join(sorted(unknown))}")
        return cls(**values)
