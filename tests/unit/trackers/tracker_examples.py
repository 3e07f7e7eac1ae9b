"""A farm whose journal tells of ends, and the mirror's process over it, for the tests of trackers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from orze.coord.journal import Journal
from orze.coord.leader import Leadership
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.core.paths import FarmPaths

ROOT = Path(__file__).parents[3]
CONFIG = "model:\n  lr: 0.1\n  layers: [64, 64]\nname: 'é ?'\n"


class Ended:
    """A farm in a directory, led by the daemon `token`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.paths = FarmPaths(str(home / "results"))
        self.leadership = Leadership(RealFiles(), self.paths.leader, SystemClock(), token="token", frame={})
        self.journal = Journal(RealFiles(), self.paths.journal, SystemClock(), frame={})
        assert self.leadership.campaign()

    def ends(self, number: int, attempt: int = 1, *, steps: int = 3, **facts: Any) -> str:
        """An idea has ended, with the files of its attempt and an outcome in the journal; its id."""
        idea_id = f"idea-{number:03d}"
        name = f"{attempt}-token{number}.{attempt}"
        own = Path(self.paths.idea(idea_id).attempts) / name
        own.mkdir(parents=True)
        (own / "idea.yaml").write_text(CONFIG)
        lines = [json.dumps({"step": 10 * step, "train_loss": 1 / (step + 1)}) for step in range(steps)]
        (own / "progress.jsonl").write_text("".join(f"{line}\n" for line in lines))
        known = {
            "attempt": attempt,
            "dir": name,
            "host": "gpu-a",
            "gpu": "0",
            "at": 1_800_000_000.0,
            "seconds": 12.5,
            "title": "A title",
            "metrics": {"val_loss": 0.25, "note": "fine", "odd #1?": 3},
        }
        state = facts.pop("state", "COMPLETED")
        if state not in ("COMPLETED", "EVALUATED"):
            del known["metrics"]
        assert self.journal.write(1, {"outcomes": [[idea_id, state, {**known, **facts}]]})
        return idea_id

    def job(self, tracker: str, **settings: Any) -> dict[str, Any]:
        """What the daemon asks for."""
        return {
            "tracker": tracker,
            "settings": settings,
            "results": self.paths.results,
            "position": self.paths.mirror(tracker),
            "token": "token",
            "directory": str(self.home),
        }


def mirror(job: dict[str, Any], **environ: str) -> tuple[int, str]:
    """Run the process; its exit status and what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "TRACKIO_"))}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "orze.trackers.mirror"],
        input=json.dumps(job).encode(),
        env={**kept, "PYTHONPATH": str(ROOT), "HOME": job["directory"], **environ},
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.stderr == b""
    return done.returncode, done.stdout.decode()
