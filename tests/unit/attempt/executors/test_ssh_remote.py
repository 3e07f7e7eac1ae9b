"""The program that runs on the machine behind ssh, run here: every question a process, as ssh starts it."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orze.attempt.executors.frames import Frames
from orze.attempt.executors.package import FILES, keeper_package, program

ROOT = Path(__file__).resolve().parents[4]
NAME, PACKAGE = keeper_package()
DEADLINE = 20.0


def old_pythons() -> list[str]:
    """Interpreters of the oldest supported version, as far as they are here."""
    found = [shutil.which("python3.8"), *map(str, Path.home().glob(".pyenv/versions/3.8*/bin/python3.8"))]
    return [path for path in found if path and subprocess.call([path, "-c", ""], stderr=-3) == 0]


class There:
    """The machine: a directory, and the interpreter that it has."""

    def __init__(self, work: Path, python: str) -> None:
        self.work = work
        self.python = python

    def start(self, ask: str, attempt: str = "1-aa", **more: Any) -> subprocess.Popen[bytes]:
        """Ask, and do not wait for the answer."""
        request = {
            "ask": ask, "key": "k", "attempt": attempt, "name": "train", "project": "p", "idea": "idea-001",
            "work_dir": str(self.work), "program": NAME, **more,
        }  # fmt: skip
        asking = subprocess.Popen(
            [self.python, "-I", "-S", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert asking.stdin
        asking.stdin.write(program(request, PACKAGE if ask == "begin" else b""))
        asking.stdin.close()
        asking.stdin = None
        return asking

    def ask(self, ask: str, attempt: str = "1-aa", **more: Any) -> Any:
        """The answer; its frames before it are under `streams`."""
        asking = self.start(ask, attempt, **more)
        assert asking.stdout
        assert asking.stderr
        with asking:
            frames = list(Frames().feed(asking.stdout.read()))
            complaint = asking.stderr.read().decode()
        assert complaint == ""
        streams = dict.fromkeys("012", b"")
        for name, piece in frames[:-1]:
            streams[name] = streams.get(name, b"") + piece
        return {**json.loads(frames[-1][1]), "streams": streams}

    def follow(self, *argv: str, attempt: str = "1-aa", **more: Any) -> Any:
        """Have a command run, and follow it to its end."""
        return self.ask("follow", attempt, **self.following(*argv, **more))

    def following(self, *argv: str, offsets: tuple[int, ...] = (0, 0, 0), **spec: Any) -> dict[str, Any]:
        """What `follow` wants."""
        cards = {"count": 0, "allowed": "", "threshold": 0}
        whole = {
            "argv": list(argv),
            "env": {},
            "cwd": str(self.work),
            "limit": 30,
            "grace": 5,
            "path": "",
            **spec,
        }
        progress = "results/idea-001/progress.jsonl"
        return {"offsets": offsets, "spec": {"cards": cards, **whole}, "progress": progress}

    @property
    def run(self) -> Path:
        """The directory of the run."""
        return self.work / ".orze" / "runs" / "k"

    def keepers(self) -> list[int]:
        """The keepers that run."""
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with contextlib.suppress(OSError):
                if f"{self.work}/.orze/keeper-" in Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(pid)
        return found


@pytest.fixture
def there(tmp_path: Path) -> Iterator[There]:
    """A machine with this interpreter."""
    made = There(tmp_path / "it's work", sys.executable)
    yield made
    for pid in made.keepers():
        os.kill(pid, signal.SIGKILL)


def wait(happened: Callable[[], object]) -> None:
    """Wait for something."""
    until = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < until
        select.select([], [], [], 0.01)


@pytest.mark.parametrize("name", [*FILES, "(the program)"])
def test_what_runs_there_is_python_3_8_with_its_standard_library_alone(name: str) -> None:
    text = program({}, b"").decode() if name.startswith("(") else (ROOT / name).read_text()
    tree = ast.parse(text, feature_version=(3, 8))
    imported = {
        module.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert imported <= {*sys.stdlib_module_names, "orze"}
    ours = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    packed = {file.removesuffix(".py").replace("/", ".") for file in FILES}
    assert all(f"{module}.py" in str(packed) or module in packed for module in ours if module.count(".") > 2)


@pytest.mark.parametrize("python", [sys.executable, *old_pythons()[:1]])
def test_a_command_runs_there_and_everything_it_says_comes_back(tmp_path: Path, python: str) -> None:
    there = There(tmp_path / "work", python)
    begun = there.ask("begin")
    assert (begun["known"], begun["sent"], begun["run"], begun["base"]) == (False, False, str(there.run), "")
    line = f"echo out; echo err >&2; echo '{{}}' > {there.run}/results/idea-001/progress.jsonl; exit 3"
    answer = there.follow("sh", "-c", line)
    assert answer["ended"]["status"] == 3 << 8
    assert answer["streams"] == {"0": b"", "1": b"out\nerr\n", "2": b"{}\n"}
    assert answer["bytes"] == 3
    again = there.follow("sh", "-c", line, offsets=(0, 4, 0))
    assert (again["ended"], again["streams"]["1"]) == (answer["ended"], b"err\n")
    there.ask("end", remove=True)
    assert list((there.work / ".orze" / "runs").iterdir()) == []
    assert (there.work / ".orze" / ".gitignore").read_text() == "*\n"


def test_the_next_attempt_takes_over_what_runs_and_the_one_before_has_no_say(there: There) -> None:
    there.ask("begin")
    first = there.start(
        "follow", **there.following("sh", "-c", "echo once; until [ -e go ]; do sleep .02; done")
    )
    wait((there.run / "commands" / "train" / "begun").exists)
    first.kill()
    first.communicate()
    assert there.ask("begin", "2-bb")["known"]
    assert there.ask("stop")["over"]
    assert there.ask("end", remove=True)["over"]
    (there.work / "go").touch()
    answer = there.follow("sh", "-c", "echo twice", attempt="2-bb")
    assert (answer["ended"]["status"], answer["streams"]["1"]) == (0, b"once\n")


@pytest.mark.parametrize("how", ["fetched", "stopped", "killed"])
def test_what_was_fetched_stopped_or_killed_is_not_taken_over(there: There, how: str) -> None:
    there.ask("begin")
    (there.run / "code" / "old").touch()
    with there.start("follow", **there.following("sh", "-c", "echo first; exec sleep 60")) as following:
        wait((there.run / "commands" / "train" / "log").exists)
        if how == "killed":
            os.kill(there.keepers()[0], signal.SIGKILL)
        else:
            there.ask("stop")
        following.communicate()
    if how == "fetched":
        there.ask("end", remove=False)
    begun = there.ask("begin", "2-bb")
    assert (begun["known"], begun["sent"]) == (False, False)
    assert (Path(begun["base"]) / "old").exists()
    assert there.follow("echo", "second", attempt="2-bb")["streams"]["1"] == b"second\n"


@pytest.mark.parametrize(
    ("argv", "spec", "why", "status"),
    [
        pytest.param(["sleep", "60"], {"limit": 0.1}, "timeout", signal.SIGTERM, id="timeout"),
        pytest.param(["sh", "-c", "kill -9 $$"], {}, "", signal.SIGKILL, id="signal"),
        pytest.param(["/no/such/program"], {}, "no start", None, id="no program"),
        pytest.param(["true"], {"cwd": "/no/such/directory"}, "no start", None, id="no directory"),
    ],
)
def test_how_a_command_ended_is_kept_there(
    there: There, argv: list[str], spec: dict[str, Any], why: str, status: int | None
) -> None:
    there.ask("begin")
    ended = there.follow(*argv, **spec)["ended"]
    assert (ended["why"], ended["status"]) == (why, status)
    if why == "no start":
        assert "No such file or directory" in ended["error"]


def test_a_stop_ends_the_whole_tree_even_what_left_its_session(there: There) -> None:
    there.ask("begin")
    line = (
        "setsid sleep 61 & echo $! > pids; trap '' TERM; sleep 62 & echo $! >> pids; touch up; wait; sleep 63"
    )
    with there.start("follow", **there.following("sh", "-c", line, grace=0.2)) as following:
        wait((there.work / "up").exists)
        there.ask("stop")
        following.communicate()
    pids = [int(pid) for pid in (there.work / "pids").read_text().split()]
    assert len(pids) == 2
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert json.loads((there.run / "commands" / "train" / "status.json").read_text())["why"] == "stop"


def test_a_stop_that_comes_before_the_start_is_obeyed(there: There) -> None:
    there.ask("begin")
    there.ask("stop")
    assert there.follow("touch", str(there.work / "ran"))["ended"]["why"] == "stop"
    assert not (there.work / "ran").exists()


def test_a_keeper_that_was_killed_is_told_and_nothing_runs_twice(there: There) -> None:
    there.ask("begin")
    with there.start("follow", **there.following("sh", "-c", "echo ran >> ran; exec sleep 60")) as following:
        wait((there.work / "ran").exists)
        os.kill(there.keepers()[0], signal.SIGKILL)
        following.communicate()
    assert there.follow("sh", "-c", "echo ran >> ran")["ended"]["why"] == "killed"
    assert (there.work / "ran").read_text() == "ran\n"


def test_an_interpreter_that_is_too_old_says_which_it_is() -> None:
    text = program({"work_dir": "/nowhere"}, b"").decode().replace("(3, 8)", "(99, 0)")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"], input=text.encode(), capture_output=True, check=True
    )
    ((_, answer),) = Frames().feed(done.stdout)
    assert json.loads(answer) == {"old": "{}.{}".format(*sys.version_info[:2])}


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = There(tmp_path / "file" / "work", sys.executable).ask("begin")
    assert (answer["error"], answer["passing"]) == (f"{tmp_path}/file/work: Not a directory", False)


def test_what_a_script_puts_in_the_place_of_its_progress_is_not_followed(there: There) -> None:
    there.ask("begin")
    (there.run / "results" / "idea-001" / "progress.jsonl").symlink_to("/etc/hostname")
    assert there.follow("true")["streams"]["2"] == b""


def test_several_at_once_in_one_directory_do_one_another_no_harm(there: There) -> None:
    def all_at_once(ask: str, **more: Any) -> list[dict[str, bytes]]:
        asking = [there.start(ask, key=f"k{n}", **more) for n in range(3)]
        return [dict(Frames().feed(one.communicate(timeout=DEADLINE)[0])) for one in asking]

    begun = [json.loads(one["answer"])["run"] for one in all_at_once("begin")]
    assert [Path(run).name for run in begun] == ["k0", "k1", "k2"]
    said = all_at_once("follow", **there.following("sh", "-c", "echo ran >> ran; echo said"))
    assert [one["1"] for one in said] == [b"said\n"] * 3
    assert (there.work / "ran").read_text() == "ran\n" * 3
    assert [one["answer"] for one in all_at_once("end", remove=True)] == [b"{}"] * 3
    assert list((there.work / ".orze" / "runs").iterdir()) == []
    assert not list((there.work / ".orze").glob("trash-*"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to another user")
def test_another_user_of_the_machine_has_a_directory_of_his_own(there: There) -> None:
    home = there.work / ".orze"
    home.mkdir(parents=True)
    os.chown(home, 12345, 12345)
    assert there.ask("begin")["run"] == f"{there.work}/.orze-{os.getuid()}/runs/k"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(("days", "left"), [(0.5, True), (1.5, False)])
def test_a_run_that_was_fetched_and_never_ended_is_removed_by_others_a_day_later(
    there: There, days: float, left: bool
) -> None:
    there.ask("begin")
    there.follow("true")
    there.ask("end", remove=False)
    old = time.time() - days * 86400
    os.utime(there.run / "owner", (old, old))
    there.ask("begin", key="other")
    assert there.run.exists() == left


def test_a_follower_whose_line_was_lost_ends_when_another_follows(there: There) -> None:
    there.ask("begin")
    run = there.following("sh", "-c", "until [ -e go ]; do sleep .02; done")
    first = there.start("follow", **run)
    wait((there.run / "commands" / "train" / "follower").exists)
    second = there.start("follow", **run)
    first.communicate(timeout=DEADLINE)
    assert second.poll() is None
    (there.work / "go").touch()
    second.communicate(timeout=DEADLINE)


def test_the_package_is_the_same_for_the_same_sources() -> None:
    assert keeper_package() == (NAME, PACKAGE)
    assert NAME.startswith("keeper-")
    assert len(PACKAGE) < 40_000
