"""The keeper: one process per attempt, which outlives the daemon that started it.

Run as `python -I -S keeper.py` it is a nursery: whenever its daemon sends a pair of pipes it forks a keeper
that has them, in a tenth of the time that an interpreter takes to start. A keeper answers `prepare` by taking
the locks of its slots and making its heartbeat; `go` makes it run the attempt: train, judge, evaluate, append
to the idea's chain, show. A closed pipe before `go` makes it leave without a trace.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from orze.attempt import tree, wire
from orze.attempt.course import Course
from orze.attempt.pulse import Pulse
from orze.attempt.supervise import Supervisor
from orze.coord.chain import Chain
from orze.coord.heartbeat import Beat
from orze.coord.idea_chain import IdeaFold
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.core.paths import FarmPaths
from orze.gpu import locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orze.attempt.spec import Go, Prepare

FROM_DAEMON, TO_DAEMON = 0, 1
_TOLD_BY = (signal.SIGTERM, signal.SIGUSR1)
PID_BYTES = 4  # of the nursery's answer; 0 says that no process could be started


class Prepared:
    """What a keeper holds for an attempt that is not claimed yet: its heartbeat and its locks."""

    def __init__(self, message: Prepare) -> None:
        self.message = message
        self.clock = SystemClock()
        self.files = RealFiles()
        self.farm = FarmPaths(message["results"])
        path = self.farm.heartbeat(message["idea_id"], message["token"])
        self.beat = Beat(self.files, path, self.clock)
        self.locks: list[int] = []

    def begin(self) -> str:
        """Take the locks, then make the heartbeat; the reason where it cannot."""
        taken = locks.acquire_all(self.message["locks"])
        if taken is None:
            return "a slot is taken"
        self.locks = taken
        try:
            self.beat.begin()
        except OSError as error:
            self._give_up_locks()
            return f"no heartbeat: {error.strerror}"
        return ""

    def drop(self) -> None:
        """Give up locks and heartbeat."""
        self._give_up_locks()
        try:
            self.beat.end()
        except OSError:
            return  # the leader removes it

    def _give_up_locks(self) -> None:
        for descriptor in self.locks:
            os.close(descriptor)
        self.locks = []


def nurse() -> bool:
    """Fork keepers until the daemon is gone; the socket to it is descriptor 0.

    Returns:
        True in each keeper, whose pipes are descriptors 0 and 1; False in the nursery, at its end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nobody has to wait for a keeper (wait(2), Notes)
    gc.freeze()  # what is there now stays shared with the keepers: no collection of theirs writes to it
    link = socket.socket(fileno=FROM_DAEMON)
    while True:
        try:
            asked, pipes, _, _ = socket.recv_fds(link, 1, 2)
        except ConnectionResetError:
            return False  # the daemon died with an answer unread
        if not asked:
            return False
        try:
            pid = os.fork()
        except OSError:
            pid = 0
        else:
            if pid == 0:
                link.detach()
                _become_keeper(pipes)
                return True
        for pipe in pipes:
            os.close(pipe)
        try:
            link.send(pid.to_bytes(PID_BYTES, "big"))
        except BrokenPipeError:
            return False  # the daemon died while it waited; its end of the pipes is closed as well


def _become_keeper(pipes: list[int]) -> None:
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD_BY)  # what is told too early is heard when it can be
    for pipe, number in zip(pipes, (FROM_DAEMON, TO_DAEMON), strict=True):
        os.dup2(pipe, number)
        os.close(pipe)


def main() -> None:
    """Serve one daemon until an attempt is given or the daemon is gone."""
    told = wire.receive(FROM_DAEMON)
    if told is None:
        return
    prepared = Prepared(told["prepare"])
    go = wire.receive(FROM_DAEMON) if _answer(prepared.begin()) else None
    if go is None:
        prepared.drop()
    else:
        _run(prepared, go["go"])


def _answer(ready: str) -> bool:
    """Tell the daemon; False where it is gone."""
    try:
        wire.send(TO_DAEMON, {"ready": ready})
    except BrokenPipeError:
        return False
    return True


def _run(prepared: Prepared, go: Go) -> None:
    pulse, supervisor = _start_watching(prepared, go)
    _let_go_of_daemon()
    message = prepared.message
    chain, fold = _chain(prepared)
    course = Course(
        go,
        message["results"],
        message["idea_id"],
        message["token"],
        files=prepared.files,
        clock=prepared.clock,
        chain=chain,
        fold=fold,
        pulse=pulse,
        supervisor=supervisor,
        locks=prepared.locks,
    )
    if course.run():
        prepared.drop()


def _start_watching(prepared: Prepared, go: Go) -> tuple[Pulse, Supervisor]:
    tree.become_subreaper()
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    pulse = Pulse(prepared.beat, *_chain(prepared), prepared.message["token"], prepared.clock)
    lease = go["lease"]
    supervisor = Supervisor(pulse, prepared.clock, wake=wake, grace=go["grace"], kill=lease["kill"])

    def preempt(*_: object) -> None:
        supervisor.preempted = True

    signal.signal(signal.SIGTERM, preempt)
    signal.signal(signal.SIGUSR1, lambda *_: pulse.look_now())
    signal.signal(signal.SIGCHLD, lambda *_: None)  # its arrival is written to the wake pipe
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TOLD_BY)
    pulse.start(heartbeat=lease["heartbeat"], fence=lease["fence"], wake=waker)
    return pulse, supervisor


def _chain(prepared: Prepared) -> tuple[Chain, IdeaFold]:
    fold = IdeaFold()
    directory = prepared.farm.idea(prepared.message["idea_id"]).chain
    return Chain(prepared.files, directory, fold, prepared.clock), fold


def _let_go_of_daemon() -> None:
    """The attempt does not need the daemon any more, nor its terminal."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for descriptor in (FROM_DAEMON, TO_DAEMON, 2):
        os.dup2(null, descriptor)
    os.close(null)


if __name__ == "__main__":
    if nurse():
        main()
    os._exit(0)
