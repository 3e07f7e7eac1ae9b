"""What stands in for the operating system below the product's code: os, signal, select, threads.

These are the outermost edges: each answers as the real call does, on the simulated host of whoever calls.
`WORLD` is the one simulation under way.
"""

from __future__ import annotations

import os
import posixpath
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.model.hosts import Host, Pipe
from tests.model.scheduler import Process, Scheduler, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.model.world import World


class Current:
    """The simulation under way, and who has the turn in it."""

    world: World

    @property
    def scheduler(self) -> Scheduler:
        return self.world.scheduler

    @property
    def thread(self) -> Thread:
        thread = self.world.scheduler.current
        assert thread is not None
        return thread

    @property
    def process(self) -> Process:
        return self.thread.process

    @property
    def host(self) -> Host:
        host: Host = self.process.host
        return host


CURRENT = Current()


class _OpenFile:
    """A file that is being written by os.write."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.data = b""


class SimPath:
    """os.path on the share of the current host; what only handles text is the real one."""

    def __getattr__(self, name: str) -> Any:
        return getattr(posixpath, name)

    def exists(self, path: str) -> bool:
        return CURRENT.host.files.exists(path)

    def isfile(self, path: str) -> bool:
        return self._is(path, 0o100000)

    def isdir(self, path: str) -> bool:
        return self._is(path, 0o040000)

    def _is(self, path: str, kind: int) -> bool:
        try:
            return CURRENT.host.files.stat(path).st_mode & 0o170000 == kind
        except OSError:
            return False


class SimOs:
    """The module os on the current host; what is not named here is the real one."""

    path = SimPath()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def urandom(self, count: int) -> bytes:
        return CURRENT.world.chance.randbytes(count)

    def pidfd_open(self, pid: int) -> int:
        return CURRENT.host.pidfd(pid)

    def pipe2(self, _flags: int) -> tuple[int, int]:
        descriptor = CURRENT.host.open(Pipe(CURRENT.scheduler))
        return descriptor, descriptor

    def open(self, path: str, _flags: int, _mode: int = 0) -> int:
        return CURRENT.host.open(_OpenFile(path))

    def write(self, descriptor: int, data: bytes) -> int:
        thing = CURRENT.host.descriptors[descriptor]
        if isinstance(thing, Pipe):
            if not thing.messages:
                thing.put(bytes(data))
        else:
            thing.data += bytes(data)
        return len(data)

    def read(self, descriptor: int, _count: int) -> bytes:
        pipe = CURRENT.host.descriptors[descriptor]
        pipe.messages.clear()
        return b"\0"

    def dup2(self, _old: int, _new: int) -> None:
        return

    def close(self, descriptor: int) -> None:
        thing = CURRENT.host.descriptors.pop(descriptor, None)
        if isinstance(thing, str):
            CURRENT.host.locks[thing].remove(CURRENT.process)
        elif isinstance(thing, _OpenFile) and thing.data:
            CURRENT.host.files.write_plain(thing.path, thing.data)

    def waitpid(self, _pid: int, _options: int) -> tuple[int, int]:
        raise ChildProcessError

    def stat(self, path: str) -> os.stat_result:
        return CURRENT.host.files.stat(path)

    def listdir(self, path: str) -> list[str]:
        return CURRENT.host.files.listdir(path)

    def readlink(self, path: str) -> str:
        return CURRENT.host.files.readlink(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        head = posixpath.dirname(path)
        try:
            CURRENT.host.files.mkdir(path)
        except FileNotFoundError:
            self.makedirs(head, exist_ok=True)
            CURRENT.host.files.mkdir(path)
        except FileExistsError:
            if not exist_ok:
                raise

    def symlink(self, target: str, path: str) -> None:
        CURRENT.host.files.symlink(target, path)

    def unlink(self, path: str) -> None:
        CURRENT.host.files.unlink(path)

    def rmdir(self, path: str) -> None:
        CURRENT.host.files.rmdir(path)


class SimSignal:
    """The module signal for the current process."""

    def __getattr__(self, name: str) -> Any:
        return getattr(signal, name)

    def signal(self, number: int, handler: Callable[..., None]) -> None:
        CURRENT.process.handlers[number] = handler

    def set_wakeup_fd(self, descriptor: int, **_: bool) -> None:
        CURRENT.process.wakeup = descriptor

    def pthread_sigmask(self, how: int, numbers: Sequence[int]) -> None:
        process = CURRENT.process
        if how == signal.SIG_BLOCK:
            process.masked |= frozenset(numbers)
            return
        process.masked -= frozenset(numbers)
        pending, process.pending = process.pending, []
        for number in pending:
            CURRENT.host.deliver(process, number)

    def pidfd_send_signal(self, descriptor: int, number: int) -> None:
        process = CURRENT.host.descriptors[descriptor].process
        if not process.alive:
            raise ProcessLookupError
        CURRENT.host.deliver(process, number)


class SimLock:
    """A lock of the module _thread."""

    def __init__(self) -> None:
        self._taken = False
        self._waiters: list[Thread] = []

    def acquire(self, *, timeout: float = -1.0) -> bool:
        thread = CURRENT.thread
        until = CURRENT.host.clock.after(timeout) if timeout >= 0 else None
        while self._taken:
            self._waiters.append(thread)
            woken = CURRENT.scheduler.block(until)
            self._waiters.remove(thread)
            if not woken and self._taken:
                return False
        self._taken = True
        return True

    def release(self) -> None:
        self._taken = False
        if self._waiters:
            self._waiters[0].process.host.scheduler.wake(self._waiters[0])

    def locked(self) -> bool:
        return self._taken

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class SimThreads:
    """The module _thread: threads of the current process."""

    allocate_lock = SimLock

    def start_new_thread(self, body: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        CURRENT.scheduler.spawn(CURRENT.process, lambda: body(*arguments))


class SimPoll:
    """A select.poll that waits for one pipe."""

    def register(self, descriptor: int, _events: int) -> None:
        self._pipe: Pipe = CURRENT.host.descriptors[descriptor]

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        self._pipe.wait(CURRENT.host.clock.after(milliseconds / 1000))
        return [(0, 1)] if self._pipe.messages else []


class SimSelect:
    """The module select."""

    POLLIN = 1
    poll = SimPoll


class SimWire:
    """Messages of a keeper to its daemon and back, over the pipes that are its descriptors 0 and 1."""

    def receive(self, _descriptor: int) -> Any:
        return CURRENT.process.inbox.take()

    def send(self, _descriptor: int, message: Mapping[str, Any]) -> None:
        if CURRENT.process.outbox.closed:
            raise BrokenPipeError
        CURRENT.process.outbox.put(message)


class SimLocks:
    """orze.gpu.locks on the current host: held for as long as a process lives that has them."""

    def acquire_all(self, paths: list[str]) -> list[int] | None:
        host = CURRENT.host
        if any(host.holders(path) for path in paths):
            return None
        for path in paths:
            host.locks[path] = [CURRENT.process]
        return [host.open(path) for path in paths]


def read_tail(_path: str, _limit: int = 0) -> bytes:
    """The scripts print nothing."""
    return b""


def no_kills() -> int:
    """No host runs out of memory."""
    return 0


def disk_has_room(_path: str) -> bool:
    """What a full disk does is a fault of the calls."""
    return False
