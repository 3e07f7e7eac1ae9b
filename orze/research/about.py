"""What LiteLLM knows of some models: `python -m orze.research.about`, a process that asks no network.

It reads their names as JSON from standard input and prints an `About`.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TypedDict

from orze.research.loading import Unusable, load_litellm
from orze.research.price import price_of


class Model(TypedDict):
    """One model: the variables of its key that are not set, whether LiteLLM knows it, and its price."""

    name: str
    known: bool
    missing: list[str]
    priced: bool


class About(TypedDict):
    """The models, in their order; or why LiteLLM cannot be asked."""

    fault: str
    models: list[Model]


def about(names: list[str]) -> About:
    """Ask LiteLLM about models; of their keys, only whether they are set."""
    try:
        litellm = load_litellm()
    except Unusable as error:
        return About(fault=str(error), models=[])
    return About(fault="", models=[_model(litellm, name) for name in names])


def _model(litellm: Any, name: str) -> Model:
    try:
        litellm.get_llm_provider(name)
        known, missing = True, [str(key) for key in litellm.validate_environment(name)["missing_keys"]]
    except Exception:  # noqa: BLE001 - it raises plain Exceptions for names that it cannot place
        known, missing = False, []
    return Model(name=name, known=known, missing=missing, priced=price_of(name, {}) is not None)


def main() -> None:
    """Answer."""
    names = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    print(json.dumps(about(names)), file=answers, flush=True)
    os._exit(0)  # as in call.py


if __name__ == "__main__":
    main()
