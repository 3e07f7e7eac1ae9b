"""Ideas that name a commit: each runs in a worktree of it, and nobody's checkout is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

from farmhouse import SHORT_LEASE, Farm, idea
from machines import cmdline, pids

SCRIPT = """import json, os
values = {{"score": {score}, "base": open(os.environ["ORZE_IDEA_CONFIG"]).read(), "cwd": os.getcwd()}}
values["by"] = os.environ["ORZE_ATTEMPT"]
with open(os.environ["REVIS_OUTPUT_DIR"] + "/metrics.json", "w") as out:
    json.dump({{"status": "COMPLETED", **values}}, out)
"""
WAITS = """import os, time
open('flag', 'w')
while not os.path.exists(os.environ['GO']): time.sleep(0.01)
"""
LINE = """echo '{"metrics": {"score": 7}}' > "$REVIS_OUTPUT_DIR/eval.json" """
BRACES = """v=9; echo '{"score": '"$${v}"', "config": "{config}"}' > "$REVIS_OUTPUT_DIR/eval.json" """


def git(farm: Farm, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *words], cwd=farm.home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(farm: Farm, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = farm.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    git(farm, "add", "--", *files)
    git(farm, "commit", "--quiet", "--message", "more")
    return git(farm, "rev-parse", "HEAD")


def begin(farm: Farm) -> None:
    git(farm, "init", "--quiet")
    (farm.home / ".gitignore").write_text("/results/\n/flags/\n/locks/\n/tmp/\n*.log\n/history.jsonl\n")
    hook = farm.home / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)


def worktrees(farm: Farm) -> list[str]:
    """What is left of worktrees, in the repository and in the results."""
    kept = farm.home / ".git" / "worktrees"
    known = [path.name for path in kept.iterdir()] if kept.exists() else []
    return known + [str(path) for path in farm.results.glob("idea-*/attempts/*/code")]


def test_two_commits_run_side_by_side_and_the_checkout_with_its_unsaved_work_is_left_alone(make_farm):
    farm = make_farm(report={"primary_metric": "score", "sort": "descending"})
    begin(farm)
    first = commit(farm, {"train_idea.py": SCRIPT.format(score=1), "configs/base.yaml": "depth: 1\n"})
    second = commit(farm, {"train_idea.py": SCRIPT.format(score=2), "configs/base.yaml": "depth: 2\n"})
    (farm.home / "train_idea.py").write_text("raise SystemExit('the work of the user')\n")
    (farm.home / "new.txt").write_text("not in git yet\n")
    before = (git(farm, "status", "--porcelain"), git(farm, "rev-parse", "HEAD"))
    again = idea(1, Commit=first).replace("## idea-001", "## idea-003")
    many = idea(5, Commit=second, Repeats="6")
    farm.write(idea(1, Commit=first[:9]), idea(2, Commit=second), again, idea(4, Commit="0" * 40), many)
    farm.start(gpus="cpu:4")
    farm.wait_states(COMPLETED=8, HELD=1, QUEUED=1)  # one is a duplicate, and one names no commit
    told = {name: farm.last(name)["metrics"] for name in ("idea-001", "idea-002")}
    assert [told[name]["score"] for name in told] == [1, 2]
    assert ["depth: 1" in told["idea-001"]["base"], "depth: 2" in told["idea-002"]["base"]] == [True, True]
    assert told["idea-001"]["cwd"].endswith("/code")
    assert (git(farm, "status", "--porcelain"), git(farm, "rev-parse", "HEAD")) == before
    facts = json.loads((farm.results / "idea-001" / "environment.json").read_text())
    assert (facts["git_commit"], facts["git_dirty"]) == (first, False)
    shown = [row["commit"] for row in farm.status()["top_results"]]
    assert shown == [*[second[:7]] * 7, first[:7]]
    assert f"| {second[:7]} |" in farm.report()
    farm.wait(lambda: "is not in the repository" in json.dumps(farm.status()["waiting"]), "the reason")
    farm.wait(lambda: not worktrees(farm), "the worktrees to go")
    assert not list(farm.home.rglob("hooked"))


def test_a_keeper_that_is_killed_leaves_a_worktree_which_the_next_attempt_removes(make_farm):
    farm = make_farm(lease=SHORT_LEASE, poll=0.5)
    begin(farm)
    found = commit(farm, {"train_idea.py": WAITS + SCRIPT.format(score=3), "configs/base.yaml": "a: 1\n"})
    farm.configure(lease=SHORT_LEASE, poll=0.5, train_extra_env={"GO": str(farm.home / "flags" / "go")})
    farm.write(idea(1, Commit=found))
    farm.start()
    farm.wait(lambda: list(farm.results.glob("idea-001/attempts/1-*/code/flag")), "the training")
    (left,) = farm.results.glob("idea-001/attempts/1-*/code")
    for pid in farm.keepers():
        os.kill(pid, signal.SIGKILL)
    farm.flag("go")
    farm.wait_for(idea_001="CLAIM LOST CLAIM DONE")
    farm.wait(lambda: not worktrees(farm), "the worktrees to go")
    assert not left.exists()
    assert farm.last("idea-001")["metrics"]["score"] == 3


def test_a_run_that_touches_a_protected_file_is_void(make_farm):
    farm = make_farm(train_command=LINE, protected=["judge/**", "data/*.csv"])
    begin(farm)
    field = {"Commit": commit(farm, {"judge/score.py": "best = 1\n"})}
    (farm.home / "judge" / "score.py").write_text("the work of the user\n")
    (farm.home / "data").mkdir()
    (farm.home / "data" / "val.csv").write_text("1,2\n")  # not in git
    lines = [
        "mkdir judge/__pycache__; echo > judge/__pycache__/x.pyc",  # what Python leaves is no change
        "echo 'best = 9' > judge/score.py",
        "echo > judge/new.py",
        "rm judge/score.py",
        'echo 3 > "$REVIS_PROJECT_DIR/data/val.csv"',
    ]
    farm.write(*(idea(number, Command=f"{line}; {LINE}", **field) for number, line in enumerate(lines)))
    farm.start()
    farm.wait_states(COMPLETED=1, FAILED=4)
    ended = [farm.last(f"idea-00{number}") for number in range(1, 5)]
    assert {one["cause"] for one in ended} == {"protected"}
    assert [one["error"].rpartition(": ")[2] for one in ended] == [
        "judge/score.py (changed)",
        "judge/new.py (added)",
        "judge/score.py (removed)",
        "data/val.csv (changed)",
    ]


def test_a_command_line_trains_as_it_is_written_and_needs_no_script_and_no_base(make_farm):
    farm = make_farm(
        train_command=BRACES,
        pre_command="test -e code.txt && pwd > where",
        code_dir="code",
        report={"primary_metric": "score"},
    )
    (farm.home / "train_idea.py").unlink()
    (farm.home / "configs" / "base.yaml").unlink()
    begin(farm)
    (farm.home / "code").mkdir()
    first = commit(farm, {"code/code.txt": "1"})
    git(farm, "rm", "--quiet", "code/code.txt")
    second = commit(farm, {"code/other.txt": "2"})
    (farm.home / "code" / "code.txt").write_text("unsaved")
    own = """echo '{"score": 10}' > "$REVIS_OUTPUT_DIR/eval.json" """
    farm.write(idea(1), idea(2, Command=own), idea(3, Commit=first), idea(4, Commit=second))
    farm.start(gpus="cpu:2")
    farm.wait_states(COMPLETED=3, FAILED=1)
    assert [farm.last(f"idea-00{number}")["metrics"]["score"] for number in (1, 2, 3)] == [9, 10, 9]
    assert farm.last("idea-001")["metrics"]["config"] == "{config}"
    assert farm.last("idea-004")["cause"] == "pre_script"
    assert Path(farm.home / "code" / "where").read_text().strip() == str(farm.home / "code")
    farm.configure()
    (farm.home / "train_idea.py").write_text("")
    (farm.home / "configs" / "base.yaml").write_text("")
    farm.daemons[0].end()
    farm.append(idea(5, Command="true"))
    farm.start()
    farm.wait(lambda: "no train_command" in json.dumps(farm.status().get("quarantined", "")), "the reason")


def refiners(farm: Farm) -> list[int]:
    """The processes that refine this farm's code."""
    told = str(farm.home / "orze.yaml")
    return [pid for pid in pids() if "orze.refine.main" in cmdline(pid) and told in cmdline(pid)]


def test_the_leader_keeps_the_refiner_at_work_and_starts_it_again_where_it_fails(make_farm):
    farm = make_farm(train_command=LINE, poll=0.5, report={"primary_metric": "score"})
    begin(farm)
    commit(farm, {"judge.py": "best = 1\n"})
    refine = {"agent": ["sleep", "1000"], "name": "mine", "budget": {"runs": 9}}
    farm.configure(train_command=LINE, poll=0.5, report={"primary_metric": "score"}, refine=refine)
    daemon = farm.start(WANDB_API_KEY="kept")
    farm.wait(lambda: len(refiners(farm)) == 1, "the refiner")
    (first,) = refiners(farm)
    assert b"CUDA_VISIBLE_DEVICES=\0" in Path(f"/proc/{first}/environ").read_bytes()
    os.kill(first, signal.SIGKILL)
    farm.wait(lambda: "refine: its process ended by signal 9" in farm.problems(), "the problem")
    farm.wait(lambda: len(refiners(farm)) == 1 and refiners(farm) != [first], "another")
    assert daemon.end() == 0
    farm.wait(lambda: not refiners(farm), "its end")
    log = (farm.results / ".orze" / "refine" / "loop.log").read_text()
    assert "Traceback" not in log
