"""What `revis` shows of sessions that are always the same, at 80 columns and in a pipe, and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from orze.cli.revis.app import main
from tests.unit.cli.revis.revis_project import ended, whole
from tests.unit.cli.snapshots import kept

Call = Callable[..., str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a session that works, or was killed, and one that has ended."""
    home = tmp_path_factory.mktemp("projects") / "project"
    whole(home)
    ended(home)
    return home


@pytest.fixture
def call(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command that is to succeed, in that project; what it prints."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("HOME", str(home))

    def call(*argv: str) -> str:
        assert main(argv) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out.replace(str(home), "HOME")

    return call


@pytest.mark.parametrize(
    "argv",
    [
        ("status",),
        ("list",),
        ("show", "digits"),
        ("show", "quick"),
        ("show", "digits", "0"),
        ("show", "digits", "1"),
        ("show", "digits", "2"),
        ("show", "digits", "3"),
        ("show", "digits", "4"),
        ("compare", "digits", "0", "1"),
        ("compare", "digits", "1", "2"),
        ("compare", "digits", "3", "4"),
    ],
    ids="-".join,
)
def test_a_command_shows_what_its_snapshot_shows(call: Call, argv: tuple[str, ...]):
    told = call(*argv)
    assert told == kept(f"revis-{'-'.join(argv)}", told)
    assert max(map(len, told.splitlines())) <= 80
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", told)
    assert all(line == line.rstrip() for line in told.splitlines())


@pytest.mark.parametrize(
    ("argv", "members"),
    [
        (("status", "digits"), {"state", "best_value", "change", "noise", "uses", "doing"}),
        (("list",), {"name", "state", "steps"}),
        (("show", "digits"), {"iterations", "branch", "target"}),
        (("show", "digits", "3"), {"tries", "verdict", "reason", "diff"}),
        (("compare", "digits", "1", "2"), {"steps", "verdict", "diff"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_every_view_has_its_json(call: Call, argv: tuple[str, ...], members: set[str]):
    told = call(*argv, "--json")
    assert told.isascii()
    value = json.loads(told)
    assert members <= (value[0] if isinstance(value, list) else value).keys()


def test_a_session_whose_loop_is_gone_says_what_to_type(call: Call):
    assert "revis resume digits" in call("status", "digits")
    assert "revis resume" not in call("status", "quick")


def test_a_session_that_is_at_work_says_where(call: Call, home: Path):
    from orze.refine.places import find

    with find(home, "quick").place.locked():
        told = call("status")
    assert told.splitlines()[0].startswith("quick  ")
    assert "digits" not in told  # those at work are shown, where there are any


def test_a_step_that_is_not_there_is_named_with_those_that_are(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(home)
    assert main(["show", "digits", "9"]) == 2
    assert capsys.readouterr().err == "revis: digits has no step 9; there are: 0 to 4\n"
