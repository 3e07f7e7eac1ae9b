"""What of a command travels to the machine behind ssh, and what it is called there."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.attempt.executors.travel import Names, Places, variables

RUN = "/there/.orze/runs/k"


def places(tmp_path: Path, *, cwd: str = "", doors: bool = True, trained: str = "", **env: str) -> Places:
    home = tmp_path / "proj" / "results" / "idea-001"
    own = home / "attempts" / "2-ab" if doors else home
    data = home / "attempts" / trained if trained else own
    data.mkdir(parents=True)
    own.mkdir(parents=True, exist_ok=True)
    door = tmp_path / "proj" / "results" / ".orze" / "doors" / "ab" if doors else home.parent
    door.mkdir(parents=True, exist_ok=True)
    if doors:
        (door / "idea-001").symlink_to(data)
    environ = {"ORZE_IDEA_CONFIG": f"{own}/idea.yaml", "REVIS_OUTPUT_DIR": f"{door}/idea-001", **env}
    spec: Any = {
        "idea_id": "idea-001", "doors": doors, "project": f"{tmp_path}/proj", "pythons": ["/usr/bin/python9"],
    }  # fmt: skip
    return Places(spec, environ, cwd or f"{tmp_path}/proj")


def test_every_directory_of_an_attempt_has_its_place_there(tmp_path: Path) -> None:
    proj, own = f"{tmp_path}/proj", f"{tmp_path}/proj/results/idea-001/attempts/2-ab"
    names = places(tmp_path, ORZE_RESUME_FROM=f"{own[:-4]}1-aa/checkpoints").names(RUN, "/opt/python3")
    assert names.argv(
        ["/usr/bin/python9", f"{proj}/train.py", "--out", f"{proj}/results/.orze/doors/ab"]
    ) == [
        *("/opt/python3", f"{RUN}/code/train.py", "--out", f"{RUN}/results"),
    ]
    assert names.text(f"{own}/idea.yaml") == f"{RUN}/results/idea-001/idea.yaml"
    assert names.text(f"{own[:-4]}1-aa/checkpoints") == f"{RUN}/resume"
    assert names.text(f"--data={proj}/data:{proj}") == f"--data={RUN}/code/data:{RUN}/code"


def test_in_a_worktree_the_project_is_where_the_command_runs(tmp_path: Path) -> None:
    code = f"{tmp_path}/proj/results/idea-001/attempts/2-ab/code"
    here = places(tmp_path, cwd=f"{code}/a/b")
    assert (here.worktree, here.code, here.inside) == (True, code, "a/b")
    names = here.names(RUN, "python3")
    assert names.text(f"{code}/a/b/train.py") == f"{RUN}/code/a/b/train.py"
    assert names.text(f"{tmp_path}/proj/train.py") == f"{RUN}/code/a/b/train.py"


def test_where_only_evaluation_is_left_results_are_those_of_the_attempt_that_trained(tmp_path: Path) -> None:
    here = places(tmp_path, trained="1-aa")
    assert not here.same
    names = here.names(RUN, "python3")
    home = f"{tmp_path}/proj/results/idea-001/attempts"
    assert names.text(f"{home}/2-ab/idea.yaml") == f"{RUN}/own/idea.yaml"
    assert names.text(f"{home}/1-aa/model") == f"{RUN}/results/idea-001/model"


def test_without_doors_results_are_those_of_the_whole_farm(tmp_path: Path) -> None:
    here = places(tmp_path, doors=False)
    assert here.home == f"{tmp_path}/proj/results/idea-001"
    names = here.names(RUN, "python3")
    assert names.text(f"{tmp_path}/proj/results/idea-001") == f"{RUN}/results/idea-001"


@pytest.mark.parametrize("text", ["/projects/x", "x/proj/a", "/a/proj", "proj", "/proj.old/a", "-/proj/a"])
def test_what_only_looks_like_a_directory_stays(text: str) -> None:
    assert Names({"/proj": "/there"}).text(text) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8))
def test_a_directory_in_a_line_for_a_shell_is_replaced_whatever_its_name(odd: str) -> None:
    here = "/home/it's " + odd.replace("/", "")
    line = shlex.join(["cat", f"{here}/file one"])
    assert shlex.split(Names({here: "/there"}).text(line)) == ["cat", "/there/file one"]


def test_only_what_is_of_the_run_travels() -> None:
    environ = {
        "PATH": "/bin", "HOME": "/root", "OPENAI_API_KEY": "k", "AWS_SECRET_ACCESS_KEY": "s",
        "SSH_AUTH_SOCK": "x", "ORZE_OVER_SSH": "{}", "CUDA_VISIBLE_DEVICES": "0", "ORZE_SEED": "3",
        "WANDB_NAME": "n", "MINE": "/p/x", "REVIS_PROJECT_DIR": "/p", "PYTHONUNBUFFERED": "1",
        "WANDB_API_KEY": "w",
    }  # fmt: skip
    assert variables(environ, Names({"/p": "/q"}), more=["MINE"], work_dir="/there") == {
        "ORZE_SEED": "3", "WANDB_NAME": "n", "MINE": "/q/x", "REVIS_PROJECT_DIR": "/there",
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
