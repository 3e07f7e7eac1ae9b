"""Runs a coding agent to its end, and ends all that it started: `python -m orze.refine.agent`.

It adopts whatever the agent leaves behind, and so ends that too, when the agent has ended, is late, or
whoever asked is gone. The job is JSON on standard input, what came of it JSON on standard output.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from types import FrameType
from typing import Final, NoReturn, TypedDict

from orze.research.program import run_program

_GRACE: Final = 0.5  # seconds: its directory goes away with it
_KEPT: Final = 64 << 10  # last bytes of what it prints


class Job(TypedDict):
    """What is to be run.

    `text` is its standard input, `environ` its whole environment, `lifeline` the descriptor of a pipe whose
    other end is closed when nobody waits any longer.
    """

    words: list[str]
    text: str
    cwd: str
    environ: dict[str, str]
    seconds: float
    lifeline: int


class Said(TypedDict):
    """What came of it.

    `text` is the end of what it printed, `status` its exit status, `why` it was ended (`time`, or nothing),
    `fault` why it could not be started.
    """

    text: str
    status: int
    why: str
    fault: str


def run(job: Job) -> Said:
    """Run it to its end."""
    if fault := _missing(job):
        return Said(text="", status=0, why="", fault=fault)
    try:
        ran = run_program(
            job["words"],
            job["text"],
            cwd=job["cwd"],
            env=job["environ"],
            seconds=job["seconds"],
            limit=_KEPT,
            only_last=True,
            grace=_GRACE,
        )
    except OSError as error:
        return Said(text="", status=0, why="", fault=f"cannot be started: {error.strerror or error}")
    text = (ran.output or ran.errors).decode("utf-8", "replace")
    return Said(text=text, status=ran.status or 0, why=ran.why, fault="")


def _missing(job: Job) -> str:
    """Why its program cannot be run; empty where it can."""
    name = job["words"][0]
    where = os.path.join(job["cwd"], name) if "/" in name else name
    return (
        "" if shutil.which(where, path=job["environ"].get("PATH", os.defpath)) else "there is no such program"
    )


def _leave(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - as signal(2) calls it
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(1)


def _watch(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the one job on standard input."""
    job: Job = json.load(sys.stdin)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_watch, args=(job["lifeline"],), daemon=True).start()
    print(json.dumps(run(job)), flush=True)


if __name__ == "__main__":
    main()
