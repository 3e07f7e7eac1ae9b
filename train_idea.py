#!/usr/bin/env python3
"""The default experiment: trains one model on the handwritten digits that ship with scikit-learn.

The farm calls this script once for each attempt. It runs by hand as well:

    python train_idea.py --idea-id idea-001 --results-dir try --ideas-md ideas.md --config configs/base.yaml

It is also the pattern for a training script of your own: copy it and change what you like, it imports
nothing of the farm. A training script owes the farm the first of these four things, and may do the others:

1. Write RESULTS_DIR/IDEA_ID/metrics.json: a JSON object with "status": "COMPLETED" or "FAILED" (then with
   an "error") and any metrics; always whole. See `main` and `write_whole`.
2. Read the idea's configuration, merged with the base already, from the file that ORZE_IDEA_CONFIG names,
   and the seed from ORZE_SEED. See `load_config` and `read_settings`.
3. Append to RESULTS_DIR/IDEA_ID/progress.jsonl, one JSON object a line. See `append_line`.
4. Save a checkpoint in ORZE_CHECKPOINT_DIR when SIGTERM comes, and leave with 143; the next attempt finds
   it in ORZE_RESUME_FROM. See `train_by_epoch`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import re
import resource
import signal
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # heavy modules are imported where they are used, so that --help answers at once
    import numpy as np

# Every key that a configuration may have, with its default. The keys of scikit-learn's models are the
# names of scikit-learn's own parameters.
DATA: dict[str, Any] = {"seed": 0, "shifts": False}
TRAINING: dict[str, Any] = {"epochs": 30, "batch_size": 64, "lr": 0.001, "seed": 0}
MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"layers": [64], "activation": "relu", "alpha": 0.0001},
    "simple_cnn": {"channels": [32, 64]},
    "logistic": {"C": 1.0, "max_iter": 1000},
    "knn": {"n_neighbors": 5, "weights": "uniform"},
    "svm": {"C": 1.0, "kernel": "rbf", "gamma": "scale"},
    "random_forest": {"n_estimators": 200, "max_depth": None},
    "gradient_boosting": {"max_iter": 50, "learning_rate": 0.1, "max_leaf_nodes": 31},
}
PIP_NAMES = {"sklearn": "scikit-learn", "yaml": "pyyaml"}  # packages that pip knows by another name
SIDE, CLASSES = 8, 10  # an image is 8 x 8 pixels and shows one of ten digits
CHECKPOINT_SECONDS = 60.0  # a host can vanish without a SIGTERM: no more training than this is lost
TERMINATED = 128 + signal.SIGTERM


class ProblemError(Exception):
    """What the author of an idea can put right; the text is one sentence."""


# --- Configuration ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """A checked configuration with every default filled in; `seed` is the model's, not the split's."""

    kind: str
    model: dict[str, Any]
    training: dict[str, Any]
    data: dict[str, Any]
    seed: int


def load_config(args: argparse.Namespace) -> dict[str, Any]:
    """The idea's configuration on top of the base: as the farm merged it, else merged here."""
    merged_by_farm = os.environ.get("ORZE_IDEA_CONFIG")
    if merged_by_farm:
        return load_yaml(merged_by_farm, read_text(merged_by_farm))
    base = load_yaml(args.config, read_text(args.config))
    return deep_merge(base, load_yaml(args.ideas_md, idea_block(args.ideas_md, args.idea_id)))


def read_text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def load_yaml(path: str, text: str) -> dict[str, Any]:
    """Reads a YAML mapping; `path` is named in the error."""
    import yaml

    loaded = yaml.safe_load(text) or {}
    if not isinstance(loaded, dict):
        raise ProblemError(f"{path}: the configuration must be a mapping such as 'model: {{type: mlp}}'")
    return loaded


def idea_block(ideas_md: str, idea_id: str) -> str:
    """The first yaml block of the idea's section; what looks like a heading inside a fence is none."""
    fence, inside = "", False
    block: list[str] | None = None
    for line in read_text(ideas_md).splitlines(keepends=True):
        mark = re.match(r" {0,3}(`{3,}|~{3,})\s*(.*)", line)
        if fence and mark and mark[1].startswith(fence) and not mark[2].strip():
            if block is not None:
                return "".join(block)
            fence = ""
        elif fence:
            if block is not None:
                block.append(line)
        elif mark:
            fence = mark[1]
            block = [] if inside and re.match(r"ya?ml\b", mark[2]) else None
        elif line.startswith("## "):
            inside = re.match(rf"## +{re.escape(idea_id)}(:|\s|$)", line) is not None
    raise ProblemError(f"{ideas_md}: found no section '## {idea_id}: ...' with a closed ```yaml block")


