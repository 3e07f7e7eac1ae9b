"""Checks of a project: settings, scripts and the dry run; and what a doctor does with all of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orze.client import checks_project as checks
from orze.client import trial
from orze.client.checks import Verdict
from orze.client.checks_project import ScriptFacts
from orze.client.doctor import Doctor
from orze.client.trial import Sample, Tried
from orze.config.schema import Report, Settings
from orze.core.errors import ConfigError

OK, WARN, FAIL, SKIP = Verdict.OK, Verdict.WARN, Verdict.FAIL, Verdict.SKIP
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (ScriptFacts("a.py", "3.11"), OK, "Python 3.11 has all"),
        (ScriptFacts("a.py", fault="/py: no such file"), FAIL, "/py: no such file"),
        (ScriptFacts("a.py", "3.11", syntax="line 3: bad"), FAIL, "line 3: bad"),
        (ScriptFacts("a.py", "3.11", missing=("torch",)), FAIL, "lacks torch"),
        (ScriptFacts("a.py", "3.11", later=tuple("abcdefg")), WARN, "a, b, c, d, e and 2 more, which may be"),
    ],
)
def test_a_script_is_judged_by_what_its_interpreter_says(facts, verdict, said):
    check = checks.judge_script(facts)
    assert (check.name, check.verdict) == ("a.py", verdict)
    assert said in check.sentence


def test_the_interpreter_is_asked_without_running_the_script(tmp_path: Path):
    (tmp_path / "beside.py").write_text("")
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys, no_such_package.part, beside\nfrom . import relative\nopen('ran', 'w')\n"
        "def later():\n    import not_there_either\n"
    )
    facts = checks.ask_interpreter(Settings(project_dir=tmp_path), script, os.environ)
    assert (facts.fault, facts.syntax) == ("", "")
    assert (facts.missing, facts.later) == (("no_such_package",), ("not_there_either",))
    assert not (tmp_path / "ran").exists()
    script.write_text("x = (\n")
    assert checks.ask_interpreter(Settings(project_dir=tmp_path), script, os.environ).syntax.startswith(
        "line 1"
    )


def test_an_interpreter_that_is_none_is_told(tmp_path: Path):
    script = tmp_path / "train.py"
    script.write_text("")
    odd = tmp_path / "python"
    odd.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    odd.chmod(0o755)
    facts = checks.ask_interpreter(Settings(project_dir=tmp_path, python=str(odd)), script, os.environ)
    assert facts.fault.endswith("python: broken")
    odd.write_text("#!/bin/sh\necho '[1]'\n")
    assert checks.ask_interpreter(Settings(project_dir=tmp_path, python=str(odd)), script, os.environ).fault


def test_the_script_behind_an_adapter_is_looked_at_too(tmp_path: Path):
    (tmp_path / "train_idea.py").write_bytes((ROOT / "orze/client/adapter.py").read_bytes())
    (tmp_path / "train.py").write_text("")
    (tmp_path / "evaluate.py").write_text("")
    settings = Settings(project_dir=tmp_path, eval_script=Path("evaluate.py"))
    assert [path.name for path in checks.scripts_of(settings)] == ["train_idea.py", "train.py", "evaluate.py"]


def test_files_without_which_nothing_starts_are_missed(tmp_path: Path):
    settings = Settings(project_dir=tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/base.yaml").write_text("a: 1\n")
    with pytest.raises(ConfigError, match="train_script"):
        checks.check_files(settings, os.environ)
    (tmp_path / "train_idea.py").write_text("")
    assert checks.check_files(settings, os.environ).verdict is WARN
    (tmp_path / "ideas.md").write_text("")
    assert checks.check_files(settings, os.environ).verdict is OK


def test_an_executor_that_lacks_its_program_is_told_before_anything_starts(tmp_path: Path):
    here = checks.check_executor(Settings(project_dir=tmp_path), os.environ)
    assert (here.verdict, here.sentence) == (OK, "processes of this host")
    windows = Settings(project_dir=tmp_path, executor={"type": "tmux"})
    with pytest.raises(ConfigError, match="install the package tmux"):
        checks.check_executor(windows, {"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("tried", "primary", "verdict", "said"),
    [
        (Tried(metrics={"loss": 0.5}, seconds=3), None, OK, "idea-007 ended well after 3s and reported loss"),
        (Tried(metrics={"loss": 0.5}), "loss", OK, "reported loss"),
        (Tried(metrics={"loss": 0.5}), "acc", FAIL, "but not the primary metric acc"),
        (Tried(metrics={"model": "mlp"}), None, WARN, "its metrics hold no number"),
        (Tried(metrics={"loss": 1}, error="evaluation failed"), None, WARN, "evaluation failed"),
        (Tried(cause="exception", error="KeyError: 'lr'"), None, FAIL, "KeyError: 'lr'"),
        (Tried(cause="timeout", error="e", seconds=600), None, WARN, "until it was ended after 10m"),
        (Tried(), None, WARN, "no slot of this host is free"),
    ],
)
def test_a_dry_run_is_judged_by_what_came_of_it(tried, primary, verdict, said):
    check = trial.judge_trial(tried, "idea-007", primary)
    assert check.verdict is verdict
    assert said in check.sentence
    assert verdict is OK or check.what_to_do


@pytest.mark.parametrize(
    ("text", "sample"),
    [
        (None, Sample("", 1, {})),
        ("# Ideas\n", Sample("", 1, {})),
        ("## idea-1: bad\n- **GPUs**: x\n\n## idea-2: good\n- **GPUs**: 2\n\n```yaml\na: 1\n```\n",
         Sample("idea-2", 2, {"a": 1})),
    ],
)  # fmt: skip
def test_the_first_idea_that_can_be_accepted_is_tried(tmp_path: Path, text, sample):
    if text is not None:
        (tmp_path / "ideas.md").write_text(text)
    assert trial.first_idea(tmp_path / "ideas.md") == sample


def test_the_dry_run_is_an_attempt_of_the_farm_and_leaves_nothing(tmp_path: Path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/base.yaml").write_text("lr: 0.1\nsteps: 3\n")
    (tmp_path / "train_idea.py").write_bytes((ROOT / "orze/client/example.py").read_bytes())
    settings = Settings(project_dir=tmp_path, gpus="cpu", report=Report(primary_metric="val_loss"))
    before = sorted(tmp_path.iterdir())
    tried = trial.try_idea(settings, Sample("idea-9", 1, {"steps": 2}), os.environ)
    assert tried.metrics is not None, tried
    assert set(tried.metrics) == {"val_loss"}
    failed = trial.try_idea(settings, Sample("idea-9", 1, {"steps": "two"}), os.environ)
    assert failed.cause == "exception"
    assert "TypeError" in failed.error
    assert sorted(tmp_path.iterdir()) == before


def test_a_doctor_goes_on_where_the_settings_are_at_fault(tmp_path: Path):
    (tmp_path / "orze.yaml").write_text("timeout: soon\nlease: {fence: 1}\n")
    found = list(Doctor(None, cwd=tmp_path, environ=os.environ).examine(train=True))
    assert [check.name for check in found if check.verdict is FAIL].count("settings") == 2
    assert {"Python", "driver", "slot locks", "LLM"} <= {check.name for check in found}
    assert "dry run" not in {check.name for check in found}


def test_a_doctor_looks_at_everything_and_changes_nothing(tmp_path: Path):
    (tmp_path / "orze.yaml").write_text("train_script: train.py\n")
    (tmp_path / "train.py").write_text("import nothing_like_it\n")
    before = sorted(tmp_path.rglob("*"))
    found = {c.name: c for c in Doctor(None, cwd=tmp_path, environ=os.environ).examine(train=False)}
    assert found["settings"].sentence == "orze.yaml has no fault"
    assert found["train.py"].sentence.endswith("lacks nothing_like_it")
    assert found["files"].verdict is FAIL
    assert found["leader"].verdict is SKIP
    assert found["operations"].verdict is OK
    assert found.keys() >= {"disk", "inodes", "mount", "latency", "clock skew", "CUDA order"}
    assert sorted(tmp_path.rglob("*")) == before
