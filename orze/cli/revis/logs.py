"""`revis logs` and `revis watch`: what a session told, and what its runs print."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from orze.cli import output
from orze.cli.common import DONE, NO
from orze.cli.revis.common import Name, step_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from orze.cli.revis.sessions import Found
    from orze.client.project import Project

_PATIENCE = 5.0  # seconds for which tmux may not answer
_EVERY = 0.5

Follow = Annotated[
    bool, typer.Option("--follow/--no-follow", "-f", help="Go on until the loop ends; Ctrl-C leaves.")
]
Count = Annotated[
    int, typer.Option("-n", "--lines", metavar="COUNT", min=0, max=1_000_000, help="Lines of the end.")
]
Of = Annotated[
    int | None, typer.Option("--step", metavar="N", min=0, help="What the run of this step printed.")
]


def logs(
    context: typer.Context, name: Name, *, follow: Follow = False, step: Of = None, lines: Count = 50
) -> int:
    """Show what the loop of a session told, also one in the background, or what the run of a step printed.

    Exit status: 0; 1 if there is no such log yet.
    """
    from orze.cli.following import follow_log
    from orze.cli.revis.sessions import found
    from orze.client.logs import read_end, shown
    from orze.core.clock import SystemClock

    one = found(context, name)
    listed = one.listed
    path = str(one.log) if step is None else _log_of(one, step)
    if not path:
        output.complain(f"the run of step {step} has no log yet")
        return NO
    if follow and listed.at_work:
        follow_log(lambda: path, lines, goes_on=partial(_goes_on, one, step), clock=SystemClock())
        return DONE
    try:
        data, _ = read_end(path, lines)
    except FileNotFoundError:
        output.complain(
            f"{path}: there is no such log any more" if step is not None else f"{name} has told nothing yet"
        )
        return NO
    for line in shown(data):
        print(line)
    return DONE


def watch(context: typer.Context, name: Name) -> int:
    """Look at the run in progress, until you leave: in its window of tmux, or else in its log.

    Leaving, with C-b d in tmux and with Ctrl-C else, does nothing to the run.
    """
    from orze.cli.revis.sessions import found
    from orze.refine.private_farm import window_of
    from orze.refine.running import runs_of

    one = found(context, name)
    listed, farm = one.listed, one.farm()
    window = window_of(name)
    if farm and farm.settings.executor.session:
        window = farm.settings.executor.session
    ideas = {run.idea_id for run in runs_of(farm, one.fold)} if farm else set[str]()
    if target := window_of_tmux(window, ideas):
        words = ["switch-client"] if os.environ.get("TMUX") else ["attach-session"]
        os.execvp("tmux", ["tmux", *words, "-t", target])  # noqa: S606 - this process becomes tmux
    if farm is None or not listed.at_work:
        output.complain(f"{name} is not at work; revis logs {name} shows what it told")
        return NO
    output.complain("no window of tmux shows it, so the logs of its runs are followed; Ctrl-C leaves")
    return _follow_runs(one, farm)


def window_of_tmux(session: str, ideas: Collection[str]) -> str:
    """The window of one of these ideas in a session of tmux, else that of the loop; empty where none is."""
    command = ["tmux", "list-windows", "-t", f"={session}", "-F", "#{window_index} #{window_name}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    windows = [line.partition(" ") for line in done.stdout.splitlines()]
    chosen = [index for index, _, name in windows if name in ideas]
    chosen += [index for index, _, name in windows if name == "loop"]
    return f"={session}:{chosen[0]}" if chosen else ""


def _follow_runs(one: Found, farm: Project) -> int:
    """Follow one run after the other, the first where there are several, while the loop is at work."""
    from orze.cli.following import follow_log
    from orze.core.clock import SystemClock
    from orze.refine.running import Run, runs_of

    clock, seen = SystemClock(), set[str]()

    def runs() -> list[Run]:
        return runs_of(farm, one.listed.place.session().fold)

    def follow(log: str) -> None:
        seen.add(log)
        follow_log(lambda: log, 50, goes_on=lambda: any(run.log == log for run in runs()), clock=clock)

    while one.at_work():
        run = next((run for run in runs() if run.log not in seen), None)
        if run:
            output.say(f"-- step {run.step}, {run.idea_id}: {run.log}")
            follow(run.log)
        else:
            clock.sleep(_EVERY)
    return DONE


def _log_of(one: Found, number: int) -> str:
    """The log of the last run of a step; empty where there is none yet."""
    from orze.refine.running import runs_of

    step = step_of(one.fold, number)
    if step.outcome:
        return step.outcome.log
    farm = one.farm()
    runs = runs_of(farm, one.fold) if farm else []
    return next((run.log for run in runs if run.step == number), "")


def _goes_on(one: Found, step: int | None) -> bool:
    """Whether more may come: of a loop while it works, of a run until it has its outcome."""
    if step is None:
        return one.at_work()
    now = one.listed.place.session().fold.steps[step]
    return one.at_work() and now.outcome is None
