"""The commits that ideas name, and what is read of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from farm_examples import an_idea, section

from orze.client.base import run_of
from orze.config.schema import Settings
from orze.coord.idea_chain import IdeaFold
from orze.core.errors import OrzeError
from orze.farm.base import BadBase
from orze.farm.commits import BadCommit, Commits
from orze.farm.launch import Launcher, Merged, Start
from orze.gpu.slots import Slot
from orze.ideas.model import IdeaError

ENVIRON = dict(os.environ)
CPU = (Slot("cpu0", None, 0, ""),)


def git(home: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", home, *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project below the top of a repository, with one commit."""
    home = tmp_path / "top" / "project"
    (home / "configs").mkdir(parents=True)
    (home / "configs" / "base.yaml").write_text("depth: 1\n")
    (home / "train_idea.py").write_text("")
    (home / ".gitignore").write_text("/mine.yaml\n/own.py\n")
    git(tmp_path / "top", "init", "--quiet")
    git(home, "add", ".")
    git(home, "commit", "--quiet", "--message", "one")
    return home


def launcher(project: Path, **settings) -> Launcher:
    return Launcher(Settings.model_validate({"project_dir": project, **settings}), ENVIRON)


def config(made: Launcher, **fields: str) -> Merged:
    return made.config(Start(an_idea(7, **fields), section(7, **fields), CPU, {}))


def test_a_commit_is_found_by_its_first_digits_from_any_directory_of_the_repository(project: Path) -> None:
    sha = git(project, "rev-parse", "HEAD")
    found = Commits(project, {**ENVIRON, "GIT_DIR": "/nowhere"}).find(sha[:8])
    top = os.path.realpath(project.parent)
    assert found == {"repository": f"{top}/.git", "commit": sha, "prefix": "project"}
    linked = project.parent.parent / "linked"
    git(project, "worktree", "add", "--quiet", "--detach", str(linked))
    assert Commits(linked, ENVIRON).find(sha) == {**found, "prefix": ""}


@pytest.mark.parametrize("kind", ["absent", "tree", "branch"])
def test_what_is_no_commit_here_is_refused_with_a_sentence(project: Path, kind: str) -> None:
    named = {"absent": "0" * 12, "tree": git(project, "rev-parse", "HEAD^{tree}"), "branch": "abcdef12"}[kind]
    if kind == "branch":
        git(project, "branch", "abcdef12")
    with pytest.raises(BadCommit, match=rf"^commit {named} is not in the repository .*top of this host: ."):
        Commits(project, ENVIRON).find(named)


def test_a_commit_that_comes_later_is_found_then(project: Path) -> None:
    commits = Commits(project, ENVIRON)
    sha = git(project, "commit-tree", "HEAD^{tree}", "-m", "two")
    loose = project.parent / ".git" / "objects" / sha[:2] / sha[2:]
    away = loose.with_name("away")
    loose.rename(away)
    with pytest.raises(BadCommit):
        commits.find(sha)
    away.rename(loose)
    assert commits.find(sha)["commit"] == sha


def test_a_directory_outside_of_git_and_a_host_without_git_are_told(project: Path, tmp_path: Path) -> None:
    with pytest.raises(BadCommit, match=r"^code_dir .*: fatal: not a git repository"):
        Commits(tmp_path, ENVIRON).find("1234567")
    with pytest.raises(BadCommit, match=r"^git cannot be run: "):
        Commits(project, {"PATH": str(tmp_path)}).find("1234567")


def test_a_git_that_hangs_is_asked_once_in_a_while(project: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("orze.farm.commits._LIMIT", 0.1)
    (tmp_path / "git").write_text(f"#!/bin/sh\necho >> {tmp_path}/asked\nexec sleep 100\n")
    (tmp_path / "git").chmod(0o755)
    commits = Commits(project, {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    for _ in range(3):
        with pytest.raises(BadCommit, match=r"^git does not answer within 0\.1 s"):
            commits.find("1234567")
    assert (tmp_path / "asked").read_text() == "\n"


def test_the_base_and_the_scripts_are_those_of_the_commit_but_for_what_git_ignores(project: Path) -> None:
    sha = git(project, "rev-parse", "HEAD")
    (project / "configs" / "base.yaml").write_text("depth: 2\n")
    (project / "mine.yaml").write_text("depth: 3\n")
    made = launcher(project, pre_script="own.py", eval_script="/elsewhere/eval.py")
    start = Start(an_idea(7, Commit=sha[:7]), section(7, Commit=sha[:7]), CPU, {})
    told = made.config(start)
    assert (told.base, told.commit) == ("depth: 1\n", sha)
    assert made.train(start, told.checkout)["argv"][1] == "{code}/project/train_idea.py"
    assert made.train(start)["argv"][1] == str(project / "train_idea.py")
    assert config(made).base == "depth: 2\n"
    assert config(launcher(project, base_config="mine.yaml"), Commit=sha).base == "depth: 3\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: [", "configs/base.yaml of commit"),
        ("- 1\n", "base.yaml of commit"),
        (None, "there is none"),
        ("x" * 99_999, "64 KiB"),
    ],
)
def test_a_base_of_a_commit_that_is_none_is_told(project: Path, content: str | None, words: str) -> None:
    base = project / "configs" / "base.yaml"
    base.unlink() if content is None else base.write_text(content)
    git(project, "commit", "--quiet", "--all", "--message", "bad")
    sha = git(project, "rev-parse", "HEAD")
    base.write_text("depth: 1\n")
    with pytest.raises(OrzeError, match=words):
        config(launcher(project), Commit=sha)


