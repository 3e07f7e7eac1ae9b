"""A session's own farm: its settings are read as they were meant, and its daemon goes with the loop."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orze.config.refine import Revis
from orze.refine.private_farm import LOG, PrivateFarm, environ_of, executor_of, settings_of, slots_of

ROOT = Path(__file__).parents[3]
BARE = {"PATH": "/nonexistent"}
DEADLINE = 30.0


def revis(home: Path, **more: Any) -> Revis:
    given = {
        "project_dir": home,
        "entry": {"train": "python train.py"},
        "metrics": {"primary": "loss", "minimize": True},
        **more,
    }
    return Revis.model_validate(given)


def wait(happened: Callable[[], object], what: str) -> None:
    until = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < until, what
        select.select([], [], [], 0.02)


def test_what_the_session_says_is_what_its_farm_does(tmp_path: Path):
    entry = {"train": "python train.py ${HOME}", "setup": "pip install .", "env": {"A": "$${B}"}}
    guardrails = {"max_run_duration": 60, "stall_minutes": 2}
    told = revis(
        tmp_path, entry=entry, smoke="pytest -q # quick", protected=["eval.py"], guardrails=guardrails
    )
    farm = PrivateFarm(tmp_path / "farm", told, name="s", command="python train.py ${HOME}", environ=BARE)
    settings = farm.project.settings
    assert settings.train_command == "python train.py ${HOME}"
    assert settings.pre_command == "(\npip install .\n) &&\n(\npytest -q # quick\n)"
    assert dict(settings.train_extra_env) == {"A": "$${B}"}
    assert (settings.timeout, settings.stall_minutes, settings.pre_timeout) == (60.0, 2.0, 60.0)
    assert settings.protected == ("eval.py",)
    assert settings.code_dir == tmp_path
    assert (settings.report.primary_metric, settings.report.sort) == ("loss", "ascending")
    assert settings.executor.type == "local"
    assert settings.results_dir == tmp_path / "farm" / "results"
    farm.end()


def test_a_farm_without_setup_and_smoke_has_no_pre_command(tmp_path: Path):
    assert not settings_of(revis(tmp_path), name="s", command="true", environ=BARE)["pre_command"]


def test_local_means_windows_of_tmux_where_it_is_installed(tmp_path: Path):
    (tmp_path / "tmux").write_text("#!/bin/sh\n")
    (tmp_path / "tmux").chmod(0o755)
    place = revis(tmp_path).executor
    assert executor_of(place, "lr", {"PATH": str(tmp_path)}) == {"type": "tmux", "session": "revis-lr"}
    assert executor_of(place, "lr", BARE) == {"type": "local"}


def test_the_keys_of_another_machine_are_the_farms(tmp_path: Path):
    ssh = {"type": "ssh", "host": "gpu", "work_dir": "/home/u/p", "gpus": "0", "exclude": ["data"]}
    place = revis(tmp_path, executor=ssh).executor
    assert executor_of(place, "s", BARE) == {**ssh}
    assert slots_of(place, 3) == "cpu:3"


def test_cards_are_those_that_were_named_or_else_as_many_processors_as_runs(tmp_path: Path):
    assert slots_of(revis(tmp_path, executor={"gpus": "0,1"}).executor, 2) == "0,1"
    assert slots_of(revis(tmp_path).executor, 2) in ("cpu:2", "")


def test_keys_of_models_are_kept_from_the_daemon(tmp_path: Path):
    told = revis(tmp_path, llm={"model": "openai/x", "api_key_env": "MY_KEY"})
    environ = {"OPENAI_API_KEY": "a", "MY_KEY": "b", "WANDB_API_KEY": "c", "PATH": "/bin"}
    assert environ_of(told, environ) == {"WANDB_API_KEY": "c", "PATH": "/bin"}


def test_settings_are_brought_up_to_date_and_ideas_are_left(tmp_path: Path):
    place = tmp_path / "farm"
    PrivateFarm(place, revis(tmp_path), name="s", command="one", environ=BARE)
    (place / "ideas.md").write_text("## idea-001: Mine\n")
    farm = PrivateFarm(place, revis(tmp_path), name="s", command="two", environ=BARE)
    assert farm.project.settings.train_command == "two"
    assert (place / "ideas.md").read_text() == "## idea-001: Mine\n"


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that keeps a farm, and prints the pid of its daemon."""
    code = (
        "import os, sys, pathlib, time\n"
        "from orze.config.refine import Revis\n"
        "from orze.refine.private_farm import PrivateFarm\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "entry = {'train': 'true'}\n"
        "told = Revis.model_validate({'project_dir': home, 'entry': entry,\n"
        "    'metrics': {'primary': 'loss', 'minimize': True}})\n"
        "farm = PrivateFarm(home / 'farm', told, name='s', command='true', environ=dict(os.environ))\n"
        "farm.tend(0.0)\n"
        "print(farm._process.pid, flush=True)\n"
        "sys.stdin.read()\n"
        "farm.end()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": os.defpath},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_daemon_goes_when_the_loop_is_killed(tmp_path: Path, loop: subprocess.Popen[str]):
    assert loop.stdout
    pid = int(loop.stdout.readline())
    wait((tmp_path / "farm" / "results" / "status.json").exists, "it works")
    loop.send_signal(signal.SIGKILL)
    wait(lambda: not _alive(pid), "it goes")
    text = (tmp_path / "farm" / LOG).read_text()
    assert "leads" in text
    assert "Traceback" not in text


def test_a_daemon_that_ends_is_told_and_started_again_after_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    farm = PrivateFarm(tmp_path / "farm", revis(tmp_path), name="s", command="true", environ=dict(os.environ))
    (tmp_path / "farm" / "orze.yaml").write_text("no_such_key: 1\n")
    assert farm.tend(0.0) == ""
    wait(lambda: not farm.running, "it ends")
    told = farm.tend(1.0)
    assert "ended with status 2" in told
    assert "no_such_key" in told
    assert "again in 2 s" in told
    assert farm.tend(2.0) == ""
    assert not farm.running
    assert farm.tend(3.1) == ""
    assert farm.running or farm.tend(3.2)
    farm.end()


def test_a_daemon_that_ends_again_and_again_is_given_up(tmp_path: Path):
    farm = PrivateFarm(tmp_path / "farm", revis(tmp_path), name="s", command="true", environ=dict(os.environ))
    for number in range(5):
        farm._process = subprocess.Popen(["false"])
        farm._begun = farm._again = 1000.0 * number
        farm._process.wait()
        assert not farm.hopeless
        farm.tend(1000.0 * number + 1)
    assert "again and again, with status 1" in farm.hopeless
    assert farm.tend(1e9) == ""
    assert not farm.running
