"""The settings of a plan, and where its ideas.md lies."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

from orze.config.schema import Settings
from tests.model.ghost import RESULTS
from tests.model.plan import LeasePlan, Plan


def settings_of(plan: Plan, folder: Path) -> Settings:
    """What every daemon of a plan has in force."""
    lease = plan.lease
    return _checked(lease, plan.evaluate, plan.retries, plan.poll, folder)


@functools.lru_cache(maxsize=256)
def _checked(lease: LeasePlan, evaluate: bool, retries: int, poll: float, folder: Path) -> Settings:
    values: dict[str, Any] = {
        "project_dir": folder,
        "ideas_file": folder / "ideas.md",
        "results_dir": Path(RESULTS),
        "lease": {
            "heartbeat": lease.heartbeat,
            "fence": lease.fence,
            "kill": lease.kill,
            "steal": lease.steal,
            "attribute_cache": lease.cache,
        },
        "grace": 5.0,
        "poll": poll,
        "retry": {"exit_code": 1 + retries, "start": 2, "disk_full": 2, "no_metrics": 1},
    }
    if evaluate:
        values["eval_script"] = folder / "eval.py"
    return Settings.model_validate(values)


def scratch_folder() -> Path:
    """A directory in memory for this process's ideas.md."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="orze-model-", dir=memory if memory.is_dir() else None))
