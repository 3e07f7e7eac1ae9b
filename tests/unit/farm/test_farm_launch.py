"""What a keeper is told: command, environment, configuration."""

from __future__ import annotations

import json
import math
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from farm_examples import Played, an_idea, context, section

from orze.attempt import wire
from orze.config.schema import Settings
from orze.core.states import Cause
from orze.farm.base import BadBase
from orze.farm.launch import LLM_KEYS, Launcher, Start
from orze.gpu.slots import Slot
from orze.ideas.model import IdeaError

CARDS = tuple(Slot(str(k), f"GPU-{k}", 0, str(k)) for k in range(3))
CPU = (Slot("cpu0", None, 0, ""),)


def launcher(
    home: Path, environ: dict[str, str] | None = None, *, base: str = "a: 1\n", **settings
) -> Launcher:
    (home / "configs").mkdir(exist_ok=True)
    (home / "configs" / "base.yaml").write_text(base)
    return Launcher(Settings.model_validate({"project_dir": home, **settings}), environ or {"PATH": "/bin"})


def start(slots=CPU, **fields: str) -> Start:
    return Start(an_idea(7, **fields), section(7, **fields), slots, {})


def go(home: Path, slots=CPU, fold=None, **settings):
    made = context(home)
    fold = fold or Played(made, "idea-007", heartbeat=False).fold
    launch = launcher(home, **settings)
    one = start(slots)
    message = launch.go(
        one, fold, frame={"pid": 5}, config=launch.config(one), delay=3.0, facts={"git_commit": "abc"}
    )
    return message, fold


def test_the_training_command_is_that_of_the_contract(tmp_path: Path):
    command = launcher(tmp_path, train_extra_args=("--fast", "{config}x")).train(start())
    assert command == {
        "name": "train",
        "argv": [
            *(sys.executable, str(tmp_path / "train_idea.py"), "--idea-id", "idea-007"),
            *("--results-dir", "{results_dir}", "--ideas-md", "{ideas_md}", "--config", "{config}"),
            *("--fast", "{config}x"),
        ],
        "timeout": 3600.0,
        "output": "",
    }


@pytest.mark.parametrize(("fields", "seconds"), [({}, 100.0), ({"Timeout": "2h"}, 7200.0)])
def test_the_time_limit_is_the_idea_s_or_else_the_farm_s(tmp_path: Path, fields, seconds: float):
    assert launcher(tmp_path, timeout=100).train(start(**fields))["timeout"] == seconds


def test_a_wrapper_takes_the_command_as_words_of_its_own(tmp_path: Path):
    launch = launcher(tmp_path, launch=("numactl", "--cards", "{gpus}", "{command}", "--end"))
    plain = launcher(tmp_path).train(start())["argv"]
    argv = launch.train(start(CARDS[:2]))["argv"]
    assert argv == ["numactl", "--cards", "2", *plain, "--end"]


@pytest.mark.parametrize(
    ("words", "script_alone"),
    [
        (("torchrun", "--nproc-per-node", "{gpus}"), True),
        (("/opt/env/bin/torchrun", "--standalone"), True),
        (("torchrun", "--no-python"), False),
        (("python", "-m", "torch.distributed.run"), True),
        (("accelerate", "launch"), True),
        (("nice",), False),
    ],
)
def test_a_launcher_with_its_own_interpreter_gets_the_script_alone(tmp_path: Path, words, script_alone: bool):
    plain = launcher(tmp_path).train(start())["argv"]
    argv = launcher(tmp_path, launch=(*words, "{command}")).train(start())["argv"]
    assert argv[len(words) :] == (plain[1:] if script_alone else plain)


def test_a_wrapper_takes_the_command_inside_a_quoted_word(tmp_path: Path):
    launch = launcher(
        tmp_path, launch=("bash", "-c", "ulimit -n 9 && exec {command}"), train_extra_args=("a b", "$x")
    )
    argv = launch.train(start())["argv"]
    assert argv[:2] == ["bash", "-c"]
    plain = launcher(tmp_path, train_extra_args=("a b", "$x")).train(start())["argv"]
    assert argv[2].startswith("ulimit -n 9 && exec ")
    assert shlex.split(argv[2])[5:] == plain


