"""`revis delete`: removes a session."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orze.cli import output
from orze.cli.common import DONE, NO, USAGE
from orze.cli.revis.common import Name, home_of
from orze.report.text import counted

Branch = Annotated[
    bool,
    typer.Option(
        "--branch/--keep-branch", help="Also its branch and refs, and so what it found (default: kept)."
    ),
]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Ask nothing.")]


def delete(context: typer.Context, name: Name, *, branch: Branch = False, yes: Yes = False) -> int:
    """Remove a session: its records, logs and runs. Its branch and refs stay unless --branch is given."""
    from orze.cli.revis.sessions import found
    from orze.refine.control import delete as remove
    from orze.refine.places import AtWork

    one = found(context, name)
    listed = one.listed
    if one.keeper:
        output.complain(
            f"a farm keeps {name}: take refine out of its settings, then remove {listed.place.home}"
        )
        return USAGE
    if listed.at_work:
        raise AtWork(f"a loop is at work on {name}; revis stop {name} comes first")
    steps = counted(len(listed.fold.steps), "step")
    also = (
        f" and the branch revis/{name} with all that was tried"
        if branch
        else f"; the branch revis/{name} stays"
    )
    if not yes:
        if not sys.stdin.isatty():
            output.complain("there is no terminal to ask on; give --yes to remove it")
            return USAGE
        if not typer.confirm(f"Remove {output.safe(str(listed.place.home))} ({steps}){also}?", default=False):
            return NO
    remove(home_of(context), name, branch=branch)
    output.say(f"removed {name} ({steps}){also}")
    return DONE
