"""`orze status`: the farm at a glance, once or live."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from orze.cli.common import DONE, USAGE, Json, project_of, start_command

if TYPE_CHECKING:
    from orze.client.project import Project

_EVERY = 1.0  # seconds between two looks of the live view
_TERMINATED = 128 + signal.SIGTERM  # what a shell says of who died by it

Watch = Annotated[bool, typer.Option("-w", "--watch", help="Stay, and show what changes; Ctrl-C ends it.")]


def status(context: typer.Context, watch: Watch = False, json: Json = False) -> int:
    """Show hosts, cards, what runs where, the queue, the last results and problems.

    All of it was told by daemons and attempts: no card of this host is asked, and ideas.md is not read.
    """
    from orze.cli import output
    from orze.cli.views.status import StatusView
    from orze.client.status import look, plain

    project = project_of(context)
    project.check_begun()
    if watch and not json:
        return _live(project, start_command(context))
    farm = look(project)
    output.emit(plain(farm), json=json, show=lambda _: StatusView(farm, start=start_command(context)))
    return DONE


def _live(project: Project, start: str) -> int:
    """Show the farm until Ctrl-C or SIGTERM, and leave the terminal as it was.

    It is drawn over what was there, each second and when the window changes.
    """
    from rich.live import Live

    from orze.cli import output
    from orze.cli.views.status import StatusView
    from orze.client.status import look

    console = output.console()
    if not console.is_terminal:
        output.complain("-w needs a terminal; without it, status tells what is there now")
        return USAGE
    heeded = {signal.SIGWINCH, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, heeded)
    try:
        farm, fault = look(project), ""
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(StatusView(farm, start=start, low=True, fault=fault), refresh=True)
                sent = signal.sigtimedwait(heeded, _EVERY)
                if sent and sent.si_signo == signal.SIGTERM:
                    return _TERMINATED
                try:
                    farm, fault = look(project), ""
                except OSError as error:
                    fault = f"{error.filename or project.paths.results}: {error.strerror or error}"
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)
