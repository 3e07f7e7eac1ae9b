"""The live status on a terminal of its own, and a log that is followed while it grows."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eyes_farm import Attempt, EyesFarm, make_farm

from tests.unit.cli.terminals import Terminal, heeded_interrupts

__all__ = ["heeded_interrupts"]


@pytest.fixture
def farm(tmp_path: Path) -> EyesFarm:
    return make_farm(tmp_path / "farm")


@pytest.fixture
def terminal(farm: EyesFarm) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def start(*argv: str, **how: int) -> Terminal:
        made.append(Terminal([sys.executable, "-m", "orze.cli.app", *argv], farm.home, **how))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_the_live_status_shows_what_changes_follows_the_window_and_leaves_cleanly(farm, terminal):
    live = terminal("status", "-w")
    first = live.wait(lambda seen: "A lower rate" in seen and "Last results" in seen)
    assert first.startswith("\x1b[?1049h")  # the other screen, so that what was there comes back
    farm.tell(title="Another title")
    again = live.wait(lambda seen: "Another title" in seen)
    assert "\x1b[2J" not in again  # drawn over, never cleared
    live.resize(60)
    os.killpg(live.process.pid, signal.SIGWINCH)
    narrow = live.wait(lambda seen: seen.count("Another title") >= 2)
    assert "Another title" in narrow
    assert live.end() == 130
    assert "\x1b[?1049l" in live.seen
    assert "Traceback" not in live.seen


def test_a_live_status_that_is_terminated_leaves_the_terminal_as_it_was(terminal):
    live = terminal("status", "-w")
    live.wait(lambda seen: "Last results" in seen)
    assert live.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert live.seen.endswith("\x1b[?25h\x1b[?1049l")  # the cursor is back, its own screen gone


def test_the_live_status_is_as_wide_as_its_window(farm, terminal):
    live = terminal("status", "-w", columns=60)
    live.wait(lambda seen: "Last results" in seen)
    frame = live.wait(lambda seen: seen.count("Last results") >= 2)
    lines = frame.partition("\x1b[H")[2].partition("\x1b[H")[0].split("\n")
    assert len(lines) == 30
    assert live.end() == 130


def test_a_log_is_followed_until_its_attempt_has_ended(farm: EyesFarm, terminal):
    attempt = Attempt(farm, "idea-010", 1, "1", 0.0)
    follower = terminal("logs", "idea-010", "-f")
    attempt.write("train_output.log", "one\n")
    follower.wait(lambda seen: "one\r\n" in seen)
    with (attempt.directory / "train_output.log").open("a") as log:
        log.write("50%\r")
        log.flush()
        follower.wait(lambda seen: "50%" in seen)
        log.write("100%\ntwo")
    follower.wait(lambda seen: "100%\r\n" in seen)
    attempt.done(60.0, val_accuracy=0.5)
    follower.wait(lambda _: follower.process.poll() is not None)
    assert follower.process.returncode == 0
    assert "two" in follower.seen


def test_ctrl_c_ends_following_with_130(terminal):
    follower = terminal("logs", "idea-004", "-f")
    follower.wait(lambda seen: "done" in seen)
    assert follower.end() == 130
    assert "Traceback" not in follower.seen
