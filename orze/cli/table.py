"""A program made of a table of commands, each imported when it is called."""

from __future__ import annotations

import copy
import functools
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from orze.cli import output
from orze.cli.common import DONE, INTERRUPTED, USAGE
from orze.core.errors import OrzeError


class Entry(NamedTuple):
    """One command.

    Attributes:
        module, function: where it is, below the package of its program: a function whose docstring is its
            help and that returns its exit status (or None), or a typer.Typer of further commands.
        group: the heading under which `--help` of the program lists it.
        short: what that says of it.
        passes_on: its arguments are not read here, --help included.
    """

    name: str
    module: str
    function: str
    group: str
    short: str
    passes_on: bool = False


class Program:
    """A program and its commands.

    Args:
        package: where the modules of its commands are.
        groups: the headings of its help, in order.
        root: takes the options that come before the name of a command, one of them -c; its docstring is
            the help of the program.
        epilog: what ends that help.
    """

    def __init__(
        self,
        name: str,
        package: str,
        groups: Sequence[str],
        entries: Sequence[Entry],
        root: Callable[..., None],
        *,
        epilog: str,
    ) -> None:
        self.name, self.groups, self.entries = name, groups, entries
        self._package = package
        group = type("Commands", (_Commands,), {"program": self})
        self.app = typer.Typer(
            cls=group, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True
        )
        self.app.callback(epilog=epilog)(root)

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run one command.

        Args:
            argv: the arguments; those of the process where not given.

        Returns:
            The exit status.
        """
        output.speak_as(self.name)
        logging.getLogger("orze").addHandler(logging.NullHandler())  # commands tell what they find themselves
        try:
            typer.main.get_command(self.app).main(args=argv, prog_name=self.name)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else DONE
        return DONE

    def options(self) -> Sequence[Any]:
        """The options that come before the name of a command."""
        options: Sequence[Any] = typer.main.get_command(self.app).params
        return options

    def load(self, entry: Entry) -> Any:
        """A command of the table, imported now."""
        found = getattr(import_module(f"{self._package}.{entry.module}"), entry.function)
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
            _let_settings_follow(command, self.options())
        return command


class _Commands(TyperGroup):
    """The commands of a program, by name; help is printed without importing any of them."""

    program: Program

    def list_commands(self, _context: Any) -> list[str]:
        """All names, in the order of the table."""
        return [entry.name for entry in self.program.entries]

    def get_command(self, _context: Any, cmd_name: str) -> Any:
        """The command, imported now; None where there is none of this name."""
        entry = next((entry for entry in self.program.entries if entry.name == cmd_name), None)
        return self.program.load(entry) if entry else None

    def format_commands(self, _context: Any, formatter: Any) -> None:
        """List the commands under their headings."""
        for group in self.program.groups:
            rows = [(entry.name, entry.short) for entry in self.program.entries if entry.group == group]
            if rows:
                with formatter.section(group):
                    formatter.write_dl(rows)


def _let_settings_follow(command: Any, options: Sequence[Any]) -> None:
    """Take -c behind the name of a command as well, for whoever types it there."""

    def keep(context: typer.Context, _option: Any, value: Path | None) -> Path | None:
        if value is not None:
            context.find_root().obj = value
        return value

    option = copy.copy(next(one for one in options if one.name == "config_file"))
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
