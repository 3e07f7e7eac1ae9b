"""What environment.json tells of the code and the packages behind a result."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orze.core.clock import ManualClock, SystemClock
from orze.farm.environment import Environment

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]


def made(project: Path, clock: ManualClock | None = None) -> Environment:
    return Environment(project, [sys.executable], driver="570.1", steady=(clock or ManualClock()).steady)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    (tmp_path / "code.py").write_text("a = 1\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*GIT, *command], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_commit_packages_and_driver_are_told(project: Path):
    facts = made(project).facts()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, check=True).stdout
    assert (facts["git_commit"], facts["git_dirty"]) == (head.decode().strip(), False)
    assert (facts["driver"], facts["python"]) == ("570.1", sys.version.split()[0])
    assert re.fullmatch(r"[0-9a-f]{64}", str(facts["packages_sha256"]))
    assert facts["platform"]


def test_another_package_is_told(tmp_path: Path, monkeypatch):
    before = made(tmp_path).facts()["packages_sha256"]
    (tmp_path / "more" / "torch-2.0.dist-info").mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "more"))
    assert made(tmp_path).facts()["packages_sha256"] != before


def test_a_changed_file_makes_it_dirty_and_a_new_one_does_not(project: Path):
    (project / "new.txt").write_text("x")
    assert made(project).facts()["git_dirty"] is False
    (project / "code.py").write_text("a = 2\n")
    assert made(project).facts()["git_dirty"] is True


def test_a_commit_is_noticed_half_a_minute_later(project: Path):
    clock = ManualClock()
    environment = made(project, clock)
    assert environment.facts()["git_dirty"] is False
    (project / "code.py").write_text("a = 2\n")
    clock.advance(29)
    assert environment.facts()["git_dirty"] is False
    clock.advance(2)
    environment.facts()  # asks; the answer comes
    real = SystemClock()
    until = real.steady() + 20
    while environment.facts()["git_dirty"] is False:
        assert real.steady() < until


def test_a_project_without_git_and_an_interpreter_that_is_not_there_are_no_faults(tmp_path: Path):
    environment = Environment(tmp_path, [str(tmp_path / "python")], driver=None, steady=ManualClock().steady)
    facts = environment.facts()
    assert facts["git_commit"] is facts["git_dirty"] is facts["driver"] is None
    assert facts["python"] is facts["packages_sha256"] is None
