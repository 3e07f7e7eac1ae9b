"""Writes docs/cli.md from the commands themselves: `python -m orze.cli.manual > docs/cli.md`."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from orze.cli.app import PROGRAM
from orze.cli.table import Entry, Program

_WIDTH = 100  # of a line of usage

HEAD: Final = """\
# The command `orze`

<!-- Written by `python -m orze.cli.manual > docs/cli.md`; a test holds it to the code. -->

What an operator sees of a running farm and changes in it, from any host of the shared directory. A command
only reads files, and leaves [requests](../RULES.md#requests) and ideas in the directory; the daemons
act on them and answer. So it works where no daemon runs on the same host, needs no open port, and an attempt
is never touched by the command itself.

```text
orze [-c PATH] COMMAND ...
```

It works on the project in the working directory, that of `orze.yaml` there, or on the one whose settings `-c`
names; as `farm.py` does. `-c` may also stand behind the command: `orze status -c other.yaml`.
`orze COMMAND --help` tells what this page tells.
"""

SCRIPTS: Final = """\
## For scripts

- `--json` prints plain values in ASCII; a number that JSON does not know is `null`.
- Faults are one sentence on stderr, and nothing is printed twice: stdout holds the result alone.
- A command that asks for something waits until a daemon has acted, and prints the answer. Asking twice does
  no harm. `--no-wait` only leaves the request.
- Without a terminal, output is plain and 80 columns wide. `NO_COLOR` is honoured.

| exit status | meaning |
| --- | --- |
| 0 | done |
| 1 | the answer is no: a problem was found, an idea failed, a request was refused |
| 2 | wrong usage or settings, or the directory cannot be read |
| 3 | nobody answered in time; what was asked for stays, and is done when a daemon comes to it |
| 130 | Ctrl-C |
"""

EXAMPLES: Final = {
    "run": ("orze run", "orze run --gpus 0,1 --timeout 7200", "orze run --dry-run"),
    "add": (
        "orze add --title 'Twice the batch' --parent idea-007 --config training.batch_size=128",
        "orze add idea.md --if-absent",
        "ID=$(propose | orze add) && orze wait $ID",
    ),
    "stop": ("orze stop idea-012 idea-013",),
    "retry": ("orze retry idea-012", "orze retry --cause oom"),
    "hold": ("orze hold idea-020",),
    "release": ("orze release idea-020",),
    "withdraw": ("orze withdraw idea-021",),
    "restore": ("orze restore idea-009",),
    "priority": ("orze priority idea-020 critical", "orze priority idea-020 section"),
    "drain": ("orze drain", "orze drain gpu-a"),
    "undrain": ("orze undrain gpu-a",),
    "cards": ("orze cards gpu-a 0,1", "orze cards gpu-a default"),
    "wait": ("orze wait idea-012 && ./next.sh", "orze wait --all --timeout 3600"),
    "init": ("orze init", "orze init --yes experiments"),
    "doctor": ("orze doctor", "orze doctor --train"),
    "service": ("orze service install", "orze service status"),
    "status": ("orze status", "orze status -w"),
    "show": ("orze show idea-012",),
    "compare": ("orze compare idea-007 idea-012",),
    "logs": ("orze logs idea-012", "orze logs idea-012 -n 50 --no-follow"),
    "explain": ("orze explain idea-012",),
    "lint": ("orze lint", "orze lint proposals.md"),
    "export": ("orze export > results.csv", "orze export --format parquet -o results.parquet"),
    "report": ("orze report",),
    "clean": ("orze clean --dry-run", "orze clean --yes"),
}


class Manual(NamedTuple):
    """The page of a program.

    Attributes:
        head, scripts: what it begins with, and what stands before the commands.
        examples: lines for a shell, by the names of commands.
    """

    program: Program
    head: str
    scripts: str
    examples: Mapping[str, Sequence[str]]

    def page(self) -> str:
        """The whole of it."""
        parts = [
            self.head,
            *_options(self.program.options()),
            "",
            *self._contents(),
            self.scripts,
            *self._commands(),
        ]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"

    def _in_order(self) -> Iterator[Entry]:
        known = self.program
        return (entry for group in known.groups for entry in known.entries if entry.group == group)

    def _contents(self) -> Iterator[str]:
        name, group = self.program.name, ""
        for entry in self._in_order():
            if entry.group != group:
                group = entry.group
                yield f"\n**{group}**\n"
            yield f"- [`{name} {entry.name}`](#{name}-{entry.name}): {entry.short}"
        yield ""

    def _commands(self) -> Iterator[str]:
        for entry in self._in_order():
            yield from _command(f"{self.program.name} {entry.name}", self.program.load(entry), level=2)
            if examples := self.examples.get(entry.name):
                yield from ("```bash", *examples, "```", "")


def _command(name: str, command: Any, *, level: int) -> Iterator[str]:
    usage = textwrap.fill(
        " ".join([name, *_words(command)]).replace(" ", "\0").replace("\0[", " ["),
        _WIDTH,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    ).replace("\0", " ")
    yield f"{'#' * level} {name}\n"
    yield from ("```text", usage, "```", "")
    yield inspect.cleandoc(command.help or "") + "\n"
    yield from _options(command.params)
    yield ""
    for below in getattr(command, "commands", {}).values():
        yield from _command(f"{name} {below.name}", below, level=level + 1)


def _words(command: Any) -> list[str]:
    """What stands behind the name of a command in its usage."""
    if getattr(command, "commands", None):
        return ["COMMAND ..."]
    if command.context_settings.get("ignore_unknown_options"):
        return ["[FLAGS OF farm.py]"]
    arguments = [_optional(one, _name(one)) for one in command.params if _is_argument(one)]
    options = [one for one in command.params if _is_shown_option(one)]
    return arguments + [
        _optional(one, max(one.opts, key=len) + _value(one)) + ("..." if one.multiple else "")
        for one in options
    ]


def _options(parameters: Sequence[Any]) -> Iterator[str]:
    """A table of arguments and options."""
    rows = [
        (f"`{_name(one)}`" if _is_argument(one) else _names(one), one.help or "")
        for one in parameters
        if _is_argument(one) or _is_shown_option(one)
    ]
    if rows:
        yield "| | |\n| --- | --- |"
        for name, told in rows:
            yield f"| {name} | {_cell(told)} |"


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _is_shown_option(parameter: Any) -> bool:
    own = parameter.name not in ("help", "install_completion", "show_completion")
    return parameter.param_type_name == "option" and own and not parameter.hidden


def _name(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper()).strip("[].")
    return name + ("..." if argument.nargs == -1 else "")


def _optional(parameter: Any, word: str) -> str:
    return word if parameter.required else f"[{word}]"


def _names(option: Any) -> str:
    return ", ".join(f"`{name}{_value(option)}`" for name in [*option.opts, *option.secondary_opts])


def _value(option: Any) -> str:
    return "" if option.is_flag else f" {option.metavar}"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


MANUAL: Final = Manual(PROGRAM, HEAD, SCRIPTS, EXAMPLES)

if __name__ == "__main__":
    sys.stdout.write(MANUAL.page())
