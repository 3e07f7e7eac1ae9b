"""`--once` and the modes that run nothing: what they do, what they print, how they exit."""

from __future__ import annotations

import json
import subprocess
import sys

from farmhouse import FARM, idea


def test_once_runs_one_idea_on_each_slot_and_ends_with_0(farm):
    farm.write(idea(1), idea(2), last=idea(3))
    said = farm.run("--once", gpus="cpu:2")
    assert farm.kinds("idea-001") == farm.kinds("idea-002") == ["CLAIM", "DONE"]
    assert not (farm.results / "idea-003").exists()
    assert "2 ended well, 0 failed" in said
    assert farm.states() == {"QUEUED": 1, "COMPLETED": 2}
    assert "idea-001" in farm.report()
    assert b"<svg" in (farm.results / "progress.svg").read_bytes()
    assert "time limit of a training: 3600 s (the default" in said


def test_once_ends_with_1_where_an_attempt_failed_even_if_it_is_to_be_retried(make_farm):
    farm = make_farm(retry={"exception": 1})
    farm.write(idea(1, "raise ValueError"))
    assert "0 ended well, 1 failed" in farm.run("--once", status=1)
    assert farm.states() == {"QUEUED": 1}


def test_once_adopts_what_runs_and_leaves_its_slot_alone(farm):
    farm.write(idea(1, "wait('go')\nmetrics()"), idea(2))
    daemon = farm.start()
    farm.wait(farm.starts, "the start")
    daemon.kill()
    assert "0 ended well" in farm.run("--once")
    assert farm.kinds("idea-001") == ["CLAIM"]
    assert not farm.starts("idea-002")


def test_wrong_settings_are_told_all_at_once_with_their_lines_and_end_with_2(farm):
    (farm.home / "orze.yaml").write_text(
        "timeout: soon\ntrain_skript: x.py\nlease: {fence: 5}\nretry: {cuda_ooom: 1}\n"
    )
    said = farm.run("--once", status=2).splitlines()
    assert [line.split(": ")[1] for line in said] == [f"orze.yaml:{line}" for line in (1, 2, 3, 4)]
    assert "timeout must be" in said[0]
    assert "did you mean 'train_script'?" in said[1]
    assert "3 × heartbeat ≤ fence" in said[2]
    assert "'cuda_oom'" in said[3]


def test_wrong_usage_ends_with_2_and_one_sentence(farm):
    assert "no such file" in farm.run("-c", "other.yaml", status=2)
    assert "--gpus" in farm.run(gpus="tpu", status=2)
    assert "not allowed with argument" in farm.run("--once", "--dry-run", status=2)


def test_what_no_idea_can_start_without_is_told_at_the_start_and_pauses_launches_later(farm):
    base = farm.home / "configs" / "base.yaml"
    farm.write(idea(1, "wait('go')\nmetrics()"), idea(2))
    assert "train_script: there is no file" in farm.run("--once", "--train-script", "no.py", status=2)
    assert "base.yaml: No such file" in farm.run("--once", "--base-config", "no/base.yaml", status=2)
    base.write_text("- a list\n")
    assert "base.yaml" in farm.run("--once", status=2)
    assert not farm.starts()
    base.write_text("a: mapping\n")
    farm.start()
    farm.wait(farm.starts, "the start")
    base.write_text("half: [\n")
    farm.flag("go")
    farm.wait(lambda: "launches pause: " in farm.problems() and "base.yaml" in farm.problems(), "the pause")
    assert len(farm.starts()) == 1
    base.write_text("a: mapping\n")
    farm.append("\n")
    farm.wait_states(COMPLETED=2)
    assert farm.problems() == ""


def test_flags_override_the_settings_and_their_paths_are_relative_to_the_working_directory(farm):
    farm.configure(train_script="no.py", ideas_file="no.md", base_config="no.yaml", results_dir="no")
    project = farm.home / "settings"
    project.mkdir()
    (farm.home / "orze.yaml").rename(project / "farm.yaml")
    (project / "flags").symlink_to(farm.home / "flags")
    (project / "locks").symlink_to(farm.home / "locks")
    farm.write(idea(1, "metrics(cwd=os.getcwd())"))
    said = farm.run(
        *("--once", "-c", "settings/farm.yaml", "--train-script", "train_idea.py", "--ideas-md", "ideas.md"),
        *("--base-config", "configs/base.yaml", "--results-dir", "results", "--timeout", "77", "--poll", "5"),
    )
    assert "time limit of a training: 77 s\n" in said
    assert farm.last("idea-001")["metrics"]["cwd"] == str(project)


