"""The best configuration of a study, and what of it others may build on."""

from __future__ import annotations

from typing import Any

from orze.research.keys import flatten, is_seed
from orze.research.space import contains
from orze.research.study import Study, Trial


def best_trial(study: Study) -> Trial | None:
    """The trial that the farm ranks first, by the less good end of its interval; else that of the best value.

    Only those count that have every key of the search space: another kind of model may be better, but has
    nothing that could be searched here, and fails of keys that it does not know. None where there is none.
    """
    good = [trial for trial in study.trials if not trial.failed and trial.value is not None]
    good = [trial for trial in good if study.space.keys() <= flatten(trial.config).keys()]
    by_id = {trial.idea_id: trial for trial in good}
    first = (by_id[known.idea_id] for known in study.brief.top if known.idea_id in by_id)
    sign = -1.0 if study.brief.ascending else 1.0
    return next(first, None) or max(good, key=lambda trial: sign * (trial.value or 0.0), default=None)


def since(study: Study, trial: Trial | None) -> int:
    """How many trials ended after one."""
    if trial is None:
        return 0
    places = [number for number, one in enumerate(study.trials) if one.idea_id == trial.idea_id]
    return len(study.trials) - 1 - places[-1]


def settings_of(study: Study, trial: Trial | None) -> dict[str, Any]:
    """The configuration of a trial, else that of the base, by dotted keys.

    Seeds are left to the base, and so are values that `research.space` does not allow.
    """
    config = flatten(study.base if trial is None else trial.config)
    return {
        key: value
        for key, value in config.items()
        if not is_seed(key) and (key not in study.declared or contains(study.space[key], value))
    }
