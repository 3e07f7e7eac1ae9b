"""What the proposers compete on: three epochs of a small network on the digits, and a sealed test split."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import train_idea
from orze.ideas.canonical import config_key
from orze.ideas.parse import deep_merge
from orze.research.keys import flatten

METRIC = "val_loss"  # less is better; accuracy has steps of 1/360, and much would tie
EPOCHS = 3
SPACE: dict[str, Any] = {
    "model.layers": [[16], [32], [64], [128], [64, 32], [128, 64], [32, 32, 32]],
    "model.activation": ["relu", "tanh", "logistic"],
    "model.alpha": {"log": [1e-6, 10.0]},
    "training.lr": {"log": [3e-5, 1.0]},
    "training.batch_size": {"log": [8, 256]},
}
_BASE = Path(train_idea.__file__).with_name("configs") / "base.yaml"


@dataclass(frozen=True)
class Ran:
    """What came of a training: its validation loss (None where it failed), why it failed, its CPU seconds."""

    loss: float | None
    error: str
    seconds: float


class Task:
    """The task as all arms of one pair meet it: one split, one seed of the model, one start.

    Args:
        pair: seed of the split and of the model.
        epochs: of every training.
    """

    def __init__(self, pair: int, epochs: int = EPOCHS) -> None:
        self.pair = pair
        own = {"data": {"seed": pair}, "training": {"seed": pair, "epochs": epochs}}
        self.base: dict[str, Any] = deep_merge(_defaults(), own)
        splits = train_idea.load_data(train_idea.read_settings(self.base)["data"])
        self._train, self._val, self._test = splits
        self._known: dict[str, Ran] = {}

    def enter(self) -> Entry:
        """The way of one arm into this task."""
        return Entry(self, _Sealed(self._test))

    def ran(self, config: Mapping[str, Any]) -> Ran:
        """Train; what another arm trained is remembered, with the seconds that it took then."""
        key = config_key(config)
        if key not in self._known:
            begun = time.process_time()
            try:
                loss, error = self.score(self.trained(config)), ""
            except Exception as fault:  # noqa: BLE001 - as train_idea.py, whose failures are results
                loss, error = None, train_idea.explain(fault)
            self._known[key] = Ran(loss, error, time.process_time() - begun)
        return self._known[key]

    def score(self, model: Any) -> float:
        """Its validation loss."""
        return float(train_idea.score(model, self._val, "val")[METRIC])

    def trained(self, config: Mapping[str, Any]) -> Any:
        """The model of train_idea.py, trained by its own code; a configuration always gives the same one."""
        settings = train_idea.read_settings(dict(config))
        with contextlib.redirect_stdout(None):
            return train_idea.train_by_epoch(settings, self._train, self._val, os.devnull, [])[0]


class _Sealed:
    """A split that can be taken out once."""

    def __init__(self, split: train_idea.Split) -> None:
        self._split: train_idea.Split | None = split

    @property
    def is_open(self) -> bool:
        return self._split is None

    def open(self) -> train_idea.Split:
        split, self._split = self._split, None
        if split is None:
            raise RuntimeError("the test split was opened before")
        return split


class Entry:
    """One arm's way into a task: it trains and sees validation losses until it opens the test split, once."""

    def __init__(self, task: Task, sealed: _Sealed) -> None:
        self.task = task
        self._sealed = sealed

    def run(self, config: Mapping[str, Any]) -> Ran:
        """Train one configuration.

        Raises:
            RuntimeError: the test split was opened, or the configuration differs from the base in more than
                the search space: other arms could not have had it.
        """
        if self._sealed.is_open:
            raise RuntimeError("the test split is open; nothing more can be run")
        base, own = flatten(self.task.base), flatten(config)
        if strange := [key for key in {**base, **own} if key not in SPACE and base.get(key) != own.get(key)]:
            raise RuntimeError(f"{', '.join(strange)} changed, outside of the search space")
        return self.task.ran(config)

    def finish(self, chosen: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
        """Open the test split and measure what was chosen.

        Returns:
            `test_loss` and `test_accuracy` of each.

        Raises:
            RuntimeError: it was opened before, or a training is not repeatable.
        """
        models = {config_key(config): self._again(config) for config in chosen}
        test = self._sealed.open()
        return [train_idea.score(models[config_key(config)], test, "test") for config in chosen]

    def _again(self, config: Mapping[str, Any]) -> Any:
        model = self.task.trained(config)
        if self.task.score(model) != self.task.ran(config).loss:
            raise RuntimeError(f"pair {self.task.pair}: trained again, {config} has another validation loss")
        return model


@cache
def _defaults() -> dict[str, Any]:
    """The base configuration of the demo, with the model's defaults written out: where every arm begins.

    Its `data.shifts` is left at its default: it is a known key of no arm, as it trains nine times as long.
    """
    base = deep_merge(yaml.safe_load(_BASE.read_text(encoding="utf-8")), {"model": train_idea.MODELS["mlp"]})
    del base["data"]["shifts"]
    return base
