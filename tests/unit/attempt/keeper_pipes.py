"""Real keepers, talked to over their pipes as a daemon does."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from orze.attempt.executors import base, local
from orze.coord.chain import Chain
from orze.coord.claims import Claimed, Claims
from orze.coord.idea_chain import LOST, IdeaFold
from orze.coord.record import new_record
from orze.core.clock import SystemClock
from orze.core.files import RealFiles, make_dirs
from orze.core.identity import start_time, this_machine
from orze.core.paths import FarmPaths

DEADLINE = 30.0  # seconds; every wait is for an event, this bounds it
TICK = 0.01
CALM = {"heartbeat": 10.0, "fence": 60.0, "kill": 15.0}
QUICK = {"heartbeat": 0.05, "fence": 20.0, "kill": 0.3}
LITTLE_SCRIPT = [sys.executable, "-I", "-S", "-c"]
WRITE_METRICS = """
import json, os, sys
home = os.path.join(os.environ["REVIS_OUTPUT_DIR"])
def metrics(**values):
    with open(os.path.join(home, "metrics.json"), "w") as stream:
        json.dump(values, stream)
"""


@contextlib.contextmanager
def standard_error_to(path: Path) -> Iterator[None]:
    """Processes that are started inside print their errors to a file."""
    saved = os.dup(2)
    try:
        with path.open("wb") as stream:
            os.dup2(stream.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def until(happened: Callable[[], object], what: str = "it") -> None:
    """Wait for something that only another process can tell by its files."""
    end = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < end, f"{what} did not happen"
        select.select([], [], [], TICK)


class Farm:
    """A results directory, with what the chains in it say."""

    def __init__(self, home: Path, *, nursery: bool = True) -> None:
        self.home = home
        self.results = home / "results"
        self.paths = FarmPaths(str(self.results))
        for directory in (self.paths.heartbeats, self.paths.doors):
            make_dirs(RealFiles(), directory)
        self.machine = this_machine()
        self.errors = home / "stderr"
        self.nursery = local.Local()
        if nursery:
            with standard_error_to(self.errors):
                self.nursery.open()
        self.keepers: list[Keeper] = []

    def idea(self, name: str = "") -> Path:
        """The idea's directory, or something in it."""
        return self.results / "idea-001" / name

    def chain(self) -> tuple[Chain, IdeaFold]:
        fold = IdeaFold()
        chain = Chain(RealFiles(), self.paths.idea("idea-001").chain, fold, SystemClock())
        return chain, fold

    @property
    def fold(self) -> IdeaFold:
        chain, fold = self.chain()
        chain.refresh()
        return fold

    def records(self) -> list[dict[str, Any]]:
        """Every record, valid or void."""
        chain, _ = self.chain()
        chain.refresh()
        return [chain.record(slot)[0] for slot in range(1, chain.length + 1)]

    def kinds(self) -> list[str]:
        return [record["kind"] for record in self.records()]

    def lose(self, token: str) -> None:
        """Somebody elsewhere judges the attempt dead."""
        chain, fold = self.chain()
        chain.append(
            lambda: new_record(LOST, supersedes=fold.tail, token=token, attempt=fold.attempt, seen_gone=False)
        )

    def heartbeats(self) -> list[str]:
        return os.listdir(self.paths.heartbeats)

    def doors(self) -> list[str]:
        return os.listdir(self.paths.doors)

    def prepare_message(self, token: str, *locks: Path) -> Any:
        """What a keeper is told first."""
        names = [str(lock) for lock in locks]
        return {"results": str(self.results), "idea_id": "idea-001", "token": token, "locks": names}

    def claim(self, token: str, frame: dict[str, object]) -> int:
        """Claim the idea for a keeper; the number of the attempt."""
        claims = Claims(RealFiles(), self.paths, SystemClock(), quiet=0.0)
        content = {"section": "## idea-001: An idea\n", "sha": "ab", "gpu": "cpu0", "at": time.time()}
        claimed = claims.claim("idea-001", token, frame, content)
        assert isinstance(claimed, Claimed), claimed.why
        return claimed.fold.attempt

    def go_message(self, attempt: int, token: str, frame: dict[str, object], **changes: Any) -> Any:
        """What a keeper is told last, with other parts as given."""
        made: dict[str, Any] = {
            "attempt": attempt,
            "frame": frame,
            "gpu": "cpu0",
            "doors": True,
            "delay": 0.0,
            "section": "## idea-001: An idea\n",
            "config": "lr: 0.1\n",
            "base": "lr: 0.2\n",
            "environment": {"git_commit": None},
            "cwd": str(self.home),
            "checkout": None,
            "protected": [],
            "env": {"PATH": os.environ["PATH"], "ORZE_ATTEMPT": f"{attempt}-{token}"},
            "pre": None,
            "evaluation": None,
            "posts": [],
            "trained": None,
            "links": {},
            "resume_above": 0,
            "stall": 0.0,
            "grace": 10.0,
            "lease": CALM,
            "primary": None,
            "retry": {},
            "max_failures": 0,
        }
        return {**made, **changes}

    def keeper(self) -> Keeper:
        self.keepers.append(Keeper(self))
        return self.keepers[-1]

    def close(self) -> None:
        for one in self.keepers:
            one.close()
        self.nursery.close()
        assert self.errors.read_text() == ""


