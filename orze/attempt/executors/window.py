"""What a window of tmux shows: the log of one attempt as it grows, and how the attempt ended.

Run as `python -I -S window.py RESULTS IDEA TOKEN PID START DOORS TMUX`. It only reads. It closes when the
attempt has ended; where somebody looks at it just then, it waits for a key, or for ten seconds where the
session has another window to go on with.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import time

if __name__ == "__main__":
    directory_of_package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path.insert(0, os.path.dirname(directory_of_package))

from orze.attempt.spec import EVAL_LOG, LOG
from orze.attempt.verdict import one_line
from orze.coord.chain import Chain
from orze.coord.idea_chain import DONE, FAIL, REQUEUE, IdeaFold
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.core.identity import lives
from orze.core.paths import FarmPaths, attempt_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orze.coord.record import Record

_CHUNK = 64 << 10  # bytes that are shown at once
_MOST = 1 << 20  # bytes that it may be behind; more is left out
_QUICK, _SLOW = 0.05, 0.5  # seconds between two looks at a log that grows, and at one that does not
_SLOWER = 1.2
_READING = 10.0  # seconds for a reader, before the session goes on to another window
_STDIN, _STDOUT = 0, 1
_CTRL_C = 3
_LOOKS = "#{session_attached} #{window_active} #{session_windows}"  # a format of tmux(1)
_SHOWN = 6  # metrics of the result
_PLAIN = "\x1b[?1049l\x1b[?25h\x1b[0m"  # main screen, cursor shown, no colour: whatever the log left behind


class Tail:
    """A file that grows, from its beginning or, where it is long already, near its end.

    Args:
        name: of the file, in whatever directory it turns up.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._descriptor = -1
        self._at = 0

    def read(self, directory: str) -> bytes:
        """What is new, at most one chunk; nothing where there is no such file, or it cannot be read.

        Args:
            directory: where it is; once it was found there it is followed wherever its name goes.
        """
        try:
            if self._descriptor < 0:
                flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
                self._descriptor = os.open(f"{directory}/{self.name}", flags)
            return self._next()
        except OSError:
            return b""

    def close(self) -> None:
        """Let go of the file, which somebody may want to remove."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _next(self) -> bytes:
        behind = os.fstat(self._descriptor).st_size - self._at
        if behind <= 0:  # nothing new; or somebody cut it off
            self._at += min(behind, 0)
            return b""
        note = b""
        if behind > _MOST:
            left_out = behind - _CHUNK
            self._at += left_out
            note = b"\r\n[%d KiB left out]\r\n" % (left_out >> 10)
        data = os.pread(self._descriptor, _CHUNK, self._at)
        self._at += len(data)
        return note + data


class LastOf(IdeaFold):
    """A chain of which the records of one attempt are looked for.

    Attributes:
        last: the last of them.
    """

    def __init__(self, token: str) -> None:
        self._mine = token
        self.last: Record | None = None
        super().__init__()

    def clear(self) -> None:
        """Go back to the state before the first record."""
        super().clear()
        self.last = None

    def step(self, record: Record) -> bool:
        """As IdeaFold; remembers what is of the attempt."""
        valid = super().step(record)
        if valid and record["token"] == self._mine:
            self.last = record
        return valid


class Window:
    """Shows one attempt.

    Args:
        doors: whether the attempt has a directory of its own.
        tmux: its program.
    """

    def __init__(self, results: str, idea_id: str, token: str, *, doors: bool, tmux: str) -> None:
        self._farm = FarmPaths(results)
        self._idea_id = idea_id
        self._token = token
        self._doors = doors
        self._tmux = tmux
        self._tails = (Tail(LOG), Tail(EVAL_LOG))
        self._shown = LOG

    def show(self, pid: int, start: int) -> None:
        """Show the log until the keeper has ended, then how it ended, for as long as somebody looks."""
        say(f"{self._idea_id}: what its run prints. The run does not need this window;")
        say(f"`orze stop {self._idea_id}` ends it.")
        self._follow(_ended(pid, start))
        last = self._last()
        if last:  # else another host has the idea
            self._finish(last)
            say(sentence(self._idea_id, last))
            self._wait_for_reader()
        self._ask("kill-pane")  # an option of the user's may keep it behind the end of its program

    def _follow(self, ended: Callable[[float], bool]) -> None:
        home = self._farm.idea(self._idea_id).home
        directory = f"{self._farm.door(self._token)}/{self._idea_id}" if self._doors else home
        pause = _QUICK
        while not ended(pause):
            pause = 0.0 if self._more(directory) else min(max(pause, _QUICK) * _SLOWER, _SLOW)

    def _finish(self, last: Record) -> None:
        """Show what is left of the logs, of which a quick run may have left all."""
        idea = self._farm.idea(self._idea_id)
        named = str(last.get("directory") or attempt_name(int(last["attempt"]), self._token))
        directory = f"{idea.attempts}/{os.path.basename(named)}" if self._doors else idea.home
        while self._more(directory):
            continue
        for tail in self._tails:
            tail.close()

    def _more(self, directory: str) -> bool:
        """Show what is new in the logs; whether there was anything."""
        anything = False
        for tail in self._tails:
            data = tail.read(directory)
            if data and tail.name != self._shown:
                say(f"{tail.name}:")
                self._shown = tail.name
            write(data)
            anything = anything or bool(data)
        return anything

    def _last(self) -> Record | None:
        fold = LastOf(self._token)
        try:
            Chain(RealFiles(), self._farm.idea(self._idea_id).chain, fold, SystemClock()).refresh()
        except OSError:
            return None
        return fold.last

    def _wait_for_reader(self) -> None:
        since = time.monotonic()
        told = False
        while True:
            watched, others = self._looks()
            if not watched or (others and time.monotonic() - since > _READING):
                return
            if not told:
                say("A key closes this window.")
                told = True
            if _key(1.0) is not None:
                return

    def _looks(self) -> tuple[bool, bool]:
        """Whether somebody looks at this window, and whether the session has another."""
        said = self._ask("display-message", "-p", _LOOKS).split()
        if len(said) != 3 or not all(word.isdecimal() for word in said):
            return False, False
        attached, active, windows = map(int, said)
        return bool(attached and active), windows > 1

    def _ask(self, command: str, *words: str) -> str:
        """Have tmux do something with the pane of this window; what it printed."""
        pane = os.environ.get("TMUX_PANE")  # without one tmux would choose
        return _output([self._tmux, command, "-t", pane, *words]) if pane else ""


def sentence(idea_id: str, last: Record) -> str:
    """How an attempt ended, from its last record.

    Returns:
        One line without control characters.
    """
    kind, seconds = last["kind"], last.get("seconds")
    after = f" after {seconds:.1f} s" if isinstance(seconds, int | float) else ""
    if kind == DONE:
        metrics = last.get("metrics")
        numbers = metrics.items() if isinstance(metrics, dict) else ()
        shown = [f"{name}={value:.6g}" for name, value in numbers if isinstance(value, int | float)]
        said = f"completed{after}" + (f": {' '.join(shown[:_SHOWN])}" if shown else "")
    elif kind == FAIL:
        again = "" if last.get("final") else "; it is run again"
        said = f"failed{after} ({last.get('cause')}): {last.get('error')}{again}"
    elif kind == REQUEUE:
        said = "was stopped to make room; it is queued again"
    else:
        said = "its keeper died; the farm sees to it"
    return one_line(f"{idea_id} {said}")


def say(line: str) -> None:
    """Write a line of our own, told from those of the log by its colour."""
    write(f"{_PLAIN}\r\x1b[7m{line}\x1b[0m\n".encode())


def write(data: bytes) -> None:
    """Write all of it to the window."""
    view = memoryview(data)
    while view:
        view = view[os.write(_STDOUT, view) :]


def _ended(pid: int, start: int) -> Callable[[float], bool]:
    """A wait of so many seconds at most, that tells whether the keeper has ended."""
    poll = select.poll()
    poll.register(_STDIN, select.POLLIN)
    try:
        keeper = os.pidfd_open(pid)
    except OSError:
        return lambda _: True
    if not lives(pid, start):
        return lambda _: True
    poll.register(keeper, select.POLLIN)

    def wait(seconds: float) -> bool:
        ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        if _STDIN in ready and _key(0.0) == _CTRL_C:
            say("Ctrl-C ends nothing here: this window only shows the run.")
        return keeper in ready

    return wait


def _key(seconds: float) -> int | None:
    """The last key that was pressed; None where none was. Ends the program where the window is closed."""
    poll = select.poll()
    poll.register(_STDIN, select.POLLIN)
    if not poll.poll(seconds * 1000):
        return None
    try:
        data = os.read(_STDIN, 4096)
    except OSError:  # so says a terminal that is gone
        data = b""
    if not data:
        raise SystemExit
    return data[-1]


def _output(command: list[str]) -> str:
    """What a program prints, at most a pipe full; the module for this would double this one's memory."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with open(reading, "rb", buffering=0) as stream:
        try:
            actions = [(os.POSIX_SPAWN_DUP2, writing, _STDOUT)]
            pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        except OSError:
            return ""
        finally:
            os.close(writing)
        said = stream.readall()
    os.waitpid(pid, 0)
    return said.decode("utf-8", "replace")


def _quieten() -> None:
    """Show no key that is pressed, and take Ctrl-C and its like as keys."""
    try:
        attributes = termios.tcgetattr(_STDIN)
    except termios.error:
        return
    attributes[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
    termios.tcsetattr(_STDIN, termios.TCSANOW, attributes)


def main(words: list[str]) -> None:
    """Show the attempt that the command line names."""
    results, idea_id, token, pid, start, doors, tmux = words
    _quieten()
    Window(results, idea_id, token, doors=doors == "1", tmux=tmux).show(int(pid), int(start))


if __name__ == "__main__":
    main(sys.argv[1:])
