"""A farm that is always the same, written file by file, for what `orze` shows of it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orze.attempt.projections import project as write_projections
from orze.client.project import Project, open_project
from orze.client.reader import Reader
from orze.coord.chain import Chain
from orze.coord.idea_chain import IdeaFold
from orze.coord.journal import Journal
from orze.coord.leader import Leadership
from orze.coord.record import new_record
from orze.core.clock import ManualClock
from orze.core.files import RealFiles
from orze.core.paths import FarmPaths
from orze.farm.outcomes import outcome_of
from orze.ideas.scan import scan_all

NOW = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
FRAME = {"host": "gpu-a", "boot": "b", "pidns": "p", "machine": "m", "pid": 4_194_305, "start": 1}
BASE = "model: {type: mlp, layers: [64]}\ntraining: {lr: 0.001, epochs: 30, seed: 0}\n"
BAD = "\x1b[31mred\x1b[0m [bold]not markup[/bold]\u202e"

IDEAS = f"""# Ideas

## idea-001: One hidden layer
- **Category**: baseline
- **Hypothesis**: A small network is enough.

```yaml
model: {{layers: [128]}}
```

## idea-002: A lower rate
- **Priority**: high
- **Parent**: idea-001
- **Hypothesis**: The loss still falls at the end, so slower and longer is better.

```yaml
model: {{layers: [128]}}
training: {{lr: 0.0005, epochs: 60}}
```

## idea-003: A very wide layer
- **Parent**: idea-001

```yaml
model: {{layers: [99999]}}
```

## idea-004: Two layers
- **Parent**: idea-002

```yaml
model: {{layers: [128, 64]}}
training: {{lr: 0.0005, epochs: 60}}
```

## idea-005: After the wide one
- **After**: idea-003

## idea-006: After the two layers
- **After**: idea-004

## idea-007: Not yet

## idea-008: A word that is no priority
- **Priority**: soon

## idea-009: For four cards
- **GPUs**: 4

