"""The mirror in trackio: on this machine, or wherever trackio's own environment variables say."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from orze.trackers.run import Run

_ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


class TrackioMirror:
    """Runs of one project, each under a name that is made of what it is."""

    def __init__(self, project: str) -> None:
        self._trackio: Any = import_module("trackio")
        self._project = project
        self._local = not any(os.environ.get(name) for name in _ELSEWHERE)

    def log(self, run: Run) -> None:
        """Mirror a run; what a crash left of it before is deleted first.

        Raises:
            OSError: trackio tells of no fault, but the run is not there.
        """
        name = f"{run.name}-{run.key[:8]}"
        for old in self._runs(name):
            old.delete()
        about = {f"orze.{key}": value for key, value in run.about.items()}
        config = {key.lstrip("_") or "_": value for key, value in run.config.items()}
        made = self._trackio.init(
            self._project,
            name,
            config={**config, **about},
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        for step, values in run.steps:
            made.log(values, step=step)
        last = run.steps[-1][0] + 1 if run.steps else 0
        made.log({**run.metrics, **run.texts, "orze.seconds": run.about["seconds"]}, step=last)
        made.finish()
        if self._local and not self._runs(name):
            raise OSError(5, "trackio did not keep the run")

    def _runs(self, name: str) -> list[Any]:
        try:
            return [run for run in self._trackio.Api().runs(self._project) if run.name == name]
        except ValueError:  # no such project yet
            return []
