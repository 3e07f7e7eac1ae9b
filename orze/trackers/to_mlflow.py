"""The mirror in MLflow: on a server, in a database or in a directory."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from orze.trackers.run import Run

_KEY = "orze.run"
_ENDED = ("FINISHED", "FAILED", "KILLED")
_METRICS, _PARAMS = 1000, 100  # of one call, by the limits of MLflow's REST API
_NOT_ALLOWED = re.compile(r"[^\w./ -]", re.ASCII)


class MlflowMirror:
    """Runs of one experiment, each found again by a tag."""

    def __init__(self, uri: str, experiment: str) -> None:
        # MLflow 3.7 refuses directories without it; who names one wants it.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self._entities: Any = import_module("mlflow.entities")
        self._client: Any = import_module("mlflow").MlflowClient(uri)
        found = self._client.get_experiment_by_name(experiment)
        self._experiment = found.experiment_id if found else self._client.create_experiment(experiment)

    def log(self, run: Run) -> None:
        """Mirror a run; what a crash left of it before is deleted first."""
        client = self._client
        for old in client.search_runs([self._experiment], f"tags.`{_KEY}` = '{run.key}'"):
            if old.info.status in _ENDED:
                return
            client.delete_run(old.info.run_id)
        began, ended = int(run.begun * 1000), int(run.ended * 1000)
        about = {f"orze.{name}": str(value) for name, value in {**run.about, **run.texts}.items()}
        tags = {**named(about), _KEY: run.key, "mlflow.note.content": str(run.about["title"])}
        made = client.create_run(self._experiment, began, tags, run_name=run.name).info.run_id
        last = run.steps[-1][0] if run.steps else 0
        numbers = [*((step, values) for step, values in run.steps), (last, run.metrics)]
        metrics = [
            self._entities.Metric(name, value, ended, step)
            for step, values in numbers
            for name, value in named(values).items()
        ]
        params = [self._entities.Param(name, str(value)) for name, value in named(run.config).items()]
        for part in _parts(metrics, _METRICS):
            client.log_batch(made, metrics=part)
        for part in _parts(params, _PARAMS):
            client.log_batch(made, params=part)
        client.set_terminated(made, "FINISHED" if run.succeeded else "FAILED", ended)


def named(values: Any) -> dict[str, Any]:
    """The same values under names that MLflow takes (mlflow.utils.validation)."""
    return {_name(name): value for name, value in values.items()}


def _name(name: str) -> str:
    plain = _NOT_ALLOWED.sub("_", name)
    return (
        plain if posixpath.normpath(plain) == plain and plain[0] not in "./" else re.sub(r"[./]", "_", plain)
    )


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
