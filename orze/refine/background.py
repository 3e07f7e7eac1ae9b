"""Starts a loop in the background: a daemon of its own, and a window of tmux that shows it where tmux is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orze.config.refine import Budget
from orze.core.errors import OrzeError
from orze.refine.boot import command_of
from orze.refine.control import EXIT, work
from orze.refine.places import place_of
from orze.refine.private_farm import window_of
from orze.refine.settings import load_revis

_READY: Final = b"ready\n"
_MOST: Final = 64 << 10
_PATIENCE: Final = 10.0  # seconds for which tmux may not answer
# What a server of tmux that is started here hands on to every window from then on: nothing secret.
_HANDED_ON: Final = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TMUX_TMPDIR", "LANG"}
)


class NotStarted(OrzeError):
    """A loop did not come so far as to take its session."""


def start(
    config: Path | None,
    name: str,
    *,
    cwd: Path,
    project_dir: Path,
    environ: Mapping[str, str],
    more: Budget | None = None,
) -> str:
    """Start a loop, and return when it has taken its session.

    It is a process that nothing of this terminal reaches; closing the window that shows it leaves it alone.

    Args:
        config: what the command line named; None takes revis.yaml in `cwd`.
        more: what is added to the budget of the session.

    Returns:
        Where it runs and how to see it, one sentence.

    Raises:
        NotStarted: with what it said.
    """
    job = {
        "config": str(config) if config else None,
        "name": name,
        "cwd": str(cwd),
        "more": more.model_dump(exclude_none=True) if more else None,
    }
    log = place_of(project_dir, name).log
    try:
        pid, said = _spawn(json.dumps(job), cwd, environ, log)
    except OSError as error:
        raise NotStarted(f"the loop cannot be started: {error.strerror or error}") from None
    if said != _READY:
        raise NotStarted(
            said.decode("utf-8", "replace").strip() or f"the loop ended without a word; see {log}"
        )
    shown = _show(name, log, pid, environ)
    how = f"shown in tmux: tmux attach -t {shown}" if shown else f"its log is {log}"
    return f"{name} is at work in the background (pid {pid}), {how}"


def _spawn(job: str, cwd: Path, environ: Mapping[str, str], log: Path) -> tuple[int, bytes]:
    """Start the process; its pid, and what it said when it had taken the session or could not."""
    answer, told = os.pipe()
    with os.fdopen(answer, "rb") as stream:
        try:
            with log.open("ab") as errors:
                process = subprocess.Popen(
                    command_of("orze.refine.background", job, str(told)),
                    cwd=cwd,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    start_new_session=True,
                    pass_fds=(told,),
                )
        finally:
            os.close(told)
        said = stream.read(_MOST)
    if said != _READY:
        process.wait()
    process.returncode = 0  # it is nobody's child when this program ends; it is not waited for
    return process.pid, said


def main() -> int:
    """Be that process; its arguments are the job, and the descriptor to tell when the session is taken."""
    job, told = json.loads(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(told, False)
    stream = os.fdopen(told, "wb")

    def ready() -> None:
        stream.write(_READY)
        stream.close()

    try:
        config = Path(job["config"]) if job["config"] else None
        revis = load_revis(config, Path(job["cwd"]), os.environ)
        more = Budget.model_validate(job["more"]) if job["more"] else None
        end = work(revis, job["name"], environ=os.environ, say=_nothing, more=more, ready=ready)
    except (OrzeError, OSError) as error:
        if stream.closed:
            print(error, file=sys.stderr, flush=True)
        else:
            stream.write(str(error).encode())
            stream.close()
        return getattr(error, "exit_code", 1)
    return EXIT[end.reason]


def _show(name: str, log: Path, pid: int, environ: Mapping[str, str]) -> str:
    """Open a window that follows the log while the loop lives; the session of tmux, if there is one."""
    tmux = shutil.which("tmux", path=environ.get("PATH"))
    if not tmux:
        return ""
    session = window_of(name)
    follow = ["tail", "-n", "+1", f"--pid={pid}", "-F", str(log)]
    shared = {key: value for key, value in environ.items() if key in _HANDED_ON or key.startswith("LC_")}
    for words in (["new-session", "-d", "-s", session], ["new-window", "-d", "-t", f"={session}:"]):
        command = [tmux, *words, "-n", "loop", *follow]
        try:
            done = subprocess.run(command, env=shared, capture_output=True, timeout=_PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        if done.returncode == 0:
            return session
    return ""


def _nothing(text: str) -> None:
    """It is in the log already."""
