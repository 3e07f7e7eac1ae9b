"""`orze init`: makes a directory a project of the farm."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orze.cli import output
from orze.cli.common import DONE, NO, USAGE, Json
from orze.report.text import counted

if TYPE_CHECKING:
    from orze.client.setup import Found, Plan


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The project (default: here).")] = Path(),
    *,
    script: Annotated[
        str | None, typer.Option("--script", metavar="PATH", help="The training script, as seen from DIR.")
    ] = None,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Ask nothing.")] = False,
    json: Json = False,
) -> int:
    """Set up a project: orze.yaml, ideas.md, configs/base.yaml, RULES.md, and an adapter if it needs one.

    It looks for a training script and reads its argparse flags, without running it; for a virtual
    environment; and for GPUs. A script that does not follow the contract of RULES.md gets an adapter,
    which runs it with the flags of each idea. Files that are there are kept as they are.
    """
    from orze.client import setup

    home = Path(os.path.abspath(directory))
    found = setup.look(home, script=script, cards=setup.card_names())
    plan = setup.plan(found, os.environ)
    if not json:
        _tell(found, plan)
    if not yes and not json and not _agreed():
        return NO if sys.stdin.isatty() else USAGE
    written = [
        {"file": file.name, "written": fresh, "about": file.about}
        for file, fresh in setup.write(home, plan.files)
    ]
    told: dict[str, Any] = {"directory": str(home), "files": written, "notes": list(plan.notes)}
    if json:
        print(output.as_json(told))
    else:
        _tell_next(home, written, plan)
    return DONE


def _tell(found: Found, plan: Plan) -> None:
    """What is there, and what would be written."""
    output.say(f"In {found.directory}:")
    count = (
        f"{len(found.cards)} × {found.cards[0]}" if found.cards else "none: ideas run on one CPU slot here"
    )
    _rows(
        ("training script", _script(found)),
        ("interpreter", found.python or sys.executable),
        ("GPUs", count),
    )
    fresh = [(f.name, f.about) for f in plan.files if not os.path.lexists(found.directory / f.name)]
    output.say("To be written:" if fresh else "Nothing is missing.")
    _rows(*fresh)


def _rows(*rows: tuple[str, str]) -> None:
    """Pairs below one another."""
    from rich.padding import Padding
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for left, right in rows:
        table.add_row(output.text(left), output.text(right))
    if rows:
        output.draw(Padding(table, (0, 0, 0, 2), expand=False))


def _script(found: Found) -> str:
    if not found.script:
        return "none yet: an example is written"
    if found.fault:
        return f"{found.script}, which cannot be read"
    if not found.needs_adapter:
        return f"{found.script}, which the farm can call"
    return f"{found.script}, {counted(len(found.source.flags), 'argparse flag')}; it needs an adapter"


def _agreed() -> bool:
    """Whether the person at the terminal wants it."""
    if not sys.stdin.isatty():
        output.complain("there is no terminal to ask on; give --yes to write these files")
        return False
    return typer.confirm("Write these files?", default=True)


def _tell_next(home: Path, written: list[dict[str, Any]], plan: Plan) -> None:
    names = [file["file"] for file in written if file["written"]]
    kept = [file["file"] for file in written if not file["written"]]
    if names:
        output.say(f"Written: {', '.join(names)}")
    if kept:
        output.say(f"Kept as they are: {', '.join(kept)}")
    for note in plan.notes:
        output.say(f"Note: {note}")
    go = "" if home == Path.cwd() else f"cd {shlex.quote(str(home))} && "
    output.say("Next:")
    _rows(
        (f"{go}orze doctor --train", "checks everything, and tries one idea"),
        ("orze run", "runs the ideas of ideas.md until Ctrl-C"),
    )
