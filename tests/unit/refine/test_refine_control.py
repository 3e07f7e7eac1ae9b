"""Sessions begin, are found, stopped and deleted; what is wrong is told before anything is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from userrepo import git, make, write

from orze.config.refine import Budget, Revis
from orze.core.errors import OrzeError
from orze.refine.checks import Refused, check
from orze.refine.control import begin, delete, last_line, stop, work
from orze.refine.git import GitError
from orze.refine.places import AtWork, NoSession, find, names, place_of, sessions
from tests.needs import needs

ENVIRON = {"PATH": os.defpath}
AGENT = [sys.executable, "agent.py"]
FILES = {"train.py": "print(1)\n", "lib/a.py": "A = 1\n"}


def revis(home: Path, **more: Any) -> Revis:
    given = {
        "project_dir": home,
        "entry": {"train": "python train.py"},
        "metrics": {"primary": "loss", "minimize": True},
        "agent": AGENT,
        **more,
    }
    return Revis.model_validate(given)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project in a repository."""
    return make(tmp_path / "project", dict(FILES))


def test_a_session_begins_at_the_users_commit_with_the_budget_of_both(home: Path):
    told = revis(home, budget={"runs": 9, "time": 60})
    checked = begin(told, "lr", Budget(runs=3), ENVIRON)
    assert checked.base == git(home, "rev-parse", "HEAD")
    listed = find(home, "lr")
    assert (listed.fold.base, listed.fold.command) == (checked.base, "python train.py")
    assert listed.fold.budget == Budget(runs=3, time=60)
    assert not listed.at_work
    assert git(home, "status", "--porcelain") == ""  # .revis/ ignores itself
    assert [one.place.name for one in sessions(home)] == names(home) == ["lr"]


def test_files_that_the_runs_will_not_have_are_named(home: Path):
    write(home, {"lib/a.py": "A = 2\n", "new.py": "", "revis.yaml": "x: 1\n"})
    assert check(revis(home), "lr", Budget(), ENVIRON).warnings == (
        "not committed, and so missing from the runs: lib/a.py, new.py",
    )


@needs("litellm")
@pytest.mark.parametrize(
    ("settings", "budget", "word"),
    [
        ({"agent": ["/nowhere/agent"]}, {}, "/nowhere/agent"),
        ({"agent": [], "llm": {"model": "openai/x", "api_key_env": "MY_KEY"}}, {}, "MY_KEY is not set"),
        ({"executor": {"type": "farm"}, "entry": None}, {}, "train_command"),
    ],
)
def test_what_is_missing_is_told_and_nothing_is_written(
    home: Path, settings: dict[str, Any], budget: dict[str, Any], word: str
):
    (home / "orze.yaml").write_text("poll: 1\n")
    before = sorted(home.rglob("*"))
    with pytest.raises(Refused, match=word):
        begin(revis(home, **settings), "lr", Budget(**budget), ENVIRON)
    assert sorted(home.rglob("*")) == before


def test_a_farm_of_another_repository_cannot_run_the_steps(home: Path, tmp_path: Path):
    other = make(tmp_path / "other", dict(FILES))
    (home / "orze.yaml").write_text(f"train_command: x\ncode_dir: {other}\n")
    with pytest.raises(Refused, match="code_dir is in"):
        check(revis(home, executor={"type": "farm"}, entry=None), "lr", Budget(), ENVIRON)


def test_what_only_the_settings_of_a_farm_can_hold_is_refused_unless_they_do(home: Path):
    (home / "orze.yaml").write_text("train_command: x\nprotected: [evaluate.py]\n")
    asked = {"smoke": "true", "protected": ["evaluate.py", "data/*"], "guardrails": {"stall_minutes": 5.0}}
    with pytest.raises(Refused) as refused:
        check(revis(home, executor={"type": "farm"}, entry=None, **asked), "lr", Budget(), ENVIRON)
    assert str(refused.value).splitlines() == [
        "revis.yaml: smoke: a farm has a pre_command of its own; put it there",
        "revis.yaml: guardrails.stall_minutes: a farm has stall_minutes of its own; put it there",
        f"revis.yaml: protected: data/* must stand in protected of {home}/orze.yaml too",
    ]
    held = revis(home, executor={"type": "farm"}, entry=None, protected=["evaluate.py"])
    assert check(held, "lr", Budget(), ENVIRON).command == "x"


