"""The keys of orze.yaml by which a farm proposes its own experiments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from orze.config.outward import Block
from orze.config.values import ProjectPath, Seconds, SecondsOrZero, Text, Times, Words

_ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", re.ASCII)
_MAX_AXES: Final = 100
_MAX_POINTS: Final = 1000
ASKS_A_MODEL: Final = frozenset({"llm", "hybrid"})


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError("must be an address such as http://localhost:8000/v1, without a key or password")
    return value


def _axis(value: object) -> object:
    """Only its form: what a range may hold is for the reader of axes to say."""
    if isinstance(value, list) and 0 < len(value) <= _MAX_POINTS:
        return value
    if isinstance(value, dict) and len(value) == 1 and value.keys() <= {"range", "log"}:
        (ends,) = value.values()
        if isinstance(ends, list) and len(ends) in (2, 3):
            return value
    raise ValueError("must be a list of values, {range: [from, to]} or {log: [from, to]}")


Address = Annotated[Text, AfterValidator(_address)]
AxisValue = Annotated[Any, AfterValidator(_axis)]


class Price(Block):
    """What a model costs, in US dollars for a million tokens."""

    input: Annotated[float, Field(ge=0, le=1e6)]
    """Of what is sent to it."""
    output: Annotated[float, Field(ge=0, le=1e6)]
    """Of what it answers."""


class Budget(Block):
    """What research may use in all; each that is not given has no bound."""

    usd: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """US dollars for calls of models."""
    tokens: Annotated[int, Field(ge=1, le=10**15)] | None = None
    """Tokens sent and answered."""
    rounds: Annotated[int, Field(ge=1, le=10**6)] | None = None
    """Rounds."""
    gpu_hours: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Hours of cards, for the runs of ideas that research proposed."""


class Research(Block):
    """Who proposes new ideas when the queue runs low, how often, and within which bounds."""

    mode: Literal["llm", "command", "optuna", "random", "hillclimb", "hybrid", "none"] = "hillclimb"
    """Who proposes; `none` for early stopping alone."""
    model: Text | None = None
    """The model of modes llm and hybrid, as LiteLLM names it: provider/model."""
    fallbacks: Annotated[tuple[Text, ...], Field(max_length=10, strict=False)] = ()
    """Models that are asked when rounds of the one before stay empty, in this order."""
    api_base: Address | None = None
    """Address of an own server of models."""
    price: Price | None = None
    """What the models cost; unset: what LiteLLM knows."""
    reply_tokens: Annotated[int, Field(ge=100, le=200_000)] = 4000
    """Longest answer of a model."""
    command: Words = ()
    """The program of mode command, with its arguments."""
    space: Annotated[Mapping[Text, AxisValue], Field(max_length=_MAX_AXES)] = {}
    """Dotted key of the configuration: the values that may be tried; none: learnt from base_config."""
    ideas_per_round: Annotated[int, Field(ge=1, le=50)] = 4
    """How many ideas one round may leave."""
    min_queue: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """A round is due while fewer ideas are queued; unset: as many as the farm has slots."""
    cooldown: SecondsOrZero = 60.0
    """Least time between the end of a round and the next."""
    round_timeout: Seconds = 600.0
    """Longest time that a round may take."""
    budget: Budget = Budget()
    """What research may use in all."""
    control: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Share of the ideas that a control proposer gives, to compare with; 0: none."""
    target: float | None = None
    """Value of the primary metric at which research has what it looks for."""
    plateau: Times = 0
    """Runs of research without an improvement after which it stops; 0: off."""
    prune: Literal["median", "asha"] | None = None
    """How hopeless attempts are stopped early; unset: not at all."""
    prune_after: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """Step of progress.jsonl before which nothing is stopped, and the lowest rung of asha; unset: a quarter
    of the way of a run that goes to its end, with asha a sixteenth."""
    prune_runs: Annotated[int, Field(ge=2, le=200)] = 10
    """How many other runs must have got as far before an attempt is stopped there."""
    goal: ProjectPath = Path("GOAL.md")
    """What the farm is for, in words; it need not be there."""
    steer: ProjectPath = Path("steer.md")
    """A person's word to the researcher, read in each round; it need not be there."""

    @model_validator(mode="after")
    def _has_what_its_mode_needs(self) -> Self:
        if problems := list(_lacking(self)):
            raise ValueError("\n".join(problems))
        return self


def _lacking(research: Research) -> list[str]:
    """What the keys of this block ask of one another, each as the end of a sentence."""
    mode, budget = research.mode, research.budget
    said = []
    if mode == "llm" and not research.model:
        said.append("needs the key model with mode llm, such as model: openai/gpt-4o-mini")
    if mode == "command" and not research.command:
        said.append("needs the key command with mode command")
    if mode == "hybrid" and not (research.model or research.command):
        said.append("needs the key model, or command, with mode hybrid")
    runs_program = mode == "command" or (mode == "hybrid" and not research.model)
    if runs_program and (budget.usd or budget.tokens):
        said.append(
            "cannot hold a budget of usd or tokens with a command, whose cost nobody tells; use budget.rounds"
        )
    if research.fallbacks and not research.model:
        said.append("has fallbacks without a model")
    if research.control and mode == "random":
        said.append("cannot have a control with mode random, which is the control itself")
    return said
