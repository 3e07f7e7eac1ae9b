"""`revis status` and `revis list`: how sessions stand."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from orze.cli.common import DONE, Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orze.cli.revis.sessions import Found
    from orze.refine.places import Listed
    from orze.refine.story import Standing

_TICK = 60.0  # seconds of work that a loop does not record

Watch = Annotated[bool, typer.Option("-w", "--watch", help="Stay, and show what changes; Ctrl-C ends it.")]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Only these sessions (default: those at work, else all)."),
]


def status(context: typer.Context, names: Names = None, *, watch: Watch = False, json: Json = False) -> int:
    """Show how far sessions are: the best step, what is used of the budget, what is going on now."""
    from orze.cli import output
    from orze.cli.revis.sessions_view import standings_view
    from orze.cli.watching import watched

    def look() -> list[tuple[Standing, list[str]]]:
        return [(told(one.listed), now(one)) for one in _chosen(context, names or ())]

    def view(found: Sequence[tuple[Standing, list[str]]], fault: str) -> RenderableType:
        return standings_view([one for one, _ in found], [doing for _, doing in found], fault)

    if watch and not json:
        return watched(look, view)
    found = look()
    plain = [asdict(standing) | {"doing": doing} for standing, doing in found]
    output.emit(plain, json=json, show=lambda _: view(found, ""))
    return DONE


def list_sessions(context: typer.Context, json: Json = False) -> int:
    """Show all sessions of this project, one a line."""
    from orze.cli import output
    from orze.cli.revis.sessions import all_found
    from orze.cli.revis.sessions_view import list_view

    known = [told(one.listed) for one in all_found(context)]
    output.emit([asdict(one) for one in known], json=json, show=lambda _: list_view(known))
    return DONE


def told(one: Listed) -> Standing:
    """How a session stands, and where its loop runs."""
    from orze.refine.story import standing

    fold = one.fold
    if not one.at_work or fold.end:
        return standing(fold, where="")
    where = str(fold.taken.get("host") or "this machine")
    since = min(max(0.0, time.time() - fold.at[1]), _TICK)
    here = "here" if where == os.uname().nodename else where
    return standing(fold, where=here, active=fold.active + since)


def now(one: Found) -> list[str]:
    """What its open steps are doing, with how far their runs are."""
    from orze.refine.fold import is_running
    from orze.refine.running import happening, runs_of

    farm = one.farm() if any(map(is_running, one.fold.open)) and not one.fold.end else None
    return happening(one.fold, runs_of(farm, one.fold) if farm else [], time.time())


def _chosen(context: typer.Context, names: Sequence[str]) -> Iterable[Found]:
    from orze.cli.revis.sessions import all_found, found

    if names:
        return [found(context, name) for name in names]
    known = all_found(context)
    return [one for one in known if one.listed.at_work] or known
