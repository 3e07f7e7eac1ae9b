"""The command `orze`: a table of commands, each imported when it is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from orze.cli.table import Entry, Program

RUN, LOOK, CHANGE = "Set up and run", "See what happens", "Change what happens"
GROUPS: Final = (RUN, LOOK, CHANGE)

COMMANDS: Final = (
    Entry("init", "init", "init", RUN, "Make a directory a project of the farm."),
    Entry("doctor", "doctor", "doctor", RUN, "Check this host and this project, and say what to do."),
    Entry("service", "service", "app", RUN, "Start the daemon of this host with the machine."),
    Entry("run", "run", "run", RUN, "The daemon of this host: the same as python farm.py.", passes_on=True),
    Entry("add", "add", "add", CHANGE, "Add an idea."),
    Entry("stop", "asking", "stop", CHANGE, "End running attempts for good."),
    Entry("retry", "asking", "retry", CHANGE, "Run ideas again that have ended."),
    Entry("hold", "asking", "hold", CHANGE, "Keep queued ideas from running."),
    Entry("release", "asking", "release", CHANGE, "Let held or withdrawn ideas run."),
    Entry("withdraw", "asking", "withdraw", CHANGE, "Take queued ideas back."),
    Entry("restore", "asking", "restore", CHANGE, "Put sections back that vanished from ideas.md."),
    Entry("priority", "asking", "priority", CHANGE, "Change the place of ideas in the queue."),
    Entry("drain", "asking", "drain", CHANGE, "Have a host start nothing new."),
    Entry("undrain", "asking", "undrain", CHANGE, "Have a drained host start ideas again."),
    Entry("cards", "asking", "cards", CHANGE, "Choose the cards of a running daemon."),
    Entry("status", "status", "status", LOOK, "Hosts, cards, what runs, results, problems; -w stays."),
    Entry("show", "show", "show", LOOK, "Everything about one idea."),
    Entry("logs", "logs", "logs", LOOK, "What an attempt printed; -f follows."),
    Entry("compare", "compare", "compare", LOOK, "Configurations and metrics of ideas side by side."),
    Entry("explain", "explain", "explain", LOOK, "Why an idea waits or failed, and what would change that."),
    Entry("export", "export", "export", LOOK, "All results as CSV, JSON or Parquet."),
    Entry("report", "report", "report", LOOK, "Write report.md and status.json now."),
    Entry("lint", "lint", "lint", LOOK, "Every problem of ideas.md and orze.yaml, with its line."),
    Entry("clean", "clean", "clean", CHANGE, "Remove what is not needed any more."),
    Entry("wait", "wait", "wait", LOOK, "Wait until ideas have ended."),
)


def root(
    context: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option("-c", "--config-file", metavar="PATH", help="Settings (default: orze.yaml here)."),
    ] = None,
) -> None:
    """See and change a farm of experiments, from any host of its shared directory."""
    context.obj = config_file


PROGRAM: Final = Program(
    "orze",
    "orze.cli.commands",
    GROUPS,
    COMMANDS,
    root,
    epilog="Exit status: 0 done; 1 the answer is no; 2 wrong usage or settings; 3 nobody answered.",
)
app, main, load = PROGRAM.app, PROGRAM.main, PROGRAM.load


if __name__ == "__main__":
    sys.exit(main())
