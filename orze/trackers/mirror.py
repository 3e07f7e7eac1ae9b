"""Mirrors what is new in the journal to one experiment tracker: `python -m orze.trackers.mirror`.

A process of its own, so that the daemon neither loads a tracker's package nor waits for its server. It is
told by a `Job` on standard input, and says in one line on standard output why it did not get through.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Protocol, TypedDict

from orze.coord.leader import Leadership
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.core.paths import FarmPaths
from orze.report.text import clean
from orze.trackers.position import Position
from orze.trackers.run import Run, read_run
from orze.trackers.to_mlflow import MlflowMirror
from orze.trackers.to_trackio import TrackioMirror
from orze.trackers.to_wandb import WandbMirror

_LIMIT = 300  # seconds for one run
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_SHORT = 6  # characters of a value that is too short to be found in a text by chance
_ADDRESS = re.compile(r"(://)[^/\s@]*@|\?\S*")
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "HF_HUB_DISABLE_TELEMETRY": "1", "WANDB_SILENT": "true"}


class Mirror(Protocol):
    """A place that keeps a copy of each run."""

    def log(self, run: Run) -> None:
        """Make the copy, or finish the one that was begun; doing it twice leaves one."""
        ...


class Job(TypedDict):
    """What the daemon asks for."""

    tracker: str  # a name of MIRRORS
    settings: dict[str, Any]  # what orze.yaml says of it
    results: str
    position: str  # the file that keeps how far it got
    token: str  # of the daemon that leads
    directory: str  # of the project, where relative paths start


MIRRORS: Mapping[str, Callable[..., Mirror]] = {
    "mlflow": MlflowMirror,
    "wandb": WandbMirror,
    "trackio": TrackioMirror,
}


def mirror(job: Job) -> None:
    """Mirror all that is new, for as long as nobody else leads.

    Raises:
        Exception: whatever the tracker or the share raised; what was done until then is recorded.
    """
    files, paths, clock = RealFiles(), FarmPaths(job["results"]), SystemClock()
    leadership = Leadership(files, paths.leader, clock, token=job["token"], frame={})
    target: Mirror | None = None
    position = Position(files, paths, clock, job["position"])
    with closing(position.pending()) as pending:
        for idea_id, state, facts in pending:
            leadership.refresh()
            if leadership.fold.token not in ("", job["token"]):
                return
            with _limit(_LIMIT):
                target = target or MIRRORS[job["tracker"]](**job["settings"])
                target.log(read_run(paths, idea_id, state, facts))


def told(error: Exception, job: Job, environ: Mapping[str, str]) -> str:
    """One line about a fault, without whatever may be a key to somebody's account."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == job["tracker"]:
        return f"the package {job['tracker']} is missing; install it: pip install 'orze[{job['tracker']}]'"
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    secrets = {value for name, value in environ.items() if _SECRET.search(name) and len(value) >= _SHORT}
    for part in re.findall(r"://([^/\s@]*)@", str(job["settings"].get("uri", ""))):
        secrets |= {part, *part.split(":", 1)[1:]}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return clean(_ADDRESS.sub(r"\1", text), 300)


@contextmanager
def _limit(seconds: int) -> Iterator[None]:
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def _too_long(*_: object) -> None:
    raise TimeoutError(f"a run took longer than {_LIMIT} s")


def main() -> int:
    """Do the job; exit status 0 where nothing is left to do, else 1."""
    job: Job = json.load(sys.stdin)
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):  # trackers print what they do
        os.dup2(null, descriptor)
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    os.chdir(job["directory"])
    signal.signal(signal.SIGALRM, _too_long)
    try:
        mirror(job)
    except Exception as error:  # noqa: BLE001 - whatever a tracker's package raises becomes a sentence
        print(told(error, job, os.environ), file=answer, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    os.nice(10)  # it can wait, the daemon that asked for it cannot
    sys.exit(main())
