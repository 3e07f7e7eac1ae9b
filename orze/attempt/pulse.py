"""The keeper's thread that renews the heartbeat and looks at the share: a hung share hangs only it."""

from __future__ import annotations

import _thread
import os

from orze.core.files import RealFiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orze.coord.chain import Chain
    from orze.coord.heartbeat import Beat
    from orze.coord.idea_chain import IdeaFold
    from orze.core.clock import Clock

_GONE_LOOKS = 3  # one look may be stale; this many are not
_REASON_LIMIT = 4096  # bytes


class Pulse:
    """Renews the lease every `heartbeat` seconds and notes what the share says of this attempt.

    The main thread reads the attributes and touches the share itself only while no command runs: whatever
    hangs, it can still end the process tree.

    Attributes:
        over: why the attempt must end: `superseded` or `removed`; empty while it may go on.
        stop: an operator asked for it to be stopped.
        prune: why the leader finds its training hopeless; empty where it does not.
        quiet: seconds for which the watched files are known not to have grown, as of the last look.
    """

    def __init__(self, beat: Beat, chain: Chain, fold: IdeaFold, token: str, clock: Clock) -> None:
        self._beat = beat
        self._chain = chain
        self._fold = fold
        self._token = token
        self._clock = clock
        self._bell = _thread.allocate_lock()
        self._bell.acquire()
        self._hands = _thread.allocate_lock()
        self._task: Callable[[Chain, IdeaFold], None] | None = None
        self._watched: tuple[str, ...] = ()
        self._sizes: list[int] = []
        self._missing = 0
        self._settling = False
        self.over = ""
        self.stop = False
        self.prune = ""
        self._grown = clock.steady()
        self.quiet = 0.0
        self.wake = -1

    def start(self, *, heartbeat: float, fence: float, wake: int) -> None:
        """Begin.

        Args:
            heartbeat: seconds between renewals.
            fence: seconds without a successful renewal after which this attempt renews no more.
            wake: a descriptor that gets a byte when the main thread has something to see.
        """
        self._heartbeat = heartbeat
        self._fence = fence
        self.wake = wake
        _thread.start_new_thread(self._run, ())

    def fenced(self, now: float) -> bool:
        """Whether the lease has run out at the steady time `now`, measured from before the last renewal."""
        return now - self._beat.renewed > self._fence

    def fence_at(self) -> float:
        """The steady time at which it will run out if it is not renewed."""
        return self._beat.renewed + self._fence

    def look_now(self) -> None:
        """Look at once instead of at the next heartbeat."""
        if self._bell.locked():
            self._bell.release()

    def watch(self, paths: tuple[str, ...]) -> None:
        """From now on note when one of these files grows."""
        self._sizes = []
        self._watched = paths
        self._grown = self._clock.steady()
        self.quiet = 0.0

    def do_soon(self, task: Callable[[Chain, IdeaFold], None]) -> None:
        """Have this thread do something with the share that the main thread must not wait for."""
        self._task = task
        self.look_now()

    def settling(self) -> None:
        """The main thread is about to append the last record: its token will not be current any more.

        A task that was not begun is dropped, and one that was is waited for.
        """
        self._settling = True
        self._task = None
        self._hands.acquire()
        self._hands.release()

    def _run(self) -> None:
        while not self.over:
            self._bell.acquire(timeout=self._heartbeat)
            if self.fenced(self._clock.steady()):
                self._tell()
                return
            self._renew()
            self._look_at_chain()
            self._look_at_growth()
            self._do_task()

    def _do_task(self) -> None:
        with self._hands:
            task, self._task = self._task, None
            if task and not self._settling:
                task(self._chain, self._fold)

    def _renew(self) -> None:
        try:
            self._beat.renew()
        except OSError:
            return  # the fence counts from the last renewal that succeeded

    def _look_at_chain(self) -> None:
        try:
            self._chain.refresh()
            self._missing = 0
            if self._fold.token != self._token and not self._settling:
                self._end("superseded")
            elif self._is_asked_to_end():
                self._tell()
        except FileNotFoundError:
            self._missing += 1
            if self._missing >= _GONE_LOOKS:
                self._end("removed")
        except OSError:
            return  # a surprising read delays, it never decides

    def _is_asked_to_end(self) -> bool:
        """Whether somebody asks for the end of this attempt; a stop is told once."""
        if self.stop:
            return False
        names = RealFiles().listdir(self._chain.directory)
        self.stop = f"stop-{self._token}" in names
        if not self.prune and f"prune-{self._token}" in names:
            self.prune = self._read_reason()
        return self.stop or bool(self.prune)

    def _read_reason(self) -> str:
        try:
            told = RealFiles().read(f"{self._chain.directory}/prune-{self._token}", _REASON_LIMIT)
        except OSError:
            return ""  # it is read at the next look
        return told.decode("utf-8", "replace")

    def _look_at_growth(self) -> None:
        sizes = []
        for path in self._watched:
            try:
                sizes.append(os.stat(path).st_size)
            except OSError:
                sizes.append(-1)
        now = self._clock.steady()
        if sizes != self._sizes:
            self._sizes, self._grown = sizes, now
        self.quiet = now - self._grown
        if self.quiet:
            self._tell()

    def _end(self, why: str) -> None:
        self.over = why
        self._tell()

    def _tell(self) -> None:
        try:
            os.write(self.wake, b"\0")
        except BlockingIOError:
            return  # the pipe is full of wake-ups already
