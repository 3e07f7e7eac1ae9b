"""What the commands of `orze` share: the options that several have, and the project that they work on."""

from __future__ import annotations

import getpass
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from orze.client.project import Project

DONE: Final = 0
NO: Final = 1  # a problem was found, an idea failed, a request was refused
USAGE: Final = 2  # wrong usage or settings
UNANSWERED: Final = 3  # nobody answered in time; the request stays
INTERRUPTED: Final = 130  # Ctrl-C

Idea = Annotated[str, typer.Argument(metavar="ID", help="The idea, such as idea-012.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Leave the request and return at once.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", min=0.0, help="Wait so long for the answer (60; 3 if no daemon runs)."
    ),
]


def project_of(context: typer.Context) -> Project:
    """The project that -c names, else that of the working directory.

    Raises:
        ConfigError: its settings are at fault.
    """
    from orze.client.project import open_project

    return open_project(config_file(context), cwd=Path.cwd(), environ=os.environ)


def config_file(context: typer.Context) -> Path | None:
    """What -c named."""
    named: Path | None = context.find_root().obj
    return named


def start_command(context: typer.Context) -> str:
    """What starts a daemon of this project."""
    named = config_file(context)
    return f"orze -c {shlex.quote(str(named))} run" if named else "orze run"


def asker() -> str:
    """Who asks, for the journal: user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no name for this uid
        user = str(os.geteuid())
    return f"{user}@{os.uname().nodename}"
