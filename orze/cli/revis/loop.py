"""`revis loop`, `resume` and `stop`: sessions begin, go on, and end."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orze.cli import output
from orze.cli.common import DONE, UNANSWERED, USAGE, config_file
from orze.cli.revis.common import Name, home_of

if TYPE_CHECKING:
    from orze.config.refine import Budget

_PATIENCE = 60.0  # seconds in which a loop should have ended
_NOW_PATIENCE = 120.0  # the same where runs end first

New = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="The session (default: the next of loop-1, loop-2)."),
]
Given = Annotated[
    str | None,
    typer.Option(
        "--budget", metavar="BUDGET", help="In all: 4h, 1h30m, '20 runs', '$5', or several: '4h, $5'."
    ),
]
More = Annotated[
    str | None,
    typer.Option("--budget", metavar="BUDGET", help="What is added to its budget, such as 2h or '10 runs'."),
]
Background = Annotated[bool, typer.Option("--background", help="Return at once; the loop needs no terminal.")]
Now = Annotated[bool, typer.Option("--now", help="The run in progress ends too.")]


def loop(
    context: typer.Context, *, name: New = None, budget: Given = None, background: Background = False
) -> int:
    """Start a session from the commit that is checked out, and work on it until it ends.

    First the baseline runs; then each step asks for one change of the best, runs and measures it, and keeps
    it if it is better by more than the noise. Your checkout is not touched. Ctrl-C ends the loop and leaves
    the run in progress, whose result is taken at `revis resume`; a second Ctrl-C ends the run too.
    """
    from orze.config.refine import Budget
    from orze.refine.budget import describe, merged, parse_budget
    from orze.refine.control import begin
    from orze.refine.settings import load_revis

    given = parse_budget(budget) if budget else Budget()
    revis = load_revis(config_file(context), Path.cwd(), os.environ)
    chosen = name or _free(revis.project_dir)
    checked = begin(revis, chosen, given, os.environ)
    for warning in checked.warnings:
        output.complain(warning)
    bound = describe(merged(revis.budget, given)) or "no bound but the guardrails"
    output.say(f"{chosen} begins at {checked.base[:10]}; budget: {bound}")
    return _work(context, revis.project_dir, chosen, None, background=background)


def resume(context: typer.Context, name: Name, *, budget: More = None, background: Background = False) -> int:
    """Go on with a session: after a stop, a crash, or an end.

    Runs that went on meanwhile are taken up, nothing is done twice. Settings are read again from revis.yaml;
    the budget is what is left of it, and what --budget adds.
    """
    from orze.cli.revis.sessions import found
    from orze.refine.budget import parse_budget

    more = parse_budget(budget) if budget else None
    one = found(context, name)
    if one.keeper is None:
        return _work(context, home_of(context), name, more, background=background)
    if more or background:
        output.complain(f"a farm works on {name} by itself; its budget stands in {one.keeper.shown_config}")
        return USAGE
    one.listed.place.forget_requests()
    output.say(f"{name} may go on, and does when a daemon of the farm starts or another host leads")
    return DONE


def stop(context: typer.Context, name: Name, *, now: Now = False) -> int:
    """End the loop of a session; `revis resume` goes on with it.

    The run in progress goes on to its end, and its result is taken then. With --now it ends too, and is run
    again when the session is resumed. Exit status: 3 if the loop does not answer, from another machine for
    instance; the request stays.
    """
    from orze.cli.revis.sessions import found
    from orze.refine.control import stop as ask

    home = home_of(context)
    one = found(context, name)
    if one.keeper:
        one.listed.place.ask_to_stop(now=now)
        output.say(f"{name} is asked to stop; the host that leads the farm does")
        return DONE
    if not ask(home, name, now=now, seconds=_NOW_PATIENCE if now else _PATIENCE):
        output.complain(f"the loop of {name} has not ended yet; it is asked to: revis status")
        return UNANSWERED
    told = "has stopped" if one.listed.at_work else "was not running"
    runs = ", and nothing of it runs any more" if now else ""
    output.say(f"{name} {told}{runs}; revis resume {name} goes on")
    return DONE


def _work(context: typer.Context, home: Path, name: str, more: Budget | None, *, background: bool) -> int:
    from orze.refine.background import start

    if background:
        told = start(
            config_file(context), name, cwd=Path.cwd(), project_dir=home, environ=os.environ, more=more
        )
        output.say(told)
        return DONE
    from orze.cli.revis.live import Live
    from orze.refine.control import EXIT, work
    from orze.refine.model import Reason
    from orze.refine.settings import load_revis

    revis = load_revis(config_file(context), Path.cwd(), os.environ)
    with Live(home, name) as live:
        end = work(revis, name, environ=os.environ, say=live.say, more=more)
    if end.reason is Reason.STOPPED:
        output.say(f"revis resume {name} goes on")
    return EXIT[end.reason]


def _free(home: Path) -> str:
    """A name that no session has."""
    from orze.refine.places import names

    taken = set(names(home))
    return next(name for number in count(1) if (name := f"loop-{number}") not in taken)
