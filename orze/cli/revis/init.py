"""`revis init`: makes `.revis/` and revis.yaml for the project in this directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orze.cli import output
from orze.cli.common import DONE, NO, USAGE, Json

if TYPE_CHECKING:
    from orze.client.setup import Plan
    from orze.refine.detect import Found


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The project (default: here).")] = Path(),
    *,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Ask nothing: take what it finds.")] = False,
    json: Json = False,
) -> int:
    """Set up a project: revis.yaml with every key explained, and .revis/, which git ignores.

    It looks for the training command, the metrics that it writes to eval.json and the hosts of ~/.ssh/config,
    without running anything, and asks about each. Files that are there are kept as they are.
    """
    from orze.client.setup import write
    from orze.refine.detect import detect
    from orze.refine.settings import REVIS_NAME
    from orze.refine.setup import NAMES, filled, plan

    home = Path(os.path.abspath(directory))
    found = detect(home, os.environ, NAMES)
    asks = not (yes or json or REVIS_NAME in found.present)
    if asks and not sys.stdin.isatty():
        output.complain("there is no terminal to ask on; give --yes to take what is found")
        return USAGE
    answers = filled(found, _asked(found) if asks else {})
    made = plan(found, answers, os.environ)
    if asks and not typer.confirm(f"Write {REVIS_NAME}?", default=True):
        return NO
    files = [
        {"file": file.name, "written": fresh, "about": file.about} for file, fresh in write(home, made.files)
    ]
    if json:
        told: dict[str, Any] = {"directory": str(home), "files": files, "notes": list(made.notes)}
        print(output.as_json(told | {"answers": answers}))
    else:
        _tell(found, files, made)
    return DONE


def _asked(found: Found) -> dict[str, str]:
    """The answers of the person at the terminal."""
    from orze.refine.setup import check, next_question

    answers: dict[str, str] = {}
    while question := next_question(found, answers):
        if question.choices:
            output.say(f"  one of: {', '.join(question.choices)}")
        shown = output.safe(question.text, 120)
        told = typer.prompt(shown, default=question.default, show_default=bool(question.default))
        try:
            answers[question.key] = check(question, told)
        except ValueError as error:
            output.complain(error)
    return answers


def _tell(found: Found, files: list[dict[str, Any]], made: Plan) -> None:
    for file in files:
        kept = file["about"] if file["written"] else "is there already and stays as it is"
        output.say(f"{file['file']}: {kept}")
    for note in made.notes:
        for number, line in enumerate(note.splitlines()):
            print(f"{'note: ' if number == 0 else ''}{output.verbatim(line)}")
    where = "" if found.directory == Path.cwd() else f"cd {output.safe(found.directory)} && "
    output.say("Look into revis.yaml, then:")
    print(f"  {where}revis loop --name first --budget 4h")
