"""`revis loop` in front of a person: on a terminal of its own, in a pipe, and without colours.

The engine is stood in for: it writes the records of a session whose files the test lets appear.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.needs import needs
from tests.unit.cli.revis.revis_project import SETTINGS, TRAIN
from tests.unit.cli.terminals import Terminal, heeded_interrupts

__all__ = ["heeded_interrupts"]

ROOT = Path(__file__).parents[4]
ENGINE = """
import os, sys, time
from pathlib import Path
from orze.cli.revis.app import main
from orze.refine import control
from orze.refine.model import End, Reason, Try
from orze.refine.places import place_of
from orze.refine.session import settings_of
from orze.refine.settings import terms_of_revis


def work(revis, name, *, environ, say, more=None, ready=None):
    session = place_of(revis.project_dir, name).session()
    session.take(settings_of(terms_of_revis(revis)))
    fold = session.fold
    say("runs take place here, as processes without windows")
    session.step(0, fold.base)
    session.tried(0, Try(1, commit=fold.base))
    session.run(0, 1, "uuid-0")
    session.idea(0, 1, "idea-001")
    say("step 0: runs as idea-001")
    until = time.monotonic() + 30
    while not Path("go").exists() and not os.environ.get("GO") and time.monotonic() < until:
        time.sleep(0.02)
    say("step 1: kept: \\x1b[2Jbetter by more than the noise")
    say("step 2: failed: it crashed")
    return End(Reason.PLATEAU, "none of the last 3 was better")


control.work = work
sys.exit(main(sys.argv[1:]))
"""
pytestmark = needs("litellm")
ARGV = [sys.executable, "-c", ENGINE, "loop", "--name", "first", "--budget", "20 runs"]
ENVIRON = {"OPENAI_API_KEY": "none", "PYTHONPATH": str(ROOT)}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project in a repository, with work that is not committed."""
    home = tmp_path / "project"
    home.mkdir()
    (home / "train.py").write_text(TRAIN)
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "Begin")):
        subprocess.run([*git, *words], cwd=home, check=True)
    (home / "revis.yaml").write_text(SETTINGS)
    (home / "notes.txt").write_text("not committed\n")
    return home


@pytest.fixture
def terminal(home: Path) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def start(**variables: str) -> Terminal:
        made.append(Terminal(ARGV, home, columns=60, variables={**ENVIRON, **variables}))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_on_a_terminal_the_last_line_tells_what_is_going_on(terminal, home: Path):
    live = terminal()
    first = live.wait(lambda seen: "step 0 (the baseline): runs as idea-001" in seen)
    assert "revis: not committed, and so missing from the runs: notes.txt" in first
    assert "first begins at " in first
    assert "budget: 20 runs" in first
    drawn = re.findall(r"\r\x1b\[2K(step 0 [^\r\n\x1b]*)", first)
    assert drawn
    assert max(map(len, drawn)) < 60
    (home / "go").touch()
    last = live.wait(lambda _: live.process.poll() is not None)
    assert live.process.returncode == 5  # a plateau
    assert re.search(r"\x1b\[32m\d\d:\d\d:\d\d step 1: kept: better by more than the noise\x1b\[0m", last)
    assert re.search(r"\x1b\[31m\d\d:\d\d:\d\d step 2: failed: it crashed\x1b\[0m", last)
    assert last.endswith("\r\x1b[2K")  # nothing of the live line stays
    assert "\x1b[2J" not in last


def test_without_colour_the_live_line_stays(terminal, home: Path):
    live = terminal(NO_COLOR="1")
    (home / "go").touch()
    seen = live.wait(lambda _: live.process.poll() is not None)
    assert "step 2: failed: it crashed" in seen
    assert not re.search(r"\x1b\[[0-9;]*m", seen)


def test_in_a_pipe_there_are_plain_lines_alone(home: Path):
    (home / "go").touch()
    environ = {**os.environ, **ENVIRON}
    done = subprocess.run(
        ARGV, cwd=home, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 5
    assert done.stderr == "revis: not committed, and so missing from the runs: go, notes.txt\n"
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in done.stdout.splitlines()]
    assert lines[1:] == [
        "runs take place here, as processes without windows",
        "step 0: runs as idea-001",
        "step 1: kept: better by more than the noise",
        "step 2: failed: it crashed",
    ]


def test_who_reads_may_leave_and_the_loop_goes_on(home: Path):
    shell = f"{{ {shlex.join(ARGV)}; echo $? > status; }} | head -n 1"
    done = subprocess.run(
        ["/bin/bash", "-c", shell],
        cwd=home,
        env={**os.environ, **ENVIRON, "GO": "after a line"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("first begins at ")
    assert done.stdout.count("\n") == 1
    assert (home / "status").read_text() == "5\n"
    assert "Traceback" not in done.stderr
