"""Starts the process of a round, takes its answer, and ends it when its time is up."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orze.core.files import make_dirs
from orze.research.hiding import hidden
from orze.research.job import Outcome

if TYPE_CHECKING:
    from orze.core.files import Files
    from orze.core.paths import FarmPaths
    from orze.research.job import Job

LOG: Final = "round.log"
_CODE: Final = str(Path(__file__).resolve().parents[2])
_KEPT: Final = 256 << 10  # bytes of the log
_ANSWER: Final = 1 << 20


class RoundProcess:
    """A round at work.

    Attributes:
        pid: of the process, which leads a process group of its own.
        number: of the round.
    """

    def __init__(self, job: Job) -> None:
        """Start it.

        Raises:
            OSError: no process can be started.
        """
        self.number = int(job["brief"]["round"])
        self._answer = os.memfd_create("answer")
        self._log = os.memfd_create("log")
        environ = {**os.environ, "PYTHONPATH": _CODE, "CUDA_VISIBLE_DEVICES": ""}
        try:
            with os.fdopen(os.memfd_create("job"), "wb") as source:
                source.write(json.dumps(job).encode())
                source.seek(0)
                self.pid = os.posix_spawn(
                    sys.executable,
                    [sys.executable, "-P", "-m", "orze.research.round"],
                    environ,
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, descriptor, number)
                        for number, descriptor in enumerate((source.fileno(), self._answer, self._log))
                    ],
                    setpgroup=0,
                )
        except OSError:
            os.close(self._answer)
            os.close(self._log)
            raise

    def kill(self) -> None:
        """End it and all that it started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # it has ended; whoever waits for it learns so

    def ended(self, status: int, files: Files, paths: FarmPaths) -> Outcome:
        """Take its answer when it has been waited for, and keep what it printed in round.log.

        Args:
            status: as waitpid(2) tells it.

        Raises:
            OSError: the share does not take the log.
        """
        self.kill()  # what it left behind
        said = _last(self._answer, _ANSWER)
        log = hidden(_last(self._log, _KEPT), os.environ)
        make_dirs(files, paths.research)
        files.replace(paths.research_file(LOG), log.encode())
        try:
            told: Mapping[str, Any] = json.loads(said)
            return Outcome(refused=str(told["refused"]), fault=str(told["fault"]), round=told["round"])
        except (ValueError, KeyError, TypeError):
            code = os.waitstatus_to_exitcode(status)
            how = f"by signal {-code}" if code < 0 else f"with status {code}"
            return Outcome(fault=f"the round ended {how}; results/.orze/research/{LOG} may tell why")


def _last(descriptor: int, limit: int) -> str:
    with os.fdopen(descriptor, "rb") as stream:
        stream.seek(max(0, os.fstat(descriptor).st_size - limit))
        return stream.read(limit).decode("utf-8", "replace")
