"""The command `revis` as a whole: its table, its help, and what becomes of wrong usage."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orze.cli.revis.app import COMMANDS, GROUPS, load, main
from orze.cli.table import Entry
from orze.refine.control import EXIT
from orze.refine.model import Reason
from tests.unit.cli.snapshots import kept

ROOT = Path(__file__).parents[4]
HEAVY = {"yaml", "pydantic", "psutil", "jinja2", "rich.console", "pynvml", "orze.client", "orze.refine"}


def test_help_loads_nothing_heavy_and_is_as_it_was():
    code = (
        "import sys, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
        "from orze.cli.revis.app import main; sys.exit(main(['--help']))"
    )
    environ = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert set(done.stderr.split()) & HEAVY == set()
    assert done.stdout == kept("revis-help", done.stdout)


@pytest.mark.parametrize("entry", COMMANDS, ids=[entry.name for entry in COMMANDS])
def test_every_command_of_the_table_is_there_and_explains_itself(
    entry: Entry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    command = load(entry)
    assert command.name == entry.name
    assert command.help and "Args:" not in command.help
    assert entry.group in GROUPS
    assert entry.short.endswith(".")
    monkeypatch.setenv("COLUMNS", "80")
    assert main([entry.name, "--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_the_exit_status_that_the_help_names_are_those_of_the_loop(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    words = {"target reached", "budget used", "plateau", "stopped", "failed", "diverged"}
    assert {word for word in words for status in EXIT.values() if f"{status} {word}" in told} == words
    assert set(EXIT) == set(Reason)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["nonsense"], "nonsense"),
        (["show"], "Missing argument"),
        (["loop", "--name", "x"], "revis: revis.yaml: no such file; `revis init` writes one"),
        (["loop", "--name", "x", "-c", "other.yaml"], "revis: other.yaml: no such file"),
        (["-c", "other.yaml", "loop"], "revis: other.yaml: no such file"),
        (["loop", "--budget", "much"], "revis: 'much' is no budget; write a time such as 4h"),
        (["resume", "x"], "revis: there is no session x in "),
        (["resume", "x", "--budget", "3"], "revis: '3' does not say of what"),
        (["stop", "x"], "revis: there is no session x in "),
        (["show", "x"], "there are: none"),
        (["show", "../x"], "is no name of a session"),
        (["show", "x", "one"], "ITERATION"),
        (["compare", "x", "1"], "Missing argument"),
        (["logs", "x"], "revis: there is no session x in "),
        (["watch", "x"], "revis: there is no session x in "),
        (["export", "x"], "revis: there is no session x in "),
        (["delete", "x", "--yes"], "revis: there is no session x in "),
        (["init"], "revis: there is no terminal to ask on; give --yes"),
        (["status", "-w"], "revis: -w needs a terminal"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence_and_leaves_nothing(
    argv: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(argv) == 2
    out, err = capfd.readouterr()
    assert told in " ".join(err.split()) and "Traceback" not in err
    assert out == "" and not list(tmp_path.iterdir())
