"""`revis export`: takes a session out of this repository."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from orze.cli.common import DONE, USAGE
from orze.cli.revis.common import Name
from orze.report.text import counted

File = Annotated[
    Path | None, typer.Option("--patch", metavar="FILE", help="Write the kept steps as patches for git am.")
]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write every iteration as CSV.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write every iteration as JSON.")
]
Remote = Annotated[
    str,
    typer.Option("--remote", metavar="REMOTE", help="Where to push to (default: origin, or the only one)."),
]


def export(
    context: typer.Context,
    name: Name,
    *,
    remote: Remote = "",
    patch: File = None,
    csv: Csv = None,
    json: JsonFile = None,
) -> int:
    """Push the branch, with every step as a tag, and open a pull request with the table of all iterations.

    The pull request is opened by gh, or by the API of GitHub where GH_TOKEN or GITHUB_TOKEN is set; else it
    says what to do. Doing it again brings both up to date; nothing on the remote is overwritten. With one of
    --patch, --csv and --json files are written in place of that; `-` is stdout.
    """
    from orze.cli import output
    from orze.cli.revis.sessions import found
    from orze.refine.export import export_branch, write_patch, write_table
    from orze.refine.repository import Repository

    one = found(context, name)
    fold = one.fold
    files = [file for file in (patch, csv, json) if file]
    if files and remote:
        output.complain("--remote is for pushing; --patch, --csv and --json write files")
        return USAGE
    if patch:
        with _opened(patch) as stream:
            count = write_patch(Repository(one.code), fold, stream)
        _say(patch, counted(count, "patch", "patches"))
    for file, form in ((csv, "csv"), (json, "json")):
        if file:
            with _opened(file) as stream:
                count = write_table(fold, stream, form)
            _say(file, counted(count, "iteration"))
    if not files:
        done = export_branch(Repository(one.code), fold, environ=os.environ, remote=remote)
        for line in done.said:
            output.say(line)
    return DONE


def _opened(file: Path) -> AbstractContextManager[BinaryIO]:
    """A file that takes its place when it is written whole; stdout for `-`."""
    from orze.client.export import replaced

    return nullcontext(sys.stdout.buffer) if str(file) == "-" else replaced(str(file))


def _say(file: Path, what: str) -> None:
    from orze.cli import output

    if str(file) != "-":
        output.say(f"{file}: {what}")
