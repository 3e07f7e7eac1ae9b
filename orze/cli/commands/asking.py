"""`orze stop`, `retry`, `hold` and the other commands that ask whoever leads to change something."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from orze.cli import output
from orze.cli.common import DONE, NO, UNANSWERED, Json, NoWait, Timeout, asker, project_of

if TYPE_CHECKING:
    from orze.client.project import Project
    from orze.client.reader import Reader
    from orze.coord.journal import Answer

Ideas = Annotated[list[str], typer.Argument(metavar="ID", help="Ids such as idea-012.")]
Host = Annotated[str, typer.Argument(metavar="HOST", help="Name of a host; this one by default.")]


def _about_ideas(kind: str, told: str) -> Callable[..., int]:
    """The command that asks one thing about each of several ideas; `told` is its help."""

    def command(
        context: typer.Context,
        ideas: Ideas,
        *,
        no_wait: NoWait = False,
        timeout: Timeout = None,
        json: Json = False,
    ) -> int:
        return _ask(context, kind, ideas, no_wait=no_wait, timeout=timeout, json=json)

    command.__doc__ = told
    return command


def _about_a_host(kind: str, told: str) -> Callable[..., int]:
    """The command that asks one thing about a host; `told` is its help."""

    def command(
        context: typer.Context,
        host: Host = "",
        *,
        no_wait: NoWait = False,
        timeout: Timeout = None,
        json: Json = False,
    ) -> int:
        named = [host or os.uname().nodename]
        return _ask(context, kind, named, no_wait=no_wait, timeout=timeout, json=json)

    command.__doc__ = told
    return command


stop = _about_ideas(
    "stop",
    """End running attempts for good: SIGTERM, the grace to save, SIGKILL. The ideas are STOPPED.

    `orze retry` runs them again.
    """,
)
hold = _about_ideas("hold", "Keep ideas that have not started from starting.")
release = _about_ideas("release", "End a hold or a withdrawal.")
withdraw = _about_ideas("withdraw", "Take back ideas that have not started. `orze release` brings them back.")
restore = _about_ideas(
    "restore", "Put sections that vanished back into ideas.md; under a new id where theirs was given away."
)
drain = _about_a_host("drain", "Have a host start nothing new; what runs there goes on.")
undrain = _about_a_host("undrain", "Have a drained host start ideas again.")


def retry(
    context: typer.Context,
    ideas: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids such as idea-012.")] = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="All ideas that FAILED.")] = False,
    cause: Annotated[
        str | None,
        typer.Option(
            "--cause", metavar="CAUSE", help="All that FAILED so: timeout, cuda_oom, oom for both..."
        ),
    ] = None,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    json: Json = False,
) -> int:
    """Run ideas again that have ended, with their present text.

    Name them, or choose among those that FAILED.
    """
    from orze.client.failed import failed_ideas
    from orze.client.reader import Reader

    reader = None
    chosen = list(ideas or ())
    if failed or cause:
        reader = Reader(project_of(context))
        reader.read()
        chosen += failed_ideas(reader, cause)
        if not chosen:
            output.say("no idea FAILED" + (f" by {cause}" if cause else ""))
            return DONE
    elif not chosen:
        raise typer.BadParameter("name ideas, or give --failed or --cause")
    return _ask(context, "retry", chosen, no_wait=no_wait, timeout=timeout, json=json, reader=reader)


def priority(
    context: typer.Context,
    ideas: Ideas,
    level: Annotated[
        str,
        typer.Argument(metavar="LEVEL", help="critical, high, medium, low; section: as its section says."),
    ],
    *,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    json: Json = False,
) -> int:
    """Change the place of ideas in the queue, over what their sections say."""
    return _ask(context, "priority", ideas, level, no_wait=no_wait, timeout=timeout, json=json)


def cards(
    context: typer.Context,
    host: Annotated[str, typer.Argument(metavar="HOST", help="Name of a host.")],
    chosen: Annotated[
        str,
        typer.Argument(
            metavar="CARDS", help="As for --gpus: 0,1, UUIDs, cpu:N; default: those at its start."
        ),
    ],
    *,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    json: Json = False,
) -> int:
    """Choose the cards of a running daemon. What runs on others goes on to its end."""
    return _ask(context, "cards", [host], chosen, no_wait=no_wait, timeout=timeout, json=json)


def _ask(
    context: typer.Context,
    kind: str,
    targets: Iterable[str],
    value: str = "",
    *,
    no_wait: bool,
    timeout: float | None,
    json: bool,
    reader: Reader | None = None,
) -> int:
    """Leave a request for each target, wait for the answers, tell them."""
    from orze.client.asking import ask

    project = project_of(context)
    asked = {ask(project, kind, target, value=value, by=asker()): target for target in dict.fromkeys(targets)}
    found = {} if no_wait else _wait(project, asked, timeout, reader, quiet=json)
    rows = [
        {
            "request": uuid,
            "kind": kind,
            "target": target,
            "value": value,
            "answer": found[uuid].text if uuid in found else None,
            "done": found[uuid].done if uuid in found else None,
        }
        for uuid, target in asked.items()
    ]
    if json:
        print(output.as_json(rows))
    elif no_wait:
        for row in rows:
            output.say(f"{row['target']}: {kind} is asked for")
    if no_wait:
        return DONE
    if len(found) < len(asked):
        return UNANSWERED
    return DONE if all(answer.done for answer in found.values()) else NO


def _wait(
    project: Project, asked: dict[str, str], timeout: float | None, reader: Reader | None, *, quiet: bool
) -> dict[str, Answer]:
    """The answers that come in time, each told as it comes; why others did not is told on stderr."""
    from orze.client.asking import Vigil, answers
    from orze.client.reader import Reader

    def tell(uuid: str, answer: Answer) -> None:
        target = asked[uuid]
        said = answer.text if target in answer.text else f"{target}: {answer.text}"
        if not quiet:
            output.say(said)

    reader = reader or Reader(project)
    vigil = Vigil(project, reader, timeout)
    found = answers(project, asked, vigil.deadline, reader=reader, told=tell)
    missing = [target for uuid, target in asked.items() if uuid not in found]
    if missing:
        output.complain(f"no answer for {', '.join(missing)}: {vigil.why()}; the request stays")
    return found
