"""Every executor runs attempts alike: one suite, held against each of them by a real farm.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from farmhouse import SHORT_LEASE, Farm, idea
from machines import pids
from sshd import SSHD, Sshd

from orze.core.states import Cause

# What no quoting may change on its way to the script.
WORDS = [
    "",
    "two words",
    "it's",
    '"double"',
    "$HOME `id` $(id)",
    "a\nb\n",
    "tab\there",
    "é 漢 ☺",
    "\\",
    "*;&|#{x};",
]
# It does what its configuration names, wherever the executor runs it: it knows nothing of the farm.
SCRIPT = """
import json, os, re, signal, subprocess, sys, time

def metrics(**values):
    with open(os.environ["REVIS_OUTPUT_DIR"] + "/metrics.json", "w") as stream:
        json.dump({"status": "COMPLETED", **values}, stream)

def wait(flag):
    while not os.path.exists(os.environ["FLAGS"] + "/" + flag):
        time.sleep(0.02)

def tell(flag, text=""):
    path = os.environ["FLAGS"] + "/" + flag
    with open(path + ".part", "w") as stream:
        stream.write(text)
    os.rename(path + ".part", path)

def good():
    seen = {"argv": sys.argv[1:], "words": os.environ["WORDS"], "seed": os.environ["ORZE_SEED"]}
    with open(os.environ["REVIS_OUTPUT_DIR"] + "/seen.json", "w") as stream:
        json.dump(seen, stream)
    print("stdout é", flush=True)
    print("stderr", file=sys.stderr)
    metrics(loss=0.25)

def code():
    print("no data", flush=True)
    os._exit(3)

def raises():
    raise ValueError("bad shape")

def dies():
    os.kill(os.getpid(), signal.SIGKILL)

def rests():
    time.sleep(600)

def grows():
    print("a line that is seen while it runs", flush=True)
    with open(os.environ["REVIS_OUTPUT_DIR"] + "/progress.jsonl", "a") as stream:
        stream.write('{"step": 1, "loss": 0.5}\\n')
    wait("grown")
    metrics(loss=0.5)

def forks():
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    other = subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
    tell("forked", "%d %d" % (os.getpid(), other.pid))
    time.sleep(600)

def outlives():
    tell("begun")
    wait("outlived")
    metrics(loss=0.125)

def unseen():
    tell("shown")
    wait("cut")
    metrics(loss=1.0)

with open(os.environ["ORZE_IDEA_CONFIG"], encoding="utf-8") as stream:
    globals()[re.search(r"^act: (\\w+)$", stream.read(), re.M)[1]]()
