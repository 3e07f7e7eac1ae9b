"""The best configuration of a study, and what of it others may build on."""

from __future__ import annotations

from typing import Any

from orze.research.keys import flatten, is_seed
from orze.research.space import contains
from orze.research.study import Study, Trial


def best_trial(study: Study) -> Trial | None:
    """The trial that the farm ranks first, by the less good end of its interval; else that of the best value.

    None where no trial has a value.
    """
    by_id = {trial.idea_id: trial for trial in study.trials}
    for known in study.brief.top:
        trial = by_id.get(known.idea_id)
        if trial and not trial.failed:
            return trial
    sign = -1.0 if study.brief.ascending else 1.0
    good = [trial for trial in study.trials if not trial.failed and trial.value is not None]
    return max(good, key=lambda trial: sign * (trial.value or 0.0), default=None)


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
