"""`orze export`: all results as one table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from orze.cli.common import DONE, Json, project_of
from orze.core.errors import OrzeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orze.client.flat import Row

Format = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="csv, json or parquet (default: by FILE, else csv)."),
]
Output = Annotated[
    str | None, typer.Option("-o", "--output", metavar="FILE", help="Where to; by default stdout.")
]
Every = Annotated[bool, typer.Option("--all", help="Also ideas that have no result (yet).")]


def export(
    context: typer.Context,
    *,
    form: Format = None,
    file: Output = None,
    every: Every = False,
    json: Json = False,
) -> int:
    """Write all results as one table, for pandas and other programs: one row an idea, in their order.

    Columns: id, title, state, cause, error, host, gpu, attempt, seconds, finished_at (UTC), rank, primary
    (the metric that ranks), config_from, then metric.NAME and config.NAME, with dots for what is nested; a
    list is JSON. The configuration is the one that ran (config_from: ran), or, where that is not known, what
    the section says now (section).

    In CSV a text that a spreadsheet would take for a formula, because it begins with = + - @ or a tab and is
    no number, gets an apostrophe before it. JSON and Parquet have every text as it is.
    """
    from orze.cli import output
    from orze.client.export import replaced, rows, write
    from orze.client.reader import Reader

    chosen = _chosen("json" if json else form, file)
    project = project_of(context)
    project.check_begun()
    reader = Reader(project)
    reader.read()
    table: Iterator[Row] = rows(project, reader, every=every)
    if file is None:
        count, left_out = write(table, _stdout(chosen), chosen)
    else:
        with replaced(file) as stream:
            count, left_out = write(table, stream, chosen)
        output.complain(f"{count} rows are in {file}")
    if left_out:
        output.complain(f"{left_out} columns are left out, there are too many; --format json has them all")
    return DONE


def _chosen(form: str | None, file: str | None) -> str:
    """The format.

    Raises:
        OrzeError: it is none.
    """
    from orze.client.export import FORMATS

    suffix = Path(file).suffix[1:].lower() if file else ""
    chosen = form or (suffix if suffix in FORMATS else "csv")
    if chosen not in FORMATS:
        raise OrzeError(f"{chosen[:40]!r} is no format: --format is one of {', '.join(FORMATS)}")
    return chosen


def _stdout(form: str) -> BinaryIO:
    if form == "parquet" and sys.stdout.isatty():
        raise OrzeError("Parquet is no text for a terminal: name a file with -o")
    return sys.stdout.buffer
