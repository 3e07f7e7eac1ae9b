"""The command `revis`: a table of commands, each imported when it is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from orze.cli.table import Entry, Program

RUN, LOOK, CHANGE = "Set up and run", "See what happens", "Afterwards"
GROUPS: Final = (RUN, LOOK, CHANGE)

COMMANDS: Final = (
    Entry("init", "init", "init", RUN, "Make .revis/ and revis.yaml for the project in this directory."),
    Entry("loop", "loop", "loop", RUN, "Start a session: change, run, measure, keep or discard."),
    Entry("stop", "loop", "stop", RUN, "End a session's loop; it can be resumed."),
    Entry("resume", "loop", "resume", RUN, "Go on with a session."),
    Entry("status", "status", "status", LOOK, "How far sessions are; -w stays."),
    Entry("list", "status", "list_sessions", LOOK, "All sessions, one a line."),
    Entry("logs", "logs", "logs", LOOK, "What a session told, or its run printed; -f follows."),
    Entry("watch", "logs", "watch", LOOK, "Look at the run in progress, in tmux where it runs there."),
    Entry("show", "show", "show", LOOK, "Every iteration of a session, or one of them whole."),
    Entry("compare", "show", "compare", LOOK, "Two iterations side by side, and what lies between them."),
    Entry("export", "export", "export", CHANGE, "Push the branch and open a pull request, or write files."),
    Entry("delete", "delete", "delete", CHANGE, "Remove a session, and its branch where that is wanted."),
)


def root(
    context: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option("-c", "--config-file", metavar="PATH", help="Settings (default: revis.yaml here)."),
    ] = None,
) -> None:
    """Let a model improve a training script: change, run, measure, keep what is better."""
    context.obj = config_file


PROGRAM: Final = Program(
    "revis",
    "orze.cli.revis",
    GROUPS,
    COMMANDS,
    root,
    epilog="Exit status of a loop: 0 target reached; 4 budget used; 5 plateau; 6 stopped; 7 failed; "
    "8 diverged. Else: 0 done; 1 the answer is no; 2 wrong usage or settings.",
)
app, main, load = PROGRAM.app, PROGRAM.main, PROGRAM.load


if __name__ == "__main__":
    sys.exit(main())
