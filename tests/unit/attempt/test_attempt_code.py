"""Attempts that run a commit: the worktree is made, used and removed, whatever becomes of the run."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from keeper_pipes import Farm, command, content, until

from orze.attempt import checkout
from orze.core.paths import FarmPaths

REST = "open('ready', 'w').close()\nimport signal; signal.pause()"


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path)
    yield made
    made.close()


def git(home: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", home, *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A repository with one commit."""
    home = tmp_path / "code"
    (home / "part").mkdir(parents=True)
    (home / "part" / "a.txt").write_text("one")
    git(home, "init", "--quiet")
    git(home, "add", ".")
    git(home, "commit", "--quiet", "--message", "one")
    hook = home / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    return home


def told(code: Path, prefix: str = "") -> dict[str, str]:
    return {"repository": str(code / ".git"), "commit": git(code, "rev-parse", "HEAD"), "prefix": prefix}


def left(farm: Farm, code: Path) -> list[str]:
    kept = code / ".git" / "worktrees"
    known = os.listdir(kept) if kept.exists() else []
    return known + [str(path) for path in farm.results.glob("idea-*/attempts/*/code")]


def test_commands_run_in_the_worktree_at_their_place_and_nothing_is_left(farm: Farm, code: Path) -> None:
    (code / "part" / "a.txt").write_text("not committed")
    keeper = farm.keeper()
    script = (
        "import subprocess; del os.environ['GIT_DIR']\n"
        "head = subprocess.check_output(['git', 'rev-parse', 'HEAD'], text=True).strip()\n"
        "metrics(status='COMPLETED', text=open('a.txt').read(), cwd=os.getcwd(), head=head)"
    )
    after = command("open('b.txt', 'w').write(os.getcwd())", name="eval")
    env = {"PATH": os.environ["PATH"], "GIT_DIR": "/nowhere"}
    keeper.go(script, checkout=told(code, "part"), evaluation=after, env=env)
    keeper.wait()
    end = farm.records()[-1]
    assert end["kind"] == "DONE", end
    assert end["metrics"]["text"] == "one"
    assert end["metrics"]["head"] == git(code, "rev-parse", "HEAD")
    assert end["metrics"]["cwd"] == str(keeper.directory / "code" / "part")
    assert end["evaluation_error"] == ""
    assert left(farm, code) == []
    assert not (code / "hooked").exists()
    assert git(code, "status", "--porcelain") == "M part/a.txt"


@pytest.mark.parametrize("how", ["stop", "preempt", "timeout", "crash"])
def test_however_it_ends_the_worktree_goes(farm: Farm, code: Path, how: str) -> None:
    keeper = farm.keeper()
    script = "raise ValueError" if how == "crash" else REST
    train = command(script, timeout=0.3 if how == "timeout" else 60.0)
    keeper.go(checkout=told(code), train=train, grace=0.2)
    if how in ("stop", "preempt"):
        until((keeper.directory / "code" / "ready").exists, "the training")
        keeper.stop_request.touch()
        keeper.signal(signal.SIGUSR1 if how == "stop" else signal.SIGTERM)
    keeper.wait()
    assert farm.kinds()[-1] in ("FAIL", "REQUEUE")
    assert left(farm, code) == []


def test_a_killed_keeper_s_worktree_is_removed_by_the_next_attempt_and_a_living_one_s_is_not(
    farm: Farm, code: Path
) -> None:
    first = farm.keeper()
    first.go(REST, checkout=told(code))
    until((first.directory / "code" / "ready").exists, "the training")
    checkout.remove_left(str(code / ".git"), farm.paths)
    assert (first.directory / "code").exists()
    first.signal(signal.SIGKILL)
    first.wait()
    farm.lose(first.token)
    first.heartbeat.unlink()
    second = farm.keeper()
    second.go(checkout=told(code))
    second.wait()
    assert farm.kinds()[-1] == "DONE"
    assert left(farm, code) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"commit": "0" * 40}, "cannot check out commit 0000000: fatal: "),
        ({"repository": "/nowhere"}, "fatal: "),
    ],
)
def test_what_git_says_against_it_is_the_reason(
    farm: Farm, code: Path, changes, words: str, monkeypatch
) -> None:
    keeper = farm.keeper()
    keeper.go(checkout={**told(code), **changes})
    keeper.wait()
    end = farm.records()[-1]
    assert (end["kind"], end["cause"]) == ("FAIL", "start")
    assert words in end["error"]
    assert left(farm, code) == []