def test_a_link_in_a_commit_is_not_followed(project: Path) -> None:
    base = project / "configs" / "base.yaml"
    base.unlink()
    base.symlink_to("/etc/passwd")
    git(project, "commit", "--quiet", "--all", "--message", "link")
    with pytest.raises(BadCommit, match="must be a file of at most"):
        config(launcher(project), Commit=git(project, "rev-parse", "HEAD"))


def test_commits_and_commands_make_configurations_of_their_own(project: Path) -> None:
    first = git(project, "rev-parse", "HEAD")
    git(project, "commit", "--quiet", "--allow-empty", "--message", "two")
    second = git(project, "rev-parse", "HEAD")
    made = launcher(project, train_command="python train.py")
    fields = [
        {},
        {"Commit": first},
        {"Commit": second},
        {"Command": "ls"},
        {"Commit": first, "Command": "ls"},
    ]
    keys = [config(made, **given).key for given in fields]
    assert len(set(keys)) == len(fields)
    assert config(made, Commit=first[:7]).key == keys[1]
    settings = Settings.model_validate({"project_dir": project, "train_command": "python train.py"})
    assert [run_of(settings, section(7, **given))[0] for given in fields] == keys


def test_a_command_line_is_run_as_it_is_and_only_where_the_farm_has_one(project: Path) -> None:
    (project / "configs" / "base.yaml").unlink()
    line = "python train.py > ${x}{config}"
    made = launcher(project, train_command=line, pre_command="make {data}", launch=["nice", "{command}"])
    start = Start(an_idea(7), section(7), CPU, {})
    assert made.train(start)["argv"] == ["nice", "/bin/sh", "-c", line]
    assert made.train(start)["as_it_is"] is True
    made.check()
    assert config(made).base == ""
    with pytest.raises(
        IdeaError, match=r"^ideas.md:\d+: it has a Command, and orze.yaml has no train_command"
    ):
        config(launcher(project, base_config=".gitignore"), Command="ls")
    with pytest.raises(BadBase, match="every idea starts from this"):
        launcher(project).check()


def test_the_smoke_command_goes_before_the_steps_of_a_session_and_before_nothing_else(project: Path) -> None:
    given = {"train_command": "train", "refine": {"smoke": "pytest -q", "agent": ["x"]}}
    step, other = (
        Start(an_idea(7, **fields), section(7, **fields), CPU, {}) for fields in ({"Category": "refine"}, {})
    )

    def before(made: Launcher, start: Start) -> str:
        command = made._before(start, None)
        return command["argv"][-1] if command else ""

    assert before(launcher(project, **given), step) == "pytest -q"
    assert before(launcher(project, **given), other) == ""
    both = launcher(project, **given, pre_command="make")
    assert before(both, step) == "(\nmake\n) &&\n(\npytest -q\n)"
    assert before(both, other) == "make"


def test_what_a_session_protects_and_how_long_it_is_patient_holds_for_its_steps_alone(project: Path) -> None:
    rules = {"agent": ["x"], "protected": ["evaluate.py"], "guardrails": {"stall_minutes": 2.0}}
    made = launcher(project, train_command="train", protected=("data/*",), stall_minutes=9.0, refine=rules)
    told = []
    for fields in ({"Category": "refine"}, {}):
        start = Start(an_idea(7, **fields), section(7, **fields), CPU, {})
        go = made.go(start, IdeaFold(), frame={}, config=made.config(start), delay=0.0, facts={})
        told.append((go["protected"], go["stall"]))
    assert told == [(["data/*", "evaluate.py"], 120.0), (["data/*"], 540.0)]
