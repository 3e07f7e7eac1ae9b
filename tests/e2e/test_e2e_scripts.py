"""What runs around a training: pre_script, evaluation, post scripts, wrapper, arguments, environment."""

from __future__ import annotations

import json
import os
import signal

from farmhouse import SHORT_LEASE, idea

EVALUATED = {
    "eval_script": "train_idea.py",
    "eval_args": ["evaluate", "{idea_id}", "{gpu}", "{results_dir}"],
    "eval_output": "eval_report.json",
}
POSTS = [
    {"name": name, "script": "train_idea.py", "args": [name], "output": "summary.txt", "timeout": 1}
    for name in ("first", "second")
]


def test_evaluation_and_post_scripts_run_on_the_card_of_the_training_and_their_faults_are_shown(make_farm):
    column = {"key": "auc", "label": "AUC", "fmt": ".2%", "source": "eval_report.json:metrics.auc"}
    farm = make_farm(**EVALUATED, eval_timeout=1, post_scripts=POSTS, grace=0.1, report={"columns": [column]})
    evaluate = "write('eval_report.json', json.dumps({'metrics': {'auc': 0.875}}))"
    post = "write('summary.txt', os.environ['ORZE_ATTEMPT'])"
    farm.write(
        idea(1, evaluate=evaluate, first=post, second=post),
        idea(2, evaluate="raise RuntimeError('no labels')", first=post, second=post),
        idea(3, evaluate="pass", first="pass", second="rest()"),
        idea(4, evaluate="rest()", first=post, second="os._exit(7)"),
        idea(5, "metrics('FAILED', error='no')", evaluate=evaluate),
    )
    farm.start()
    farm.wait_states(EVALUATED=1, COMPLETED=3, FAILED=1)
    roles = [(event["role"], event["what"]) for event in farm.events(idea_id="idea-001")]
    assert roles == [(r, what) for r in ("train", "evaluate", "first", "second") for what in ("start", "end")]
    assert len({event["slot"] for event in farm.events(idea_id="idea-001")}) == 1
    started = farm.events("start", "idea-001", "evaluate")[0]
    assert started["argv"] == ["evaluate", "idea-001", "cpu0", started["argv"][3]]
    assert started["argv"][3].startswith(f"{farm.results}/.orze/doors/")
    assert farm.kinds("idea-001") == ["CLAIM", "TRAINED", "DONE"]
    assert farm.kinds("idea-005") == ["CLAIM", "FAIL"]
    assert not farm.events("start", "idea-005", "evaluate")
    errors = {row["idea_id"]: row["error"] for row in farm.status()["top_results"]}
    assert errors["idea-001"] is None
    assert "no labels" in errors["idea-002"]
    assert "did not write eval_report.json" in errors["idea-003"]
    assert "first: it ended well but did not write summary.txt" in errors["idea-003"]
    assert "second: ran longer than its time limit of 1 s" in errors["idea-003"]
    assert "time limit of 1 s" in errors["idea-004"]
    assert "second: exit code 7" in errors["idea-004"]
    report = farm.report()
    assert "no labels" in report
    assert "87.50%" in report
    top = farm.results / "idea-001"
    assert json.loads((top / "eval_report.json").read_text())["metrics"]["auc"] == 0.875
    assert (top / "summary.txt").read_text() == started["attempt"]
    assert "no labels" in (farm.results / "idea-002" / "eval_output.log").read_text()
    assert "no labels" not in (farm.results / "idea-002" / "train_output.log").read_text()


def test_an_evaluation_that_is_killed_is_made_up_for_without_training_again(make_farm):
    farm = make_farm(**EVALUATED, poll=1)
    evaluate = "touch('evaluating')\nwait('go')\nwrite('eval_report.json', json.dumps({'by': attempt}))"
    farm.write(idea(1, evaluate=evaluate))
    daemon = farm.start()
    farm.wait(lambda: farm.flagged("evaluating"), "the evaluation")
    farm.wait_states(EVALUATING=1)
    daemon.kill()
    for pid in farm.keepers():
        os.kill(pid, signal.SIGKILL)
    farm.start()
    farm.wait_for(idea_001="CLAIM TRAINED LOST CLAIM")
    farm.flag("go")
    farm.wait_states(EVALUATED=1)
    assert len(farm.starts()) == 1
    first, second = farm.events("start", role="evaluate")
    assert first["attempt"] != second["attempt"]
    assert farm.last("idea-001")["directory"] == first["attempt"]
    assert farm.last("idea-001")["metrics"]["by"] == first["attempt"]
    report = (farm.results / "idea-001" / "eval_report.json").read_text()
    assert json.loads(report) == {"by": second["attempt"]}


def test_pre_script_runs_before_each_training_and_its_failure_is_a_cause_of_its_own(make_farm):
    farm = make_farm(
        pre_script="train_idea.py", pre_args=["pre", "{idea_id}", "{results_dir}"], pre_timeout=1, grace=0.1
    )
    farm.write(
        idea(1, "metrics(found=open(f'{out}/data').read())", pre="write('data', 'prepared')"),
        idea(2, pre="raise RuntimeError('no space for the data')"),
        idea(3, pre="rest()"),
    )
    farm.start()
    farm.wait_states(COMPLETED=1, FAILED=2)
    assert farm.last("idea-001")["metrics"]["found"] == "prepared"
    assert farm.last("idea-002")["cause"] == farm.last("idea-003")["cause"] == "pre_script"
    assert "no space for the data" in farm.last("idea-002")["error"]
    assert "time limit of 1 s" in farm.last("idea-003")["error"]
    assert [event["idea"] for event in farm.starts()] == ["idea-001"]


