"""What stands in for processes, cards and reports around the product's code, and how it is put there.

Only these are replaced: forking (`make_executor`, `tree`), the driver's cards (`Cards`), the wait for
descriptors (`Events`), the reading of project files (`Launcher`), what is drawn for people (`Board`'s files),
and git (`Environment`). Everything that decides, claims, reaps, fences and records is the product's.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

import orze.attempt.course
import orze.attempt.keeper
import orze.attempt.metrics
import orze.attempt.projections
import orze.attempt.pulse
import orze.attempt.supervise
import orze.attempt.tree
import orze.attempt.verdict
import orze.attempt.workspace
import orze.core.files
import orze.core.identity
import orze.farm.applying
import orze.farm.assembly
import orze.farm.attempts
import orze.farm.daemon
import orze.farm.reap
import orze.farm.steward
import orze.farm.succession
from orze.coord.chain import Chain
from orze.coord.record import Record, digest
from orze.farm.board import Board
from orze.farm.launch import Launcher, Merged, Start
from orze.farm.problems import Problems
from orze.farm.show import Show
from orze.farm.view import SlotView
from orze.gpu.slots import Slot
from orze.report.model import CardRow
from tests.model import invariants, system
from tests.model.hosts import Host, Pipe
from tests.model.scheduler import Process
from tests.model.system import CURRENT


class SimEvents:
    """`orze.farm.events.Events` over simulated descriptors."""

    def __init__(self) -> None:
        self._host = CURRENT.host
        self._thread = CURRENT.thread
        self._actions: dict[int, Callable[[], None]] = {}
        self._woken = self.is_waiting = False
        self.interrupts = 0
        self.terminated = False

    def on_readable(self, descriptor: int, action: Callable[[], None]) -> None:
        self._actions[descriptor] = action
        self._host.descriptors[descriptor].listeners.append(self._ring)

    def forget(self, descriptor: int) -> None:
        self._actions.pop(descriptor, None)

    def wake(self) -> None:
        self._woken = True
        self._ring()

    def _ring(self) -> None:
        if self.is_waiting:
            self.is_waiting = False
            self._host.scheduler.wake(self._thread)

    def _ready(self) -> list[int]:
        open_now = self._host.descriptors
        return [number for number in self._actions if number in open_now and open_now[number].readable()]

    def wait(self, seconds: float) -> None:
        until = self._host.clock.after(seconds)
        if not self._ready() and not self._woken and not self.terminated:
            self.is_waiting = True
            CURRENT.scheduler.block(until)
        self._woken = self.is_waiting = False
        for number in self._ready():
            if action := self._actions.get(number):
                action()

    def close(self) -> None:
        return


class SimKeeper:
    """The daemon's side of a keeper: `orze.attempt.executors.base.Keeper`."""

    def __init__(self, host: Host, process: Process) -> None:
        self.pid, self.start = process.pid, process.start
        self._host = host
        self._process = process
        process.inbox, process.outbox = Pipe(host.scheduler), Pipe(host.scheduler)
        process.on_end.append(process.outbox.close)
        CURRENT.process.on_end.append(process.inbox.close)
        self.replies = host.open(process.outbox)

    def tell(self, **message: Any) -> bool:
        if not self._process.alive:
            return False
        self._process.inbox.put(message)
        return True

    def answer(self) -> str:
        message = self._process.outbox.take()
        return str(message["ready"]) if message else "the keeper died"

    def let_go(self) -> None:
        self._process.inbox.close()
        self._host.descriptors.pop(self.replies, None)


class SimExecutor:
    """`orze.attempt.executors.local.Local`: each keeper runs the product's `keeper.main`."""

    def __init__(self, *_: object, **__: object) -> None:
        return

    def open(self) -> None:
        return

    def keeper(self) -> SimKeeper:
        host = CURRENT.host
        process = host.start("keeper", orze.attempt.keeper.main)
        process.masked = frozenset({signal.SIGTERM, signal.SIGUSR1})
        return SimKeeper(host, process)

    def adapt(self, go: Any) -> Any:
        return go

    def close(self) -> None:
        return


