"""What wakes the daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orze.core.clock import SystemClock
from orze.farm.events import Events

LONG = 20.0


@pytest.fixture
def events() -> Iterator[Events]:
    handlers = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
    }
    made = Events()
    yield made
    made.close()
    signal.set_wakeup_fd(-1)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def woken(events: Events) -> bool:
    """Whether the next wait ends long before its time."""
    clock = SystemClock()
    begun = clock.steady()
    events.wait(LONG)
    return clock.steady() - begun < LONG / 2


def test_a_wake_up_ends_the_present_or_the_next_wait_once(events: Events):
    for _ in range(100_000):
        events.wake()
    assert woken(events)
    while not idle(events):
        pass
    threading.Timer(0.05, events.wake).start()
    assert woken(events)


def idle(events: Events) -> bool:
    """Whether nothing is left that would end a wait."""
    clock = SystemClock()
    begun = clock.steady()
    events.wait(0.05)
    return clock.steady() - begun >= 0.05


def test_a_wait_that_is_over_before_it_began_returns(events: Events):
    begun = time.monotonic()
    events.wait(-5)
    events.wait(0)
    assert time.monotonic() - begun < 5


def test_a_readable_descriptor_calls_its_action_until_it_is_forgotten(events: Events):
    reader, writer = os.pipe()
    said: list[bytes] = []
    events.on_readable(reader, lambda: said.append(os.read(reader, 1)))
    os.write(writer, b"ab")
    events.wait(LONG)
    events.wait(LONG)
    assert said == [b"a", b"b"]
    events.forget(reader)
    events.forget(reader)
    os.write(writer, b"c")
    assert idle(events)
    for descriptor in (reader, writer):
        os.close(descriptor)


def test_an_action_may_forget_another_that_is_due(events: Events):
    pipes = [os.pipe() for _ in range(2)]
    said: list[int] = []

    def first() -> None:
        said.append(1)
        for reader, _ in pipes:
            events.forget(reader)

    for reader, writer in pipes:
        events.on_readable(reader, first)
        os.write(writer, b"x")
    events.wait(LONG)
    assert said == [1]
    for pair in pipes:
        for descriptor in pair:
            os.close(descriptor)


def test_signals_are_counted_and_wake(events: Events):
    events.listen_to_signals()
    os.kill(os.getpid(), signal.SIGINT)
    assert woken(events)
    os.kill(os.getpid(), signal.SIGTERM)
    assert woken(events)
    assert (events.interrupts, events.terminated) == (1, True)


def test_the_end_of_a_child_wakes(events: Events):
    events.listen_to_signals()
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "pass"])
    assert woken(events)
    assert child.wait() == 0


def test_a_changed_file_wakes_and_another_in_its_directory_does_not(events: Events, tmp_path: Path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    ideas = tmp_path / "ideas.md"
    ideas.write_text("# Ideas\n")
    events.watch_files({str(tmp_path): "ideas.md", str(inbox): ""})
    assert idle(events)
    (tmp_path / "notes.txt").write_text("x")
    ideas.read_text()
    assert idle(events)
    ideas.write_text("# More\n")
    assert woken(events)
    while not idle(events):
        pass
    scratch = tmp_path / "ideas.md.new"
    scratch.write_text("# An editor's\n")
    assert idle(events)
    scratch.rename(ideas)
    assert woken(events)
    while not idle(events):
        pass
    (inbox / "anything").touch()
    assert woken(events)


def test_directories_that_cannot_be_watched_leave_the_polling(events: Events, tmp_path: Path):
    events.watch_files({str(tmp_path / "gone"): ""})
    assert idle(events)
