"""The executor `ssh`: what it makes of the message for a keeper, and what it looks for before it starts."""

from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from orze.attempt.executors.over_spec import VARIABLE
from orze.attempt.executors.ssh import Ssh
from orze.config.executor import Executor
from orze.core.errors import ConfigError

COMMAND = {"name": "x", "argv": ["python", "{results_dir}"], "timeout": 10.0, "output": "", "as_it_is": True}
GO: dict[str, Any] = {
    "gpu": "0,1", "doors": True, "section": "s", "config": "c", "base": "b", "environment": {}, "cwd": "/p",
    "env": {"ORZE_IDEA_ID": "idea-001", "ORZE_ATTEMPT": "1-aa", "ORZE_SEED": "0"}, "train": {**COMMAND},
    "pre": {**COMMAND}, "evaluation": {**COMMAND}, "posts": [{**COMMAND}, {**COMMAND}], "trained": None,
    "grace": 5.0, "stall": 0.0, "checkout": None, "protected": ["a.py", "/etc/x"],
}  # fmt: skip


def executor(**more: Any) -> Ssh:
    settings = Executor(type="ssh", host="gpu", work_dir="/home/me/p", **more)
    return Ssh(settings, project_dir=Path("/p"), environ=os.environ, names={"MINE"}, python=["/py"])


def spec_of(go: dict[str, Any], ssh: Ssh | None = None) -> dict[str, Any]:
    adapted = (ssh or executor()).adapt(go)  # type: ignore[arg-type]  # the keys that it reads
    spec: dict[str, Any] = json.loads(adapted["env"][VARIABLE])
    return spec


def test_every_command_is_run_by_the_process_that_stands_for_it() -> None:
    go = executor().adapt(GO)  # type: ignore[arg-type]
    commands = [go["pre"], go["train"], go["evaluation"], *go["posts"]]
    names = [command["argv"][4] for command in commands if command]
    assert names == ["pre", "train", "eval", "post-1", "post-2"]
    assert go["train"]["argv"][:3] == [sys.executable, "-I", "-S"]
    assert go["train"]["argv"][5:] == ["--", "python", "{results_dir}"]
    assert go["train"]["as_it_is"]
    assert go["elsewhere"]
    assert go["train"]["timeout"] > GO["train"]["timeout"]
    assert go["grace"] > GO["grace"]


def test_limits_of_the_settings_hold_there_and_only_the_last_command_ends_the_run() -> None:
    spec = spec_of(GO)
    assert {name: one["limit"] for name, one in spec["commands"].items()} == dict.fromkeys(
        ["pre", "train", "eval", "post-1", "post-2"], 10.0
    )
    assert [name for name, one in spec["commands"].items() if one["last"]] == ["post-2"]
    assert [name for name, one in spec["commands"].items() if not one["fetch"]] == ["pre"]
    assert (spec["cards"], spec["grace"], spec["protected"], spec["names"]) == (2, 5.0, ["a.py"], ["MINE"])
    alone = spec_of({**GO, "pre": None, "evaluation": None, "posts": []})
    assert alone["commands"] == {"train": {"limit": 10.0, "fetch": True, "last": True}}


def test_the_next_attempt_of_the_same_thing_has_the_same_digest() -> None:
    again = copy.deepcopy(GO)
    again["env"]["ORZE_ATTEMPT"] = "2-bb"
    again["gpu"] = "3,4"
    assert spec_of(again)["digest"] == spec_of(GO)["digest"]


@pytest.mark.parametrize(
    "change",
    [
        {"config": "d"}, {"section": "t"}, {"base": "e"}, {"cwd": "/q"},
        {"environment": {"git_commit": "abc"}}, {"checkout": {"commit": "abc"}}, {"posts": []},
        {"train": {**COMMAND, "argv": ["other"]}}, {"env": {**GO["env"], "ORZE_SEED": "1"}},
        {"trained": {"directory": "1-aa"}},
    ],
)  # fmt: skip
def test_anything_else_that_runs_has_another_digest(change: dict[str, Any]) -> None:
    assert spec_of({**GO, **change})["digest"] != spec_of(GO)["digest"]


def test_another_machine_has_another_digest() -> None:
    other = Executor(type="ssh", host="gpu2", work_dir="/home/me/p")
    assert spec_of(GO, Ssh(other, project_dir=Path("/p"), environ={}))["digest"] != spec_of(GO)["digest"]


def test_it_says_what_it_lacks_before_anything_starts(tmp_path: Path) -> None:
    settings = Executor(type="ssh", host="gpu", work_dir="/home/me/p", key_path=tmp_path / "key")
    with pytest.raises(ConfigError) as found:
        Ssh(settings, project_dir=Path("/p"), environ={"PATH": str(tmp_path)}).check()
    assert str(found.value).count("install it on this host") == 2
    assert f"executor.key_path: there is no file {tmp_path}/key" in str(found.value)
    (tmp_path / "key").touch()
    Ssh(settings, project_dir=Path("/p"), environ=os.environ).check()


def test_it_says_for_people_where_attempts_run() -> None:
    assert executor(user="me").words == "me@gpu by ssh, in /home/me/p"