class SimCards:
    """`orze.farm.cards.Cards`: CPU slots, busy where a living process holds their lock."""

    has_gpus = False
    fresh = True
    driver = None
    notices = ()

    def __init__(self, *_: object, **__: object) -> None:
        self._host = CURRENT.host
        self._asked: str | None = None
        self._choose(self._host.slots)

    def _choose(self, count: int) -> None:
        self.slots = tuple(Slot(f"cpu{k}", None, k, "") for k in range(count))
        self.cards_at_most = len(self.slots)

    def use(self, asked: str | None) -> bool:
        changed, self._asked = asked != self._asked, asked
        if changed:
            self._choose(int(asked.removeprefix("cpu:")) if asked else self._host.slots)
        return changed

    def slot(self, name: str) -> Slot:
        return next(slot for slot in self.slots if slot.name == name)

    def lock_of(self, slot: Slot) -> str:
        return f"lock {slot.name}"

    def names(self, _slots: Sequence[Slot]) -> list[str]:
        return []

    def ask(self) -> None:
        return

    def outdate(self) -> None:
        return

    def problems(self) -> list[str]:
        return []

    def views(self, taken: Mapping[str, str]) -> tuple[SlotView, ...]:
        return tuple(SlotView(slot.name, slot.name, self._busy(slot, taken)) for slot in self.slots)

    def rows(self, taken: Mapping[str, str], *, free: str = "free") -> tuple[CardRow, ...]:
        return tuple(
            CardRow(slot.name, "CPU slot", self._busy(slot, taken) or free, None, None) for slot in self.slots
        )

    def _busy(self, slot: Slot, taken: Mapping[str, str]) -> str:
        if slot.name in taken:
            return f"runs {taken[slot.name]}"
        return "taken by somebody else" if self._host.holders(self.lock_of(slot)) else ""


