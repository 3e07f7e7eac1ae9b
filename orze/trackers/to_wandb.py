"""The mirror in Weights & Biases, online or as offline runs for `wandb sync`."""

from __future__ import annotations

import glob
import os
import shutil
from importlib import import_module
from typing import Any

from orze.trackers.run import Run


class WandbMirror:
    """Runs of one project, each under an id that is made of what it is."""

    def __init__(self, project: str, entity: str | None, mode: str) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._wandb: Any = import_module("wandb")
        self._where = {"project": project, "entity": entity, "mode": mode}
        self._root = os.environ.get("WANDB_DIR", ".")
        self._settings = self._wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
        )

    def log(self, run: Run) -> None:
        """Mirror a run; one that a crash cut off goes on, offline it is written anew."""
        for old in glob.glob(f"{glob.escape(self._root)}/wandb/offline-run-*-{run.key}"):
            shutil.rmtree(old)
        made = self._wandb.init(
            **self._where,
            dir=self._root,
            id=run.key,
            name=run.name,
            config={**run.config, "orze": dict(run.about)},
            resume="allow",
            settings=self._settings,
        )
        for step, values in run.steps:
            made.log(values, step=step)
        made.summary.update({**run.metrics, **run.texts})
        made.finish(exit_code=0 if run.succeeded else 1)
