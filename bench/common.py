"""What the benchmarks share: a scratch farm, interpreters to compare with, and one line a figure."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # who has installed the farm has its bytecode too
FARM = ROOT / "farm.py"
INTERPRETER = os.path.realpath(sys.executable)  # the binary itself: a shim in front of it would flatter us
DEADLINE = 300.0  # seconds for anything that is waited for

TRAIN = """\
import time
start = time.monotonic_ns()
import os, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
home = given["--results-dir"] + "/" + given["--idea-id"]
with open(home + "/metrics.json", "w") as stream:
    stream.write('{"status": "COMPLETED", "accuracy": 0.5}')
stamps = os.open(os.environ["BENCH_STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
os.write(stamps, b"%d %d\\n" % (start, time.monotonic_ns()))
"""


class Farm:
    """A project in a directory of its own, whose training script does nothing but stamp its start and end.

    Args:
        home: an empty directory.
        ideas: how many ideas it has.

    Attributes:
        written: how many ideas are in ideas.md.
    """

    def __init__(self, home: Path, ideas: int) -> None:
        self.home = home
        self.results = home / "results"
        self.ideas_md = home / "ideas.md"
        self.script = home / "train.py"
        self._stamps = home / "stamps"
        self.script.write_text(TRAIN)
        (home / "base.yaml").write_text("training: {lr: 0.1}\n")
        (home / "orze.yaml").write_text("train_script: train.py\nbase_config: base.yaml\n")
        self.ideas_md.write_text("# Ideas\n\n")
        self.written = 0
        self.append(ideas)

    def append(self, ideas: int) -> None:
        """Add so many ideas at the end of ideas.md."""
        first, self.written = self.written + 1, self.written + ideas
        with self.ideas_md.open("a") as stream:
            stream.write("".join(map(section, range(first, self.written + 1))))

    @property
    def environment(self) -> dict[str, str]:
        """Of the daemon, and so of the scripts."""
        return {**os.environ, "BENCH_STAMPS": str(self._stamps)}

    def stamps(self) -> list[tuple[int, int]]:
        """Start and end of every training, in nanoseconds of CLOCK_MONOTONIC, by their ends."""
        if not self._stamps.exists():
            return []
        rows = [line.split() for line in self._stamps.read_text().splitlines()]
        return sorted(((int(start), int(end)) for start, end in rows), key=lambda row: row[1])

    @contextmanager
    def daemon(
        self, *flags: str, environment: dict[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """`python farm.py` while the block runs; what it says is in `daemon.log`."""
        with (self.home / "daemon.log").open("ab") as log:
            argv = [sys.executable, str(FARM), *flags]
            given = environment or self.environment
            process = subprocess.Popen(argv, cwd=self.home, env=given, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    def release(self) -> None:
        """Make the file that trainings which wait are waiting for."""
        self._stamps.touch()

    def settled(self) -> int:
        """How many ideas have their metrics, which is the last thing that an attempt shows."""
        return sum(1 for _ in self.results.glob("idea-*/metrics.json"))

    def train_bare(self) -> float:
        """Seconds of the training script run by hand."""
        data = self.home / "bare" / "idea-1"
        data.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, str(self.script), "--idea-id", "idea-1", "--results-dir", str(data.parent)]
        return timed(lambda: run(argv, {**self.environment, "BENCH_STAMPS": os.devnull}))


def section(number: int) -> str:
    """A small idea."""
    return f"## idea-{number:05d}: Idea {number}\n\n```yaml\ntraining: {{lr: {number / 1000}}}\n```\n\n"


@contextmanager
def scratch_farm(ideas: int) -> Iterator[Farm]:
    """A farm in the temporary directory, removed at the end of the program.

    Not earlier: ext4 passes over inodes that were deleted in the last minutes, one by one, so that what one
    round removes slows down whatever the next one makes.
    """
    home = Path(tempfile.mkdtemp(prefix="orze-bench-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    yield Farm(home, ideas)


def run(argv: list[str], environment: dict[str, str] | None = None) -> None:
    """Start a process with the least that can be done, and reap it; what it prints is thrown away."""
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    environment = dict(os.environ) if environment is None else environment
    pid = os.posix_spawn(argv[0], argv, environment, file_actions=silent)
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(f"{argv} failed with wait status {status}")


def bare_starts(count: int) -> list[float]:
    """Seconds of so many starts of an interpreter that does nothing."""
    return [timed(lambda: run([INTERPRETER, "-I", "-S", "-c", "pass"])) for _ in range(count)]


def timed(action: Callable[[], object]) -> float:
    """Seconds that something takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def middle(action: Callable[[], float], times: int) -> float:
    """The median of so many values."""
    return median(action() for _ in range(times))


def wait_until(done: Callable[[], bool], *processes: subprocess.Popen[bytes]) -> None:
    """Look until it is so, twenty times a second; give up when a process ends or time runs out."""
    until = time.monotonic() + DEADLINE
    while not done():
        ended = [process.pid for process in processes if process.poll() is not None]
        if ended or time.monotonic() > until:
            raise SystemExit(f"given up: processes {ended} have ended" if ended else "given up: out of time")
        time.sleep(0.05)


def memory_of(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of a process in MB (VmHWM: its highest so far)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith(field + ":")) / 1024


def tell(what: str, value: float, unit: str, bar: float, *, at_least: bool = False) -> None:
    """Print one figure against its bar.

    Args:
        unit: what stands behind the figure, such as `ms` or `x a bare interpreter`.
        at_least: the bar is the least that will do, not the most.
    """
    kept = value >= bar if at_least else value <= bar
    print(f"{what} {value:.3g} {unit} (bar {bar:g})  {'ok' if kept else 'MISSED'}", flush=True)
