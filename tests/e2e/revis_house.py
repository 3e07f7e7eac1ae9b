"""A repository with a mediocre training script, and loops of revis at work on it as real processes."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orze.refine.fold import SessionFold
from orze.refine.places import find
from orze.refine.table import Row, rows

ROOT = Path(__file__).resolve().parents[2]
REVIS = (sys.executable, "-P", "-m", "orze.cli.revis.app")
FARM = (sys.executable, str(ROOT / "farm.py"), "-v")
DEADLINE = 60.0  # seconds; every wait is for an event, this bounds it
_TICK = 0.02
TRAIN = '''"""Goes down a parabola, with a rate that is much too small."""
import json
import os
import pathlib
import time

RATE = 2


def note(what):
    if path := os.environ.get("HISTORY"):
        line = {"what": what, "at": time.time(), "where": os.getcwd(), "environ": sorted(os.environ)}
        with open(path, "a") as history:
            history.write(json.dumps(line) + "\\n")


note("start")
x = 5.0
for _ in range(10):
    x -= RATE * 0.01 * 2 * x
time.sleep(float(os.environ.get("SECONDS_TAKEN", "0")))
while os.path.exists(os.environ.get("HOLD", "")):
    time.sleep(0.02)
out = pathlib.Path(os.environ.get("REVIS_OUTPUT_DIR", "."))
(out / "eval.json").write_text(json.dumps({"loss": x * x, "rate": RATE}))
print(f"loss {x * x:.4f}")
note("end")
'''
AGENT = '''"""An agent of few words: makes the rate larger, by another amount in each step."""
import pathlib
import re
import sys

told = sys.stdin.read()
path = pathlib.Path("train.py")
text = path.read_text()
rate = int(re.search(r"RATE = ([0-9]+)", text)[1])
new = rate + 1 + int(re.search(r", step ([0-9]+)", told)[1])
path.write_text(text.replace(f"RATE = {rate}", f"RATE = {new}"))
print(f"HYPOTHESIS: a rate of {new} gets further")
'''
_RATE = re.compile(r"RATE = (-?[0-9]+)")


def proposal(prompt: str, number: int) -> str:
    """What the scripted model replies: a larger rate, and each third time one that leads away."""
    rate = int(_RATE.findall(prompt)[0])
    new = -5 - number if number % 3 == 0 else rate + 3
    return (
        f"HYPOTHESIS: A rate of {new} gets further than {rate}, says proposal {number}.\n\nFILE: train.py\n"
        f"<<<<<<< SEARCH\nRATE = {rate}\n=======\nRATE = {new}\n>>>>>>> REPLACE\n"
    )


class House:
    """A project in a temporary directory.

    Args:
        home: the repository, made here.
        settings: what revis.yaml says beside command and metric.
    """

    def __init__(self, home: Path, **settings: Any) -> None:
        self.home = home / "project"
        self.history = home / "history.jsonl"
        self.home.mkdir(parents=True)
        (home / "tmp").mkdir()
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "ORZE_"))},
            "TMPDIR": str(home / "tmp"),
            "TMUX_TMPDIR": str(home / "tmp"),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "HISTORY": str(self.history),
        }
        for name, text in {"train.py": TRAIN, ".gitignore": "__pycache__/\nresults/\n"}.items():
            (self.home / name).write_text(text)
        self.git("init", "-q", "-b", "main")
        self.git("add", "-A")
        self.git("-c", "user.name=u", "-c", "user.email=u@localhost", "commit", "-q", "-m", "first")
        (self.home / "agent.py").write_text(AGENT)  # not committed: it is not part of the experiment
        metrics = {"primary": "loss", "minimize": True}
        entry = {"train": f"{sys.executable} train.py", "env": {"HISTORY": str(self.history)}}
        given = {"entry": entry, "metrics": metrics, "guardrails": {"plateau_runs": 0}, **settings}
        self.write("revis.yaml", {key: value for key, value in given.items() if value is not None})
        self.processes: list[subprocess.Popen[str]] = []

    def write(self, name: str, settings: Mapping[str, Any]) -> None:
        """Write a settings file (JSON is YAML)."""
        (self.home / name).write_text(json.dumps(settings, indent=1))

    def git(self, *words: str) -> str:
        """What git says."""
        done = subprocess.run(
            ["git", *words], cwd=self.home, env=self.environ, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode(errors="replace").strip()

    # ---- processes

    def start(self, *words: str, program: Sequence[str] = REVIS, **environ: str) -> subprocess.Popen[str]:
        """Start a program; what it prints goes into a file beside the project."""
        path = self.home.parent / f"output-{len(self.processes)}.log"
        with path.open("w") as output:
            process = subprocess.Popen(
                [*program, *words],
                cwd=self.home,
                env={**self.environ, "PYTHONPATH": str(ROOT), **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def run(self, *words: str, status: int = 0, **how: str) -> str:
        """Run a command to its end; what it printed."""
        process = self.start(*words, **how)
        self.wait(lambda: process.poll() is not None, " ".join(words))
        assert process.returncode == status, self.output(process)
        return self.output(process)

    def output(self, process: subprocess.Popen[str]) -> str:
        """All that a command printed."""
        number = self.processes.index(process)
        return (self.home.parent / f"output-{number}.log").read_text(errors="replace")

    def working_here(self) -> list[int]:
        """Every process whose working directory is in here, or that was started for it."""
        found = []
        for entry in os.listdir("/proc"):
            try:
                here = os.readlink(f"/proc/{entry}/cwd") if entry.isdigit() else ""
            except OSError:
                continue
            if here.startswith(str(self.home)):
                found.append(int(entry))
        return found

    def trainings(self) -> list[int]:
        """The processes that train."""
        return [pid for pid in self.working_here() if "train.py" in _command_line(pid)]

    def daemons(self) -> list[int]:
        """The loops and daemons."""
        return [pid for pid in self.working_here() if "orze.cli.farm" in _command_line(pid)]

    def close(self) -> None:
        """Kill everything."""
        until = time.monotonic() + DEADLINE
        while (left := self.working_here()) and time.monotonic() < until:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            for process in self.processes:
                process.poll()
            select.select([], [], [], _TICK)
        for process in self.processes:
            process.wait(DEADLINE)
        if shutil.which("tmux"):
            subprocess.run(["tmux", "kill-server"], env=self.environ, capture_output=True, check=False)

    def wait(self, happened: Callable[[], object], what: str = "") -> None:
        """Wait until something has happened."""
        until = time.monotonic() + DEADLINE
        while not happened():
            assert time.monotonic() < until, f"not within {DEADLINE:g} s: {what}\n{self.story()}"
            select.select([], [], [], _TICK)

    def story(self) -> str:
        """All that explains a failure."""
        logs = [self.output(process) for process in self.processes]
        farms = [path.read_text(errors="replace") for path in self.home.glob(".revis/*/farm/farm.log")]
        return "\n----\n".join([*logs, *farms])

    # ---- what is to be seen

    def fold(self, name: str) -> SessionFold:
        """What is recorded of a session; nothing where there is none yet."""
        try:
            return find(self.home, name).fold
        except Exception as error:
            assert type(error).__name__ == "NoSession", error
            return SessionFold()

    def rows(self, name: str) -> tuple[Row, ...]:
        """Its steps."""
        return rows(self.fold(name))

    def events(self, what: str) -> list[dict[str, Any]]:
        """The lines of the trainings' history."""
        if not self.history.exists():
            return []
        return [e for e in map(json.loads, self.history.read_text().splitlines()) if e["what"] == what]

    def measured(self, commit: str) -> float:
        """What a commit comes to when a person checks it out and runs it."""
        place = self.home.parent / f"checked-{commit[:12]}"
        self.git("worktree", "add", "-q", "--detach", str(place), commit)
        done = subprocess.run([sys.executable, "train.py"], cwd=place, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return float(json.loads((place / "eval.json").read_text())["loss"])

    def recorded(self, commit: str) -> float:
        """What the trailer of a commit says."""
        text = self.git("show", "-s", "--format=%(trailers:key=Revis-Metric,valueonly)", commit)
        match = re.fullmatch(r"loss=(\S+) \(n=1\)", text)
        assert match, text
        return float(match[1])

    def checkout(self) -> dict[str, bytes]:
        """All of the user's: files, index, HEAD and branches, but not what revis keeps of its own."""
        own = {path: path.read_bytes() for path in self.home.rglob("*") if path.is_file()}
        kept = {str(path.relative_to(self.home)): data for path, data in own.items()}
        skip = (".revis/", ".git/objects/", ".git/refs/revis/", ".git/refs/heads/revis/", ".git/logs/refs/")
        skip += (".git/worktrees/", "results/", "ideas", ".ideas")
        return {name: data for name, data in kept.items() if not name.startswith(skip)}


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except FileNotFoundError:
        return ""
