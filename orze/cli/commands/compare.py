"""`orze compare`: configurations and metrics of ideas side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from orze.cli.common import DONE, USAGE, Json, project_of

Ids = Annotated[list[str], typer.Argument(metavar="ID ID...", help="Two ideas or more, such as idea-012.")]


def compare(context: typer.Context, ideas: Ids, json: Json = False) -> int:
    """Show configurations and metrics of ideas side by side: only what differs."""
    from orze.cli import output
    from orze.cli.views.compare import CompareView
    from orze.client.compare import plain
    from orze.client.ids import check_known
    from orze.client.reader import Reader
    from orze.client.whole import gather

    chosen = list(dict.fromkeys(ideas))
    if len(chosen) < 2:
        output.complain("compare needs two ideas at least; orze show tells of one")
        return USAGE
    project = project_of(context)
    reader = Reader(project)
    reader.read()
    check_known(chosen, reader.queue.ids())
    sides = [gather(project, reader, idea_id) for idea_id in chosen]
    output.emit(plain(sides), json=json, show=lambda _: CompareView(sides))
    return DONE