def test_a_training_gets_its_command_snapshots_and_environment_as_the_contract_says(make_farm):
    farm = make_farm(
        launch=["env", "WRAPPED={gpus}:{port}", "{command}"],
        train_extra_args=["--extra", "1.10", "a b"],
        train_extra_env={"EXTRA": "${HOME_OF_DATA}/x"},
    )
    script = """
argv = dict(zip(sys.argv[1::2], sys.argv[2::2]))
metrics(
    env=dict(env),
    section=open(argv["--ideas-md"]).read(),
    base=open(argv["--config"]).read(),
    merged=open(env["ORZE_IDEA_CONFIG"]).read(),
    door=argv["--results-dir"],
)
"""
    (farm.home / "configs" / "base.yaml").write_text("model: {depth: 2, width: 3}\nlist: [1, 2]\n")
    farm.write(idea(1, script, config="model: {width: 4}\nlist: [3]\ntraining: {seed: 7}"))
    secrets = {"OPENAI_API_KEY": "s", "ANTHROPIC_API_KEY": "s", "WANDB_API_KEY": "kept", "MINE": "kept"}
    farm.start(HOME_OF_DATA="/data", WANDB_NAME="given", **secrets)
    farm.wait_states(COMPLETED=1)
    told = farm.last("idea-001")["metrics"]
    start = farm.starts()[0]
    got = told["env"]
    assert start["argv"][:2] == ["--idea-id", "idea-001"]
    assert start["argv"][-3:] == ["--extra", "1.10", "a b"]
    assert start["cwd"] == str(farm.home)
    assert got["WRAPPED"].startswith("1:")
    assert got["WRAPPED"][2:].isdigit()
    assert got["EXTRA"] == "/data/x"
    assert not {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"} & got.keys()
    assert got["WANDB_API_KEY"] == got["MINE"] == "kept"
    assert got["WANDB_NAME"] == "given"
    assert got["WANDB_RUN_ID"] == f"idea-001-{start['attempt']}"
    assert got["WANDB_RUN_GROUP"] == farm.home.name
    assert (got["CUDA_VISIBLE_DEVICES"], got["CUDA_DEVICE_ORDER"]) == ("", "PCI_BUS_ID")
    assert (got["PYTHONUNBUFFERED"], got["ORZE_SEED"], got["ORZE_IDEA_ID"]) == ("1", "7", "idea-001")
    assert got["ORZE_RESUME_FROM"] == ""
    assert got["REVIS_OUTPUT_DIR"] == f"{told['door']}/idea-001"
    assert got["REVIS_RUN_ID"] == got["ORZE_ATTEMPT"] == start["attempt"]
    assert told["section"].startswith("## idea-001: Number 1\n")
    assert told["base"] == "model: {depth: 2, width: 3}\nlist: [1, 2]\n"
    assert "depth: 2\n  width: 4\nlist:\n- 3\n" in told["merged"]
    top = farm.results / "idea-001"
    assert (top / "idea.yaml").read_text() == told["merged"]
    assert json.loads((top / "claim.json").read_text())["gpu"] == "cpu0"
    facts = json.loads((top / "environment.json").read_text())
    assert {"git_commit", "git_dirty", "python", "packages_sha256", "driver", "argv"} <= facts.keys()
    assert os.readlink(top / "latest") == f"attempts/{start['attempt']}"


def test_with_doors_false_a_script_may_ignore_results_dir_and_the_farm_is_marked_as_unfenced(make_farm):
    farm = make_farm(doors=False, retry={"exit_code": 1})
    script = """
assert out == os.path.abspath(f'results/{idea}'), out
if attempt.startswith('1-'): open(f'results/{idea}/metrics.json', 'w').write('{}'); os._exit(3)
progress(step=1, loss=0.5)
open(f'results/{idea}/metrics.json', 'w').write(json.dumps({'status': 'COMPLETED', 'val_loss': 0.25}))
"""
    farm.write(idea(1, script))
    farm.start()
    farm.wait_states(COMPLETED=1)
    assert farm.kinds("idea-001") == ["CLAIM", "FAIL", "CLAIM", "DONE"]
    assert farm.status()["unfenced"] is True
    assert farm.status()["top_results"][0]["value"] == 0.25
    top = json.loads((farm.results / "idea-001" / "metrics.json").read_text())
    assert top == {"status": "COMPLETED", "val_loss": 0.25}
    assert "doors: false" in farm.report()


def test_a_command_that_cannot_be_started_is_a_cause_of_its_own(make_farm):
    farm = make_farm(launch=["no-such-launcher", "{command}"])
    farm.write(idea(1))
    farm.start()
    farm.wait_states(FAILED=1)
    assert (farm.last("idea-001")["cause"], farm.last("idea-001")["final"]) == ("start", True)
    assert "no-such-launcher: No such file or directory" in farm.last("idea-001")["error"]


def test_a_stall_is_measured_between_looks_so_that_a_busy_script_outlives_a_short_limit(make_farm):
    farm = make_farm(stall_minutes=0.2 / 60, lease=SHORT_LEASE, grace=0.1)
    busy = "for step in range(15): progress(step=step); pause(0.1)\nmetrics()"
    farm.write(idea(1, busy), idea(2, "rest()"))
    farm.start(gpus="cpu:2")
    farm.wait_states(COMPLETED=1, FAILED=1)
    assert farm.last("idea-002")["cause"] == "stall"
