"""examples/revis_digits: a project for `revis` whose baseline runs from a commit, and is mediocre."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orze.attempt.metrics import last_progress
from orze.core.globs import any_matches
from orze.refine.repository import Repository
from orze.refine.settings import load_revis

EXAMPLE = Path(__file__).parents[3] / "examples" / "revis_digits"
KEY = {"OPENAI_API_KEY": "none"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of it in a repository, as its README says."""
    home = tmp_path / "digits"
    shutil.copytree(EXAMPLE, home, ignore=shutil.ignore_patterns("__pycache__"))
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "Digits")):
        subprocess.run([*git, *words], cwd=home, check=True, timeout=60)
    return home


def run(project: Path, commit: str, out: Path) -> dict[str, float]:
    """Run a commit of it in a worktree, as a farm does; its metrics."""
    repository = Repository(project)
    repository.worktree(commit, out / "code")
    settings = load_revis(None, project, KEY)
    assert settings.entry
    environ = {**os.environ, **settings.entry.env, "REVIS_OUTPUT_DIR": str(out / "out"), "ORZE_SEED": "0"}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    argv = ["/bin/sh", "-c", settings.entry.train]
    subprocess.run(argv, cwd=out / "code", env=environ, check=True, timeout=60, capture_output=True)
    repository.remove_worktree(out / "code")
    metrics: dict[str, float] = json.loads((out / "out/eval.json").read_text())
    return metrics


def test_the_baseline_runs_from_its_commit_and_is_mediocre(project: Path, tmp_path: Path):
    repository = Repository(project)
    baseline = run(project, repository.head(), tmp_path / "first")
    assert (last_progress(str(tmp_path / "first/out/progress.jsonl")) or {})["epoch"] == 12
    assert 0.5 < baseline["val_loss"] < 2
    assert baseline.keys() == {"val_loss", "val_accuracy", "test_accuracy"}
    assert repository.uncommitted() == []


def test_its_settings_load_and_hold_what_measures(project: Path):
    settings = load_revis(None, project, KEY)
    files = [path.name for path in project.iterdir() if path.is_file()]
    assert [name for name in files if any_matches(settings.protected, name)] == ["evaluate.py"]
    assert sorted(name for name in files if any_matches(settings.allow, name)) == ["config.yaml", "train.py"]
    assert settings.metrics.target is not None
    assert settings.repeats > 1
    assert settings.llm.price is not None
