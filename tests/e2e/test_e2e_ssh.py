"""Attempts on a machine behind ssh: a real sshd, lines that are cut, and a farm that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from farmhouse import Farm, idea
from sshd import SSHD, Sshd

from orze.gpu.locks import try_lock
from orze.gpu.slots import Slot, lock_path

pytestmark = pytest.mark.skipif(SSHD is None, reason="there is no sshd on this machine")

# What is trained; it works by the environment alone, as it must where no path of this machine is known.
TRAIN = """\
import json, os, pathlib, sys, time
import yaml_free as config
out = pathlib.Path(os.environ["REVIS_OUTPUT_DIR"])
print("trains", os.environ["ORZE_IDEA_ID"], "in", os.getcwd(), flush=True)
(out / "progress.jsonl").write_text('{"step": 1, "loss": 0.5}\\n')
wish = config.read(os.environ["ORZE_IDEA_CONFIG"])
if "flag" in wish:
    flag = pathlib.Path(os.environ["REVIS_PROJECT_DIR"]) / wish["flag"]
    pathlib.Path(str(flag) + ".begun").write_text(str(os.getpid()))
    while not flag.exists():
        time.sleep(0.02)
    print("has seen the flag", flush=True)
(out / "model.bin").write_bytes(b"weights")
(out / "metrics.json").write_text(json.dumps({
    "status": "COMPLETED", "loss": 0.25, "cards": os.environ["CUDA_VISIBLE_DEVICES"],
    "extra": os.environ.get("MY_OWN", ""), "secret": os.environ.get("A_SECRET", ""), "argv": sys.argv[1:],
    "python": sys.executable,
}))
"""
CONFIG = """\
def read(path):
    with open(path) as stream:
        return dict(line.strip().split(": ", 1) for line in stream if ": " in line)
"""
OF_A_COMMIT = """\
import json, os, pathlib, yaml_free
out = pathlib.Path(os.environ["REVIS_OUTPUT_DIR"])
(out / "model.bin").write_text("weights, " + pathlib.Path("ready").read_text().strip())
pathlib.Path("made").mkdir()
pathlib.Path("made", "one.txt").write_text("kept, " + str(pathlib.Path("big.dat").exists()))
if yaml_free.read(os.environ["ORZE_IDEA_CONFIG"])["touch"] == "'1'":
    pathlib.Path("evaluate.py").write_text("print('all is well')")