def deep_merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`: mappings key by key, everything else replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = deep_merge(base[key], value) if both else value
    return merged


def read_settings(config: dict[str, Any]) -> Settings:
    """Checks the configuration: a key that nothing reads is an error, lest a typing slip look like a result."""
    parts = section("", config, {"data": {}, "model": {}, "training": {}})
    kind = parts["model"].get("type", "mlp")
    if not isinstance(kind, str) or kind not in MODELS:
        raise ProblemError(f"unknown model.type {kind!r}; choose one of: {', '.join(MODELS)}")
    model = section("model.", parts["model"], {"type": kind, **MODELS[kind]})
    training = section("training.", parts["training"], TRAINING)
    data = section("data.", parts["data"], DATA)
    if training["epochs"] < 1:
        raise ProblemError(f"training.epochs must be 1 or more, not {training['epochs']}")
    seed = os.environ.get("ORZE_SEED") or training["seed"]
    return Settings(kind, model, training, data, int(seed))


def section(name: str, given: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The given keys on top of the defaults; each must be known, and of its default's type."""
    for key in given:
        if key not in defaults:
            raise ProblemError(f"unknown key '{name}{key}'; known are: {', '.join(defaults)}")
    return {key: checked(name + key, given.get(key, value), value) for key, value in defaults.items()}


def checked(name: str, value: Any, default: Any) -> Any:
    """The value if its type is the default's; where that is text or null, the model itself checks."""
    if isinstance(default, float):
        with contextlib.suppress(TypeError, ValueError):
            return float(value)  # also from text, since YAML 1.1 reads 1e-3 as text
    elif default is None or isinstance(default, str) or type(value) is type(default):
        return value
    raise ProblemError(f"{name} must be like {default!r}, not {value!r}")


# --- Data -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """Images of shape (n, 64) with values from 0 to 1, and their labels of shape (n,) from 0 to 9."""

    images: np.ndarray
    labels: np.ndarray


def load_data(settings: dict[str, Any]) -> tuple[Split, Split, Split]:
    """The 1797 digits as train, validation and test, 60 : 20 : 20, by a seed of their own."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    x, y, seed = digits.data / 16.0, digits.target, settings["seed"]
    x, test_x, y, test_y = train_test_split(x, y, test_size=0.2, stratify=y, random_state=seed)
    x, val_x, y, val_y = train_test_split(x, y, test_size=0.25, stratify=y, random_state=seed)
    if settings["shifts"]:  # nine copies of each training image, moved by -1, 0 or 1 pixels each way
        padded = np.pad(x.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)))
        moved = [padded[:, row : row + SIDE, col : col + SIDE] for row in range(3) for col in range(3)]
        x, y = np.concatenate(moved).reshape(-1, SIDE * SIDE), np.tile(y, len(moved))
    return Split(x, y), Split(val_x, val_y), Split(test_x, test_y)


# --- Models -----------------------------------------------------------------------------------------------


class Mlp:
    """scikit-learn's multi-layer perceptron, trained one epoch a call."""

    def __init__(self, settings: Settings) -> None:
        import numpy as np
        from sklearn.neural_network import MLPClassifier

        self.net = MLPClassifier(
            hidden_layer_sizes=tuple(settings.model["layers"]),
            activation=settings.model["activation"],
            alpha=settings.model["alpha"],
            batch_size=settings.training["batch_size"],
            learning_rate_init=settings.training["lr"],
            random_state=np.random.RandomState(settings.seed),  # an int would shuffle every epoch alike
        )

    def train_epoch(self, train: Split) -> float:
        """Goes once over the data; returns the mean training loss."""
        self.net.partial_fit(train.images, train.labels, classes=range(CLASSES))
        return float(self.net.loss_)

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Probabilities of shape (n, 10)."""
        return self.net.predict_proba(images)

    def state(self) -> Any:
        """All that is needed to go on: weights, optimizer, random state."""
        return self.net

    def restore(self, state: Any) -> None:
        """Takes up what `state` returned."""
        self.net = state

    def facts(self) -> dict[str, Any]:
        """More for metrics.json."""
        return {"parameters": sum(part.size for part in [*self.net.coefs_, *self.net.intercepts_])}


class SimpleCnn:
    """A small convolutional network in torch, on the visible GPU if there is one, else on the CPU."""

    def __init__(self, settings: Settings) -> None:
        import torch
        from torch import nn

        self.torch = torch
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_size = settings.training["batch_size"]
        self.shuffler = torch.Generator().manual_seed(settings.seed)
        torch.manual_seed(settings.seed)
        layers, inputs, side = [], 1, SIDE
        for outputs in settings.model["channels"]:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
            if side > 2:
                layers.append(nn.MaxPool2d(2))
                side //= 2
            inputs = outputs
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * side**2, CLASSES)).to(self.device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=settings.training["lr"])

    def train_epoch(self, train: Split) -> float:
        pixels = self._pixels(train.images)
        labels = self.torch.as_tensor(train.labels, device=self.device)
        order = self.torch.randperm(len(labels), generator=self.shuffler).to(self.device)
        total = self.torch.zeros((), device=self.device)  # to read each loss would be to wait for the card
        self.net.train()
        for batch in order.split(self.batch_size):
            loss = self.torch.nn.functional.cross_entropy(self.net(pixels[batch]), labels[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(batch)
        return total.item() / len(labels)

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        self.net.eval()
        with self.torch.inference_mode():
            return self.torch.softmax(self.net(self._pixels(images)), dim=1).cpu().numpy()

    def _pixels(self, images: np.ndarray) -> Any:
        pixels = self.torch.as_tensor(images, dtype=self.torch.float32, device=self.device)
        return pixels.reshape(-1, 1, SIDE, SIDE)

    def state(self) -> Any:
        parts = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
        self.torch.save({**parts, "shuffler": self.shuffler.get_state()}, buffer := io.BytesIO())
        return buffer.getvalue()

    def restore(self, state: Any) -> None:
        parts = self.torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
        self.net.load_state_dict(parts["net"])
        self.optimizer.load_state_dict(parts["optimizer"])
        self.shuffler.set_state(parts["shuffler"])

    def facts(self) -> dict[str, Any]:
        if self.device.type == "cuda":
            name, peak = self.torch.cuda.get_device_name(), self.torch.cuda.max_memory_allocated() / 2**20
        else:
            name, peak = "cpu", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # KiB on Linux
        return {"device": name, "peak_memory_mib": round(peak, 1)}


def sklearn_classifier(settings: Settings) -> Any:
    """A scikit-learn model that is trained in one call of `fit`."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    keys = {key: value for key, value in settings.model.items() if key != "type"}
    if settings.kind == "knn":
        return KNeighborsClassifier(**keys)
    if settings.kind == "svm":  # an SVC has no probabilities of its own
        return CalibratedClassifierCV(SVC(**keys), ensemble=False)
    families = {
        "logistic": LogisticRegression,
        "random_forest": RandomForestClassifier,
        "gradient_boosting": HistGradientBoostingClassifier,
    }
    return families[settings.kind](**keys, random_state=settings.seed)


# --- Training ---------------------------------------------------------------------------------------------


def run(settings: Settings, output: str) -> dict[str, Any]:
    """Trains one model and returns its metrics; progress goes into the directory `output`."""
    stop: list[int] = []  # filled by SIGTERM
    kind = {"mlp": Mlp, "simple_cnn": SimpleCnn}.get(settings.kind)
    if kind:
        signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
        model: Any = kind(settings)
    else:
        model = sklearn_classifier(settings)
    train, val, test = load_data(settings.data)
    progress = os.path.join(output, "progress.jsonl")
    if kind:
        facts = train_by_epoch(model, settings, train, val, progress, stop)
    else:
        started = time.monotonic()
        model.fit(train.images, train.labels)
        facts = {"training_time": round(time.monotonic() - started, 3)}
        append_line(progress, {"step": 1, "train_loss": score(model, train)["loss"], **score(model, val, "val_")})
    about = {"model": settings.kind, "seed": settings.seed}
    return {"status": "COMPLETED", **score(model, val, "val_"), **score(model, test, "test_"), **facts, **about}
