"""Two machines, each with a FUSE mount of its own of one directory (faultfs.py), and a daemon on each."""

from __future__ import annotations

import ctypes.util
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from checker import Checker
from farmhouse import ELSEWHERE, Farm, idea
from machines import Machine, two_machines

FAULTFS = Path(__file__).with_name("faultfs.py")
LEASE = {"heartbeat": 0.5, "fence": 2, "kill": 0.5, "steal": 3}
WRITES = ["mkdir", "rmdir", "unlink", "symlink", "link", "rename", "create", "write", "truncate", "fsync"]
READS = ["getattr", "readdir", "readlink", "open", "read"]
FAILURES = (
    "disk_full", "exception", "exit_code", "no_metrics", "metrics_not_json", "metrics_not_file", "script",
    "signal", "start",
)  # fmt: skip


def no_fuse() -> str:
    """Why FUSE cannot be had here; empty where it can."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse cannot be opened"
    if not ctypes.util.find_library("fuse"):
        return "libfuse2 is missing"
    if not importlib.util.find_spec("mfusepy"):
        return "mfusepy is missing"
    return two_machines()


class Mount:
    """A machine with a mount of the directory, and with faults of its own."""

    def __init__(self, farm: Farm, name: str, backing: Path, options: dict[str, float]) -> None:
        self.name, self.slots = name, 2
        self.stops: list[list[float]] = []
        self.control = farm.home / f"{name}.control"
        self.control.mkdir()
        self.rules()
        self.machine: Machine = farm.machine(name, up=1000)
        point = farm.home / "results"
        told = [f"{option}={value}" for option, value in options.items()]
        serve = [sys.executable, str(FAULTFS), str(backing), str(point), str(self.control), *told]
        self._log = self.control / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                self.machine.command(serve, Path("/")), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        farm.wait((self.control / "mounted").exists, "the mount")
        self.daemon = farm.start(gpus=f"cpu:{self.slots}", on=self.machine)

    def rules(self, *rules: dict[str, Any]) -> None:
        """From now on these faults, and no others, are to strike; see faultfs.Rules."""
        fresh = self.control / "rules.new"
        fresh.write_text(json.dumps(rules))
        fresh.replace(self.control / "rules.json")

    def struck(self) -> list[dict[str, Any]]:
        """The faults that have struck so far."""
        try:
            return [json.loads(line) for line in (self.control / "injected.jsonl").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def complaints(self) -> str:
        """What the filesystem itself had to complain about."""
        return self._log.read_text(errors="replace")


class Shares:
    """A farm whose two hosts, alpha and beta, see its results through mounts of their own.

    Args:
        options: of the mounts; see faultfs.py.
        settings: what orze.yaml says besides the usual.
    """

    def __init__(self, home: Path, options: dict[str, float] | None = None, **settings: Any) -> None:
        lease = {**LEASE, "attribute_cache": 0, **settings.pop("lease", {})}
        retry = dict.fromkeys(FAILURES, 99)  # what the mount does to a script is no fault of its own
        self.farm = Farm(home, poll=1, grace=0.3, lease=lease, retry=retry, **settings)
        (home / "results").mkdir()
        self.farm.results = home / "backing"
        self.farm.results.mkdir()
        fresh = {"negative_timeout": 0.0, "attr_timeout": 0.0, "entry_timeout": 0.0}
        self._sections: list[str] = []
        self.farm.write()
        self.alpha = Mount(self.farm, "alpha", self.farm.results, options or fresh)
        self.farm.wait(lambda: self.farm.status().get("leader") == "alpha", "a leader")
        self.beta = Mount(self.farm, "beta", self.farm.results, options or fresh)
        self.farm.wait(lambda: "leads; " in self.beta.daemon.output, "the other host")

    @property
    def mounts(self) -> tuple[Mount, Mount]:
        """Both."""
        return self.alpha, self.beta

    def check(self) -> None:
        """Mend everything, wait until it is at rest, and hold it against every promise."""
        self.rules()
        self.farm.write(*self._sections, last="")
        checker = Checker(self.farm, self.mounts, [], fence=LEASE["fence"])
        numbers = range(1, len(self._sections) + 1)
        self.farm.wait(lambda: not checker.unrest(numbers), "rest")
        checker.look()
        checker.check_all(numbers)

    def close(self) -> None:
        """End everything."""
        self.rules()
        self.farm.close()
        for mount in self.mounts:
            mount.process.wait()

    def rules(self, *rules: dict[str, Any]) -> None:
        """These faults on both mounts."""
        for mount in self.mounts:
            mount.rules(*rules)

    def add(self, count: int, train: str = "metrics(val_accuracy=0.5)", **more: str) -> list[str]:
        """Think of ideas, which run when `show` has written them; their ids."""
        first = len(self._sections) + 1
        self._sections += [idea(number, train, **more) for number in range(first, first + count)]
        return [f"idea-{number:03d}" for number in range(first, first + count)]

    def show(self) -> None:
        """Write ideas.md."""
        self.farm.write(*self._sections, last=ELSEWHERE)

    def wait_done(self, idea_ids: list[str], deadline: float = 30) -> None:
        """Wait until each of these has a result."""
        self.farm.wait(
            lambda: all(self.farm.kinds(idea_id)[-1:] == ["DONE"] for idea_id in idea_ids),
            f"the results of {idea_ids}",
            deadline,
        )

    def struck(self, name: str = "") -> int:
        """How many faults (of that name) have struck on both mounts."""
        told = [rule for mount in self.mounts for rule in mount.struck()]
        return sum(rule["rule"] == name or not name for rule in told)

    def elections(self) -> list[str]:
        """The kinds of the records of the leader's chain, in order."""
        paths = sorted((self.farm.results / ".orze" / "leader").rglob("0*.json"))
        return [json.loads(path.read_bytes())["kind"] for path in paths]

    def leading_first(self) -> tuple[Mount, Mount]:
        """The mount of the host that leads, and the other one."""
        self.farm.wait(lambda: self.farm.status()["leader"], "a leader")
        first = self.farm.status()["leader"]
        alpha, beta = self.mounts
        return (alpha, beta) if alpha.name == first else (beta, alpha)