## idea-010: {BAD}
"""


def iso(ago: float) -> str:
    """The time so many seconds ago, as status.json writes it."""
    return datetime.fromtimestamp(NOW - ago, UTC).isoformat()


@dataclass
class EyesFarm:
    """The farm.

    Attributes:
        clock: stands at NOW.
    """

    home: Path
    clock: ManualClock

    @property
    def paths(self) -> FarmPaths:
        """Below results/."""
        return FarmPaths(str(self.home / "results"))

    def project(self) -> Project:
        """As a command opens it, on a clock that stands still."""
        opened = open_project(None, cwd=self.home, environ={})
        return Project(opened.settings, opened.paths, opened.files, self.clock, opened.shown_config)

    def reader(self) -> Reader:
        """One that has read everything."""
        reader = Reader(self.project(), {"HOME": str(self.home)})
        reader.read()
        return reader

    def attempt(self, idea_id: str, number: int, gpu: str = "0", *, at: float = 600.0) -> Attempt:
        """Claim an idea, `at` seconds ago."""
        return Attempt(self, idea_id, number, gpu, NOW - at)

    def tell(self, **changed: Any) -> None:
        """Write status.json with these members."""
        os.makedirs(self.paths.out, exist_ok=True)
        path = Path(self.paths.output("status.json"))
        path.write_text(json.dumps({**STATUS, **changed}))
        os.utime(path, (NOW - 4, NOW - 4))

    def host(self, name: str, cards: list[list[Any]], *, silent: float = 3.0, **more: Any) -> None:
        """Let a daemon tell of its host."""
        token = f"token-{name}"
        for directory in (self.paths.hosts, self.paths.heartbeats):
            os.makedirs(directory, exist_ok=True)
        free = sum(card[2] == "free" for card in cards)
        about = {"name": name, "cards": cards, "running": len(cards) - free, "free": free, **more}
        Path(self.paths.host(token)).write_text(json.dumps(about))
        beat = Path(self.paths.heartbeat("daemon", token))
        beat.write_bytes(b"%020d\n" % 7)
        os.utime(beat, (NOW - silent, NOW - silent))


class Attempt:
    """One attempt, whose records and files are written as a keeper would."""

    def __init__(self, farm: EyesFarm, idea_id: str, number: int, gpu: str, at: float) -> None:
        self.farm, self.idea_id, self.number, self.at = farm, idea_id, number, at
        self.token = f"{idea_id}-{number:04d}"
        self.name = f"{number}-{self.token}"
        idea = farm.paths.idea(idea_id)
        os.makedirs(idea.chain, exist_ok=True)
        self.directory = Path(idea.attempts, self.name)
        (self.directory / "input").mkdir(parents=True)
        found = next(one for one in scan_all(IDEAS.encode())[0] if one.id == idea_id)
        section = IDEAS.encode()[found.offset : found.offset + found.length].decode()
        sha = "ab" if idea_id == "idea-003" else found.sha.hex()  # that one was edited since it ran
        self.write("input/ideas.md", section)
        self.write("input/base.yaml", BASE)
        self.write("idea.yaml", "{}\n")
        self.write("environment.json", json.dumps({"git_commit": "0c" * 20, "python": "3.12.1", "gpu": gpu}))
        self.append("CLAIM", section=section, sha=sha, gpu=gpu, cards=[])

    def write(self, name: str, content: str) -> None:
        """Write a file of the attempt."""
        (self.directory / name).write_text(content)

    def append(self, kind: str, after: float = 0.0, **content: Any) -> None:
        """Append a record, so many seconds after the claim."""
        record = new_record(
            kind,
            token=self.token,
            attempt=self.number,
            at=self.at + after,
            **FRAME,
            **({"directory": self.name, "seconds": after} if kind != "CLAIM" else {}),
            **content,
        )
        self.fold = IdeaFold()
        idea = self.farm.paths.idea(self.idea_id)
        chain = Chain(RealFiles(), idea.chain, self.fold, self.farm.clock)
        assert chain.append(lambda: record)
        write_projections(RealFiles(), idea, chain, self.fold)

    def done(self, after: float, **metrics: float) -> None:
        """It completed."""
        told = {"evaluated": False, "evaluation_error": "", "post_errors": []}
        self.append("DONE", after, metrics=metrics, **told)

    def failed(self, after: float, cause: str, error: str, *, final: bool) -> None:
        """It failed."""
        self.append("FAIL", after, cause=cause, error=error, final=final, skip=False)


def make_farm(home: Path) -> EyesFarm:
    """Write the farm."""
    farm = EyesFarm(home, ManualClock(NOW))
    (home / "configs").mkdir(parents=True)
    (home / "configs" / "base.yaml").write_text(BASE)
    (home / "train_idea.py").write_text("")
    (home / "ideas.md").write_text(IDEAS)
    (home / "orze.yaml").write_text("retry: {cuda_oom: 1}\nresults_dir: results\n")
    os.makedirs(farm.paths.heartbeats)
    ended = [*_good(farm), _bad(farm)]
    _at_work(farm)
    _journal(farm, ended)
    farm.host("gpu-a", [["0", "NVIDIA H200", "idea-004", 61440, 143771, 97, 71], _FREE], running=1, free=1)
    farm.host("gpu-b", [["0", "NVIDIA A100", "foreign process 77", 30000, 81920]], silent=10_800)
    farm.tell()
    return farm


_FREE = ["1", "NVIDIA H200", "free", 420, 143771, 0, 34]


def _good(farm: EyesFarm) -> list[Attempt]:
    first = farm.attempt("idea-001", 1, at=9000)
    first.write("train_output.log", "".join(f"epoch {n}: loss {1 / n:.3f}\n" for n in range(1, 201)))
    first.done(1800, val_accuracy=0.91, val_loss=0.33, training_time=1800.0)
    oom = farm.attempt("idea-002", 1, at=7000)
    oom.failed(60, "cuda_oom", "torch.OutOfMemoryError: CUDA out of memory", final=False)
    second = farm.attempt("idea-002", 2, "1", at=6000)
    second.write("eval_output.log", "evaluated\n")
    second.done(3600, val_accuracy=0.94, val_loss=0.21, training_time=3600.0)
    return [first, second]


def _bad(farm: EyesFarm) -> Attempt:
    wide = farm.attempt("idea-003", 1, "1", at=5000)
    wide.failed(12, "exception", f"ValueError: {BAD}", final=True)
    return wide


def _at_work(farm: EyesFarm) -> None:
    running = farm.attempt("idea-004", 1)
    curve = [{"epoch": n, "val_accuracy": 0.5 + 0.4 * n / (n + 6), "loss": 2 / (n + 1)} for n in range(40)]
    running.write("progress.jsonl", "".join(json.dumps(line) + "\n" for line in curve))
    running.write("train_output.log", f"starting\n{BAD}\n 10%\r 50%\rdone\n")
    Path(farm.paths.heartbeat("idea-004", running.token)).write_bytes(b"%020d\n" % 1)


def _journal(farm: EyesFarm, ended: list[Attempt]) -> None:
    clock, paths, files = farm.clock, farm.paths, RealFiles()
    leadership = Leadership(files, paths.leader, clock, token="token-gpu-a", frame=FRAME)
    assert leadership.campaign()
    journal = Journal(files, paths.journal, clock, frame=FRAME)
    outcomes = []
    for attempt in ended:
        outcome = outcome_of(attempt.fold)
        assert outcome
        outcomes.append([attempt.idea_id, outcome[0], {**outcome[1], "title": "A title"}])
    hold = [["idea-007", "held by ada"]]
    parts = {"register": _sections(farm), "outcomes": outcomes, "hold": hold}
    assert journal.write(leadership.fold.term, parts)


def _sections(farm: EyesFarm) -> list[list[str]]:
    reader = Reader(farm.project(), {"HOME": str(farm.home)})
    reader.intake.read()
    clock = reader.context.clock
    while reader.intake.due() is not None:
        clock.sleep(max(0.0, (reader.intake.due() or 0.0) - clock.steady()))
        reader.intake.read()
    ideas = [entry.idea for entry in map(reader.queue.get, reader.queue.ids()) if entry and entry.idea]
    return [[idea.id, idea.sha, reader.intake.section(idea) or ""] for idea in ideas]


STATUS: dict[str, Any] = {
    "schema": 1,
    "title": "Digits",
    "timestamp": iso(4),
    "leader": "gpu-a",
    "active": [
        {
            "idea_id": "idea-004",
            "title": "Two layers",
            "state": "TRAINING",
            "host": "gpu-a",
            "gpu": "0",
            "attempt": 1,
            "elapsed_min": 9.9,
            "last": "epoch=39 val_accuracy=0.8467",
        }
    ],
    "running": 1,
    "queue_depth": 3,
    "states": {
        "QUEUED": 3, "HELD": 1, "QUARANTINED": 1, "TRAINING": 1, "COMPLETED": 2, "FAILED": 1, "SKIPPED": 1,
    },
    "disk_free_gb": 83.7,
    "primary_metric": {"name": "val_accuracy", "sort": "descending", "configured": False},
    "best": {"verdict": "one run", "sentence": "Best so far, one run: idea-002, val_accuracy 0.9400"},
    "top_results": [{"rank": 1, "idea_id": "idea-002", "title": "A lower rate", "value": 0.94}],
    "recent_results": [
        {
            "idea_id": "idea-003", "title": f"A very wide layer {BAD}", "state": "FAILED", "value": None,
            "cause": "exception", "seconds": 12.0, "finished_at": iso(4988),
        },
        {
            "idea_id": "idea-002", "title": "A lower rate", "state": "COMPLETED", "value": 0.94,
            "cause": None, "seconds": 3600.0, "finished_at": iso(2400),
        },
    ],
    "quarantined": [{"idea_id": "idea-008", "where": "ideas.md:49", "reason": "Priority: 'soon' is none"}],
    "hosts": [{"name": "gpu-a", "state": "alive", "cards_asked": ""}],
    "problems": [{"text": f"the mount is slow {BAD}", "since": iso(3600)}],
}  # fmt: skip
