"""The command `orze`: a table of commands, each imported when it is called."""

from __future__ import annotations

import copy
import functools
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperGroup

from orze.cli import output
from orze.cli.common import DONE, INTERRUPTED, USAGE
from orze.core.errors import OrzeError

RUN, LOOK, CHANGE = "Set up and run", "See what happens", "Change what happens"
GROUPS: Final = (RUN, LOOK, CHANGE)


class Entry(NamedTuple):
    """One command.

    Attributes:
        module, function: where it is, below orze.cli.commands: a function whose docstring is its help and
            that returns its exit status (or None), or a typer.Typer of further commands.
        group: the heading under which `orze --help` lists it.
        short: what `orze --help` says of it.
        passes_on: its arguments are not read here, --help included.
    """

    name: str
    module: str
    function: str
    group: str
    short: str
    passes_on: bool = False


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


class Commands(TyperGroup):
    """The commands of the table, by name; help is printed without importing any of them."""

    def list_commands(self, _context: Any) -> list[str]:
        """All names, in the order of the table."""
        return [entry.name for entry in COMMANDS]

    def get_command(self, _context: Any, cmd_name: str) -> Any:
        """The command, imported now; None where there is none of this name."""
        entry = next((entry for entry in COMMANDS if entry.name == cmd_name), None)
        return load(entry) if entry else None

    def format_commands(self, _context: Any, formatter: Any) -> None:
        """List the commands under their headings."""
        for group in GROUPS:
            rows = [(entry.name, entry.short) for entry in COMMANDS if entry.group == group]
            if rows:
                with formatter.section(group):
                    formatter.write_dl(rows)


app = typer.Typer(cls=Commands, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback(epilog="Exit status: 0 done; 1 the answer is no; 2 wrong usage or settings; 3 nobody answered.")
def root(
    context: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option("-c", "--config-file", metavar="PATH", help="Settings (default: orze.yaml here)."),
    ] = None,
) -> None:
    """See and change a farm of experiments, from any host of its shared directory."""
    import logging

    context.obj = config_file
    logging.getLogger("orze").addHandler(logging.NullHandler())  # commands tell what they find themselves


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments; those of the process where not given.

    Returns:
        The exit status.
    """
    try:
        typer.main.get_command(app).main(args=argv, prog_name="orze")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else DONE
    return DONE


def root_options() -> Sequence[Any]:
    """The options that come before the name of a command."""
    options: Sequence[Any] = typer.main.get_command(app).params
    return options


def load(entry: Entry) -> Any:
    """A command of the table, imported now."""
    found = getattr(import_module(f"orze.cli.commands.{entry.module}"), entry.function)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
        settings: dict[str, Any] = {}
        if entry.passes_on:
            settings = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
        single.command(entry.name, short_help=entry.short, context_settings=settings)(guarded(found))
        found = single
    command = typer.main.get_command(found)
    command.name = entry.name
    if not entry.passes_on:
        _let_settings_follow(command)
    return command


def _let_settings_follow(command: Any) -> None:
    """Take -c behind the name of a command as well, for whoever types it there."""

    def keep(context: typer.Context, _option: Any, value: Path | None) -> Path | None:
        if value is not None:
            context.find_root().obj = value
        return value

    option = copy.copy(next(one for one in root_options() if one.name == "config_file"))
    option.callback, option.expose_value, option.hidden = keep, False, True
    for one in (command, *getattr(command, "commands", {}).values()):
        one.params.append(option)


def guarded(function: Callable[..., int | None]) -> Callable[..., None]:
    """A command whose faults become one sentence on stderr, and whose result the exit status.

    The functions of a typer.Typer with further commands are given to it in this form.
    """

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> None:
        try:
            status = function(*args, **kwargs)
            sys.stdout.flush()
        except OrzeError as error:
            for line in str(error).splitlines():
                output.complain(line)
            status = error.exit_code
        except KeyboardInterrupt:
            status = INTERRUPTED
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who reads has seen enough
            status = DONE
        except OSError as error:
            output.complain(f"{error.filename or 'the results directory'}: {error.strerror or error}")
            status = USAGE
        if status:
            raise typer.Exit(status)

    return called


if __name__ == "__main__":
    sys.exit(main())
