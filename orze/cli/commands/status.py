"""`orze status`: the farm at a glance, once or live."""

from __future__ import annotations

from typing import Annotated

import typer

from orze.cli.common import DONE, Json, project_of, start_command

Watch = Annotated[bool, typer.Option("-w", "--watch", help="Stay, and show what changes; Ctrl-C ends it.")]


def status(context: typer.Context, watch: Watch = False, json: Json = False) -> int:
    """Show hosts, cards, what runs where, the queue, the last results and problems.

    All of it was told by daemons and attempts: no card of this host is asked, and ideas.md is not read.
    """
    from orze.cli import output
    from orze.cli.views.status import StatusView
    from orze.cli.watching import watched
    from orze.client.status import look, plain

    project = project_of(context)
    project.check_begun()
    if watch and not json:
        start = start_command(context)
        return watched(
            lambda: look(project), lambda farm, fault: StatusView(farm, start=start, low=True, fault=fault)
        )
    farm = look(project)
    output.emit(plain(farm), json=json, show=lambda _: StatusView(farm, start=start_command(context)))
    return DONE
