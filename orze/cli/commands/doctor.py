"""`orze doctor`: what could go wrong on this host, with this project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orze.cli import output
from orze.cli.common import Json, config_file

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orze.client.checks import Check

_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}


def doctor(
    context: typer.Context,
    *,
    train: Annotated[
        bool, typer.Option("--train", help="Also run one idea, as the farm would, and throw the result away.")
    ] = False,
    json: Json = False,
) -> int:
    """Check Python, driver, cards, disk, mount, settings, scripts and hosts, and say what to do.

    Nothing is changed. With --train the first idea of ideas.md is trained, for ten minutes at most, in a
    directory that is removed again. The exit status is 1 if a check failed; warnings do not count.
    """
    from orze.client.checks import exit_status
    from orze.client.doctor import Doctor

    checks = list(Doctor(config_file(context), cwd=Path.cwd(), environ=os.environ).examine(train=train))
    told = [
        {"name": c.name, "verdict": str(c.verdict), "sentence": c.sentence, "what_to_do": c.what_to_do}
        for c in checks
    ]
    output.emit(told, json=json, show=lambda _: table(checks))
    return exit_status(checks)


def table(checks: list[Check]) -> RenderableType:
    """One row a check, and below a finding what to do about it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("verdict", no_wrap=True)
    table.add_column("name", overflow="fold", max_width=18)
    table.add_column("sentence", overflow="fold")
    for check in checks:
        said = output.text(check.sentence)
        if check.what_to_do:
            said = Text.assemble(said, "\n", output.text(f"→ {check.what_to_do}", "italic"))
        verdict = output.text(check.verdict, _STYLES[check.verdict])
        table.add_row(verdict, output.text(check.name), said)
    return table
