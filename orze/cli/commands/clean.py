"""`orze clean`: remove what a farm does not need any more."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orze.cli import output
from orze.cli.common import DONE, NO, Json, project_of
from orze.core.errors import OrzeError
from orze.report.text import counted, size

if TYPE_CHECKING:
    from orze.client.clean import Item

Attempts = Annotated[bool, typer.Option("--attempts", help="Attempts of ended ideas before the last one.")]
Pattern = Annotated[
    list[str] | None,
    typer.Option("--pattern", metavar="GLOB", help="Files of ended ideas, such as '*.pt'; may be repeated."),
]
Dead = Annotated[bool, typer.Option("--dead", help="Doors and heartbeats of attempts that are over.")]
Older = Annotated[
    str | None,
    typer.Option("--older-than", metavar="AGE", help="Only of ideas that ended so long ago: 7d, 12h."),
]
Yes = Annotated[bool, typer.Option("--yes/--dry-run", help="Remove it; otherwise it is only shown.")]


def clean(
    context: typer.Context,
    *,
    attempts: Attempts = False,
    pattern: Pattern = None,
    dead: Dead = False,
    older_than: Older = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Show what could be removed and how much space it takes; with --yes, remove it.

    Without --attempts, --pattern and --dead it is --attempts and --dead. Nothing is taken from the best idea,
    from ideas that run or wait, from those that such an idea names as Parent or After, nor from plain results
    without records. An idea's records, claim.json, metrics.json and idea.yaml stay, and so do its last
    attempt, the one that is shown, and the checkpoints that a retry of a failure would go on from.

    A pattern without a slash fits at every depth; others are as cleanup.patterns of orze.yaml. Heartbeats of
    daemons are left to the leading one, which watches them for as long as the lease asks. It may be run at
    any time, beside daemons: what the records say is read again before each removal. Exit status 1: something
    could not be removed.
    """
    from orze.client.clean import Cleaner, Wanted
    from orze.client.reader import Reader

    patterns = tuple(pattern or ())
    nothing = not (attempts or dead or patterns)
    wanted = Wanted(attempts or nothing, patterns, dead or nothing, _age(older_than))
    project = project_of(context)
    project.check_begun()
    reader = Reader(project)
    reader.read()
    cleaner = Cleaner(project, reader, wanted)
    told: list[dict[str, Any]] = []
    for item in cleaner.find():
        why = cleaner.remove(item) if yes else ""
        told.append({**asdict(item), "removed": yes and not why, "why": why})
        if not json:
            _tell(item, why)
    stays = [one for one in told if one["why"]]
    free = sum(one["bytes"] for one in told if not one["why"])
    if json:
        print(output.as_json({"removed": yes, "bytes": free, "daemons": cleaner.daemons, "items": told}))
    else:
        _sum_up(len(told) - len(stays), free, yes=yes)
        if cleaner.daemons:
            output.say(f"{counted(cleaner.daemons, 'heartbeat')} of daemons: left to the leading one")
    return NO if stays else DONE


def _sum_up(count: int, free: int, *, yes: bool) -> None:
    things = f"{counted(count, 'thing')}, {size(free)}"
    if not count:
        output.say("there is nothing to remove" if not yes else "nothing was removed")
    elif yes:
        output.say(f"removed: {things}")
    else:
        output.say(f"{things} could go; nothing was removed: add --yes")


def _tell(item: Item, why: str) -> None:
    """One line: what becomes free, where it is, and why it stays if it does."""
    files = f" ({counted(item.files, 'file')})" if item.kind in ("attempt", "files") else ""
    stays = f": stays, {why}" if why else ""
    print(f"{size(item.bytes):>10}  {output.safe(f'{item.path}{files}{stays}')}", flush=True)


def _age(written: str | None) -> float:
    from orze.core.units import parse_duration

    try:
        return parse_duration(written) if written else 0.0
    except ValueError as error:
        raise OrzeError(f"--older-than: {error}") from None
