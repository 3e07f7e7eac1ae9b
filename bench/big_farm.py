"""A farm of 50,000 ideas, half of them done, made in seconds by writing what a leader would have written."""

from __future__ import annotations

import os
from pathlib import Path

from common import Farm, section

from orze.coord.journal import Journal
from orze.coord.leader import Leadership
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.core.paths import FarmPaths
from orze.ideas.scan import scan

IDEAS = 50_000
PAUSED = "min_disk_gb: 1000000000\n"  # no launch: what is measured is all else


def fill(farm: Farm) -> None:
    """Give a farm its ideas and settings; nothing of it has run yet."""
    with (farm.home / "orze.yaml").open("a") as settings:
        settings.write(PAUSED)
    farm.append(IDEAS)


def settle_half(farm: Farm) -> None:
    """Register all ideas, and record the first half as done."""
    files, clock, paths = RealFiles(), SystemClock(), FarmPaths(str(farm.results))
    frame: dict[str, object] = {"host": "bench", "boot": "", "pidns": "", "machine": "", "pid": 0, "start": 0}
    farm.results.mkdir(exist_ok=True)
    leadership = Leadership(files, paths.leader, clock, token="bench", frame=frame)
    leadership.campaign()
    journal = Journal(files, paths.journal, clock, frame=frame)
    journal.follow()
    numbers = range(1, IDEAS + 1)
    parts = {
        "register": [[name_of(number), revision(number), section(number)] for number in numbers],
        "outcomes": [[name_of(number), "COMPLETED", facts(number)] for number in numbers[: IDEAS // 2]],
    }
    if not journal.write(leadership.fold.term, parts):
        raise SystemExit("the journal was not written")
    leadership.resign()
    for number in numbers[: IDEAS // 2]:
        (farm.results / name_of(number)).mkdir()


def name_of(number: int) -> str:
    """The id of an idea."""
    return f"idea-{number:05d}"


def revision(number: int) -> str:
    """The sha of an idea's section, in hex."""
    return scan(section(number).encode())[0].sha.hex()


def facts(number: int) -> dict[str, object]:
    """What the journal keeps of a result."""
    return {
        "attempt": 1,
        "host": "gpu-a1",
        "gpu": str(number % 8),
        "at": 1.7e9 + number,
        "seconds": 600.0 + number % 97,
        "dir": f"1-{number:022x}",
        "sha": revision(number),
        "error": "",
        "title": f"Idea {number}",
        "metrics": {"val_accuracy": (number * 7919 % 10007) / 10007, "val_loss": 1 / number, "epochs": 10},
    }


def environment(home: Path) -> dict[str, str]:
    """The environment of a daemon whose caches are in the farm's own directory."""
    return {**os.environ, "XDG_CACHE_HOME": str(home / "cache")}