def test_a_name_that_is_taken_or_impossible_is_refused(home: Path):
    begin(revis(home), "lr", Budget(), ENVIRON)
    git(home, "branch", "revis/old")
    for name in ("lr", "old"):
        with pytest.raises(Refused, match=name):
            begin(revis(home), name, Budget(), ENVIRON)
    for name in ("", "a b", "../x", "-x", "x" * 65):
        with pytest.raises(NoSession):
            begin(revis(home), name, Budget(), ENVIRON)


def test_a_branch_called_revis_leaves_no_room(home: Path):
    git(home, "branch", "revis")
    with pytest.raises(Refused, match="rename it"):
        begin(revis(home), "lr", Budget(), ENVIRON)


def test_without_a_repository_or_a_commit_nothing_begins(tmp_path: Path):
    bare = tmp_path / "bare"
    bare.mkdir()
    with pytest.raises(GitError, match="git init"):
        begin(revis(bare), "lr", Budget(), ENVIRON)
    git(bare, "init", "-q")
    with pytest.raises(GitError, match="commit your code first"):
        begin(revis(bare), "lr", Budget(), ENVIRON)
    assert not (bare / ".revis").exists()


def test_a_session_that_is_at_work_is_seen_and_not_deleted(home: Path):
    begin(revis(home), "lr", Budget(), ENVIRON)
    place = place_of(home, "lr")
    with place.locked():
        assert find(home, "lr").at_work
        with pytest.raises(AtWork), place.locked():
            pass
        with pytest.raises(AtWork):
            delete(home, "lr", branch=False)
        assert stop(home, "lr", now=False, seconds=0.0) is False
        assert place.is_asked(now=False) is False  # time was up before it was asked
        assert stop(home, "lr", now=True, seconds=0.05) is False
        assert place.is_asked(now=True)
    assert not find(home, "lr").at_work
    assert stop(home, "lr", now=True, seconds=0.0) is True


@pytest.mark.parametrize("branch", [False, True])
def test_a_deleted_session_is_gone_and_its_branch_only_where_that_is_wanted(home: Path, branch: bool):
    begin(revis(home), "lr", Budget(), ENVIRON)
    for ref in ("refs/heads/revis/lr", "refs/revis/lr/0", "refs/revis/lr/12"):
        git(home, "update-ref", ref, "HEAD")
    git(home, "update-ref", "refs/revis/lrs/0", "HEAD")
    delete(home, "lr", branch=branch)
    assert names(home) == []
    left = git(home, "for-each-ref", "--format=%(refname)").splitlines()
    theirs = ["refs/heads/main", "refs/revis/lrs/0"]
    ours = ["refs/heads/revis/lr", "refs/revis/lr/0", "refs/revis/lr/12"]
    assert sorted(left) == sorted(theirs if branch else theirs + ours)
    with pytest.raises(NoSession, match="there are: none"):
        find(home, "lr")


def test_a_deleted_session_takes_its_worktrees_along_and_no_others(home: Path, tmp_path: Path):
    begin(revis(home), "lr", Budget(), ENVIRON)
    away, inside = tmp_path / "away", home / ".revis" / "lr" / "farm" / "code"
    for directory in (away, inside):
        git(home, "worktree", "add", "-q", "--detach", str(directory))
    away.rename(tmp_path / "unmounted")  # as when its disk is not there now
    delete(home, "lr", branch=False)
    listed = git(home, "worktree", "list", "--porcelain").splitlines()
    assert [line for line in listed if line.startswith("worktree ")] == [
        f"worktree {home}",
        f"worktree {away}",
    ]


def test_a_branch_that_is_checked_out_is_not_deleted_and_the_session_stays(home: Path):
    begin(revis(home), "lr", Budget(), ENVIRON)
    git(home, "checkout", "-q", "-b", "revis/lr")
    with pytest.raises(OrzeError, match="checked out"):
        delete(home, "lr", branch=True)
    assert names(home) == ["lr"]


def test_a_session_is_not_taken_up_with_another_metric(home: Path):
    begin(revis(home), "lr", Budget(), ENVIRON)
    other = revis(home, metrics={"primary": "accuracy", "minimize": False})
    with pytest.raises(Refused, match="goes by loss, smaller is better"):
        work(other, "lr", environ=ENVIRON, say=lambda text: None)
    assert place_of(home, "lr").session().fold.owner == ""


def test_the_last_line_says_where_the_best_is_or_that_there_is_none(home: Path):
    begin(revis(home), "lr", Budget(), ENVIRON)
    session = place_of(home, "lr").session()
    told = last_line(session)
    assert "there is no result yet" in told
    assert "revis show lr" in told
