"""The text of a systemd unit: what is written into it, and the escapes that keep it what it was."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from orze.core.errors import OrzeError

MARK = "# Written by `orze service install`, which replaces it; `orze service uninstall` removes it."
_DIRECTORY = "WorkingDirectory="
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "%": "%%"}
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\"'\\]")  # "Executable name contains special characters"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class UnitError(OrzeError):
    """Something that a unit file cannot say."""


def unit_text(directory: str, command: Sequence[str], variables: Mapping[str, str]) -> str:
    """The unit of one farm on this host.

    Args:
        directory: absolute; where the daemon works.
        command: its argv; the first word is an absolute path.
        variables: its environment, beside what systemd sets.

    Raises:
        UnitError: a directory, word or variable cannot be written into a unit file.
    """
    environment = "".join(f"Environment={_assignment(name, variables[name])}\n" for name in sorted(variables))
    return f"""\
{MARK}
[Unit]
Description={_specifiers(f"orze, the farm in {_plain(directory)}")}
# Never give up: a share that is mounted late, or is away for a day, comes back.
StartLimitIntervalSec=0

[Service]
{_DIRECTORY}{_directory(directory)}
ExecStart={exec_line(command)}
{environment}\
Restart=on-failure
RestartSec=30
# Stopping or restarting the daemon leaves its attempts running; it adopts them when it starts again.
KillMode=process
# An attempt that runs out of memory is a failed attempt, and no reason to stop the farm.
OOMPolicy=continue
TasksMax=infinity

[Install]
WantedBy=default.target
"""


def exec_line(command: Sequence[str]) -> str:
    """A command as ExecStart= takes it (systemd.service(5), "Command lines"; systemd.syntax(7), "Quoting").

    In every word `%` begins a specifier and `$` a variable; both are doubled. Only the path of the program is
    not searched for variables, so that it is told a second time, after `@`, as the argument that it will be.

    Raises:
        UnitError: a word cannot be told, or systemd runs no program of this name.
    """
    if _UNSAFE.search(command[0]):
        raise UnitError(f"{command[0]!r}: systemd runs no program with quotes or \\ in its path; move it")
    return " ".join([_word(f"@{command[0]}"), *(_word(word.replace("$", "$$")) for word in command)])


def written_by_us(text: str) -> bool:
    """Whether a unit file is one that `orze service install` wrote."""
    return text.startswith(MARK)


def same_directory(text: str, directory: str) -> bool:
    """Whether a unit file of ours is for this directory."""
    return f"{_DIRECTORY}{_directory(directory)}" in text.splitlines()


def _word(text: str) -> str:
    """One word in double quotes."""
    return f'"{"".join(_escaped(char) for char in _utf8(text))}"'


def _assignment(name: str, value: str) -> str:
    """One variable as Environment= takes it, where `$` means nothing (systemd.exec(5))."""
    if not _NAME.fullmatch(name):
        raise UnitError(f"{name!r} is no name of a variable; use letters, digits and _")
    return _word(f"{name}={value}")


def _directory(path: str) -> str:
    """A path as WorkingDirectory= takes it: the rest of the line, without quotes or escapes."""
    if path != path.strip() or path.endswith("\\") or not _utf8(path).isprintable():
        raise UnitError(f"{path!r}: systemd cannot work in a directory of this name; rename it")
    return _specifiers(path)


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in _utf8(text)).rstrip("\\")


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char == "\0":
        raise UnitError("a NUL byte cannot be part of a command or variable")
    return char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in char.encode())


def _utf8(text: str) -> str:
    """The text itself; unit files are UTF-8, so that a name in other bytes cannot be told."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UnitError(f"{text!r} is not UTF-8, and a unit file must be; rename it") from None
    return text