def test_a_port_is_one_that_is_free_and_the_same_in_every_word(tmp_path: Path):
    launch = launcher(tmp_path, launch=("run", "--port={port}", "{port}", "{command}"))
    _, first, second, *_ = launch.train(start())["argv"]
    assert first == f"--port={second}"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", int(second)))


def test_the_environment_is_the_daemon_s_less_the_keys_of_llm_providers(tmp_path: Path):
    environ = {
        "PATH": "/bin",
        "WANDB_API_KEY": "kept",
        "HF_TOKEN": "kept",
        **dict.fromkeys(LLM_KEYS, "secret"),
    }
    env = launcher(tmp_path, environ).variables(start(), "1-abc", 0)
    assert "secret" not in env.values()
    assert env["WANDB_API_KEY"] == env["HF_TOKEN"] == "kept"
    assert {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"} <= LLM_KEYS


def test_a_key_that_the_settings_name_is_meant(tmp_path: Path):
    launch = launcher(tmp_path, {"OPENAI_API_KEY": "daemon's"}, train_extra_env={"OPENAI_API_KEY": "meant"})
    assert launch.variables(start(), "1-abc", 0)["OPENAI_API_KEY"] == "meant"


def test_the_variables_of_an_attempt_win_over_those_of_the_daemon(tmp_path: Path):
    names = (
        "CUDA_VISIBLE_DEVICES",
        "CUDA_DEVICE_ORDER",
        "ORZE_IDEA_ID",
        "ORZE_ATTEMPT",
        "ORZE_SEED",
        "REVIS_RUN_ID",
    )
    launch = launcher(tmp_path, {**dict.fromkeys(names, "stale"), "PYTHONUNBUFFERED": ""})
    env = launch.variables(start(CARDS[1:]), "2-abc", 17)
    assert {name: env[name] for name in (*names, "PYTHONUNBUFFERED")} == {
        "CUDA_VISIBLE_DEVICES": "1,2",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "ORZE_IDEA_ID": "idea-007",
        "ORZE_ATTEMPT": "2-abc",
        "ORZE_SEED": "17",
        "REVIS_RUN_ID": "2-abc",
        "PYTHONUNBUFFERED": "1",
    }
    assert launch.variables(start(), "2-abc", 0)["CUDA_VISIBLE_DEVICES"] == ""


def test_the_names_of_a_tracker_are_given_only_where_they_are_not_set(tmp_path: Path):
    env = launcher(tmp_path).variables(start(), "1-abc", 0)
    assert (env["WANDB_NAME"], env["WANDB_RUN_GROUP"], env["WANDB_RUN_ID"]) == (
        "idea-007",
        tmp_path.name,
        "idea-007-1-abc",
    )
    own = launcher(tmp_path, {"WANDB_NAME": "mine"}, train_extra_env={"WANDB_RUN_ID": "theirs"})
    env = own.variables(start(), "1-abc", 0)
    assert (env["WANDB_NAME"], env["WANDB_RUN_ID"]) == ("mine", "theirs")


def test_the_idea_s_configuration_is_merged_onto_the_base(tmp_path: Path):
    base = "model: {type: mlp, channels: [1, 2, 3], depth: 2}\ntraining: {seed: 4, lr: 0.1}\nkeep: null\n"
    text = section(1, yaml="model: {channels: [9], depth: null}\ntraining: {lr: 1.0e-3}\nnew: 2024-05-01")
    merged = launcher(tmp_path, base=base).config(Start(an_idea(1), text, CPU, {}))
    assert list(yaml.safe_load(merged.text).items())[:3] == [
        ("model", {"type": "mlp", "channels": [9], "depth": None}),
        ("training", {"seed": 4, "lr": 0.001}),
        ("keep", None),
    ]
    assert "new: '2024-05-01'" in merged.text  # a date stays the text that was written
    assert merged.seed == 4


@pytest.mark.parametrize(
    ("written", "seed"),
    [
        ("seed: 3", 3),
        ("training: {seed: 5}\nseed: 3", 5),
        ("training: {seed: 1.5}\nseed: 3", 3),
        ("training: {seed: true}", 0),
        ("training: [seed]", 0),
        ("seed: -1", -1),
        ("seed: '7'", 0),
        ("lr: 1", 0),
    ],
)
def test_the_seed_is_the_configuration_s(tmp_path: Path, written: str, seed: int):
    text = section(1, yaml=written)
    assert launcher(tmp_path, base="").config(Start(an_idea(1), text, CPU, {})).seed == seed


def test_what_yaml_can_hold_comes_through_the_merge(tmp_path: Path):
    yaml_text = 'a: .nan\nb: -.inf\nc: "ü 😀 \\t"\nd: "1e-3"\ne: [{f: yes}, ~]\ng: "no"\nh: ""'
    merged = launcher(tmp_path, base="").config(Start(an_idea(1), section(1, yaml=yaml_text), CPU, {}))
    again = yaml.safe_load(merged.text)
    assert math.isnan(again.pop("a"))
    assert again == {
        "b": -math.inf,
        "c": "ü 😀 \t",
        "d": "1e-3",
        "e": [{"f": True}, None],
        "g": "no",
        "h": "",
    }


@pytest.mark.parametrize(
    ("content", "line", "word"),
    [
        (b"a: 1\n- b\n", 2, "YAML"),
        (b"- 1\n- 2\n", 1, "key: value"),
        (b"just text\n", 1, "key: value"),
        (b"a: 1\nb: [1, 2\n", 3, "YAML"),
        (b"a: 1\na: 2\n", 2, "twice"),
        (b"a: !!python/object/apply:os.system [ls]\n", 1, "tag"),
        (b"a: 1\nb: " + b"[" * 30 + b"]" * 30, 2, "deep"),
        (b"a: " + b"[" * 30_000 + b"]" * 30_000, 1, "deep"),
        (b"a: " + b"{x: " * 12_000, 1, "deep"),
        (b"? " * 30_000, 1, "deep"),
        (b"a: \xff\n", 0, "UTF-8"),
        (b"a: 1\x07\n", 1, "YAML"),
        (b"#" * (65 << 10), 0, "64 KiB"),
        (b"\xc3\xa4" * (33 << 10), 0, "64 KiB"),
    ],
)
def test_a_base_configuration_that_is_none_is_told_with_its_line(tmp_path: Path, content: bytes, line, word):
    made = launcher(tmp_path)
    path = tmp_path / "configs" / "base.yaml"
    path.write_bytes(content)
    with pytest.raises(BadBase) as fault:
        made.config(start())
    sentence = str(fault.value)
    assert sentence.startswith(f"{path}:{line}: " if line else f"{path}: "), sentence
    assert word in sentence
    assert "\n" not in sentence
    assert len(sentence) < 300 + len(str(path))


def test_deep_yaml_does_not_end_the_process(tmp_path: Path):
    """The composer of libyaml's binding recurses without a bound; its crash would take this test with it."""
    (tmp_path / "base.yaml").write_text("a: " + "[" * 30_000)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from orze.farm.base import BadBase, BaseConfig\n"
        "try: BaseConfig(sys.argv[2], None, optional=False).read()\n"
        "except BadBase as told: print(told)"
    )
    argv = [sys.executable, "-c", code, str(Path(__file__).parents[3]), str(tmp_path / "base.yaml")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "deep" in done.stdout


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe"])
def test_a_base_configuration_that_is_no_file_is_told(tmp_path: Path, kind: str):
    made = launcher(tmp_path)
    path = tmp_path / "configs" / "base.yaml"
    path.unlink()
    if kind == "directory":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(BadBase, match=r"base\.yaml: (No such file|must be a file)"):
        made.config(start())


def test_the_base_is_read_again_when_it_changes_and_not_before(tmp_path: Path):
    made = launcher(tmp_path)
    path = tmp_path / "configs" / "base.yaml"
    assert yaml.safe_load(made.config(start()).text) == {"a": 1, "number": 7}
    before = path.stat()
    path.write_text("a: 2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert yaml.safe_load(made.config(start()).text)["a"] == 1
    path.write_text("a: 33\n")
    assert yaml.safe_load(made.config(start()).text)["a"] == 33


def test_a_fault_in_the_idea_s_own_yaml_is_told_with_its_line(tmp_path: Path):
    made = launcher(tmp_path)
    one = Start(an_idea(7), section(7, yaml="a: 1\nb: [1"), CPU, {})
    with pytest.raises(IdeaError, match=r"^ideas\.md:\d+: "):
        made.config(one)


def test_the_message_of_an_attempt_carries_every_setting(tmp_path: Path):
    message, fold = go(
        tmp_path,
        CARDS[:2],
        pre_script="pre.py",
        pre_args=("{idea_id}", "{gpu}", "{results_dir}"),
        pre_timeout=11,
        eval_script="ev.py",
        eval_args=("--id={idea_id}",),
        eval_timeout=12,
        eval_output="eval_report.json",
        post_scripts=(
            {"name": "p", "script": "post.py", "args": ("{gpu}",), "timeout": 13, "output": "o.json"},
        ),
        stall_minutes=0.5,
        grace=9,
        max_idea_failures=4,
        retry={"timeout": 2},
        doors=False,
        report={"primary_metric": "auc"},
    )
    python = sys.executable
    attempt = f"1-{fold.token}"
    assert message["pre"] == {
        "name": "pre",
        "argv": [python, str(tmp_path / "pre.py"), "idea-007", "0,1", "{results_dir}"],
        "timeout": 11.0,
        "output": "",
    }
    assert message["evaluation"] == {
        "name": "eval",
        "argv": [python, str(tmp_path / "ev.py"), "--id=idea-007"],
        "timeout": 12.0,
        "output": "eval_report.json",
    }
    posts = [
        {"name": "p", "argv": [python, str(tmp_path / "post.py"), "0,1"], "timeout": 13.0, "output": "o.json"}
    ]
    assert message["posts"] == posts
    expected = {
        "attempt": 1,
        "frame": {"pid": 5},
        "gpu": "0,1",
        "doors": False,
        "delay": 3.0,
        "base": "a: 1\n",
        "cwd": str(tmp_path),
        "stall": 30.0,
        "grace": 9.0,
        "lease": {"heartbeat": 10.0, "fence": 60.0, "kill": 15.0},
        "primary": "auc",
        "retry": {str(Cause.TIMEOUT): 2},
        "max_failures": 4,
        "trained": None,
        "resume_above": 0,
        "links": {},
    }
    assert {key: message[key] for key in expected} == expected
    assert message["environment"] == {"git_commit": "abc", "gpu": "0,1"}
    assert message["env"]["ORZE_ATTEMPT"] == attempt
    assert yaml.safe_load(message["config"]) == {"a": 1, "number": 7}


def test_an_attempt_behind_one_that_trained_is_told_where(tmp_path: Path):
    played = Played(context(tmp_path), "idea-007", heartbeat=False)
    played.append("TRAINED", metrics={"val_loss": 0.25}, seconds=8.0)
    played.append("LOST")
    second = Played(context(tmp_path), "idea-007", heartbeat=False)
    message, _ = go(tmp_path, fold=second.fold)
    assert message["attempt"] == 2
    assert message["trained"] == {"directory": played.name, "metrics": {"val_loss": 0.25}, "seconds": 8.0}


def test_the_largest_message_passes_the_wire(tmp_path: Path):
    """A section of a mebibyte and a base of the largest size, in characters that JSON spells at length."""
    message, _ = go(tmp_path, base="#" + "ä" * (31 << 10) + "\na: 1\n")
    message = {**message, "section": "\x01" * (1 << 20), "environment": {"x": "ä" * (1 << 19)}}
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        wire.send(theirs, {"go": message})
        os._exit(0)
    os.close(theirs)
    assert wire.receive(ours) == {"go": json.loads(json.dumps(message))}
    os.close(ours)
    assert os.waitpid(child, 0)[1] == 0
