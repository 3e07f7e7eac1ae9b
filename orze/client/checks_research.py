"""Checks of who proposes ideas: the package, the key, the price and the server of a model, or a program."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from orze.client.checks import Check, Verdict
from orze.config.research import ASKS_A_MODEL, Research
from orze.report.text import clean
from orze.research.about import About, Model
from orze.research.hiding import hidden

_NAME = "LLM"
_LIMIT = 80.0  # seconds that LiteLLM may take to load
_ANSWER = 10.0  # seconds that a server may take
_CODE = str(Path(__file__).resolve().parents[2])


def check_researcher(research: Research | None, environ: Mapping[str, str]) -> list[Check]:
    """Look at all that the configured proposer needs; no question is asked, and nothing costs."""
    if research is None:
        return [Check(_NAME, Verdict.SKIP, "no researcher is configured: the key research is not set")]
    if research.model and research.mode in ASKS_A_MODEL:
        return list(_check_model(research, environ))
    if research.command and research.mode in ("command", "hybrid"):
        return [
            judge_program(research.command[0], shutil.which(research.command[0], path=environ.get("PATH")))
        ]
    if research.mode == "optuna":
        return [judge_package("optuna", is_there=importlib.util.find_spec("optuna") is not None)]
    return [Check(_NAME, Verdict.SKIP, f"research.mode {research.mode} asks no model and needs no key")]


def judge_program(name: str, found: str | None) -> Check:
    """Whether the program of `research.command` is there."""
    shown = clean(name)
    if found is None:
        return Check("researcher", Verdict.FAIL, f"there is no program {shown}", "correct research.command")
    return Check("researcher", Verdict.OK, f"research.command runs {clean(found)}")


def judge_package(name: str, *, is_there: bool) -> Check:
    """Whether the package of a proposer is installed."""
    if not is_there:
        advice = f"pip install 'orze[{name}]'"
        return Check("researcher", Verdict.FAIL, f"the package {name} is missing", advice)
    return Check("researcher", Verdict.OK, f"{name} is installed")


def judge_model(model: Model, research: Research) -> Check:
    """Whether a model can be asked, and whether what it costs is known."""
    name = clean(model["name"])
    if not model["known"]:
        advice = "name the provider first, such as openai/gpt-4o-mini"
        return Check(_NAME, Verdict.FAIL, f"LiteLLM does not know the provider of {name}", advice)
    if model["missing"] and not research.api_base:
        said = f"{name} needs {', '.join(model['missing'][:4])}, which is not set here"
        return Check(_NAME, Verdict.FAIL, said, "set it in the environment of farm.py")
    if not model["priced"] and research.price is None:
        said = f"the price of {name} is not known"
        strict = research.budget.usd is not None
        advice = "give research.price" + (
            ", or take budget.usd out" if strict else "; what it costs is not told"
        )
        return Check(_NAME, Verdict.FAIL if strict else Verdict.WARN, said, advice)
    key = "its server is asked without a key" if model["missing"] else "its key is set"
    return Check(_NAME, Verdict.OK, f"{name}: {key}, its price is known")


def ask_litellm(models: list[str], environ: Mapping[str, str]) -> About:
    """Ask LiteLLM about models in a process of its own; a fault of it is told as one."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "orze.research.about"],
            input=json.dumps(models), env={**environ, "PYTHONPATH": _CODE},
            capture_output=True, text=True, timeout=_LIMIT, check=True,
        )  # fmt: skip
        about: About = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return About(fault=f"LiteLLM cannot be asked: {type(error).__name__}", models=[])
    return about


def reach(address: str, environ: Mapping[str, str]) -> Check:
    """Whether a server of models answers, whatever it answers; no key is sent to it."""
    url = f"{address.rstrip('/')}/models"
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER):  # noqa: S310 - the settings allow http and https
            pass
    except urllib.error.HTTPError as error:
        error.close()  # it answered
    except (OSError, ValueError) as error:
        said = clean(hidden(str(getattr(error, "reason", error)), environ))
        advice = "start it, or correct research.api_base"
        return Check(
            _NAME, Verdict.FAIL, f"{clean(hidden(address, environ))} does not answer: {said}", advice
        )
    return Check(_NAME, Verdict.OK, f"{clean(hidden(address, environ))} answers")


def _check_model(research: Research, environ: Mapping[str, str]) -> Iterator[Check]:
    models = [model for model in (research.model, *research.fallbacks) if model]
    about = ask_litellm(models, environ)
    if about["fault"]:
        yield Check(_NAME, Verdict.FAIL, clean(about["fault"], 200))
    for model in about["models"]:
        yield judge_model(model, research)
    if research.api_base:
        yield reach(research.api_base, environ)