class Keeper:
    """One keeper process, forked as a daemon has it forked."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.token = farm.machine.new_token()
        self._link: base.Keeper | None = farm.nursery.keeper()
        self.pid = self._link.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.ended = False
        self.frame = farm.machine.frame(self.pid, start_time(self.pid) or 0)
        self.attempt = 0

    @property
    def link(self) -> base.Keeper:
        assert self._link
        return self._link

    def prepare(self, *locks: Path) -> str:
        """Have it prepare; what it answers."""
        self.ask_to_prepare(*locks)
        return self.link.answer()

    def ask_to_prepare(self, *locks: Path) -> None:
        assert self.link.tell(prepare=self.farm.prepare_message(self.token, *locks))

    def claim(self) -> None:
        self.attempt = self.farm.claim(self.token, self.frame)

    def go(self, code: str = "", *locks: Path, **changes: Any) -> None:
        """Prepare, claim, and run a script of this code; `changes` are other parts of the message."""
        assert self.prepare(*locks) == ""
        self.claim()
        assert self.link.tell(go=self.message(code, **changes))
        self.let_go()

    def message(self, code: str = "", **changes: Any) -> dict[str, Any]:
        train = command(code or "metrics(status='COMPLETED', val_loss=0.5)")
        return self.farm.go_message(self.attempt, self.token, self.frame, **{"train": train, **changes})

    def let_go(self) -> None:
        """Close the pipes, as a daemon does when it has told all, or dies."""
        if self._link:
            self._link.let_go()
            self._link = None

    def signal(self, number: int) -> None:
        signal.pidfd_send_signal(self.pidfd, number)

    def wait(self) -> None:
        """Wait for its end."""
        assert self.ended or select.select([self.pidfd], [], [], DEADLINE)[0], self.farm.kinds()
        self.ended = True

    def close(self) -> None:
        self.let_go()
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.wait()
        os.close(self.pidfd)

    @property
    def directory(self) -> Path:
        """The attempt's own directory."""
        return self.farm.idea(f"attempts/{self.attempt}-{self.token}")

    @property
    def heartbeat(self) -> Path:
        return Path(self.farm.paths.heartbeat("idea-001", self.token))

    @property
    def stop_request(self) -> Path:
        return Path(self.farm.paths.idea("idea-001").stop_request(self.token))


def command(code: str, *, name: str = "train", timeout: float = 60.0, output: str = "") -> dict[str, Any]:
    """A command that runs Python code."""
    return {
        "name": name,
        "argv": [*LITTLE_SCRIPT, WRITE_METRICS + code],
        "timeout": timeout,
        "output": output,
    }


def memory(pid: int) -> tuple[float, float]:
    """Resident and proportional set size in MB (proc_pid_smaps_rollup(5))."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in rollup[1:]}
    return sizes["Rss"] / 1024, sizes["Pss"] / 1024


def content(path: Path) -> Any:
    """What a JSON file holds."""
    return json.loads(path.read_text())
