"""`orze lint`: every problem of ideas.md and orze.yaml."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from orze.cli import output
from orze.cli.common import DONE, NO, Json, config_file
from orze.report.text import counted

File = Annotated[
    str | None,
    typer.Argument(metavar="FILE", help="A file of ideas, - for stdin; by default that of the project."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Let warnings fail as well.")]


def lint(context: typer.Context, file: File = None, *, strict: Strict = False, json: Json = False) -> int:
    """Tell every problem of ideas.md and orze.yaml with its line, as a compiler does.

    An error is what a farm does not accept, or without which it starts nothing. A warning is what is
    probably not meant: a key that the base configuration does not have, an idea that would run the same as
    another or waits for one that is not there, hosts and cards that no running host has. FILE needs no farm
    around it; settings that are there are used. Exit status 1: there is an error.
    """
    import os
    import sys
    from pathlib import Path

    from orze.client.findings import ERROR
    from orze.client.lint import lint as check

    found = check(file, config_file(context), cwd=Path.cwd(), environ=os.environ, stdin=sys.stdin.buffer)
    errors = sum(one.kind == ERROR for one in found)
    if json:
        print(output.as_json([asdict(one) for one in found]))
    else:
        for one in found:
            output.say(one)
        output.say(_summary(errors, len(found) - errors))
    return NO if errors or (strict and found) else DONE


def _summary(errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return "no problems"
    return f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
