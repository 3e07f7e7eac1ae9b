"""The keys of orze.yaml by which a farm speaks to others: messages to people, mirrors in trackers."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from orze.config.values import NewsWord, SecondsOrZero, SecretText, SecretUrl, Text


class Block(BaseModel):
    """A block of keys; the text below each key is its description."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
    )


class Notifications(Block):
    """Who is told at once of what happens in the farm, through apprise."""

    urls: Annotated[tuple[SecretUrl, ...], Field(max_length=50, strict=False)] = ()
    """Where messages go, as URLs of apprise; never shown. None: nobody is told."""
    on: Annotated[tuple[NewsWord, ...], Field(min_length=1, max_length=50, strict=False)] | None = None
    """What is told; unset: all of it."""
    every: SecondsOrZero = 60.0
    """Least time between two messages; what happens in between is told in one."""


class Mlflow(Block):
    """A mirror in MLflow."""

    uri: SecretText
    """Tracking server, database or directory; never shown, since it may hold a password."""
    experiment: Text = "orze"
    """The experiment that the runs belong to; made where it is not there."""


class Wandb(Block):
    """A mirror in Weights & Biases; WANDB_API_KEY and its other variables come from the environment."""

    project: Text
    """The project that the runs belong to."""
    entity: Text | None = None
    """The user or team that has it; unset: that of the key."""
    mode: Literal["online", "offline"] = "online"
    """`offline` writes runs below wandb/ for `wandb sync`."""


class Trackio(Block):
    """A mirror in trackio; TRACKIO_DIR, TRACKIO_SPACE_ID and its other variables say where."""

    project: Text
    """The project that the runs belong to."""


class Trackers(Block):
    """Experiment trackers that are told of every idea that ended."""

    mlflow: Mlflow | None = None
    """A mirror in MLflow."""
    wandb: Wandb | None = None
    """A mirror in Weights & Biases."""
    trackio: Trackio | None = None
    """A mirror in trackio."""