"""
GOOD, CODE, RAISES, DIES, SLOW, GROWS, FORKS, OUTLIVES, UNSEEN = (f"idea-{n:03d}" for n in range(1, 10))
ACTS = ["good", "code", "raises", "dies", "rests", "grows", "forks", "outlives", "unseen"]


@dataclass(frozen=True)
class Place:
    """Where an executor runs things, while it is tested.

    Attributes:
        settings: the block `executor` of orze.yaml.
        env: what the daemon has in its environment for it.
        screen: what people see of an idea's run besides its log.
        cut: takes away what the run of an idea must not need: its window, the line to its machine.
    """

    settings: Mapping[str, object]
    env: Mapping[str, str] = field(default_factory=dict)
    screen: Callable[[str], str] | None = None
    cut: Callable[[str], object] = lambda _: None


@contextmanager
def local() -> Iterator[Place]:
    yield Place({"type": "local"})


@contextmanager
def tmux() -> Iterator[Place]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    directory = tempfile.mkdtemp(prefix="orze-", dir="/tmp")  # a socket's path must be short
    env = {"TMUX_TMPDIR": directory, "SHELL": "/bin/false"}

    def ask(*words: str) -> str:
        return subprocess.run(
            ["tmux", *words], env={**os.environ, **env}, capture_output=True, text=True, check=False
        ).stdout

    try:
        yield Place(
            {"type": "tmux", "session": "farm"},
            env,
            screen=lambda idea_id: ask("capture-pane", "-p", "-t", f"=farm:{idea_id}"),
            cut=lambda idea_id: ask("kill-window", "-t", f"=farm:{idea_id}"),
        )
    finally:
        ask("kill-server")
        shutil.rmtree(directory)


@contextmanager
def ssh() -> Iterator[Place]:
    if SSHD is None:
        pytest.skip("sshd is not installed")
    directory = tempfile.mkdtemp(prefix="orze-", dir="/tmp")
    machine = Sshd(Path(directory) / "there")
    try:
        yield Place(machine.settings(), cut=lambda _: machine.cut())
    finally:
        machine.close()
        shutil.rmtree(directory)


# An executor joins the suite here.
EXECUTORS: Mapping[str, Callable[[], AbstractContextManager[Place]]] = {
    "local": local,
    "ssh": ssh,
    "tmux": tmux,
}


@dataclass(frozen=True)
class Trial:
    """A farm whose ideas run by one executor."""

    place: Place
    farm: Farm

    def start(self) -> None:
        self.farm.start(gpus="cpu:9", **self.place.env)


@contextmanager
def a_trial(name: str, home: Path) -> Iterator[Trial]:
    with EXECUTORS[name]() as place:
        flags = home.parent / "flags"  # no part of the code, which may be copied to where it runs
        env = {"WORDS": "|".join(WORDS), "FLAGS": str(flags)}
        farm = Farm(
            home,
            executor=place.settings,
            train_extra_args=WORDS,
            train_extra_env=env,
            grace=0.2,
            lease=SHORT_LEASE,
        )
        (home / "flags").rename(flags)
        (home / "flags").symlink_to(flags)
        (home / "train_idea.py").write_text(SCRIPT)
        limits = {SLOW: {"Timeout": "1s"}}
        farm.write(
            *(
                idea(number, config=f"act: {act}\n", **limits.get(f"idea-{number:03d}", {}))
                for number, act in enumerate(ACTS, 1)
            )
        )
        trial = Trial(place, farm)
        try:
            trial.start()
            yield trial
        finally:
            farm.close()
        farm.check()


@pytest.fixture(scope="module", params=sorted(EXECUTORS))
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with a_trial(request.param, tmp_path_factory.mktemp("executors") / "it's a $färm; #{x}") as made:
        yield made


def test_metrics_log_and_files_of_a_run_are_in_its_directory(trial: Trial) -> None:
    trial.farm.wait_for(idea_001="CLAIM DONE")
    assert trial.farm.last(GOOD)["metrics"] == {"loss": 0.25}
    home = trial.farm.results / GOOD
    lines = (home / "train_output.log").read_text().splitlines()
    said = [line for line in lines if not line.startswith("[")]  # less where it runs, told by the executor
    assert sorted(said) == ["stderr", "stdout é"]
    assert (home / "latest" / "seen.json").is_file()


def test_no_word_of_command_and_environment_is_changed_on_its_way(trial: Trial) -> None:
    trial.farm.wait_for(idea_001="CLAIM DONE")
    seen = json.loads((trial.farm.results / GOOD / "latest" / "seen.json").read_text())
    assert seen["argv"][-len(WORDS) :] == WORDS
    assert seen["argv"][:2] == ["--idea-id", GOOD]
    assert (seen["words"], seen["seed"]) == ("|".join(WORDS), "0")


@pytest.mark.parametrize(
    ("idea_id", "cause", "said"),
    [
        pytest.param(CODE, Cause.EXIT_CODE, "code 3: no data", id="exit code"),
        pytest.param(RAISES, Cause.EXCEPTION, "ValueError: bad shape", id="exception"),
        pytest.param(DIES, Cause.SIGNAL, "SIGKILL", id="signal"),
        pytest.param(SLOW, Cause.TIMEOUT, "time limit of 1 s", id="timeout"),
    ],
)
def test_a_failure_is_told_by_its_cause(trial: Trial, idea_id: str, cause: Cause, said: str) -> None:
    trial.farm.wait_for(**{idea_id.replace("-", "_"): "CLAIM FAIL"})
    last = trial.farm.last(idea_id)
    assert (last["cause"], said in last["error"]) == (cause, True), last["error"]


def test_progress_and_log_are_seen_while_it_runs(trial: Trial) -> None:
    home = trial.farm.results / GROWS / "latest"
    trial.farm.wait(lambda: "0.5" in read(home / "progress.jsonl"), "its progress")
    trial.farm.wait(lambda: "seen while it runs" in read(home / "train_output.log"), "its log")
    assert trial.farm.kinds(GROWS) == ["CLAIM"]
    if screen := trial.place.screen:
        trial.farm.wait(lambda: "a line that is seen while it runs" in screen(GROWS), "its screen")
        assert "attempts run in tmux session farm: tmux attach -t farm" in trial.farm.daemons[0].output
    trial.farm.flag("grown")
    trial.farm.wait_for(idea_006="CLAIM DONE")


def test_a_stop_ends_every_process_of_a_run(trial: Trial) -> None:
    trial.farm.wait(lambda: trial.farm.flagged("forked"), "its processes")
    started = {int(word) for word in (trial.farm.home / "flags" / "forked").read_text().split()}
    assert len(started & set(pids())) == 2
    trial.farm.answer(trial.farm.ask("stop", FORKS))
    trial.farm.wait_for(idea_007="CLAIM FAIL")
    assert trial.farm.last(FORKS)["cause"] == Cause.STOPPED
    assert not started & set(pids())


def test_a_run_outlives_its_daemon_and_the_next_one_has_its_result_once(trial: Trial) -> None:
    trial.farm.wait(lambda: trial.farm.flagged("begun"), "its begin")
    trial.farm.daemons[-1].kill()
    trial.farm.flag("outlived")
    trial.farm.wait_for(idea_008="CLAIM DONE")
    trial.start()
    trial.farm.wait(lambda: {"COMPLETED"} == outcomes(trial.farm, OUTLIVES), "its outcome in the journal")
    assert trial.farm.kinds(OUTLIVES) == ["CLAIM", "DONE"]
    assert trial.farm.last(OUTLIVES)["metrics"] == {"loss": 0.125}


def test_a_run_needs_nothing_of_what_shows_it(trial: Trial) -> None:
    trial.farm.wait(lambda: trial.farm.flagged("shown"), "its begin")
    trial.place.cut(UNSEEN)
    if screen := trial.place.screen:
        assert screen(UNSEEN) == ""
    trial.farm.flag("cut")
    trial.farm.wait_for(idea_009="CLAIM DONE")
    assert trial.farm.last(UNSEEN)["metrics"] == {"loss": 1.0}


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def outcomes(farm: Farm, idea_id: str) -> set[str]:
    """What the journal tells of an idea's end."""
    told = (item for record in farm.journal() for item in record.get("outcomes", ()))
    return {state for name, state, *_ in told if name == idea_id}