(out / "eval.json").write_text(json.dumps({"loss": 0.5}))
"""
EVALUATES = """\
import os, pathlib
out = pathlib.Path(os.environ["REVIS_OUTPUT_DIR"])
(out / "eval.txt").write_text((out / "model.bin").read_text())
"""


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Sshd]:
    """A machine behind ssh."""
    made = Sshd(tmp_path / "there")
    yield made
    made.close()


@pytest.fixture
def far(make_farm: Callable[..., Farm], there: Sshd) -> Farm:
    """A farm whose attempts run there."""
    return far_farm(make_farm, there)


def far_farm(
    make_farm: Callable[..., Farm], there: Sshd, executor: Mapping[str, Any] | None = None, **settings: Any
) -> Farm:
    """Make a farm whose attempts run there."""
    lease = {"heartbeat": 0.5, "fence": 2, "kill": 0.5, "steal": 3}
    env = {"MY_OWN": "mine"}
    block = there.settings(**(executor or {}))
    farm = make_farm(executor=block, train_extra_env=env, grace=2, lease=lease, **settings)
    (farm.home / "train_idea.py").write_text(TRAIN)
    (farm.home / "yaml_free.py").write_text(CONFIG)
    return farm


def log_of(farm: Farm, idea_id: str = "idea-001") -> str:
    """What the last attempt printed."""
    logs = sorted((farm.results / idea_id / "attempts").glob("*/train_output.log"))
    return logs[-1].read_text() if logs else ""


def committed(home: Path, *names: str) -> str:
    """Make a repository with one commit of these files."""
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org", "-C", str(home)]
    for words in (["init", "-q"], ["add", "yaml_free.py", *names], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    return subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()


@contextmanager
def cable(number: int) -> Iterator[tuple[str, str, Callable[[str], str]]]:
    """A network namespace at the end of a cable: its address, its name, and what pulls the plug."""
    name = f"orze{os.getpid()}{'ab'[number]}"
    # RFC 2544: of nobody's network
    near, far = (f"198.18.{os.getpid() % 256}.{4 * number + end}" for end in (1, 2))

    def ip(*words: str) -> str:
        return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout

    try:
        if number == 0 and ip("route", "show", "root", "198.18.0.0/15"):
            pytest.skip("this machine has a network of these addresses")
        ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespace can be made here: {error}")
    try:
        ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
        ip("address", "add", f"{near}/30", "dev", f"{name}a")
        ip("link", "set", f"{name}a", "up")
        ip("-n", name, "address", "add", f"{far}/30", "dev", f"{name}b")
        ip("-n", name, "link", "set", f"{name}b", "up")
        yield far, name, lambda state: ip("link", "set", f"{name}a", state)
    finally:
        ip("netns", "delete", name)  # with its end of the cable, and so the other


def test_an_idea_runs_on_the_machine_behind_ssh_and_its_results_come_home(far: Farm, there: Sshd) -> None:
    far.write(idea(1))
    far.start(gpus="cpu", A_SECRET="not to travel")
    far.wait_for(idea_001="CLAIM DONE")
    metrics = far.last("idea-001")["metrics"]
    assert (metrics["loss"], metrics["extra"], metrics["secret"]) == (0.25, "mine", "")
    assert all(str(far.home) not in word for word in metrics["argv"])
    (home,) = (far.results / "idea-001" / "attempts").iterdir()
    assert f"trains idea-001 in {there.work}/.orze/runs/" in log_of(far)
    assert (home / "model.bin").read_bytes() == b"weights"
    assert json.loads((home / "progress.jsonl").read_text()) == {"step": 1, "loss": 0.5}
    assert list((there.work / ".orze" / "runs").iterdir()) == []
    assert [path.name for path in there.work.iterdir()] == [".orze"]


def test_a_cut_line_fails_nothing_and_the_log_has_every_line_once(far: Farm, there: Sshd) -> None:
    far.write(idea(1, config="flag: go"))
    far.start()
    far.wait((there.work / "go.begun").exists, "it trains")
    there.cut()
    far.wait(lambda: "again in" in log_of(far), "the cut is seen")
    there.stop()
    (there.work / "go").touch()
    far.wait(lambda: not there.processes(), "it ends while nobody is there")
    there.start()
    far.wait_for(idea_001="CLAIM DONE")
    assert log_of(far).count("trains idea-001") == log_of(far).count("has seen the flag") == 1


def test_what_went_on_while_everything_here_was_killed_is_taken_over_by_the_next_attempt(
    far: Farm, there: Sshd
) -> None:
    far.write(idea(1, config="flag: go"))
    daemon = far.start()
    far.wait((there.work / "go.begun").exists, "it trains")
    daemon.kill()
    for pid in [*far.keepers(), *far.processes("over_ssh")]:
        os.kill(pid, signal.SIGKILL)
    begun = (there.work / "go.begun").read_text()
    far.start()
    far.wait_for(idea_001="CLAIM LOST CLAIM")
    far.wait(lambda: "taken over" in log_of(far) and "trains idea-001" in log_of(far), "it is taken over")
    (there.work / "go").touch()
    far.wait_for(idea_001="CLAIM LOST CLAIM DONE")
    assert (there.work / "go.begun").read_text() == begun
    assert far.last("idea-001")["attempt"] == 2


def test_an_unknown_host_key_is_refused_and_told(make_farm: Callable[..., Farm], there: Sshd) -> None:
    (there.home / "known_hosts").write_text("")
    farm = far_farm(make_farm, there)
    farm.write(idea(1))
    farm.start()
    farm.wait_for(idea_001="CLAIM FAIL")
    failed = farm.last("idea-001")
    assert failed["cause"] == "start"
    assert "the key of 127.0.0.1 is not in known_hosts: connect once by hand" in failed["error"]
    assert not list(there.work.iterdir())


NVIDIA_SMI = """\
#!/bin/sh
case "$1" in
  *compute-apps*) echo "GPU-bbbb, 77";;
  *) echo "0, GPU-aaaa, 20000, [N/A]"; echo "1, GPU-bbbb, 10, [N/A]"
     echo "2, GPU-cccc, 3, [N/A]"; echo "3, GPU-dddd, 3, [N/A]";;
