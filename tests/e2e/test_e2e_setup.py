"""From a directory with a training script to a result, by `orze init`, `orze doctor` and `orze run`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from farmhouse import ROOT

TRAIN = """import argparse, json
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=0.1)
p.add_argument("--steps", type=int, default=20)
p.add_argument("--signs", nargs="*", default=["+", "-x"])
args = p.parse_args()
w = 0.0
for step in range(args.steps):
    w -= args.lr * 2 * (w - 3)
print(json.dumps({"val_loss": (w - 3) ** 2, "steps": args.steps}))
"""


def orze(home: Path, *argv: str, status: int = 0) -> str:
    """Run one command in a project; what it printed."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "orze", *argv],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def answering(home: Path, answer: bytes) -> int:
    """Run `orze init` on a terminal where somebody answers; its exit status."""
    here, there = os.openpty()
    os.write(here, answer)
    command = [sys.executable, "-P", "-m", "orze", "init"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    streams = {"stdin": there, "stdout": there, "stderr": there}
    done = subprocess.run(command, cwd=home, env=env, timeout=60, check=False, **streams)
    os.close(here)
    os.close(there)
    return done.returncode


def result(home: Path, idea_id: str) -> dict[str, object]:
    return json.loads((home / "results" / idea_id / "metrics.json").read_text())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a name that is no option, no word and no format."""
    directory = tmp_path / "my {project} 100% it's"
    directory.mkdir()
    return directory


def test_a_script_of_ten_lines_becomes_a_farm_with_a_result(home: Path):
    (home / "train.py").write_text(TRAIN)
    orze(home, "init", status=2)
    assert answering(home, b"n\n") == 1
    assert [path.name for path in home.iterdir()] == ["train.py"]
    assert "orze run" in orze(home, "init", "--yes")
    with (home / "ideas.md").open("a") as ideas:
        ideas.write("\n## idea-002: Fewer steps\n- **Parent**: idea-001\n\n```yaml\nsteps: 2\n```\n")
    orze(home, "run", "--gpus", "cpu:2", "--once")
    assert result(home, "idea-001")["status"] == "COMPLETED"
    assert result(home, "idea-001")["steps"] == 20
    assert result(home, "idea-002")["steps"] == 2
    assert (home / "results/idea-001/progress.jsonl").read_text().count("val_loss") == 1


def test_an_empty_directory_becomes_a_farm_with_a_result(home: Path):
    orze(home.parent, "init", home.name, "--yes")
    orze(home, "run", "--gpus", "cpu:1", "--once")
    assert result(home, "idea-001")["val_loss"] == pytest.approx(0.0, abs=0.01)


def test_a_doctor_tries_what_init_made_and_sees_what_is_broken(home: Path):
    (home / "train.py").write_text(TRAIN)
    orze(home, "init", "--yes")
    found = json.loads(orze(home, "doctor", "--train", "--json"))
    assert {check["verdict"] for check in found} <= {"ok", "warn", "skip"}
    (tried,) = [check for check in found if check["name"] == "dry run"]
    assert tried["sentence"].startswith("idea-001 ended well")
    assert not (home / "results").exists()
    (home / "train.py").write_text(TRAIN.replace("print", "raise SystemExit #"))
    tried = json.loads(orze(home, "doctor", "--train", "--json", status=1))[-1]
    assert (tried["name"], tried["verdict"]) == ("dry run", "fail")
    assert "told no metrics" in tried["sentence"]


def test_a_doctor_sees_who_leads(farm):
    farm.configure(lease={"heartbeat": 0.5, "fence": 2, "kill": 0.5, "steal": 3})
    farm.write()
    daemon = farm.start()
    farm.wait(lambda: farm.status().get("leader"), "a leader")
    name = os.uname().nodename

    def leader() -> dict[str, str]:
        found = {check["name"]: check for check in json.loads(orze(farm.home, "doctor", "--json"))}
        return {key: found[key]["sentence"] for key in ("leader", f"host {name}") if key in found}

    assert leader() == {"leader": f"{name} leads", f"host {name}": "0 running, 1 slots free"}
    daemon.kill()
    farm.wait(lambda: "no sign of life" in leader()["leader"], "its silence")
