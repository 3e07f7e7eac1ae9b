"""`orze report`: the report, now."""

from __future__ import annotations

import typer

from orze.cli.common import config_file


def report(context: typer.Context) -> int:
    """Write results/report.md, status.json and progress.svg now.

    The same as `python farm.py --report-only`: it takes no part in the farm. Daemons write them by
    themselves whenever something happens.
    """
    from orze.cli.farm import main

    named = config_file(context)
    return main(["--report-only", *(["-c", str(named)] if named else [])])
