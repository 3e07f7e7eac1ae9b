"""`orze init`: what it sees in a directory, and what it writes there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orze.client import setup
from orze.client.script import Flag, Kind, Script, inspect
from orze.client.setup_texts import base_yaml, ideas_md, orze_yaml
from orze.config.load import load_settings
from orze.core.errors import ConfigError
from orze.ideas.parse import parse
from orze.ideas.scan import scan
from orze.ideas.values import load_values

ROOT = Path(__file__).parents[3]
TRAIN = """import argparse, json
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=0.1, help="step size: of the optimizer")
p.add_argument("--data", required=True)
p.add_argument("--save-dir", default="out")
p.add_argument("--seed", type=int, default=make_seed())
p.add_argument("--signs", nargs="*", default=["+", "-x"])
args = p.parse_args()
print(json.dumps({"loss": args.lr}))
"""


def see(home: Path, script: str | None = None) -> setup.Found:
    return setup.look(home, script=script, cards=())


def make(home: Path, script: str | None = None) -> tuple[dict[str, bool], setup.Plan]:
    """Set up a directory; which files were written."""
    plan = setup.plan(see(home, script), {})
    return {file.name: fresh for file, fresh in setup.write(home, plan.files)}, plan


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([], ""),
        (["train.py", "main.py", "train_big.py"], "train.py"),
        (["main.py", "train_big.py"], "train_big.py"),
        (["run.py", "main.py"], "main.py"),
        (["scripts/train.py"], "scripts/train.py"),
        (["model.py"], ""),
    ],
)
def test_the_likeliest_training_script_is_taken(tmp_path: Path, names, chosen):
    (tmp_path / "scripts").mkdir()
    for name in names:
        (tmp_path / name).write_text("")
    assert see(tmp_path).script == chosen


def test_a_script_that_is_named_is_taken_or_missed(tmp_path: Path):
    for name in ("train.py", "model.py"):
        (tmp_path / name).write_text("")
    assert see(tmp_path, "model.py").script == "model.py"
    with pytest.raises(setup.SetupError, match="no such file"):
        see(tmp_path, "other.py")


def test_a_virtual_environment_of_the_project_is_found_unless_it_is_the_one_that_runs(tmp_path, monkeypatch):
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").write_text("")
    assert see(tmp_path).python == ".venv/bin/python"
    assert not see(tmp_path).has_yaml
    (tmp_path / ".venv/lib/python3.12/site-packages/yaml").mkdir(parents=True)
    assert see(tmp_path).has_yaml
    make(tmp_path)
    assert load_settings(None, {}, tmp_path, {}).python == str(tmp_path / ".venv/bin/python")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert see(tmp_path).python == ""


def test_an_argparse_script_gets_an_adapter_and_its_defaults(tmp_path: Path):
    (tmp_path / "train.py").write_text(TRAIN)
    written, plan = make(tmp_path)
    assert written == dict.fromkeys(
        ["orze.yaml", "ideas.md", "configs/base.yaml", "RULES.md", "train_idea.py"], True
    )
    assert inspect((tmp_path / "train_idea.py").read_text()).runs == ("train.py",)
    base = (tmp_path / "configs/base.yaml").read_text()
    assert yaml.safe_load(base) == {"lr": 0.1, "data": None}
    assert "lr: 0.1  # step size: of the optimizer" in base
    assert "#seed:" in base
    assert "#signs:" in base
    assert load_settings(None, {}, tmp_path, {}).train_script == tmp_path / "train_idea.py"
    assert plan.notes == ("train.py requires data: give them values in configs/base.yaml first",)


def test_a_script_that_the_farm_can_call_is_called_as_it_is(tmp_path: Path):
    (tmp_path / "train.py").write_bytes((ROOT / "orze/client/example.py").read_bytes())
    written, _ = make(tmp_path)
    assert "train_idea.py" not in written
    assert load_settings(None, {}, tmp_path, {}).train_script == tmp_path / "train.py"


def test_an_empty_directory_gets_an_example(tmp_path: Path):
    home = tmp_path / "new" / "project"
    written, _ = make(home)
    assert written["train_idea.py"]
    assert (home / "RULES.md").read_bytes() == (ROOT / "RULES.md").read_bytes()


def test_nothing_is_overwritten_and_a_second_time_changes_nothing(tmp_path: Path):
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "train_idea.py").write_text("not for the farm: parse_args, --lr\n")
    (tmp_path / "ideas.md").symlink_to("nowhere")
    written, _ = make(tmp_path, "train.py")
    assert {name for name, fresh in written.items() if not fresh} == {"ideas.md"}
    assert "orze_train.py" in written
    assert (tmp_path / "train_idea.py").read_text().startswith("not for the farm")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again, _ = make(tmp_path)
    assert not any(again.values())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_an_orze_yaml_names_and_lacks_is_completed(tmp_path: Path):
    (tmp_path / "orze.yaml").write_text("ideas_file: sub/i.md\nbase_config: b.yaml\ntrain_script: t.py\n")
    written, plan = make(tmp_path)
    assert written == {"orze.yaml": False, "sub/i.md": True, "b.yaml": True, "RULES.md": True}
    assert "t.py, which is not there" in plan.notes[0]
    (tmp_path / "orze.yaml").write_text("nonsense: 1\n")
    with pytest.raises(ConfigError, match=r"orze\.yaml:1"):
        make(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = (", "could not be read (line 1"),
        ("import argparse\nargparse.ArgumentParser().add_subparsers()", "has subcommands"),
        ("print(1)", "seems to print no JSON"),
    ],
)
def test_what_a_person_should_know_is_told(tmp_path: Path, text, said):
    (tmp_path / "train.py").write_text(text)
    assert any(said in note for note in make(tmp_path)[1].notes)


def test_bytes_that_are_no_text_are_no_crash(tmp_path: Path):
    (tmp_path / "train.py").write_bytes(b"\xff\xfe")
    assert see(tmp_path).fault


@pytest.mark.parametrize("source", [Script(), inspect(TRAIN)])
def test_the_ideas_that_are_written_are_accepted(source):
    for example in (True, False):
        text = ideas_md(source, example=example)
        (section,) = scan(text.encode())
        assert section.problem is None
        body = text.encode()[section.offset : section.offset + section.length].decode()
        assert parse(body, path="ideas.md", line=section.line).id == "idea-001"


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False)
    | st.text(max_size=30)
)


@settings(max_examples=30)
@given(
    st.text(min_size=1, max_size=20).filter(str.isprintable),
    VALUES | st.lists(st.integers(0, 9) | st.text(max_size=9), max_size=4),
)
def test_a_default_reads_back_from_the_base_configuration_as_it_was(name, default):
    flag = Flag(name, "--x", Kind.VALUE, default=default, help="told")
    assume(not flag.is_output)  # where a script writes is no part of a configuration
    source = Script(flags=(flag,))
    assert load_values(base_yaml(source, "train.py"), path="b", line=1) == {name: default}


@pytest.mark.parametrize("name", ["train.py", "it's: a #1 %.py", 'q"uote.py', "no", "1e3"])
def test_the_settings_that_are_written_load(tmp_path: Path, name):
    (tmp_path / "orze.yaml").write_text(orze_yaml(name, ".venv/bin/python"))
    assert load_settings(None, {}, tmp_path, {}).train_script == tmp_path / name


def test_the_rules_in_the_package_are_those_of_the_project():
    shipped = ROOT / "orze/client/RULES.md"
    assert shipped.read_bytes() == (ROOT / "RULES.md").read_bytes()
    assert os.path.samefile(shipped, ROOT / "RULES.md")