def test_paths_in_the_settings_are_relative_to_them_and_python_names_the_interpreter(farm):
    farm.configure(
        train_script="code/experiment.py", ideas_file="code/todo.md", base_config="code/start.yaml",
        results_dir="out", python="bin/python", report={"primary_metric": "error_rate", "sort": "descending"},
    )  # fmt: skip
    for name in ("code", "bin"):
        (farm.home / name).mkdir()
    (farm.home / "train_idea.py").rename(farm.home / "code" / "experiment.py")
    (farm.home / "code" / "start.yaml").write_text("start: here\n")
    interpreter = farm.home / "bin" / "python"
    interpreter.write_text(f'#!/bin/sh\nBY=wrapper exec {sys.executable} "$@"\n')
    interpreter.chmod(0o755)
    script = "metrics(by_python=env['BY'], base=open(env['ORZE_IDEA_CONFIG']).read(), error_rate={})"
    farm.ideas = farm.home / "code" / "todo.md"
    farm.results = farm.home / "out"
    farm.write(idea(1, script.format(0.1)), idea(2, script.format(0.2)))
    farm.run("--once", "-c", str(farm.home / "orze.yaml"), gpus="cpu:2")
    metrics = farm.last("idea-001")["metrics"]
    assert metrics["by_python"] == "wrapper"
    assert metrics["base"].startswith("start: here\n")
    assert [row["idea_id"] for row in farm.status()["top_results"]] == ["idea-002", "idea-001"]


def test_dry_run_shows_what_would_be_started_in_order_and_starts_nothing(farm):
    farm.write(idea(1, title="Later", Priority="low"), last=idea(2, title="Sooner"))
    said = farm.run("--dry-run")
    assert said.index("idea-002: Sooner") < said.index("idea-001: Later")
    assert " --idea-id idea-002 --results-dir" in said
    assert "CUDA_VISIBLE_DEVICES= " in said
    assert not list(farm.results.glob("idea-*"))
    assert not farm.processes()
    assert not (farm.results / "report.md").exists()


def test_report_only_writes_the_report_anew_beside_a_running_daemon_without_a_part_in_anything(farm):
    farm.write(idea(1, "progress(step=3, loss=0.5)\ntouch('up')\nwait('go')\nmetrics()"))
    farm.start()
    farm.wait(lambda: farm.flagged("up"), "the start")
    before = sorted(path.name for path in (farm.results / ".orze" / "leader").rglob("*.json"))
    (farm.results / "report.md").unlink()
    assert "report.md is written" in farm.run("--report-only")
    assert "step=3 loss=0.5" in farm.report()
    assert sorted(path.name for path in (farm.results / ".orze" / "leader").rglob("*.json")) == before
    assert farm.kinds("idea-001") == ["CLAIM"]


def test_research_only_says_plainly_that_no_researcher_is_configured(farm):
    assert "no research is configured" in farm.run("--research-only", status=2)
    assert not farm.results.exists()


def test_help_names_every_flag_and_loads_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(FARM), "--help"], capture_output=True, text=True, check=True
    )
    flags = "-c --config-file --gpus --timeout --poll --once --report-only --research-only --ideas-md "
    flags += "--base-config --results-dir --train-script -v --verbose --stop-attempts --dry-run --json"
    assert all(flag in done.stdout for flag in flags.split())
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "orze" in loaded
    assert not loaded & {"pydantic", "yaml", "psutil", "jinja2", "watchdog", "pynvml", "matplotlib"}


def test_eight_ideas_run_to_the_end_and_report_and_status_tell_of_them(make_farm):
    farm = make_farm(report={"title": "Eight", "primary_metric": "val_accuracy"})
    scores = [0.91, 0.97, 0.89, 0.95, 0.93, 0.96, 0.94, 0.90]
    farm.write(
        *[
            idea(n, f"progress(step=1, loss={n})\nmetrics(val_accuracy={score}, test_accuracy=0.5)")
            for n, score in enumerate(scores, 1)
        ],
        last=idea(9, title="a | b `c` <i>d</i>"),
    )
    farm.start(gpus="cpu:2")
    farm.wait_states(COMPLETED=9)
    status = farm.status()
    assert [row["value"] for row in status["top_results"]] == [*sorted(scores, reverse=True), 0.5]
    assert (status["completed"], status["failed"], status["skipped"], status["queue_depth"]) == (9, 0, 0, 0)
    assert status["active"] == []
    assert status["free_gpus"] == ["cpu0", "cpu1"]
    assert status["primary_metric"] == {"name": "val_accuracy", "sort": "descending", "configured": True}
    assert {"timestamp", "iteration", "disk_free_gb", "hosts", "problems"} <= status.keys()
    assert status["problems"] == []
    report = farm.report()
    assert report.startswith("# Eight\n")
    assert (
        "**Best so far, one run:** idea-002 (Number 2), val_accuracy 0.9700, 0.0100 ahead of idea-006;"
        in report
    ), report
    assert "<i>" not in report
    metrics = json.loads((farm.results / "idea-002" / "metrics.json").read_text())
    assert (metrics["status"], metrics["val_accuracy"], metrics["test_accuracy"]) == ("COMPLETED", 0.97, 0.5)
    assert (farm.results / "idea-002" / "progress.jsonl").read_text() == '{"step": 1, "loss": 2}\n'
    assert farm.daemons[0].end() == 0
