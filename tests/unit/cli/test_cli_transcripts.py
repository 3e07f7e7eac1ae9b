"""What a user sees of each command that is no view: held, at 80 columns and piped, against transcripts."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from eyes_farm import EyesFarm, make_farm
from snapshots import kept

from orze.cli.app import main
from tests.unit.farm.farm_examples import Played, a_leader, lead, section, write_ideas

SYSTEMCTL = """#!/bin/sh
case "$*" in
  *"show orze"*) printf 'UnitFileState=enabled\\nActiveState=active\\nMainPID=4711\\nNRestarts=2\\n' ;;
  *show-user*) echo "Linger=${LINGER:-no}" ;;
esac
"""
ODD = "## idea-001: A\n- **GPUs**: \x1b[2J\n\n## idea-002: B\n- **After**: idea-77\n"
UNKNOWN = (  # what is another each time, or on each filesystem
    (r"(?m)^2> \d\d:\d\d:\d\d ", "2> HH:MM:SS "),
    (r"new/[0-9]+-[0-9a-f]+", "new/ENTRY"),
    (r"\d+\.\d KiB", "N.N KiB"),
)


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """`orze run` takes the log of the process for its own."""
    log = logging.getLogger("orze")
    before = list(log.handlers), log.level, log.propagate
    yield
    log.handlers[:], log.propagate = before[0], before[2]
    log.setLevel(before[1])


class Shell:
    """Notes what is typed in a directory and what is seen of it, whatever directory and host it is."""

    def __init__(self, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.home, self.capfd, self.noted = home, capfd, ""

    def type(self, *argv: str) -> int:
        """Run one command; its exit status."""
        status = main(argv)
        out, err = self.capfd.readouterr()
        lines = [f"$ orze {' '.join(argv)}", *out.splitlines(), *(f"2> {line}" for line in err.splitlines())]
        self.noted += "\n".join([*lines, f"[{status}]"] if status else lines) + "\n"
        return status

    @property
    def told(self) -> str:
        """All of it, the same on every machine."""
        told = self.noted.replace(str(self.home), "HOME").replace(sys.executable, "PYTHON")
        for pattern, word in UNKNOWN:
            told = re.sub(pattern, word, told)
        assert "\x1b" not in told
        assert not [line for line in told.splitlines() if line != line.rstrip()]
        return told


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> Shell:
    """In an empty directory called `farm`, in an environment that is the same everywhere."""
    home = tmp_path / "farm"
    home.mkdir()
    (tmp_path / "bin").mkdir()
    for name in ("systemctl", "loginctl"):
        (tmp_path / "bin" / name).write_text(SYSTEMCTL)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.chdir(home)
    for name in set(os.environ) - {"TMPDIR", "PYTHONPATH", "PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
    known = {"COLUMNS": "80", "HOME": str(home), "LOGNAME": "ada", "PATH": f"{tmp_path}/bin:{os.defpath}"}
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    return Shell(home, capfd)


@pytest.fixture
def farm(shell: Shell) -> EyesFarm:
    """The farm that is always the same, in that directory."""
    return make_farm(shell.home)


def test_run_with_dry_run(shell: Shell, farm: EyesFarm):
    shell.type("run", "--gpus", "cpu:4", "--dry-run")
    shell.type("run", "--gpus", "7,8", "--dry-run", "--timeout", "0")
    assert shell.told == kept("run-dry-run", shell.told)


def test_lint(shell: Shell, farm: EyesFarm):
    (shell.home / "odd.md").write_text(ODD)
    (shell.home / "fine.md").write_text("## idea-001: A\n")
    shell.type("lint")
    shell.type("lint", "odd.md", "--strict")
    shell.type("lint", "fine.md")
    assert shell.told == kept("lint", shell.told)


def test_logs(shell: Shell, farm: EyesFarm):
    shell.type("logs", "idea-001", "-n", "2")
    shell.type("logs", "idea-004")
    shell.type("logs", "idea-002", "--eval")
    shell.type("logs", "idea-002", "--attempt", "1")
    shell.type("logs", "idea-009")
    assert shell.told == kept("logs", shell.told)


def test_wait(shell: Shell, farm: EyesFarm):
    shell.type("wait", "idea-001", "idea-002")
    shell.type("wait", "idea-002", "idea-003")
    shell.type("wait", "idea-005", "idea-004", "--timeout", "0")
    shell.type("wait", "--all", "--timeout", "0")
    assert shell.told == kept("wait", shell.told)


def test_export(shell: Shell, farm: EyesFarm):
    shell.type("export")
    shell.type("export", "--all", "-o", "all.json")
    assert shell.told == kept("export", shell.told)


def test_report(shell: Shell, farm: EyesFarm):
    shell.type("report", "--json")
    (shell.home / "results").rename(shell.home / "gone")
    shell.type("report")
    (shell.home / "orze.yaml").write_text("results_dir: ideas.md\n")
    shell.type("report")
    shell.type("report", "-c", "none.yaml")
    assert shell.told == kept("report", shell.told)


def test_clean(shell: Shell, farm: EyesFarm):
    (shell.home / "results/idea-001/attempts/1-idea-001-0001/model.pt").write_text("x" * 9000)
    Path(farm.paths.heartbeat("idea-003", "idea-003-0001")).write_text("1")
    shell.type("clean")
    shell.type("clean", "--pattern", "*.pt")
    shell.type("clean", "--pattern", "*.none", "--older-than", "a week")
    shell.type("clean", "--pattern", "*.none", "--older-than", "7d")
    assert shell.told == kept("clean", shell.told)


def test_asking_where_nobody_answers(shell: Shell, farm: EyesFarm):
    shell.type("hold", "idea-009", "idea-010", "--timeout", "0")
    shell.type("drain", "gpu-a", "--no-wait")
    shell.type("retry", "--cause", "oom")
    shell.type("add", "--title", "Another", "--timeout", "0")
    shell.type("add", "--title", "Another", "--no-wait")
    assert shell.told == kept("nobody-answers", shell.told)


ASKED = (
    ("hold", "idea-001", "idea-002"),
    ("release", "idea-001"),
    ("withdraw", "idea-002"),
    ("priority", "idea-001", "critical"),
    ("priority", "idea-001", "urgent"),
    ("stop", "idea-001"),
    ("stop", "idea-099"),
    ("retry", "--failed"),
    ("retry", "idea-001"),
    ("restore", "idea-001"),
    ("drain", "gpu-a"),
    ("drain", "gpu-z"),
    ("undrain", "gpu-a"),
    ("cards", "gpu-a", "0,1"),
    ("cards", "gpu-a", "first"),
    ("cards", "gpu-a", "default"),
    ("add", "--title", "Another", "--config", "lr=0.1"),
    ("add", "--title", "Another", "--config", "lr=0.1", "--if-absent"),
    ("add", "--title", "Bad", "--priority", "soon"),
)


def test_asking_and_adding_where_a_daemon_leads(shell: Shell):
    members = a_leader(shell.home)
    (shell.home / "orze.yaml").write_text("poll: 5\n")
    write_ideas(members.context, section(1), section(2), section(3))
    members.hosts.tell(cards=(), running=0, free=0)
    lead(members)
    failed = Played(members.context, "idea-003")
    failed.end("FAIL")
    members.settler.settle("idea-003", failed.fold)
    lead(members)
    for argv in ASKED:
        typed = threading.Thread(target=shell.type, args=argv)
        typed.start()
        while typed.is_alive():
            members.context.clock.sleep(1.1)
            lead(members)
            typed.join(0.02)
    assert shell.told == kept("asking", shell.told)


def test_service(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    (shell.home / "orze.yaml").write_text("poll: 5\n")
    shell.type("service", "status")
    shell.type("service", "install", "--", "--gpus", "0,1")
    shell.type("service", "install", "--", "--gpus", "0,1")
    monkeypatch.setenv("LINGER", "yes")
    shell.type("service", "status")
    shell.type("service", "uninstall")
    shell.type("service", "uninstall", "--name", "other")
    monkeypatch.setenv("PATH", os.defpath)
    shell.type("service", "install", "--name", "a/b")
    assert shell.told == kept("service", shell.told)
