"""Hosts that a nemesis can do anything to: power, clock, processes; each a Machine that boots again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
import uuid
from pathlib import Path

from farmhouse import DEADLINE, Daemon, Farm
from machines import Machine, cmdline, pid_namespace

from tests.fakes.clock import FakeClock


class Host:
    """One host with one daemon.

    It keeps its name and machine id over reboots, and gets a new boot id and new pids at each.

    Attributes:
        stops: when something on it was stopped, as pairs of times of CLOCK_MONOTONIC; the last may be open.
        frozen: it stands still as a whole.
        holds: how many stops have not come to their end.
        slots: how many it has.
        launched_full: the disk was full when the daemon was started, so that it may have refused to.
    """

    def __init__(self, farm: Farm, name: str, rng: random.Random) -> None:
        self.farm = farm
        self.name = name
        self.machine: Machine | None = None
        self.daemon: Daemon | None = None
        self.clock = FakeClock(farm.home / "tmp" / f"{name}.clock")
        self.stops: list[list[float]] = []
        self.frozen = False
        self.holds = 0
        self.slots = 2
        self.launched_full = False
        self._rng = rng
        self._identity = farm.home / "tmp" / f"{name}.machine-id"
        self._identity.write_text(f"{uuid.UUID(int=rng.getrandbits(128)).hex}\n")

    @property
    def up(self) -> bool:
        """Whether it has power."""
        return self.machine is not None

    @property
    def serves(self) -> bool:
        """Whether its daemon was started and not ended by anybody."""
        return self.daemon is not None

    def boot(self) -> None:
        """Switch it on; nothing of ours is started."""
        self.machine = self.farm.machine(self.name, up=self._rng.randrange(1, 100_000))
        boot_id = self._identity.with_name(f"{self.name}-{self.machine.init}.boot-id")
        boot_id.write_text(f"{uuid.UUID(int=self._rng.getrandbits(128))}\n")
        for source, target in (
            (boot_id, "/proc/sys/kernel/random/boot_id"),
            (self._identity, "/etc/machine-id"),
        ):
            assert self.machine.run("mount", "--bind", str(source), target) == 0

    def start(self) -> None:
        """Start its daemon."""
        self.daemon = self.farm.start(gpus=f"cpu:{self.slots}", on=self.machine, **self.clock.env)

    def power_off(self) -> None:
        """Cut the power: all that runs on it is gone at once."""
        assert self.machine
        self.machine.cut()
        for daemon in [daemon for daemon in self.farm.daemons if daemon.on is self.machine]:
            daemon.may_end = {None, -signal.SIGKILL, daemon.process.poll()}
            _wait(daemon)
        self.machine.stop()
        self.farm.machines.remove(self.machine)
        self.machine = self.daemon = None
        self.thawed()

    def kill_daemon(self) -> None:
        """SIGKILL it, also where it is stopped."""
        assert self.daemon
        self.daemon.may_end = {None, -signal.SIGKILL, self.daemon.process.poll()}
        with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
            self.daemon.send(signal.SIGKILL)
        _wait(self.daemon)
        self.daemon = None

    def end_daemon(self) -> None:
        """SIGTERM it; it must leave in time, with status 0 unless it was hit before it began."""
        assert self.daemon
        began = "slots" in self.daemon.output
        status = self.daemon.end()
        assert status == 0 or (not began and status == -signal.SIGTERM), f"{status}: {self.daemon.output}"
        self.daemon = None

    def freeze(self) -> None:
        """Stop every process on it, as when a virtual machine is paused."""
        assert self.machine
        self.stopped()
        self.frozen = True
        self.machine.send(signal.SIGSTOP)
        self.machine.send(signal.SIGSTOP)  # what was forked meanwhile

    def thaw(self) -> None:
        """Let whatever is stopped on it go on."""
        if self.machine:
            self.machine.send(signal.SIGCONT)
            if self.daemon:
                self.daemon.process.send_signal(signal.SIGCONT)
        self.thawed()

    def stopped(self) -> None:
        """Note that something on it is stopped from now on."""
        self.stops.append([time.monotonic(), float("inf")])

    def thawed(self) -> None:
        """Note that nothing on it is stopped any more."""
        self.frozen = False
        for stop in self.stops:
            stop[1] = min(stop[1], time.monotonic())

    def processes(self, program: str) -> list[int]:
        """The processes on it whose command line names the program, oldest first."""
        if not self.machine:
            return []
        mine = pid_namespace(self.machine.init)
        found = [pid for pid in self.farm.processes(program) if pid_namespace(pid) == mine]
        return sorted(found, key=_age)

    def send(self, pid: int, number: int) -> str:
        """Send a signal to one of its processes; what was hit."""
        name = "keeper" if "keeper.py" in cmdline(pid) else "process"
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        return f"{name} {pid}"


def _wait(daemon: Daemon) -> None:
    """Wait for one that was killed: its nsenter stops itself whenever it sees that its child is stopped."""
    until = time.monotonic() + DEADLINE
    while daemon.process.poll() is None:
        assert time.monotonic() < until, f"a killed daemon does not end:\n{daemon.output}"
        daemon.process.send_signal(signal.SIGCONT)
        time.sleep(0.01)
    daemon.wait()


def _age(pid: int) -> tuple[int, int]:
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]), pid
    return 0, pid
