"""Which configuration is the best, and whether the results can say so: means, intervals, a verdict.

A configuration that ran with several seeds is a sample; its interval is Student's, at 95 %. A single run has
an interval only where repeats of the base configuration tell how far runs lie apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from orze.report.text import clean, interval, number

Verdict = Literal["none", "one run", "tied", "best"]

KEPT = 64  # configurations of which a report knows more than their results
_NORMAL = 1.959963984540054  # the 97.5 % quantile of the normal distribution
_FIRST = (12.706205, 4.302653, 3.182446, 2.776445)  # those of Student's with 1 to 4 degrees of freedom
_FEW = 2  # runs whose own spread says too little where the noise is known
_REPEAT = "repeat it with report.confirm or Repeats"
_METRIC = 60  # characters of its name
_NAMED = 3  # tied configurations that a sentence names


@dataclass(frozen=True, slots=True)
class Config:
    """The runs of one configuration.

    Attributes:
        key: of the configuration; empty where it is not known, and then there is one run.
        ids: the ideas that ran it and have the primary metric, as they were recorded.
        best: the one of them with the best value.
        order: when the first of them was recorded.
        n: how many seeds ran; results of one seed count as one, with their mean.
        mean: of the primary metric.
        sd: standard deviation of its runs; None for a single one.
        low, high: the 95 % interval of the mean; None where nothing says how wide it is.
        seed: the greatest of its seeds.
    """

    key: str
    ids: tuple[str, ...]
    best: str
    order: int
    n: int
    mean: float
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        """The idea that it is called by: the first that ran it."""
        return self.ids[0]

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Merit:
    """What the results say of the configurations.

    Attributes:
        configs: the best 64 by their means, best first.
        best: by verdict: `best`, the one that holds the title; `tied`, likewise, but others did as well; `one
            run`, the one with the best mean, of which that is all that can be said.
        verdict: `none` where no result can be ranked.
        old: the configuration that `best` took the title from; with `one run`, the one that holds it.
        tied: those whose means are as good as that of `best`, best first.
        close: how many of those with an interval are worse than `best`, but not clearly.
        noise: standard deviation of a single run, from `noise_runs` runs of the base configuration.
        confirm, metric: as `judge` was told.
        sentence: the same for people.
    """

    configs: tuple[Config, ...] = ()
    best: Config | None = None
    verdict: Verdict = "none"
    old: Config | None = None
    tied: tuple[Config, ...] = ()
    close: int = 0
    noise: float | None = None
    noise_runs: int = 0
    confirm: int = 0
    metric: str = ""
    sentence: str = ""


NO_MERIT = Merit()


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, within 0.0005.

    Args:
        freedom: degrees of freedom, at least 1. From 5 on it is the expansion of Abramowitz and Stegun,
            Handbook of Mathematical Functions, 26.7.5.
    """
    if freedom <= len(_FIRST):
        return _FIRST[freedom - 1]
    z, v = _NORMAL, float(freedom)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )


def config_of(key: str, runs: Iterable[tuple[int, int, str, float]], *, ascending: bool) -> Config | None:
    """Sum up the runs of one configuration.

    Args:
        runs: `(order, seed, idea, value)` of each, values finite.
        ascending: whether smaller is better.

    Returns:
        None without a run. It has no interval yet; `with_interval` gives it one.
    """
    known = sorted(runs)
    if not known:
        return None
    by_seed: dict[int, list[float]] = {}
    for _, seed, _, value in known:
        by_seed.setdefault(seed, []).append(value)
    values = [_mean(same) for same in by_seed.values()]
    best = min(known, key=lambda run: (run[3] if ascending else -run[3], run[0]))
    mean = _mean(values)
    return Config(
        key,
        tuple(idea_id for _, _, idea_id, _ in known),
        best[2],
        known[0][0],
        len(values),
        mean,
        sd=_sd(values, mean) if len(values) > 1 else None,
        seed=max(by_seed),
    )


def with_interval(config: Config, base: Config | None) -> Config:
    """Give a configuration its 95 % interval, where something says how wide it is.

    From three runs on that is their own spread. One or two runs say little or nothing of it: where the base
    configuration ran several times, the squares of both are taken together (a pooled variance); its own runs
    count once.
    """
    spread, freedom = _spread(config)
    if base is not None and base.key != config.key and config.n <= _FEW:
        more, runs = _spread(base)
        spread, freedom = math.hypot(spread, more), freedom + runs
    if not freedom:
        return config
    half = student(freedom) * spread / math.sqrt(freedom * config.n)
    low, high = config.mean - half, config.mean + half
    return replace(config, low=low, high=high) if math.isfinite(low) and math.isfinite(high) else config


