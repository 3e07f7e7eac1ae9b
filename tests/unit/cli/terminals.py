"""Commands on terminals of their own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

DEADLINE = 30.0
NONE: Mapping[str, str] = {}


class Terminal:
    """A command on a pseudo-terminal.

    Args:
        argv: the command.
        home: where it runs, and its HOME.
        columns: of the window.
        variables: further ones of its environment.
    """

    def __init__(
        self, argv: Sequence[str], home: Path, *, columns: int = 100, variables: Mapping[str, str] = NONE
    ) -> None:
        self.master, inner = pty.openpty()
        self.resize(columns)
        env = {**os.environ, "HOME": str(home), "TERM": "xterm-256color"}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            env.pop(name, None)
        env |= variables
        self.process = subprocess.Popen(
            argv,
            cwd=home,
            env=env,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        self.seen = ""

    def resize(self, columns: int, rows: int = 30) -> None:
        """Change the size of the window, as a terminal does."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self, happened: Callable[[str], bool]) -> str:
        """Read until something was shown since the last call; what was shown."""
        until = time.monotonic() + DEADLINE
        self.seen = ""
        while not happened(self.seen):
            assert time.monotonic() < until, self.seen
            if select.select([self.master], [], [], 0.05)[0]:
                with suppress(OSError):
                    self.seen += os.read(self.master, 65536).decode(errors="replace")
        return self.seen

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal, and read until the command has ended; its status."""
        self.process.send_signal(number)
        self.wait(lambda _: self.process.poll() is not None)
        return self.process.returncode

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture(autouse=True)
def heeded_interrupts() -> Iterator[None]:
    """Processes that a shell starts in its background ignore SIGINT, and so would those of the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
