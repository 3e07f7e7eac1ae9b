"""What a window shows: the log as it grows, how the attempt ended, and for how long it stays."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orze.attempt.executors import window
from orze.attempt.executors.window import Tail, sentence
from orze.coord.chain import Chain
from orze.coord.idea_chain import IdeaFold
from orze.coord.record import new_record
from orze.core.clock import SystemClock
from orze.core.files import RealFiles, make_dirs
from orze.core.identity import start_time
from orze.core.paths import FarmPaths

DEADLINE = 30.0


# ---- a log


def test_a_log_is_read_as_it_grows_wherever_its_name_goes(tmp_path: Path) -> None:
    tail = Tail("log")
    assert tail.read(str(tmp_path)) == b""
    (tmp_path / "log").write_bytes(b"one\n")
    assert tail.read(str(tmp_path)) == b"one\n"
    with (tmp_path / "log").open("ab") as stream:
        stream.write(b"\x1b[1mtwo\r\xc3")
    (tmp_path / "log").rename(tmp_path / "moved")
    assert tail.read("/nowhere") == b"\x1b[1mtwo\r\xc3"
    assert tail.read("/nowhere") == b""


def test_a_log_that_is_far_ahead_is_shown_near_its_end_and_says_so(tmp_path: Path) -> None:
    tail = Tail("log")
    lines = b"".join(b"line %07d\n" % number for number in range(200_000))
    (tmp_path / "log").write_bytes(lines)
    data = tail.read(str(tmp_path))
    note, _, shown = data.partition(b"left out]\r\n")
    assert note.endswith(b"KiB ")
    assert lines.endswith(shown)
    assert 0 < len(shown) <= 64 << 10


def test_what_is_read_at_once_is_bounded_and_nothing_is_skipped(tmp_path: Path) -> None:
    tail = Tail("log")
    written = os.urandom(300_000)
    (tmp_path / "log").write_bytes(written)
    parts = []
    while part := tail.read(str(tmp_path)):
        parts.append(part)
    assert b"".join(parts) == written
    assert max(map(len, parts)) <= 64 << 10


def test_a_log_that_was_cut_off_goes_on_where_it_ends_now(tmp_path: Path) -> None:
    tail = Tail("log")
    (tmp_path / "log").write_bytes(b"a long line\n")
    tail.read(str(tmp_path))
    (tmp_path / "log").write_bytes(b"new\n")
    assert tail.read(str(tmp_path)) == b""
    with (tmp_path / "log").open("ab") as stream:
        stream.write(b"next\n")
    assert tail.read(str(tmp_path)) == b"next\n"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_log_is_not_waited_for(tmp_path: Path, make) -> None:
    make(tmp_path / "log")
    assert Tail("log").read(str(tmp_path)) == b""


# ---- the end


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (
            {"kind": "DONE", "seconds": 2.04, "metrics": {"loss": 0.25, "note": "x", "steps": 1000}},
            "idea-001 completed after 2.0 s: loss=0.25 steps=1000",
        ),
        ({"kind": "DONE", "metrics": "odd"}, "idea-001 completed"),
        (
            {"kind": "FAIL", "cause": "exception", "error": "a\x1b[31m\nb", "seconds": 1, "final": True},
            "idea-001 failed after 1.0 s (exception): a b",
        ),
        (
            {"kind": "FAIL", "cause": "signal", "error": "SIGKILL", "final": False},
            "idea-001 failed (signal): SIGKILL; it is run again",
        ),
        ({"kind": "REQUEUE"}, "idea-001 was stopped to make room; it is queued again"),
        ({"kind": "CLAIM"}, "idea-001 its keeper died; the farm sees to it"),
    ],
)
def test_the_end_is_told_in_one_line(record: dict[str, object], told: str) -> None:
    assert sentence("idea-001", record) == told


# ---- the program


class Run:
    """An attempt with a chain, a log and a process in its keeper's place; and a window on a terminal."""

    def __init__(self, home: Path, looks: str = "0 1 1") -> None:
        self.idea = FarmPaths(str(home / "results")).idea("idea-001")
        self.directory = Path(self.idea.attempt(1, "t"))
        self.directory.mkdir(parents=True)
        make_dirs(RealFiles(), self.idea.chain)
        door = Path(FarmPaths(str(home / "results")).door("t"))
        door.mkdir(parents=True)
        (door / "idea-001").symlink_to(self.directory)
        self.looks = home / "looks"
        self.looks.write_text(looks)
        tmux = home / "tmux"
        tmux.write_text(f'#!/bin/sh\nexec cat "{self.looks}"\n')
        tmux.chmod(0o755)
        self.keeper = subprocess.Popen(["sleep", "600"])
        words = [str(home / "results"), "idea-001", "t", str(self.keeper.pid)]
        words += [str(start_time(self.keeper.pid)), "1", str(tmux)]
        self.terminal, theirs = pty.openpty()
        self.window = subprocess.Popen(
            [sys.executable, "-I", "-S", window.__file__, *words],
            env={"TMUX_PANE": "%1", "PATH": os.defpath},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def append(self, kind: str, **content: object) -> None:
        record = new_record(kind, token="t", attempt=1, **content)
        chain = Chain(RealFiles(), self.idea.chain, IdeaFold(), SystemClock())
        chain.refresh()
        assert chain.append(lambda: record)

    def log(self, text: str, name: str = "train_output.log") -> None:
        with (self.directory / name).open("a") as stream:
            stream.write(text)

    def end(self) -> None:
        self.keeper.kill()
        self.keeper.wait()

    def see(self, text: str) -> None:
        """Wait until the window has shown a text."""
        until = time.monotonic() + DEADLINE
        while text not in self.shown:
            assert time.monotonic() < until, self.shown
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.shown += os.read(self.terminal, 65536).decode(errors="replace")

    def press(self, key: bytes) -> None:
        os.write(self.terminal, key)

    def close(self) -> None:
        self.end()
        self.window.kill()
        self.window.wait()
        os.close(self.terminal)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made = Run(tmp_path)
    yield made
    made.close()


def test_logs_and_end_are_shown_and_the_window_closes_where_nobody_looks(run: Run) -> None:
    run.append("CLAIM")
    run.log("\x1b[31mépoch 1\r\n")
    run.see("\x1b[31mépoch 1\r")
    run.log("auc 0.9\n", "eval_output.log")
    run.see("eval_output.log:")
    run.see("auc 0.9")
    run.append("DONE", metrics={"loss": 0.5}, seconds=3.0, directory="1-t")
    run.end()
    run.see("idea-001 completed after 3.0 s: loss=0.5")
    assert run.window.wait(DEADLINE) == 0


def test_what_a_quick_run_left_is_shown_at_its_end(run: Run) -> None:
    run.append("CLAIM")
    os.unlink(f"{run.directory.parents[2]}/.orze/doors/t/idea-001")
    run.log("all of it\n")
    run.append("FAIL", cause="exit_code", error="code 3", final=True, directory="1-t")
    run.end()
    run.see("failed (exit_code): code 3")
    assert "all of it" in run.shown
    assert run.window.wait(DEADLINE) == 0


def test_a_window_that_somebody_looks_at_stays_until_a_key_is_pressed(run: Run) -> None:
    run.looks.write_text("1 1 1")
    run.append("CLAIM")
    run.append("DONE", metrics={}, directory="1-t")
    run.end()
    run.see("A key closes this window.")
    assert run.window.poll() is None
    run.press(b"q")
    assert run.window.wait(DEADLINE) == 0


def test_it_closes_when_the_reader_has_gone(run: Run) -> None:
    run.looks.write_text("1 1 1")
    run.append("CLAIM")
    run.append("DONE", metrics={}, directory="1-t")
    run.end()
    run.see("A key closes this window.")
    run.looks.write_text("0 1 1")
    assert run.window.wait(DEADLINE) == 0


def test_an_idea_that_another_host_has_leaves_no_window(run: Run) -> None:
    run.looks.write_text("1 1 1")
    run.see("what its run prints")
    run.end()
    assert run.window.wait(DEADLINE) == 0


def test_the_program_ends_with_its_terminal(run: Run) -> None:
    run.see("ends it.")
    os.close(run.terminal)
    run.terminal = os.open(os.devnull, os.O_RDONLY)
    assert run.window.wait(DEADLINE) == 0
    assert run.keeper.poll() is None


def test_control_c_ends_neither_the_run_nor_the_window_and_keys_are_not_shown(run: Run) -> None:
    run.see("ends it.")
    run.press(b"xyz\x1b[24;80R")
    run.press(b"\x03")
    run.see("Ctrl-C ends nothing here")
    assert "xyz" not in run.shown
    assert (run.window.poll(), run.keeper.poll()) == (None, None)
