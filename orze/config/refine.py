"""The keys of revis.yaml, and of `refine` in orze.yaml: how code is changed, run and judged, step by step."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from orze.config.executor import Executor
from orze.config.outward import Block
from orze.config.research import Address, Price
from orze.config.values import FilePatterns, Minutes, ProjectPath, Seconds, Text, Times, Variables, Words

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_]\w{0,254}", re.ASCII)
_NO_VARIABLES: Final[Variables] = {}


def session_name(value: str) -> str:
    """Hold that a text can name a session: its branch, its directory and its window are called so.

    Raises:
        ValueError: the end of a sentence that says what a name is made of.
    """
    if not _NAME.fullmatch(value):
        raise ValueError("must be a short name of letters, digits, '_' and '-'")
    return value


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise ValueError("must be the name of an environment variable, which holds the key")
    return value


Count = Annotated[int, Field(ge=1, le=10**6)]
Few = Annotated[int, Field(ge=1, le=64)]


class Llm(Block):
    """The model that proposes changes."""

    model: Text | None = None
    """As LiteLLM names it: provider/model; unset: chosen by the key that the environment holds."""
    api_base: Address | None = None
    """Address of an own server of models, which needs `model`."""
    api_key_env: Annotated[Text, AfterValidator(_variable)] | None = None
    """Environment variable that holds the key; unset: that of the provider."""
    price: Price | None = None
    """What the model costs; unset: what LiteLLM knows."""
    reply_tokens: Annotated[int, Field(ge=100, le=200_000)] = 8000
    """Longest answer."""
    timeout: Seconds = 600.0
    """Longest time that an answer, or an agent's change, may take."""

    @field_validator("api_base")
    @classmethod
    def _needs_a_model(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("model") is None:
            raise ValueError("needs the key model beside it, such as model: openai/NAME")
        return value


class Budget(Block):
    """What a session may use in all, also when it is resumed; each that is not given has no bound."""

    time: Seconds | None = None
    """Time that the session is at work; it also ends a run in progress."""
    runs: Count | None = None
    """Runs of the training command, that of the baseline and repeats among them."""
    usd: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """US dollars for calls of models."""
    tokens: Annotated[int, Field(ge=1, le=10**15)] | None = None
    """Tokens sent and answered."""


class Guardrails(Block):
    """When a run is ended, and when the session is."""

    max_run_duration: Seconds = 7200.0
    """Longest time that one run may take."""
    stall_minutes: Minutes = 0.0
    """Minutes without a new line of log or progress that end a run; 0: off."""
    plateau_runs: Times = 3
    """Completed runs, one behind the other and none of them kept, after which the session ends; 0: off."""
    max_failures: Times = 3
    """Steps without a result, one behind the other, after which it ends; 0: off."""
    divergence_runs: Times = 0
    """Runs, one behind the other and all worse than the baseline or not finite, that end it; 0: off."""


class Loop(Block):
    """What a session obeys, wherever it runs."""

    llm: Llm = Llm()
    """The model that proposes changes."""
    agent: Words = ()
    """In its place: a program that changes the files of the directory it is started in, its task on stdin."""
    constraints: Annotated[tuple[Text, ...], Field(max_length=100, strict=False)] = ()
    """What every proposal has to respect, in words."""
    allow: FilePatterns = ()
    """Files that may be changed, as patterns; none: all that are not denied."""
    deny: FilePatterns = ()
    """Files that must not be changed, as patterns."""
    protected: FilePatterns = ()
    """Files that neither a change nor a run may touch, as patterns: a run that did is void."""
    smoke: Text | None = None
    """A line for the shell that must succeed before a run is spent."""
    repeats: Few = 1
    """Runs of each step, with seeds of their own; from 2 on they tell the noise."""
    parallel: Few = 1
    """Steps that are open at once, each from the best."""
    budget: Budget = Budget()
    """What the session may use in all."""
    guardrails: Guardrails = Guardrails()
    """When a run is ended, and when the session is."""

    @field_validator("agent")
    @classmethod
    def _is_in_place_of_a_model(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        llm = info.data.get("llm")
        if value and llm is not None and llm.model is not None:
            raise ValueError("is given beside llm.model; one of them makes the changes")
        return value

    @field_validator("budget")
    @classmethod
    def _can_be_counted(cls, value: Budget, info: ValidationInfo) -> Budget:
        if info.data.get("agent") and (value.usd or value.tokens):
            raise ValueError(
                "cannot hold usd or tokens with an agent, whose cost nobody tells; use time or runs"
            )
        return value


class Refine(Loop):
    """The session that the leader of a farm keeps."""

    name: Annotated[Text, AfterValidator(session_name)] = "refine"
    """Name of the session and, behind revis/, of its branch."""
    target: float | None = None
    """Value of the primary metric at which the session has what it looks for."""


class Place(Executor):
    """Where a session's runs take place."""

    of_ssh: ClassVar[frozenset[str]] = Executor.of_ssh - {"gpus"}

    type: Literal["local", "tmux", "ssh", "farm"] = "local"  # type: ignore[assignment] # one word more
    """`local`: here, in windows of tmux where it is installed; `tmux`; `ssh`: on another machine; `farm`: by
    the daemons of an orze.yaml."""
    config: ProjectPath = Path("orze.yaml")
    """With farm: its settings file."""

    def problems(self) -> list[str]:
        """What its keys ask of one another, each as the end of a sentence."""
        said, given = super().problems(), self.model_fields_set
        if self.type == "farm" and "gpus" in given:
            said.append("has the key gpus; a farm has cards of its own")
        if self.type != "farm" and "config" in given:
            said.append(f"has the key config, which is for type farm; its type is {self.type}")
        return said

    def below(self, directory: Path) -> Self:
        """As for an executor; the farm's settings file as well."""
        config = directory / os.path.expanduser(self.config)
        return super().below(directory).model_copy(update={"config": config})


class Entry(Block):
    """How the project is run."""

    train: Text
    """The training command, a line for the shell."""
    setup: Text | None = None
    """A line for the shell before each training, such as one that installs what it needs."""
    env: Variables = _NO_VARIABLES
    """Further environment of both."""


class Metrics(Block):
    """What a run is judged by."""

    primary: Text
    """The name under which eval.json holds it."""
    minimize: bool | None = None
    """Whether smaller is better; unset: told from the name."""
    target: float | None = None
    """Value at which the session has what it looks for."""


class Revis(Loop):
    """What is in force for a session of `revis loop`, every path absolute."""

    project_dir: ProjectPath
    """Directory of revis.yaml."""
    executor: Place = Place()
    """Where runs take place."""
    entry: Entry | None = None
    """How the project is run; a farm has its own."""
    metrics: Metrics
    """What a run is judged by."""

    @field_validator("executor")
    @classmethod
    def _is_below_the_project(cls, value: Place, info: ValidationInfo) -> Place:
        return value.below(info.data["project_dir"])

    @field_validator("entry")
    @classmethod
    def _is_told_once(cls, value: Entry | None, info: ValidationInfo) -> Entry | None:
        place = info.data.get("executor")
        if place is not None and (value is None) != (place.type == "farm"):
            told = "is told by the farm's own settings; remove it"
            raise ValueError("needs the key train, the training command" if value is None else told)
        return value
