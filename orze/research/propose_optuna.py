"""The proposer `optuna`: the tree-structured Parzen estimator (TPE) of Optuna over the search space.

Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011; https://optuna.readthedocs.io
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, Final

from orze.ideas.axes import Axis
from orze.research.fresh import BASE, Flat, Fresh, Written
from orze.research.keys import flatten
from orze.research.proposers import ProposerError, Reply
from orze.research.space import alike, contains, is_number, settle
from orze.research.study import Study

_TRIES: Final = 50  # times that TPE is asked before something new is drawn instead
_WHY: Final = "TPE finds this more likely to be good than the rest of the search space, by {count} results."
_MISSING: Final = "the package optuna is missing; install it: pip install 'orze[optuna]'"


def propose_optuna(study: Study, count: int) -> Reply:
    """Ask TPE `count` times, or as often as the space has more.

    It is told each result anew in every round: nothing is kept but the results themselves. A failure is told
    as a failure, so that it shifts no scale. The first idea of a farm is the base configuration itself.

    Raises:
        ProposerError: Optuna is missing.
    """
    fresh, written = Fresh(study), Written("TPE")
    if not study.trials and (changes := fresh.take({})) is not None:
        written.add(changes, why=BASE)
    tpe = Tpe(study, fresh.space)
    while len(written.ideas) < count:
        changes = fresh.first(tpe.guess)
        if changes is None:
            break
        written.add(changes, why=_WHY.format(count=tpe.told))
    return written.reply()


class Tpe:
    """TPE over a space, told of the trials of a study.

    Args:
        frame: where it is given, only trials that have these values, flat, are told.

    Attributes:
        told: how many results it was told of.
    """

    TRIES = 50  # times that it is asked before something new is drawn instead

    def __init__(
        self, study: Study, space: Mapping[str, Axis], *, frame: Mapping[str, Any] | None = None
    ) -> None:
        package = load()
        self._space = {key: _sorted(axis) for key, axis in space.items()}
        self._distributions = {key: _distribution(package, axis) for key, axis in self._space.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that an option is called experimental
            sampler = package.samplers.TPESampler(seed=study.rng.randrange(1 << 31), constant_liar=True)
        direction = "minimize" if study.brief.ascending else "maximize"
        self._study = package.create_study(sampler=sampler, direction=direction)
        self.told = 0
        trials = []
        for trial in study.trials:
            flat = flatten(trial.config)
            if any(key not in flat or not alike(flat[key], value) for key, value in (frame or {}).items()):
                continue
            trials.append(self._trial(package, flat, None if trial.failed else trial.value))
        self._study.add_trials(trials)

    def guess(self, number: int) -> Flat | None:
        """Values for every key of the space; what was asked before and has no result counts as bad.

        Args:
            number: how often it was asked in vain; None is the answer when that does not help.
        """
        if number >= _TRIES:
            return None
        trial = self._study.ask(self._distributions)
        return {key: _value(axis, trial.params[key]) for key, axis in self._space.items()}

    def told_trials(self) -> list[Any]:
        """What it was told, as Optuna keeps it."""
        return list(self._study.get_trials(deepcopy=False))

    def _trial(self, package: Any, flat: Flat, value: float | None) -> Any:
        params = {
            key: _param(axis, flat[key])
            for key, axis in self._space.items()
            if key in flat and contains(axis, flat[key])
        }
        good = value is not None and math.isfinite(value)
        self.told += good
        return package.trial.create_trial(
            state=package.trial.TrialState.COMPLETE if good else package.trial.TrialState.FAIL,
            value=value if good else None,
            params=params,
            distributions={key: self._distributions[key] for key in params},
        )


def load() -> Any:
    """The package, made silent.

    Raises:
        ProposerError: it is missing.
    """
    try:
        import optuna
    except ImportError:
        raise ProposerError(_MISSING) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _sorted(axis: Axis) -> Axis:
    """Numbers in their order, so that near ones are near for TPE as well."""
    if all(map(is_number, axis.values)):
        return Axis(tuple(sorted(axis.values)), axis.low, axis.high, axis.log, axis.whole)
    return axis


def _distribution(package: Any, axis: Axis) -> Any:
    """What TPE searches: an interval, or the numbers of points (which may be lists, that it cannot take)."""
    kinds = package.distributions
    if axis.values:
        last = len(axis.values) - 1
        in_order = all(map(is_number, axis.values))
        return kinds.IntDistribution(0, last) if in_order else kinds.CategoricalDistribution(range(last + 1))
    if axis.whole:
        return kinds.IntDistribution(round(axis.low or 0), round(axis.high or 0), log=axis.log)
    return kinds.FloatDistribution(axis.low, axis.high, log=axis.log)


def _param(axis: Axis, value: Any) -> Any:
    if axis.values:
        return next(number for number, point in enumerate(axis.values) if alike(point, value))
    return int(value) if axis.whole else float(value)


def _value(axis: Axis, param: Any) -> Any:
    if axis.values:
        return axis.values[param]
    return settle(axis, math.log(param) if axis.log else float(param))
