"""One command of git: by argv, without hooks, prompts or a pager, in bounded time, with a bounded answer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from orze.core.errors import OrzeError

_SECONDS: Final = 300.0
_GRACE: Final = 2.0
_MOST_BYTES: Final = 256 << 20
# What a user's configuration may not change about what the commands do. A hook could run anything, touch
# the checkout, or refuse; a background gc or a file watcher would outlive the command.
_SETTINGS: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.splitIndex": "false",
    "core.quotePath": "false",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "push.gpgSign": "false",
    "push.followTags": "false",
    "push.recurseSubmodules": "no",
    "i18n.commitEncoding": "UTF-8",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
}
_OPTIONS: Final = (
    "git",
    "--no-pager",
    "--literal-pathspecs",
    "--no-optional-locks",  # `git status` would otherwise rewrite the user's index
    *(word for key, value in _SETTINGS.items() for word in ("-c", f"{key}={value}")),
)
_SECRET = re.compile(r"(?<=://)[^/@\s]{1,1000}@")


class GitError(OrzeError):
    """A command of git failed, or what was asked of a repository cannot be done."""


def git(
    cwd: Path,
    *words: str,
    data: bytes = b"",
    variables: Mapping[str, str] | None = None,
    good: Sequence[int] = (0,),
    seconds: float = _SECONDS,
    most: int = _MOST_BYTES,
    cut: bool = False,
) -> tuple[int, bytes]:
    """Run one command of git.

    Args:
        cwd: the directory it runs in.
        words: the command and its arguments.
        data: its standard input.
        variables: further variables of its environment, such as GIT_INDEX_FILE.
        good: exit statuses that are no failure.
        seconds: after which it is killed, with all that it started.
        most: how many bytes of its output are taken.
        cut: whether a longer output is cut there rather than being a failure.

    Returns:
        Its exit status and its standard output.

    Raises:
        GitError: it failed, took too long, said too much, or git is not installed.
    """
    try:
        with (
            tempfile.TemporaryFile() as stdin,
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as told,
        ):
            stdin.write(data)
            stdin.seek(0)
            streams = (stdin, stdout, told)
            status = _run([*_OPTIONS, *words], cwd, _environment(variables or {}), streams, seconds)
            stdout.seek(0)
            output = stdout.read(most + 1)
            told.seek(max(told.seek(0, os.SEEK_END) - 20_000, 0))
            words_said = shown(told.read(20_000))
    except OSError as error:
        raise GitError(f"{cwd}: git cannot be run: {error}") from None
    if status not in good:
        raise GitError(f"{cwd}: git {words[0]} failed: {words_said or f'exit status {status}'}")
    if len(output) > most and not cut:
        raise GitError(f"{cwd}: git {words[0]} answered with more than {most} bytes")
    return status, output[:most]


def shown(said: bytes) -> str:
    """What git said, for people: its last lines in one, printable, without passwords of addresses."""
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines()]
    text = " / ".join(line for line in lines[-8:] if line and not line.startswith("hint:"))
    text = _SECRET.sub("", text.removeprefix("fatal: "))
    return "".join(char for char in text if char.isprintable())[:1000]


def _run(
    argv: list[str], cwd: Path, environ: Mapping[str, str], streams: tuple[IO[bytes], ...], seconds: float
) -> int:
    """Run it in a session of its own (so that nothing below it can ask at the terminal); its exit status."""
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=environ,
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        start_new_session=True,
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise GitError(f"{cwd}: git {argv[len(_OPTIONS)]} took more than {seconds:.0f} seconds") from None
    finally:
        if process.returncode is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it started; asked first, so that it removes its lock files."""
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of the command: the user's, but nothing of it may point git elsewhere or let it ask."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "LC_", "SSH_ASKPASS")) and name not in {"LANGUAGE", "LANG"}
    }
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **variables}
