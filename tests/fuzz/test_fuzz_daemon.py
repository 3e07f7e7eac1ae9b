"""A daemon whose whole directory is hostile goes on, reports, and touches nothing outside of results/."""

from __future__ import annotations

import json
import logging
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orze.coord.idea_chain import IdeaFold
from orze.coord.record import decode, digest, encode, slot_name
from orze.core.clock import SystemClock
from orze.farm.daemon import Daemon
from tests.fuzz.corpus import CORPUS
from tests.unit.farm.farm_examples import ELSEWHERE, HERE, Played, context, section

TRAIN = """
import json, os
with open(os.path.join(os.environ["REVIS_OUTPUT_DIR"], "metrics.json"), "w") as stream:
    json.dump({"status": "COMPLETED", "val_loss": 0.5}, stream)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project in a directory with a neighbour that nothing may touch."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("mine")
    project = tmp_path / "project"
    (project / "configs").mkdir(parents=True)
    (project / "configs" / "base.yaml").write_text("{}\n")
    (project / "train_idea.py").write_text(TRAIN)
    return project


def _odd_files(folder: Path, name: str, outside: Path) -> Iterator[None]:
    """One after the other, everything that can stand in the place of a file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"a{name}").symlink_to(outside / "precious")
    yield os.mkfifo(folder / f"b{name}")
    (folder / f"c{name}").mkdir()
    (folder / f"d{name}").symlink_to(folder / f"d{name}")
    (folder / f"e{name}").symlink_to("/dev/zero")
    (folder / f"f{name}").write_bytes(b"\xff" * 100)
    (folder / os.fsdecode(b"g\xff\n|`" + os.fsencode(name))).write_bytes(b"{}")


def _spoil(made, chance: random.Random, outside: Path) -> None:
    """Put garbage wherever somebody else may write."""
    results = Path(made.paths.results)
    for folder, name in ((made.paths.requests, ".json"), (made.paths.hosts, ".json")):
        list(_odd_files(Path(folder), name, outside))
        for number, data in enumerate(chance.sample(CORPUS["requests"] + CORPUS["hosts"], 20)):
            (Path(folder) / f"{number}{name}").write_bytes(data)
    beats = Path(made.paths.heartbeats)
    for number, data in enumerate(CORPUS["heartbeat"]):
        (beats / f"idea-{number:03d}.{HERE.new_token()}").write_bytes(data)
        (beats / f"daemon.{ELSEWHERE.new_token()}").write_bytes(data)
    list(_odd_files(beats, ".token", outside))
    list(_odd_files(Path(made.settings.ideas_file).parent / "ideas.d" / "new", ".md", outside))
    for number, data in enumerate(chance.sample(CORPUS["idea_chain"], 40), 100):
        chain = results / f"idea-{number:03d}" / ".chain"
        chain.mkdir(parents=True)
        _fill(chain, data)
    for number, data in enumerate(CORPUS["metrics"], 200):
        (results / f"idea-{number:03d}").mkdir()
        (results / f"idea-{number:03d}" / "metrics.json").write_bytes(data)
    for number in range(300, 304):
        list(_odd_files(results / f"idea-{number:03d}", "", outside))
    os.mkfifo(results / "idea-310")
    (results / "idea-311").symlink_to(outside)
    (results / "idea-312").mkdir()
    os.mkfifo(results / "idea-312" / "metrics.json")
    (results / "idea-313" / ".chain").mkdir(parents=True)
    os.mkfifo(results / "idea-313" / ".chain" / "000001.json")


def _fill(chain: Path, data: bytes) -> None:
    """Slots of a chain whose predecessors are right where that can be."""
    fold = IdeaFold()
    for slot, line in enumerate(data.split(b"\n")[:12], 1):
        try:
            raw = encode({**decode(line.removeprefix(b"+")), "prev": fold.tail})
            fold.apply(decode(raw), digest(raw))
        except ValueError:
            raw = line
        (chain / slot_name(slot)).write_bytes(raw)


@pytest.mark.parametrize("seed", range(3))
def test_a_daemon_in_a_hostile_directory_goes_on_and_touches_nothing_else(
    home: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="orze")  # names that are no text must not reach the runner
    settings = {"gpus": "cpu:1", "poll": 0.2, "python": sys.executable, "min_disk_gb": 1e9}
    made = context(home, clock=SystemClock(), **settings)
    outside = home.parent / "outside"
    ideas = [section(number) for number in range(1, 4)]
    bad = b"\n".join(random.Random(seed).sample(CORPUS["ideas"], 4))
    Path(made.settings.ideas_file).write_bytes("".join(ideas).encode() + bad)
    _spoil(made, random.Random(seed), outside)
    Played(made, "idea-001", ELSEWHERE, heartbeat=True)
    daemon = Daemon(made, {"PATH": os.environ["PATH"]})
    daemon.begin()
    for _ in range(4):
        daemon.cycle()
    daemon.show.write()
    daemon.leave()
    told = [problem.text for problem in daemon.members.problems]
    assert not [text for text in told if "please report it" in text]
    status = json.loads(Path(made.paths.output("status.json")).read_bytes())
    assert status["states"]
    assert "idea-002" in set(daemon.members.queue.ids())
    assert sorted(path.name for path in outside.iterdir()) == ["precious"]
    assert (outside / "precious").read_text() == "mine"
