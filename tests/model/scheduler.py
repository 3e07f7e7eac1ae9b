"""Virtual time and simulated processes: real code runs in greenlets, a step at a time, in an order of ours.

A process has one or more threads, each a greenlet. A thread gives up its turn only in `Scheduler.block`, to
which every call to the share, every wait and every sleep comes down. What happens next is the earliest entry
of one heap, so that a run is decided by its seed alone.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import greenlet

_STEPS = 60_000  # turns of one run; ordinary ones have a few thousand


class Endless(Exception):
    """Something goes on and on, and time does not."""


class Killed(BaseException):
    """The process of this thread is dead: whatever it still does while unwinding has no effect."""


class Thread:
    """One greenlet of a process.

    Attributes:
        ticket: grows with every wait, so that an entry of an earlier wait wakes nobody.
        rung: whether the last wait ended because somebody woke it.
        call: what it has asked of the share, while that is under way.
        listed: directory -> virtual time at which it last saw its names as they were.
    """

    __slots__ = ("call", "greenlet", "listed", "process", "rung", "ticket")

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ticket = 0
        self.rung = False
        self.call: Callable[[], Any] | None = None
        self.listed: dict[str, float] = {}
        self.greenlet: Any = None


class Process:
    """A simulated process.

    Attributes:
        host: where it runs; anything with `frozen_until`, in virtual seconds.
        pid, start: as the product's records name it.
        token: what `ORZE_ATTEMPT` in its environment says; empty for others.
        on_end: called once when it is dead, however it died.
        parent_death: it ends with its parent (PR_SET_PDEATHSIG).
        handlers, pending, masked, wakeup: its signals, and the descriptor of signal.set_wakeup_fd.
        inbox, outbox: the pipes between a keeper and its daemon.
        status: as waitpid(2) gives it, once it is dead.
    """

    def __init__(self, host: Any, name: str, pid: int, start: int, token: str = "") -> None:
        self.host = host
        self.name = name
        self.pid = pid
        self.start = start
        self.token = token
        self.alive = True
        self.status = 0
        self.threads: list[Thread] = []
        self.parent: Process | None = None
        self.children: list[Process] = []
        self.frozen_until = 0.0
        self.on_end: list[Callable[[], None]] = []
        self.parent_death = False
        self.handlers: dict[int, Any] = {}
        self.pending: list[int] = []
        self.masked: frozenset[int] = frozenset()
        self.wakeup = -1
        self.inbox: Any = None
        self.outbox: Any = None


class Scheduler:
    """Runs threads and events in the order of virtual time.

    Attributes:
        now: virtual seconds; no simulated process sees them but through the clock of its host.
        steps: how many turns were given.
        after_step: called behind every turn.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self.current: Thread | None = None
        self.after_step: Callable[[], None] = _nothing
        self.failure: BaseException | None = None
        self._heap: list[tuple[float, int, Any, int]] = []
        self._number = 0
        self._hub: Any = greenlet.getcurrent()
        self._threads: list[Thread] = []

    def at(self, time: float, event: Callable[[], None]) -> None:
        """Have something happen at a virtual time."""
        self._push(time, event, -1)

    def spawn(self, process: Process, body: Callable[[], None]) -> Thread:
        """Start a thread of a process; the process ends with its first thread."""
        thread = Thread(process)
        main = not process.threads
        process.threads.append(thread)
        self._threads.append(thread)
        thread.greenlet = greenlet.greenlet(lambda: self._live(thread, body, main), self._hub)
        self._push(self.now, thread, 0)
        return thread

    def block(self, until: float | None) -> bool:
        """Let others run until a virtual time (None: for ever), or until this thread is woken.

        Returns:
            Whether it was woken.
        """
        thread = self.current
        assert thread is not None
        if not thread.process.alive:
            raise Killed
        thread.ticket += 1
        thread.rung = False
        if until is not None:
            self._push(until, thread, thread.ticket)
        self._hub.switch()
        if not thread.process.alive:
            raise Killed
        return thread.rung

    def wake(self, thread: Thread) -> None:
        """End the wait of a thread."""
        if not thread.rung:
            thread.rung = True
            self._push(self.now, thread, thread.ticket)

    def kill(self, process: Process, status: int = 9) -> None:
        """End a process at once, without a last word."""
        if not process.alive:
            return
        process.alive = False
        process.status = status
        for thread in process.threads:
            thread.ticket += 1
            if thread is not self.current:
                self._push(self.now, thread, thread.ticket)
        for end in process.on_end:
            end()

    def run(self, until: Callable[[], bool], deadline: float) -> None:
        """Give turns until `until()` holds behind one of them, or virtual time reaches `deadline`."""
        self._hub = greenlet.getcurrent()
        while self._heap and not until():
            time, _, what, ticket = heappop(self._heap)
            if time > deadline:
                self._push(time, what, ticket)
                self.now = deadline
                return
            if ticket < 0:
                self.now = max(self.now, time)
                what()
            elif not self._turn(time, what, ticket):
                continue
            self.steps += 1
            if self.steps > _STEPS:
                raise Endless(f"{_STEPS} turns, and it is only {self.now:.1f} s")
            self.after_step()
            if self.failure:
                raise self.failure

    def close(self) -> None:
        """End every thread that is left."""
        self._hub = greenlet.getcurrent()
        for thread in self._threads:
            thread.process.alive = False
            if thread.greenlet and not thread.greenlet.dead:
                self.current = thread
                thread.greenlet.throw(Killed)
        self.current = None
        self._heap.clear()

    def _turn(self, time: float, thread: Thread, ticket: int) -> bool:
        if thread.ticket != ticket or thread.greenlet.dead:
            return False
        process = thread.process
        thaw = max(process.host.frozen_until, process.frozen_until)
        if thaw > time and process.alive:
            self._push(thaw, thread, ticket)
            return False
        self.now = max(self.now, time)
        self.current = thread
        thread.greenlet.switch()
        self.current = None
        return True

    def _live(self, thread: Thread, body: Callable[[], None], main: bool) -> None:
        try:
            if thread.process.alive:
                body()
        except Killed:
            return
        except BaseException as fault:
            self.failure = fault
            return
        if main and thread.process.alive:
            self.kill(thread.process, thread.process.status)

    def _push(self, time: float, what: Any, ticket: int) -> None:
        self._number += 1
        heappush(self._heap, (time, self._number, what, ticket))


def _nothing() -> None:
    return
