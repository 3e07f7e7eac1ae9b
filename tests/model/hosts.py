"""Simulated hosts: their clocks, process tables, locks and descriptors, and what signals do there."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable
from typing import Any

from orze.core.identity import Machine
from tests.model.scheduler import Process, Scheduler, Thread
from tests.model.share import SimFiles

EPOCH = 1_800_000_000.0  # unix seconds at virtual time 0
_FIRST_PID = 300


class SimClock:
    """`orze.core.clock.Clock` of one host.

    Attributes:
        rate: seconds of this host in a virtual second.
        offset: by how much its wall clock is wrong.
    """

    def __init__(self, scheduler: Scheduler, booted: float, rate: float, offset: float) -> None:
        self._scheduler = scheduler
        self._booted = booted
        self.rate = rate
        self.offset = offset

    def steady(self) -> float:
        return (self._scheduler.now - self._booted) * self.rate + 100.0

    def wall(self) -> float:
        return EPOCH + self._scheduler.now * self.rate + self.offset

    def sleep(self, seconds: float) -> None:
        self._scheduler.block(self.after(seconds))

    def after(self, seconds: float) -> float:
        """The virtual time that comes so many seconds of this host from now."""
        return self._scheduler.now + max(1e-6, seconds) / self.rate

    def boot(self) -> None:
        """The steady clock starts anew."""
        self._booted = self._scheduler.now


class Pipe:
    """A pipe, or the readable end of a process: whoever waits for it is woken."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.messages: list[Any] = []
        self.closed = False
        self.waiters: list[Thread] = []
        self.listeners: list[Callable[[], None]] = []
        self.process: Process | None = None

    def readable(self) -> bool:
        """Whether a read would return at once."""
        return bool(self.messages) or self.closed

    def put(self, message: Any) -> None:
        """Write."""
        self.messages.append(message)
        self.ring()

    def close(self) -> None:
        """The other side is gone."""
        self.closed = True
        self.ring()

    def ring(self) -> None:
        """Wake who waits."""
        for thread in self.waiters:
            self._scheduler.wake(thread)
        for listener in self.listeners:
            listener()

    def wait(self, until: float | None) -> None:
        """Block until it is readable, at most until a virtual time."""
        thread = self._scheduler.current
        assert thread is not None
        while not self.readable():
            self.waiters.append(thread)
            woken = self._scheduler.block(until)
            self.waiters.remove(thread)
            if not woken:
                return

    def take(self) -> Any:
        """The next message, waiting for it; None where the other side is gone."""
        self.wait(None)
        return self.messages.pop(0) if self.messages else None


class Host:
    """One machine, or one container of it.

    Attributes:
        frozen_until: virtual time at which it goes on; its clocks go on meanwhile.
        machine: what its records say of it; another one behind each reboot.
        descriptors: what each number of an open descriptor stands for.
    """

    def __init__(
        self, name: str, machine: Machine, scheduler: Scheduler, files: SimFiles, clock: SimClock, slots: int
    ) -> None:
        self.name = name
        self.machine = machine
        self.scheduler = scheduler
        self.files = files
        self.clock = clock
        self.slots = slots
        self.frozen_until = 0.0
        self.boots = 1
        self.up = True
        self.processes: dict[int, Process] = {}
        self.locks: dict[str, list[Process]] = {}
        self.descriptors: dict[int, Any] = {}
        self._pid = _FIRST_PID
        self._descriptor = 10_000

    def start(self, name: str, body: Callable[[], None], *, token: str = "") -> Process:
        """Start a process."""
        self._pid += 1
        process = Process(self, name, self._pid, round(self.clock.steady() * 100), token)
        self.processes[process.pid] = process
        process.on_end.append(lambda: self._ended(process))
        self.scheduler.spawn(process, body)
        return process

    def lives(self, pid: int, start: int) -> bool:
        """orze.core.identity.lives."""
        process = self.processes.get(pid)
        return process is not None and process.alive and process.start == start

    def open(self, thing: Any) -> int:
        """A descriptor for something."""
        self._descriptor += 1
        self.descriptors[self._descriptor] = thing
        return self._descriptor

    def pidfd(self, pid: int) -> int:
        """pidfd_open(2)."""
        process = self.processes.get(pid)
        if process is None or not process.alive:
            raise ProcessLookupError(errno.ESRCH, "no such process")
        end = Pipe(self.scheduler)
        end.process = process
        process.on_end.append(end.close)
        return self.open(end)

    def crash(self, status: int = 9) -> None:
        """Everything on it ends at once."""
        self.up = False
        for process in list(self.processes.values()):
            self.scheduler.kill(process, status)
        self.processes.clear()
        self.locks.clear()
        self.descriptors.clear()

    def reboot(self) -> None:
        """It comes back: another boot id, the same pids again, the same machine id and name."""
        self.boots += 1
        self.up = True
        old = self.machine
        boot = f"{old.boot.partition('#')[0]}#{self.boots}"
        self.machine = Machine(old.host, boot, old.pidns, old.machine_id)
        self.clock.boot()
        self.frozen_until = 0.0
        self._pid = _FIRST_PID

    def holders(self, path: str) -> list[Process]:
        """The living processes that hold a lock."""
        return [process for process in self.locks.get(path, []) if process.alive]

    def of_attempt(self, token: str) -> list[Process]:
        """The living processes that carry a token."""
        return [process for process in self.processes.values() if process.alive and process.token == token]

    def deliver(self, process: Process, number: int) -> None:
        """Send a signal."""
        if not process.alive:
            return
        if number == signal.SIGKILL:
            self.scheduler.kill(process, int(signal.SIGKILL))
        elif number in process.masked:
            process.pending.append(number)
        elif number in process.handlers:
            process.handlers[number](number, None)
            if process.wakeup in self.descriptors:
                self.descriptors[process.wakeup].put(b"\0")
        elif number != signal.SIGCHLD:
            self.scheduler.kill(process, int(number))

    def _ended(self, process: Process) -> None:
        for child in process.children:
            if child.parent_death and child.alive:
                self.scheduler.kill(child, int(signal.SIGKILL))
        parent = process.parent
        if parent is None or not parent.alive:
            return
        for child in process.children:  # the keeper is the subreaper of all below it
            child.parent = parent
            parent.children.append(child)
        process.children = []
        self.deliver(parent, int(signal.SIGCHLD))
