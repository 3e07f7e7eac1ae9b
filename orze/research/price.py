"""What a model costs: as orze.yaml says, else as the list that comes with litellm says.

`python -m orze.research.price` reads names of models, as JSON, and prints what a token of each costs.
Loading litellm takes seconds: the daemon asks that program instead of loading it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from orze.config.research import ASKS_A_MODEL, Research
from orze.research.loading import load_litellm
from orze.research.proposers import Cost

CALLS: Final = 3  # of one round: the question and two repairs
PROMPT_BYTES: Final = 48 << 10  # the longest question; a token has a byte at least
_MILLION: Final = 1e6
_PATIENCE: Final = 60.0  # seconds
_CODE: Final = str(Path(__file__).resolve().parents[2])


def price_of(model: str, settings: Mapping[str, Any]) -> tuple[float, float] | None:
    """The US dollars of one token that is sent, and of one that is answered.

    Args:
        model: as litellm names it.
        settings: the `research` block of orze.yaml as plain values; its `price` wins.

    Returns:
        None where neither knows it.
    """
    if price := settings.get("price"):
        return price["input"] / _MILLION, price["output"] / _MILLION
    try:
        known = load_litellm().get_model_info(model)
    except Exception:  # noqa: BLE001 - it may be missing, and raises plain Exceptions for unknown models
        return None
    sent, answered = known.get("input_cost_per_token"), known.get("output_cost_per_token")
    if not isinstance(sent, int | float) or not isinstance(answered, int | float):
        return None
    return float(sent), float(answered)


def most(proposer: str, settings: Mapping[str, Any]) -> Cost:
    """The most that one round of a proposer may cost: every call with the longest question and answer."""
    model = settings.get("model")
    if proposer not in ASKS_A_MODEL or not model:
        return Cost()
    sent, answered = CALLS * PROMPT_BYTES, CALLS * int(settings["reply_tokens"])
    price = price_of(model, settings)
    return Cost(price and sent * price[0] + answered * price[1], sent + answered)


def unpriced(research: Research) -> list[str]:
    """The models that a budget in US dollars cannot be held with, since nobody knows what they cost.

    Returns:
        Their names; all of them where litellm gives no answer within a minute. None where no such budget is
        set, or orze.yaml gives the price.
    """
    models = [research.model, *research.fallbacks] if research.model else []
    if not models or research.price or research.budget.usd is None or research.mode not in ASKS_A_MODEL:
        return []
    known = prices(models)
    return [model for model in models if known.get(model) is None]


def prices(models: Sequence[str]) -> dict[str, tuple[float, float] | None]:
    """The US dollars of one token sent and answered, by model, as litellm's list says; it takes seconds.

    Returns:
        None for a model that it does not know; nothing at all where there is no answer within a minute.
    """
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "orze.research.price"],
            input=json.dumps(list(models)),
            env={**os.environ, "PYTHONPATH": _CODE},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
        told: dict[str, list[float] | None] = json.loads(ended.stdout.splitlines()[-1])
        return {name: (each[0], each[1]) if each else None for name, each in told.items()}
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {}


if __name__ == "__main__":
    print(json.dumps({name: price_of(name, {}) for name in json.load(sys.stdin)}))