def worktree(code: Path, place: Path) -> str:
    commit: checkout.Checkout = {"repository": str(code / ".git"), "commit": "HEAD", "prefix": ""}
    subprocess.run(checkout.add_command(commit, str(place)), check=True, capture_output=True)
    return str(code / ".git")


def test_what_a_training_did_to_its_worktree_leads_nobody_astray(code: Path, tmp_path: Path) -> None:
    place, other = tmp_path / "code of mine", tmp_path / "other"
    other.mkdir()
    (other / "kept").write_text("")
    repository = worktree(code, place)
    (place / ".git").write_text(f"gitdir: {other}\n")
    (place / "link").symlink_to(other)
    (place / "deep" / "down").mkdir(parents=True)
    (place / "deep" / "down" / "file").write_text("")
    (place / "deep" / "down").chmod(0o500)
    (place / "deep").chmod(0o500)
    checkout.remove(repository, str(place))
    assert not place.exists()
    assert os.listdir(code / ".git" / "worktrees") == []
    assert (other / "kept").exists()
    checkout.remove(repository, str(place))


def test_a_worktree_that_became_a_link_is_removed_and_what_it_leads_to_is_not(
    code: Path, tmp_path: Path
) -> None:
    place, other = tmp_path / "mine", tmp_path / "other"
    repository = worktree(code, place)
    place.rename(other)
    place.symlink_to(other)
    checkout.remove(repository, str(place))
    assert not place.is_symlink()
    assert (other / "part" / "a.txt").exists()
    assert os.listdir(code / ".git" / "worktrees") == []


def test_the_user_s_own_worktrees_are_left_alone(code: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    for name in ("mine", "results/idea-1/attempts/1-ab/other", "results/idea-1/attempts/1-ab/code"):
        worktree(code, tmp_path / name)
    checkout.remove_left(str(code / ".git"), FarmPaths(str(results)))
    assert (tmp_path / "mine").exists()
    assert (results / "idea-1/attempts/1-ab/other").exists()
    assert not (results / "idea-1/attempts/1-ab/code").exists()
    assert len(os.listdir(code / ".git" / "worktrees")) == 2


# ---- protected files


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("open('eval/score.py', 'w').write('best')", "eval/score.py (changed)"),
        ("os.unlink('eval/score.py')", "eval/score.py (removed)"),
        ("open('eval/new', 'w')", "eval/new (added)"),
        ("os.mkdir('eval/__pycache__'); open('eval/__pycache__/x.pyc', 'w')", ""),
        ("open('mine', 'w')", ""),
    ],
)
def test_a_run_that_touches_a_protected_file_has_no_result(farm: Farm, script: str, named: str) -> None:
    (farm.home / "eval").mkdir()
    (farm.home / "eval" / "score.py").write_text("x")
    keeper = farm.keeper()
    keeper.go(
        f"metrics(status='COMPLETED', val_loss=0.1)\n{script}", protected=["eval/**"], primary="val_loss"
    )
    keeper.wait()
    end = farm.records()[-1]
    if not named:
        assert end["kind"] == "DONE"
        return
    assert (end["kind"], end["cause"]) == ("FAIL", "protected")
    assert end["error"].endswith(f": {named}")
    assert "metrics" not in end
    assert content(farm.idea("metrics.json"))["status"] == "FAILED"


def test_what_runs_before_the_training_may_not_touch_them_either(farm: Farm) -> None:
    (farm.home / "val.csv").write_text("1")
    keeper = farm.keeper()
    keeper.go(pre=command("open('val.csv', 'w').write('2')", name="pre"), protected=["*.csv"])
    keeper.wait()
    assert farm.records()[-1]["error"].endswith(": val.csv (changed)")
