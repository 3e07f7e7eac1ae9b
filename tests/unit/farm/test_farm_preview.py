"""What --dry-run tells: what really would be started, with no secret in it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from farm_examples import Played, a_leader, lead, section, write_ideas

from orze.farm.assembly import Assembly
from orze.farm.preview import HIDDEN, plan, preview, preview_json

ENVIRON = {"PATH": os.defpath, "OPENAI_API_KEY": "sk-1", "WANDB_NAME": "mine", "HF_TOKEN": "t"}


def farm(home: Path, *sections: str, **settings: Any) -> Assembly:
    members = a_leader(home, **settings)
    members.launcher.__init__(members.context.settings, ENVIRON)
    write_ideas(members.context, *sections)
    lead(members)
    members.context.clock.sleep(1.1)
    lead(members)
    return members


def test_slots_are_given_as_the_daemon_gives_them_in_rounds(tmp_path: Path):
    cards = [section(1, GPUs="2"), section(2), section(3, GPUs="2"), section(4)]
    found = list(plan(farm(tmp_path, *cards, gpus="cpu:3"), ENVIRON))
    told = [(planned.idea_id, planned.round, planned.slots) for planned in found]
    assert told == [
        ("idea-001", 1, "cpu0,cpu1"),
        ("idea-002", 1, "cpu2"),
        ("idea-003", 2, "cpu0,cpu1"),
        ("idea-004", 2, "cpu2"),
    ]


def test_all_that_the_farm_sets_is_told_and_what_it_leaves_alone_is_not(tmp_path: Path):
    members = farm(tmp_path, section(1, yaml="seed: 7"), train_extra_env={"A": "1"})
    (planned,) = plan(members, ENVIRON)
    given = dict(planned.set or {})
    assert {
        "CUDA_VISIBLE_DEVICES",
        "CUDA_DEVICE_ORDER",
        "ORZE_IDEA_CONFIG",
        "ORZE_RESUME_FROM",
    } <= given.keys()
    assert (given["A"], given["ORZE_SEED"], given["ORZE_ATTEMPT"]) == ("1", "7", "1-TOKEN")
    assert not {"PATH", "WANDB_NAME", "HF_TOKEN"} & given.keys()
    assert planned.unset == ("OPENAI_API_KEY",)


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("MY_API_KEY", "abc", True),
        ("hf_token", "abc", True),
        ("DB_PASSWORD", "abc", True),
        ("AWS_SECRET_ACCESS", "abc", True),
        ("PROXY", "http://me:pass@host/", True),
        ("PROXY", "http://host/", False),
        ("TOKENIZERS_PARALLELISM", "false", False),
        ("EPOCHS", "3", False),
    ],
)
def test_secrets_are_hidden(tmp_path: Path, name: str, value: str, hidden: bool):
    members = farm(tmp_path, section(1), train_extra_env={name: value})
    (planned,) = plan(members, ENVIRON)
    assert (planned.set or {})[name] == (HIDDEN if hidden else value)
    text = "\n".join(preview(members, ENVIRON)) + preview_json(members, ENVIRON)
    assert ("abc" in text or "pass@" in text) is False
    assert "sk-1" not in text


def test_every_command_is_told_in_its_order_with_its_places_filled_in(tmp_path: Path):
    members = farm(
        tmp_path,
        section(1),
        launch=("nice", "{command}"),
        pre_script="pre.py",
        eval_script="ev.py",
        eval_args=("{idea_id}", "{gpu}", "{results_dir}"),
        eval_output="eval.json",
        post_scripts=({"name": "plot", "script": "post.py"},),
    )
    (planned,) = plan(members, ENVIRON)
    assert [step.name for step in planned.steps] == ["pre", "train", "eval", "plot"]
    train, evaluation = planned.steps[1], planned.steps[2]
    assert train.argv[0] == "nice"
    assert train.argv[train.argv.index("--results-dir") + 1] == planned.results_dir
    assert evaluation.argv[2:] == ("idea-001", "cpu0", planned.results_dir)
    assert evaluation.output == "eval.json"
    assert planned.directory == members.context.paths.idea("idea-001").attempt(1, "TOKEN")


def test_an_idea_that_has_trained_is_only_evaluated_and_one_that_failed_goes_on(tmp_path: Path):
    members = farm(tmp_path, section(1), section(2), eval_script="ev.py")
    trained = Played(members.context, "idea-001", heartbeat=False)
    trained.append("TRAINED")
    trained.append("LOST")
    failed = Played(members.context, "idea-002", heartbeat=False)
    Path(failed.directory, "checkpoints").mkdir()
    Path(failed.directory, "checkpoints", "last").touch()
    failed.append("FAIL", final=False)
    first, second = plan(members, ENVIRON)
    assert ([step.name for step in first.steps], first.attempt) == (["eval"], 2)
    assert (second.set or {})["ORZE_RESUME_FROM"] == f"{failed.directory}/checkpoints"


def test_text_of_others_moves_no_terminal(tmp_path: Path):
    lines = list(preview(farm(tmp_path, section(1, title="a\x1b[2Jb")), ENVIRON))
    assert lines[0] == "idea-001: a␛[2Jb"


def test_what_cannot_be_started_is_told_and_the_others_as_well(tmp_path: Path):
    members = farm(tmp_path, section(1), section(2))
    chain = Path(members.context.paths.idea("idea-001").chain)
    chain.mkdir(parents=True)
    (chain / "000002.json").write_text("{}")
    first, second = json.loads(preview_json(members, ENVIRON))
    assert "000001.json is missing" in first["problem"]
    assert (second["problem"], second["steps"][0]["name"]) == ("", "train")


def test_nothing_is_made(tmp_path: Path):
    members = farm(tmp_path, section(1))
    list(preview(members, ENVIRON))
    assert not Path(members.context.paths.idea("idea-001").home).exists()
