"""What the commands of `revis` share: the project, its sessions, and what they end with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orze.cli.common import config_file

if TYPE_CHECKING:
    from orze.refine.fold import SessionFold
    from orze.refine.model import Step

Name = Annotated[str, typer.Argument(metavar="NAME", help="The session.")]


def home_of(context: typer.Context) -> Path:
    """The project's directory: that of the file that -c names, else the working directory."""
    named = config_file(context)
    return (Path.cwd() / named).parent if named else Path.cwd()


def step_of(fold: SessionFold, number: int) -> Step:
    """A step by its number.

    Raises:
        OrzeError: the session has none of this number.
    """
    from orze.core.errors import OrzeError

    if number not in fold.steps:
        there = f"0 to {len(fold.steps) - 1}" if fold.steps else "none yet"
        raise OrzeError(f"{fold.name} has no step {number}; there are: {there}")
    return fold.steps[number]
