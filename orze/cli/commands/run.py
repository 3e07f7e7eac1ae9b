"""`orze run`: the daemon, by its own flags."""

from __future__ import annotations

import typer

from orze.cli.common import config_file


def run(context: typer.Context) -> int:
    """The daemon of this host: the same as `python farm.py`, with the same flags.

    `orze run --help` lists them; `orze run --dry-run` shows what would be started, and starts nothing.
    """
    from orze.cli.farm import main

    named = config_file(context)
    return main([*(["-c", str(named)] if named else []), *context.args])
