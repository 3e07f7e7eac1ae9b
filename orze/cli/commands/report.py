"""`orze report`: the report, now."""

from __future__ import annotations

import typer

from orze.cli import output
from orze.cli.common import DONE, Json, config_file


def report(context: typer.Context, json: Json = False) -> int:
    """Write results/report.md, status.json, metrics.prom and progress.svg now.

    The same as `python farm.py --report-only`: it takes no part in the farm. Daemons write them by
    themselves whenever something happens.
    """
    from orze.cli.modes import write_report

    written = write_report(config_file(context))
    if json:
        print(output.as_json({"written": written}))
    else:
        output.say(f"{written[0]} is written")
    return DONE
