"""Reads one hostile thing under a bound of memory, in a process of its own: `bombs.py NAME DIRECTORY`."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from orze.attempt.metrics import MetricsError, last_progress, read_metrics
from orze.config.load import load_settings
from orze.coord.chain import Chain
from orze.coord.idea_chain import IdeaFold
from orze.coord.record import slot_name
from orze.coord.requests import pending
from orze.core.clock import ManualClock, SystemClock
from orze.core.errors import ConfigError
from orze.core.files import RealFiles
from orze.ideas.parse import IdeaError, load_config
from orze.ideas.source import IdeasSource
from orze.report.columns import read_cells
from orze.report.model import Column

_MIB = 1 << 20
_LARGE = 200 * _MIB


def _fill(path: Path, unit: bytes) -> Path:
    """A mebibyte of this and a hole behind it: 200 MiB to read, little on the disk."""
    path.write_bytes(unit * (_MIB // len(unit)))
    os.truncate(path, _LARGE)
    return path


def _metrics(home: Path) -> str:
    try:
        read_metrics(str(home))
    except MetricsError as error:
        return str(error.cause)
    return "read"


def large_metrics(home: Path) -> str:
    """200 MB of metrics."""
    _fill(home / "metrics.json", b'{"status": "COMPLETED", "a": [1, 2]}')
    return _metrics(home)


def growing_metrics(home: Path) -> str:
    """A million numbers in the mebibyte that is allowed."""
    (home / "metrics.json").write_text('{"status": "COMPLETED", "a": [' + "1," * 500_000 + "1]}")
    return _metrics(home)


def endless_device(home: Path) -> str:
    """A device in the place of the metrics."""
    os.mknod(home / "metrics.json", 0o020666, os.makedev(1, 5))  # /dev/zero
    return _metrics(home)


def progress(home: Path) -> str:
    """200 MB of progress in one line."""
    return str(last_progress(str(_fill(home / "progress.jsonl", b"x"))))


def column(home: Path) -> str:
    """A column of the leaderboard from a file of 200 MB, and from one that is a link out of results/."""
    (home / "b.json").symlink_to("/etc/hostname")
    _fill(home / "a.json", b"[[[[")
    cells = read_cells([Column("a", source="a.json:b"), Column("b", source="b.json:c")], {}, str(home))
    return "".join(cells)


def settings(home: Path) -> str:
    """orze.yaml of 200 MB."""
    _fill(home / "orze.yaml", b"a: 1\n")
    try:
        load_settings(None, {}, home, {})
    except ConfigError as error:
        return error.problems[0].partition("; ")[0]
    return "read"


def yaml(home: Path) -> str:
    """An alias bomb that would be 2^60 values."""
    lines = ["a: &a [x, x]", *(f"k{n}: &k{n} [*k{n - 1}, *k{n - 1}]" for n in range(1, 60))]
    text = "\n".join(lines).replace("*k0", "*a")
    try:
        load_config(f"## idea-1: a\n\n```yaml\n{text}\n```\n", path="ideas.md", line=1)
    except IdeaError as error:
        return str(error.reason)
    return "read"


def ideas(home: Path) -> str:
    """ideas.md of 200 MB without an idea."""
    path = _fill(home / "ideas.md", b"prose and nothing else\n")
    source = IdeasSource(path, settle_seconds=0.0, monotonic=SystemClock().steady)
    for _ in range(50):
        update = source.poll()
        if update and update.problems:
            return update.problems[0].reason
    return "read"


def sections(home: Path) -> str:
    """ideas.md with 200,000 bad sections."""
    (home / "ideas.md").write_bytes(b"## idea-x\n" * 200_000)
    source = IdeasSource(home / "ideas.md", settle_seconds=0.0, monotonic=SystemClock().steady)
    source.poll()
    return "read"


def record(home: Path) -> str:
    """A record of 200 MB in a slot."""
    _fill(home / slot_name(1), b"{")
    try:
        Chain(RealFiles(), str(home), IdeaFold(), ManualClock()).refresh()
    except OSError as error:
        return error.strerror or ""
    return "read"


def requests(home: Path) -> str:
    """A request of 200 MB, and one that is a pipe."""
    _fill(home / "a.json", b"{")
    os.mkfifo(home / "b.json")
    return "; ".join(found.problem for found in pending(RealFiles(), str(home)))


BOMBS: dict[str, tuple[Callable[[Path], str], str]] = {
    "large_metrics": (large_metrics, "metrics_too_large"),
    "growing_metrics": (growing_metrics, "read"),
    "endless_device": (endless_device, "metrics_not_file"),
    "progress": (progress, "None"),
    "column": (column, "––"),
    "settings": (settings, "orze.yaml: larger than 1 MiB"),
    "yaml": (yaml, ""),
    "ideas": (ideas, "more than 64 MiB without a new idea: split the file"),
    "sections": (sections, "read"),
    "record": (record, "larger than 8388608 bytes"),
    "requests": (requests, "the request is larger than 65536 bytes"),
}


def main() -> None:
    """Read one bomb with at most 512 MiB beyond what Python and our modules take, and 20 s of CPU."""
    with open("/proc/self/statm", encoding="ascii") as stream:
        size = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 512 * _MIB,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    # The peak of getrusage(2) is inherited from whoever started us; that of proc(5) is our own.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    print(BOMBS[sys.argv[1]][0](Path(sys.argv[2])))
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    print(int(status.split("VmHWM:")[1].split()[0]) // 1024)


if __name__ == "__main__":
    main()
