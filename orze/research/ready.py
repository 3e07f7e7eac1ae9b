"""Whether research can be done on this host, told before a farm starts."""

from __future__ import annotations

import importlib.util
from typing import Final

from orze.config.research import ASKS_A_MODEL, Research
from orze.ideas.axes import parse_axis
from orze.research.loading import MISSING
from orze.research.price import unpriced

_NO_OPTUNA: Final = "the package optuna is missing; install it: pip install 'orze[optuna]'"


def lacking(research: Research | None) -> list[str]:
    """Say what stands in the way; it takes seconds where a budget in US dollars asks for prices.

    Returns:
        A sentence each, with the key that it is about; none without research.
    """
    if research is None:
        return []
    asks = research.mode in ASKS_A_MODEL and bool(research.model)
    problems = []
    if asks and importlib.util.find_spec("litellm") is None:
        problems.append(f"research.mode {research.mode}: {MISSING}")
    if research.mode == "optuna" and importlib.util.find_spec("optuna") is None:
        problems.append(f"research.mode optuna: {_NO_OPTUNA}")
    for key, axis in research.space.items():
        try:
            parse_axis(axis, continuous=True)
        except ValueError as error:
            problems.append(f"research.space: {key}: {error}")
    problems += [
        f"research.budget.usd cannot be held: the price of {model} is not known; give research.price, "
        "in US dollars for a million tokens"
        for model in (unpriced(research) if asks and not problems else [])
    ]
    return problems
