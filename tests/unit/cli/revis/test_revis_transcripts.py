"""What a user sees of the commands that are no views: held against transcripts."""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from orze.cli.revis.app import main
from orze.cli.revis.logs import window_of_tmux
from orze.refine.places import find
from orze.refine.repository import Repository
from orze.refine.settings import load_revis
from tests.needs import needs
from tests.unit.cli.revis.revis_project import ended, whole
from tests.unit.cli.snapshots import kept


class Shell:
    """Notes what is typed and what is seen of it."""

    def __init__(self, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.home, self.capfd, self.noted = home, capfd, ""

    def type(self, line: str) -> int:
        """Run one command; its exit status."""
        status = main(shlex.split(line)[1:])
        out, err = self.capfd.readouterr()
        lines = [f"$ {line}", *out.splitlines(), *(f"2> {said}" for said in err.splitlines())]
        self.noted += "\n".join([*lines, f"[{status}]"] if status else lines) + "\n"
        return status

    @property
    def told(self) -> str:
        """All of it, the same in every directory."""
        return re.sub(r"[0-9a-f]{16}\.part", "DRAFT", self.noted.replace(str(self.home), "HOME"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with both sessions."""
    home = tmp_path_factory.mktemp("template") / "project"
    whole(home)
    ended(home)
    return home


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    """In a directory that is not there yet, without tmux and a terminal, in an environment of its own."""
    home = tmp_path / "project"
    for name in set(os.environ) - {"TMPDIR", "PYTHONPATH", "PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
    (tmp_path / "bin").mkdir()
    for name in ("git", "python"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    known = {"COLUMNS": "80", "HOME": str(home), "PATH": f"{tmp_path}/bin"}
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return Shell(home, capfd)


def at(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(shell.home)
    return shell


def test_init_writes_what_the_loop_needs_and_keeps_what_is_there(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    shell.home.mkdir()
    (shell.home / "train.py").write_text(
        "import json\njson.dump({'accuracy': 0.5}, open('eval.json', 'w'))\n"
    )
    at(shell, monkeypatch)
    shell.type("revis init --yes")
    assert (shell.home / ".revis/.gitignore").read_text() == "*\n"
    written = (shell.home / "revis.yaml").read_text()
    assert "train.py" in written and 'primary: "accuracy"' in written and "minimize: false" in written
    shell.type("revis init --yes")
    shell.type("revis init --yes --json")
    assert (shell.home / "revis.yaml").read_text() == written
    shell.type("revis loop --name first --budget 4h")
    assert shell.told == kept("revis-init", shell.told)


class Typed(io.StringIO):
    """A terminal at which this was typed."""

    def isatty(self) -> bool:
        return True


def test_init_asks_about_what_it_finds_and_again_where_an_answer_cannot_be(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    shell.home.mkdir()
    (shell.home / "train.py").write_text("import json\n")
    at(shell, monkeypatch)
    answers = ["python train.py --fast", "top1", "maybe", "yes", "a while", "90m", "y"]
    monkeypatch.setattr("sys.stdin", Typed("\n".join(answers) + "\n"))
    assert shell.type("revis init") == 0
    settings = load_revis(None, shell.home, {"OPENAI_API_KEY": "none"})
    assert settings.entry and settings.entry.train == "python train.py --fast"
    assert (settings.metrics.primary, settings.metrics.minimize) == ("top1", True)
    assert settings.guardrails.max_run_duration == 5400
    assert "revis: write one of yes, no" in shell.noted
    assert "revis: write a time" in shell.noted


def test_init_that_is_not_confirmed_writes_nothing(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    shell.home.mkdir()
    at(shell, monkeypatch)
    monkeypatch.setattr("sys.stdin", Typed("\n\n\n\nn\n"))
    assert shell.type("revis init") == 1
    assert list(shell.home.iterdir()) == []


def test_export_writes_files_and_says_what_is_left_to_do(
    template: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(template, shell.home)
    at(shell, monkeypatch)
    shell.type("revis export digits --csv steps.csv --json steps.json --patch kept.patch")
    with (shell.home / "steps.csv").open(newline="") as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == ["0", "1", "2", "3", "4"]
    assert (shell.home / "kept.patch").read_text().count("\nSubject: ") == 1  # the baseline changes nothing
    shell.type("revis export digits --csv steps.csv --remote origin")
    shell.type("revis export digits --csv none/steps.csv")
    shell.type("revis export digits")
    bare = shell.home.parent / "bare.git"
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    subprocess.run(["git", "remote", "add", "origin", str(bare)], cwd=shell.home, check=True)
    shell.type("revis export digits")
    assert shell.told == kept("revis-export", shell.told)
    assert Repository(shell.home).remotes().keys() == {"origin"}
    assert sorted(path.name for path in shell.home.iterdir() if path.name.startswith(".")) == [
        ".git",
        ".revis",
    ]


def test_logs_watch_and_stop_of_a_session_whose_loop_is_gone(
    template: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(template, shell.home)
    at(shell, monkeypatch)
    shell.type("revis logs digits")
    place = find(shell.home, "digits").place
    place.log.write_text("2023-11-14 22:13:20 step 0: the baseline\n2023-11-14 22:14:00 \x1b[2Jstep 1\n")
    shell.type("revis logs digits -f")
    shell.type("revis logs digits -n 1")
    shell.type("revis logs digits --step 1")
    shell.type("revis logs digits --step 4")
    shell.type("revis logs digits --step 7")
    shell.type("revis watch digits")
    shell.type("revis stop digits")
    assert shell.told == kept("revis-logs", shell.told)
    assert Repository(shell.home).ref("refs/heads/revis/digits")


@needs("litellm")
def test_delete_asks_and_keeps_the_branch_unless_it_is_told(
    template: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(template, shell.home)
    at(shell, monkeypatch)
    repository = Repository(shell.home)
    shell.type("revis delete digits")
    assert find(shell.home, "digits").fold.begun
    with find(shell.home, "digits").place.locked():
        shell.type("revis delete digits --yes")
        shell.type("revis resume quick --budget much")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    shell.type("revis loop --name digits")
    shell.type("revis delete digits --yes")
    assert repository.ref("refs/heads/revis/digits")
    shell.type("revis loop --name digits")
    assert len(repository.refs("refs/revis/digits/")) == 4
    shell.type("revis delete quick --branch --yes")
    assert repository.refs("refs/revis/quick/") == {}
    assert repository.ref("refs/heads/revis/quick") == ""
    shell.type("revis list")
    shell.type("revis status")
    assert shell.told == kept("revis-delete", shell.told)


WINDOWS = """#!/bin/sh
[ "$2 $3" = "-t =revis-digits" ] || exit 1
printf '0 loop\\n1 idea-004\\n2 idea-005.1\\n'
"""


@pytest.mark.parametrize(
    ("session", "ideas", "target"),
    [
        ("revis-digits", {"idea-005.1", "idea-005.2"}, "=revis-digits:2"),
        ("revis-digits", set(), "=revis-digits:0"),
        ("revis-other", {"idea-004"}, ""),
    ],
)
def test_watch_chooses_the_window_of_the_run_or_of_the_loop(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, session: str, ideas: set[str], target: str
):
    tmux = shell.home.parent / "bin/tmux"
    tmux.write_text(WINDOWS)
    tmux.chmod(0o755)
    assert window_of_tmux(session, ideas) == target
    monkeypatch.setenv("PATH", str(shell.home))
    assert window_of_tmux(session, ideas) == ""
