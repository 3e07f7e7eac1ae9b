"""`orze logs`: what an attempt printed, once or as it goes on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from orze.cli.common import DONE, NO, USAGE, Idea, Json, project_of
from orze.core.errors import OrzeError

if TYPE_CHECKING:
    from orze.client.project import Project
    from orze.client.story import Attempt

Follow = Annotated[
    bool, typer.Option("--follow/--no-follow", "-f", help="Go on until the attempt has ended; Ctrl-C leaves.")
]
Evaluation = Annotated[bool, typer.Option("--eval", help="What evaluation and post scripts printed.")]
Count = Annotated[
    int, typer.Option("-n", "--lines", metavar="COUNT", min=0, max=1_000_000, help="Lines of the end.")
]
Number = Annotated[int | None, typer.Option("--attempt", metavar="N", min=1, help="An earlier attempt.")]


def logs(
    context: typer.Context,
    idea: Idea,
    *,
    follow: Follow = False,
    evaluation: Evaluation = False,
    lines: Count = 50,
    attempt: Number = None,
    json: Json = False,
) -> int:
    """Show the end of what an attempt printed, from any host: of the last one, or of an earlier one.

    Control characters are taken out. Exit status: 0; 1 if there is no such log yet.
    """
    from orze.cli import output
    from orze.cli.following import follow_log
    from orze.client.logs import log_file
    from orze.client.whole import story_of

    project = project_of(context)
    _check_known(project, idea)
    story = story_of(project, idea)
    chosen = story.find(attempt)
    if chosen is None and (story.attempts or attempt is not None):
        there = ", ".join(str(one.number) for one in story.attempts) or "none"
        output.complain(f"{idea} has no attempt {attempt}; there are: {there}")
        return USAGE
    if follow and json:
        output.complain("--json tells of a log as it is now: leave out -f")
        return USAGE
    find = partial(log_file, project.paths.idea(idea), chosen, evaluation=evaluation)
    if follow and chosen and chosen.running:
        follow_log(find, lines, goes_on=partial(_runs, project, idea, chosen), clock=project.clock)
        return DONE
    return _end(idea, chosen, find(), lines, json=json)


def _end(idea: str, attempt: Attempt | None, path: str, lines: int, *, json: bool) -> int:
    from orze.cli import output
    from orze.client.logs import read_end, shown

    try:
        data, size = read_end(path, lines)
    except OSError as error:
        output.complain(_no_log(idea, attempt, error))
        return NO
    if json:
        number = attempt.number if attempt else None
        told = {"idea_id": idea, "attempt": number, "path": path, "bytes": size, "lines": list(shown(data))}
        print(output.as_json(told))
        return DONE
    for line in shown(data):
        print(line)
    return DONE


def _no_log(idea: str, attempt: Attempt | None, error: OSError) -> str:
    if attempt is None:
        return f"{idea} has not run, so there is no log: orze explain {idea} tells why"
    why = "" if isinstance(error, FileNotFoundError) else f": {error.strerror}"
    return f"attempt {attempt.number} of {idea} has no such log{' yet' if attempt.running else ''}{why}"


def _runs(project: Project, idea: str, attempt: Attempt) -> bool:
    """Whether the attempt is still at work, as its chain says; a share that does not answer says nothing."""
    from orze.client.whole import story_of

    try:
        now = story_of(project, idea).find(attempt.number)
    except OSError:
        return True
    return now is not None and now.token == attempt.token and now.running


def _check_known(project: Project, idea: str) -> None:
    """Make sure that there is such an idea; only if it has no directory, ideas.md is read for that."""
    from orze.client.ids import check_known
    from orze.client.reader import Reader
    from orze.farm.steward import number_of

    project.check_begun()
    if number_of(idea) >= 0 and idea in project.files.listdir(project.paths.results):
        return
    reader = Reader(project)
    reader.read()
    check_known([idea], reader.queue.ids())
    if count := reader.queue.members(idea):
        raise OrzeError(f"{idea} is a group; name one of its members, {idea}.1 to {idea}.{count}")