def judge(
    configs: Iterable[Config],
    *,
    ascending: bool,
    base: Config | None = None,
    confirm: int = 0,
    metric: str = "",
) -> Merit:
    """Say which configuration is the best, as far as that can be said.

    Those count that have an interval and as many runs as have to confirm a best. They are walked through in
    the order of their first results: the first holds the title, and one whose whole interval is better than
    the holder's takes it over. Whatever has a mean as good as that of the last holder is tied with it. Where
    the best mean does not count, or nothing else does, there is only a best so far.

    Args:
        configs: without intervals.
        ascending: whether smaller is better.
        base: the base configuration; its repeats tell how far single runs lie apart.
        confirm: runs that a configuration must have to be called the best.
        metric: its name, for the sentence.
    """
    sign = 1.0 if ascending else -1.0
    ranked = sorted((with_interval(c, base) for c in configs), key=lambda c: (sign * c.mean, c.order))
    if not ranked:
        return NO_MERIT
    counted = [config for config in ranked if config.low is not None and config.n >= confirm]
    best, old = _walk(counted, sign)
    top, tied, close = ranked[0], list[Config](), 0
    if best is None or top not in counted or len(counted) == 1 < len(ranked):
        verdict: Verdict = "one run"
        best, old = top, best if best is not top else None
    else:
        tied = [c for c in ranked if c is not best and sign * c.mean <= sign * best.mean]
        verdict = "tied" if tied else "best"
        close = 0 if tied else sum(c is not best and not _clears(best, c, sign) for c in counted)
    merit = Merit(
        tuple(ranked[:KEPT]),
        best,
        verdict,
        old,
        tuple(tied[:KEPT]),
        close,
        base.sd if base else None,
        base.n if base and base.sd is not None else 0,
        confirm,
        metric,
    )
    return replace(merit, sentence=sentence_of(merit))


def sentence_of(merit: Merit, title: str = "") -> str:
    """What the results say, for people.

    Args:
        title: of the idea `merit.best.name`, where it is to be shown.
    """
    best = merit.best
    if best is None:
        return ""
    named = f"{best.name} ({title})" if title else best.name
    metric = f"{clean(merit.metric, _METRIC)} " if merit.metric else ""
    what = f"{named}, {metric}{value_of(best)}"
    if merit.verdict == "one run":
        return f"Best so far, {_runs_of(best)}: {what}{_lead(merit)}; {_what_to_do(merit, best)}"
    what += f" ({_runs_of(best)}{_how(merit, best)})"
    if merit.verdict == "tied":
        others = [f"{c.name}, {value_of(c)} ({_runs_of(c)})" for c in merit.tied[:_NAMED]]
        others += [f"and {len(merit.tied) - _NAMED} more"] * (len(merit.tied) > _NAMED)
        return f"Tied: {what}; not clearly better: {', '.join(others)}"
    close = f"; {merit.close} more {'is' if merit.close == 1 else 'are'} not clearly worse"
    return f"Best: {what}, {_beaten(merit)}{close if merit.close else ''}"


def value_of(config: Config) -> str:
    """Its mean with the interval, where there is one: `0.9750 ± 0.0031`."""
    half = config.half
    return number(config.mean) if half is None else interval(config.mean, half)


def _lead(merit: Merit) -> str:
    """By how much the first of all means leads; one run may have been lucky, so that claims nothing."""
    if len(merit.configs) < 2:
        return ""
    first, second = merit.configs[:2]
    difference = abs(first.mean - second.mean)
    return f", {number(difference)} ahead of {second.name}" if difference else f", the same as {second.name}"


def _what_to_do(merit: Merit, best: Config) -> str:
    known = merit.old
    if merit.confirm > best.n and best.key:
        text = f"it takes {merit.confirm} runs to confirm it"
    else:
        text = _REPEAT if best.low is None else "nothing else has run often enough to compare with"
    return f"{text}; until then {known.name} leads, {value_of(known)} ({_runs_of(known)})" if known else text


def _how(merit: Merit, best: Config) -> str:
    """Where the interval comes from, if not from different results of its own runs."""
    if merit.noise is not None and best.n <= _FEW:
        return f", noise of {merit.noise_runs} runs of the base configuration"
    return ", all the same" if best.sd == 0 else ""


def _beaten(merit: Merit) -> str:
    if merit.old:
        return f"clears {merit.old.name}'s {value_of(merit.old)}"
    return "the first, and none did better" if len(merit.configs) > 1 else "the only one so far"


def _runs_of(config: Config) -> str:
    return "one run" if config.n == 1 else f"{config.n} runs"


def _walk(configs: Iterable[Config], sign: float) -> tuple[Config | None, Config | None]:
    """Who holds the title in the end, and from whom it was taken."""
    holder: Config | None = None
    old: Config | None = None
    for config in sorted(configs, key=lambda config: config.order):
        if holder is None:
            holder = config
        elif _clears(config, holder, sign):
            holder, old = config, holder
    return holder, old


def _clears(config: Config, other: Config, sign: float) -> bool:
    """Whether the whole interval of one is better than that of the other."""
    if config.low is None or config.high is None or other.low is None or other.high is None:
        return False
    return config.high < other.low if sign > 0 else config.low > other.high


def _spread(config: Config) -> tuple[float, int]:
    """The root of the sum of the squared distances of its runs from their mean, and the freedom in it."""
    freedom = config.n - 1
    return (math.sqrt(freedom) * config.sd, freedom) if freedom and config.sd is not None else (0.0, 0)


def _mean(values: Sequence[float]) -> float:
    if min(values) == max(values):
        return values[0]  # exactly, so that equal results have no spread
    return math.fsum(value / len(values) for value in values)


def _sd(values: Sequence[float], mean: float) -> float | None:
    sd = math.hypot(*(value - mean for value in values)) / math.sqrt(len(values) - 1)
    return sd if math.isfinite(sd) else None