esac
"""


def test_a_free_card_is_chosen_there_and_one_that_a_farm_there_has_is_not(
    make_farm: Callable[..., Farm], there: Sshd
) -> None:
    there.add_program("nvidia-smi", NVIDIA_SMI)
    slot = Slot("2", "GPU-cccc", 0, "2")
    held = try_lock(lock_path(slot, str(there.tmp / "orze-slots"), "any"))
    assert held is not None
    farm = far_farm(make_farm, there, {"gpus": "0,1,2,3", "python": f"{there.bin}/ours"})
    (there.bin / "ours").symlink_to(sys.executable)
    farm.write(idea(1))
    farm.start()
    farm.wait_for(idea_001="CLAIM DONE")
    os.close(held)
    metrics = farm.last("idea-001")["metrics"]
    assert (metrics["cards"], metrics["python"]) == ("3", f"{there.bin}/ours")
    assert "[127.0.0.1] runs on card 3" in log_of(farm)


def test_a_run_that_the_machine_lost_is_run_again_and_is_no_failure(far: Farm, there: Sshd) -> None:
    far.write(idea(1, config="flag: go"))
    far.start()
    far.wait((there.work / "go.begun").exists, "it trains")
    for pid in there.processes("keeper-"):
        os.kill(pid, signal.SIGKILL)
    (there.work / "go").touch()
    far.wait_for(idea_001="CLAIM REQUEUE CLAIM DONE")
    assert far.records("idea-001")[1]["cause"] == "host_lost"


def test_a_commit_runs_there_with_its_other_scripts_and_its_protected_files_are_looked_after(
    make_farm: Callable[..., Farm], there: Sshd
) -> None:
    farm = far_farm(
        make_farm, there, {"artifacts": ["made/*.txt"], "exclude": ["*.dat"]}, protected=["evaluate.py"],
        train_command="python3 train.py", pre_command="echo prepared > ready", eval_script="evaluate.py",
    )  # fmt: skip
    (farm.home / "train.py").write_text(OF_A_COMMIT)
    (farm.home / "evaluate.py").write_text(EVALUATES)
    (farm.home / "big.dat").write_text("not to be sent")
    commit = committed(farm.home, "train.py", "evaluate.py", "big.dat")
    (farm.home / "train.py").write_text("raise SystemExit('this is not the commit')\n")
    farm.write(*(idea(n, config=f"touch: '{n - 1}'", Commit=commit) for n in (1, 2)))
    farm.start(gpus="cpu:2")
    farm.wait_for(idea_001="CLAIM TRAINED DONE", idea_002="CLAIM FAIL")
    home = farm.results / "idea-001" / "latest"
    assert (home / "eval.txt").read_text() == "weights, prepared"
    assert (home / "artifacts" / "made" / "one.txt").read_text() == "kept, False"
    assert not (home / "artifacts" / "ready").exists()
    assert farm.last("idea-002")["cause"] == "protected"
    assert "evaluate.py (changed)" in farm.last("idea-002")["error"]
    assert list((there.work / ".orze" / "runs").iterdir()) == []


def test_a_cable_that_is_pulled_out_for_a_while_fails_nothing_and_another_machine_does_not_notice(
    make_farm: Callable[..., Farm], tmp_path: Path
) -> None:
    with cable(0) as (address, name, plug), cable(1) as (other_address, other_name, _):
        there = Sshd(tmp_path / "there", address, ["ip", "netns", "exec", name])
        other = Sshd(tmp_path / "other", other_address, ["ip", "netns", "exec", other_name])
        try:
            farm, second = (far_farm(make_farm, machine) for machine in (there, other))
            for each, machine in ((farm, there), (second, other)):
                each.write(idea(1, config="flag: go"))
                each.start()
                each.wait((machine.work / "go.begun").exists, "it trains")
            plug("down")
            farm.wait(lambda: "again in" in log_of(farm), "the silence is heard")
            (other.work / "go").touch()
            second.wait_for(idea_001="CLAIM DONE")
            assert "again in" not in log_of(second)
            (there.work / "go").touch()
            farm.wait(lambda: not there.processes("keeper-"), "it ends while nobody is there")
            plug("up")
            farm.wait_for(idea_001="CLAIM DONE")
            assert log_of(farm).count("has seen the flag") == 1
        finally:
            there.close()
            other.close()
