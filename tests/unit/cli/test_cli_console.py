"""What reaches a terminal, and what a file or pipe gets instead."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import pty
import struct
import termios
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.cli.console import Console, fit
from orze.core.clock import ManualClock
from orze.report.text import width

LOG = logging.getLogger("orze")


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    before = LOG.handlers[:], LOG.propagate, LOG.level
    yield
    LOG.handlers[:], LOG.propagate, LOG.level = before


@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    """The two ends of a terminal of 40 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    stream = os.fdopen(theirs, "w", encoding="utf-8")
    yield ours, stream
    stream.close()
    os.close(ours)


def daemon(*ids: str, progress: str = "", depth: int = 3, drained: str = "") -> Any:
    """As much of a daemon as the live line asks for."""
    running = [SimpleNamespace(gpu=str(k), idea_id=idea, since=940.0) for k, idea in enumerate(ids)]
    attempts = SimpleNamespace(here=lambda: running, last_metrics=lambda attempt: progress)
    context = SimpleNamespace(clock=ManualClock())
    members = SimpleNamespace(
        context=context,
        attempts=attempts,
        queue=SimpleNamespace(depth=depth),
        orders=SimpleNamespace(drained=drained),
    )
    return SimpleNamespace(members=members)


def until_seen(descriptor: int, wanted: str) -> str:
    """Read from a terminal until it has shown this."""
    seen = ""
    while wanted not in seen:
        seen += os.read(descriptor, 4096).decode()
    return seen


def test_a_file_gets_plain_lines_and_no_live_line():
    stream = io.StringIO()
    console = Console(stream, verbose=False)
    console.attach(daemon("idea-001"))
    LOG.info("idea-001 starts")
    LOG.debug("a detail")
    console.detach()
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(" idea-001 starts")
    assert line.isprintable()


def test_more_is_told_when_asked_for():
    stream = io.StringIO()
    Console(stream, verbose=True)
    LOG.debug("a detail")
    assert "a detail" in stream.getvalue()


@pytest.mark.parametrize(
    "text", ["\x1b[2J\x1b]0;owned\x07", "a\rb", "\x9b31m", "\u202eevil", "\x00", "tab\tand\x0bmore", "\ud800"]
)
def test_no_control_character_reaches_the_stream(text: str):
    stream = io.StringIO()
    Console(stream, verbose=False)
    LOG.warning("idea-001: %s", text)
    assert all(line.isprintable() for line in stream.getvalue().splitlines())
    assert "idea-001: " in stream.getvalue()


def test_the_lines_of_one_message_are_kept_apart_and_bounded():
    stream = io.StringIO()
    Console(stream, verbose=False)
    LOG.warning("first\n%s", "x" * 100_000)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert len(lines[1]) == 2000


def test_a_terminal_has_a_live_line_that_fits_and_is_wiped(terminal: tuple[int, TextIO]):
    ours, stream = terminal
    console = Console(stream, verbose=False)
    console.attach(daemon("idea-001", "idea-002", progress="step=3 损失=0.5 \x1b[31m"))
    seen = until_seen(ours, "…")
    assert seen.startswith("\r\x1b[2K0 idea-001 1m00s step=3 ")
    LOG.info("idea-003 starts")
    assert "\r\x1b[2K" in until_seen(ours, "idea-003 starts\r\n")
    console.detach()
    assert until_seen(ours, "\r\x1b[2K").endswith("\r\x1b[2K")
    lines = seen.replace("\r\x1b[2K", "\n").splitlines()
    assert all(width(line) < 40 and line.isprintable() for line in lines)


def test_the_live_line_tells_what_runs_and_how_much_waits(terminal: tuple[int, TextIO]):
    _, stream = terminal
    console = Console(stream, verbose=False)
    assert console._line() == ""
    console.attach(daemon("idea-001", depth=7))
    assert console._line() == "0 idea-001 1m00s | 7 queued"
    console.detach()
    console.attach(daemon(depth=7, drained="drained by ann"))
    assert console._line() == "7 queued | drained by ann"
    console.detach()


@given(st.text(max_size=200), st.integers(20, 120))
def test_any_text_fits_in_its_cells(text: str, cells: int):
    line = fit(text, cells)
    assert width(line) <= cells
    assert line.isprintable()
    assert "\n" not in line


def test_text_that_fits_is_left_alone():
    assert fit("0 idea-001 | 损失", 17) == "0 idea-001 | 损失"
    assert fit("0 idea-001 | 损失", 16) == "0 idea-001 | …"


def test_a_terminal_that_was_closed_ends_no_farm():
    stream = io.StringIO()
    console = Console(stream, verbose=False)
    stream.close()
    LOG.warning("nobody reads this")
    console.detach()
    assert stream.closed


def test_a_share_that_hangs_does_not_hang_the_end(terminal: tuple[int, TextIO]):
    _, stream = terminal
    hanging, asked = threading.Event(), threading.Event()

    def hang(attempt: object) -> str:
        asked.set()
        hanging.wait(20)
        return ""

    stuck = daemon("idea-001")
    stuck.members.attempts.last_metrics = hang
    console = Console(stream, verbose=False)
    console.attach(stuck)
    assert asked.wait(20)
    console.detach()  # returns
    hanging.set()