class SimLauncher(Launcher):
    """The product's Launcher without the project's files."""

    def __init__(self, settings: Any, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = dict(environ)
        self._python = ["python"]
        self._code = settings.code_dir

    def check(self) -> None:
        return

    def config(self, start: Start) -> Merged:
        key = digest(start.section.encode())  # each idea is one of its own
        return Merged(start.section, 0, key, base="{}\n")


class SimShow(Show):
    """The product's Show, which writes no report."""

    def write(self) -> None:
        self._written = self._context.clock.steady()
        self._changed = False


class SimBoard(Board):
    """The product's Board, which draws nothing."""

    def plot(self) -> None:
        return


class SimEnvironment:
    """`orze.farm.environment.Environment`: nothing is known of the code."""

    def __init__(self, *_: object, **__: object) -> None:
        return

    def begin(self) -> None:
        return

    def facts(self) -> dict[str, object]:
        return {}


class SimGc:
    """The collector is for the whole test run, not for one simulated daemon."""

    def enable(self) -> None:
        return

    disable = freeze = enable


class SimRandom:
    """The module random, decided by the seed."""

    def randrange(self, stop: int) -> int:
        chance: Random = CURRENT.world.chance
        return chance.randrange(stop)


def spawn(argv: Sequence[str], *, env: dict[str, str], cwd: str, output: int, keep: Sequence[int]) -> int:
    """tree.spawn: a script of the user's, which dies with its keeper."""
    return CURRENT.world.scripts.begin(argv, env, [CURRENT.host.descriptors[number] for number in keep])


def reap(main: int) -> int | None:
    """tree.reap."""
    keeper = CURRENT.process
    ended = [child for child in keeper.children if not child.alive]
    keeper.children = [child for child in keeper.children if child.alive]
    return next((child.status for child in ended if child.pid == main), None)


def gone() -> bool:
    """tree.gone."""
    return not CURRENT.process.children


def children() -> list[int]:
    """tree.children."""
    return [child.pid for child in CURRENT.process.children]


def send_signal(pid: int, number: int) -> None:
    """tree._signal."""
    CURRENT.host.deliver(CURRENT.host.processes[pid], number)


def kill_attempt(token: str) -> int:
    """reap.kill_attempt: what carries the token on this machine is killed, and was still there."""
    found = CURRENT.host.of_attempt(token)
    for process in found:
        CURRENT.scheduler.kill(process)
    return len(found)


def current_files() -> Any:
    """RealFiles()."""
    return CURRENT.host.files


def current_clock() -> Any:
    """SystemClock()."""
    return CURRENT.host.clock


def lives(pid: int, start: int) -> bool:
    """identity.lives."""
    return CURRENT.host.lives(pid, start)


def append_sections(path: Any, sections: Any) -> Any:
    """merge.append_sections: the file's time is the simulation's."""
    return CURRENT.world.paper.append(path, sections)


_OS, _SIGNAL = system.SimOs(), system.SimSignal()
_EDGES: list[tuple[Any, dict[str, Any]]] = [
    (orze.core.files, {"os": _OS}),
    (orze.core.identity, {"os": _OS}),
    (orze.attempt.pulse, {"os": _OS, "_thread": system.SimThreads(), "RealFiles": current_files}),
    (orze.attempt.projections, {"os": _OS}),
    (orze.attempt.workspace, {"os": _OS}),
    (orze.attempt.course, {"os": _OS}),
    (orze.attempt.supervise, {"os": _OS, "select": system.SimSelect}),
    (orze.attempt.metrics, {"os": _OS, "RealFiles": current_files}),
    (orze.attempt.verdict, {
        "read_tail": system.read_tail, "oom_kill_count": system.no_kills,
        "disk_is_full": system.disk_has_room,
    }),
    (orze.attempt.tree, {
        "spawn": spawn, "reap": reap, "gone": gone, "children": children, "_signal": send_signal,
        "become_subreaper": lambda: None,
    }),
    (orze.attempt.keeper, {
        "os": _OS, "signal": _SIGNAL, "wire": system.SimWire(), "locks": system.SimLocks(),
        "RealFiles": current_files, "SystemClock": current_clock,
    }),
    (orze.farm.attempts, {"os": _OS, "signal": _SIGNAL, "lives": lives}),
    (orze.farm.succession, {"lives": lives}),
    (orze.farm.reap, {"kill_attempt": kill_attempt}),
    (orze.farm.applying, {"append_sections": append_sections}),
    (orze.farm.steward, {"append_sections": append_sections}),
    (orze.farm.daemon, {"os": _OS, "gc": SimGc(), "Show": SimShow, "random": SimRandom()}),
    (orze.farm.assembly, {
        "Events": SimEvents, "Cards": SimCards, "Launcher": SimLauncher, "Board": SimBoard,
        "make_executor": SimExecutor, "Environment": SimEnvironment,
    }),
]  # fmt: skip


def _watched_append(self: Chain, propose: Callable[[], Record | None]) -> Record | None:
    """Chain.append, whose word is held against what stands."""
    record = _append(self, propose)
    invariants.appends_tell_the_truth(CURRENT.world, self.directory, record)
    return record


def _watched_show(self: Problems, source: str, texts: Iterable[str]) -> None:
    """Problems.show: what nobody expected is a fault of the product."""
    told = list(texts)
    invariants.nothing_is_unexpected(told)
    _show(self, source, told)


_append, _show = Chain.append, Problems.show


@contextmanager
def installed() -> Iterator[None]:
    """Put the simulated system below the product's code."""
    log = logging.getLogger("orze")
    before = log.disabled
    with ExitStack() as stack:
        for module, names in _EDGES:
            stack.enter_context(patch.multiple(module, **names))
        stack.enter_context(patch.object(Chain, "append", _watched_append))
        stack.enter_context(patch.object(Problems, "show", _watched_show))
        log.disabled = True
        try:
            yield
        finally:
            log.disabled = before
