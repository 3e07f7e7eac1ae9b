"""What --dry-run tells is held against what a real attempt then was given."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from farmhouse import idea

from orze.cli.modes import _context, _settings
from orze.farm.daemon import Daemon
from orze.farm.preview import TOKEN, plan, preview

RECORD = """
import json, os, sys
role = sys.argv[1] if sys.argv[1] in ("pre", "eval", "post") else "train"
told = {"argv": [sys.executable, *sys.argv], "env": dict(os.environ), "cwd": os.getcwd()}
open(f"given-{os.environ['ORZE_IDEA_ID']}-{role}.json", "w").write(json.dumps(told))
if role == "train":
    out = os.environ["REVIS_OUTPUT_DIR"]
    open(f"{out}/metrics.json", "w").write('{"status": "COMPLETED", "val_loss": 1}')
"""
SCRIPTS = {
    "pre_script": "train_idea.py",
    "pre_args": ["pre", "{results_dir}"],
    "eval_script": "train_idea.py",
    "eval_args": ["eval", "{idea_id}", "{gpu}"],
    "post_scripts": [{"name": "post", "script": "train_idea.py", "args": ["post"]}],
}


def test_argv_environment_and_directory_are_those_that_the_attempt_then_gets(make_farm, monkeypatch):
    farm = make_farm(
        **SCRIPTS, launch=["env", "WRAPPED={gpus}", "{command}"], train_extra_args="--fast 'a b'",
        train_extra_env={"EXTRA": "1", "MY_TOKEN": "secret"},
    )  # fmt: skip
    (farm.home / "train_idea.py").write_text(RECORD)
    farm.write(idea(1, config="seed: 5"), idea(2, Parent="idea-001"))
    environ = {**farm.environ(None, {}), "OPENAI_API_KEY": "sk", "CUDA_VISIBLE_DEVICES": "7"}
    monkeypatch.chdir(farm.home)
    daemon = Daemon(_context(_settings(None, {"gpus": "cpu:2"})), environ)
    daemon.read(whole=True)
    lines = "\n".join(preview(daemon.members, environ))
    planned = list(plan(daemon.members, environ))
    daemon.members.events.close()
    farm.run("--once", gpus="cpu:2", OPENAI_API_KEY="sk", CUDA_VISIBLE_DEVICES="7")

    assert "secret" not in lines
    assert [one.idea_id for one in planned] == ["idea-001", "idea-002"]
    for one in planned:
        token = farm.records(one.idea_id)[0]["token"]
        assert one.slots == farm.records(one.idea_id)[0]["gpu"]
        for step in one.steps:
            given = json.loads((farm.home / f"given-{one.idea_id}-{step.name}.json").read_text())
            wrapper = ["env", "WRAPPED=1"] if step.name == "train" else []
            assert [*wrapper, *given["argv"]] == [word.replace(TOKEN, token) for word in step.argv]
            assert given["cwd"] == one.cwd
            told = {name: value.replace(TOKEN, token) for name, value in (one.set or {}).items()}
            told["MY_TOKEN"] = "secret"
            expected = {**environ, **told, **dict(item.split("=") for item in wrapper[1:])}
            for name in one.unset:
                del expected[name]
            assert without_shell(given["env"]) == without_shell(expected)
        assert Path(one.directory.replace(TOKEN, token)).is_dir()


def without_shell(env: dict[str, str]) -> dict[str, str]:
    """Less what an interpreter sets for itself (PEP 538)."""
    return {
        name: value for name, value in env.items() if name not in ("LC_CTYPE", "_", "PWD", "OLDPWD", "SHLVL")
    }


def test_a_later_attempt_is_told_with_its_number_and_checkpoints(make_farm):
    farm = make_farm(retry={"script": 1})
    farm.write(idea(1, "save('x')\nmetrics('FAILED', error='no')"))
    farm.run("--once", status=1)
    said = farm.run("--dry-run")
    checkpoints = next((farm.results / "idea-001" / "attempts").glob("1-*/checkpoints"))
    assert f"ORZE_RESUME_FROM={shlex.quote(str(checkpoints))}" in said
    assert "ORZE_ATTEMPT=2-TOKEN" in said
