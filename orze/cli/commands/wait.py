"""`orze wait`: blocks until ideas have ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from orze.cli import output
from orze.cli.common import DONE, NO, UNANSWERED, Json, project_of

if TYPE_CHECKING:
    from orze.client.project import Project
    from orze.client.reader import Reader
    from orze.client.waiting import Standing
    from orze.core.states import State

_EVERY = 1.0  # seconds between two looks
_NAMED = 5  # ideas that are named in one sentence


def wait(
    context: typer.Context,
    ideas: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids such as idea-012.")] = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="All ideas but those that are held or withdrawn.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0.0, help="Wait so long at most (default: for ever)."
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Wait until ideas have ended, and tell by the exit status how.

    0: all are COMPLETED or EVALUATED. 1: one of them ended otherwise, or is quarantined. 3: not all had ended
    when the time was up.
    """
    if bool(ideas) is everything:
        raise typer.BadParameter("name ideas, or give --all")
    found = _watch(project_of(context), list(ideas or ()), timeout, quiet=json)
    if json:
        states = {**{idea: state for idea, (state, _) in found.waiting.items()}, **found.ended}
        print(output.as_json([{"id": idea, "state": state} for idea, state in states.items()]))
    if found.waiting:
        output.complain(f"not ended when the time was up: {_list(found)}")
        return UNANSWERED
    if everything and not json:
        counts = Counter(found.ended.values())
        output.say(", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no idea")
    return DONE if found.well else NO


def _watch(project: Project, ideas: Sequence[str], timeout: float | None, *, quiet: bool) -> Standing:
    """Look until all have ended or the time is up; each end is told as it is seen."""
    from orze.client.reader import Reader

    reader, clock = Reader(project), project.clock
    until = None if timeout is None else clock.steady() + timeout
    told: dict[str, State] | None = {} if ideas else None  # of a whole farm only the ends from now on
    blocked, found = "", _look(reader, ideas)
    while True:
        news = {} if told is None else {i: s for i, s in found.ended.items() if told.get(i) is not s}
        for idea_id, state in news.items():
            if not quiet:
                output.say(f"{idea_id} {state}")
        told = dict(found.ended)
        now_blocked = _blocked(found)
        if now_blocked and now_blocked != blocked:
            output.complain(now_blocked)
        blocked = now_blocked
        left = _EVERY if until is None else min(_EVERY, until - clock.steady())
        if not found.waiting or left <= 0:
            return found
        clock.sleep(left)
        with suppress(OSError):  # the share may not answer for a while; waiting is what this is for
            found = _look(reader, ideas)


def _look(reader: Reader, ideas: Sequence[str]) -> Standing:
    from orze.client.waiting import standing, standing_of_all

    reader.read()
    return standing(reader, ideas) if ideas else standing_of_all(reader)


def _blocked(found: Standing) -> str:
    """What is to be said where nothing that is waited for can run."""
    stuck = all(reason for _, reason in found.waiting.values())
    return f"nothing of it can run now: {_list(found)}" if found.waiting and stuck else ""


def _list(found: Standing) -> str:
    rows = list(found.waiting.items())
    named = [
        f"{idea} {state}" + (f" ({reason})" if reason else "") for idea, (state, reason) in rows[:_NAMED]
    ]
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return ", ".join(named) + more
