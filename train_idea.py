#!/usr/bin/env python3
"""The default experiment: trains one model on the handwritten digits that ship with scikit-learn.

The farm calls this script once for each attempt. It runs by hand as well:

    python train_idea.py --idea-id idea-001 --ideas-md ideas.md --config configs/base.yaml --results-dir /tmp

It is also the pattern for a script of your own: copy it and change what you like, it imports nothing of the
farm. A training script owes the farm the first of these four things, and may do the others:

1. Write RESULTS_DIR/IDEA_ID/metrics.json, whole: {"status": "COMPLETED", any metrics}, or else
   {"status": "FAILED", "error": one sentence}. See `main` and `write_whole`.
2. Read the merged configuration from the file that ORZE_IDEA_CONFIG names, the seed from ORZE_SEED.
3. Append to RESULTS_DIR/IDEA_ID/progress.jsonl, one JSON object a line. See `append_line`.
4. On SIGTERM save a checkpoint in ORZE_CHECKPOINT_DIR and leave with 143; the next attempt finds it in
   ORZE_RESUME_FROM. See `train_by_epoch`.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:  # heavy modules are imported where they are used, so that --help answers at once
    import numpy as np

Settings: TypeAlias = dict[str, Any]
Split: TypeAlias = "tuple[np.ndarray, np.ndarray]"  # images (n, 64) from 0 to 1, labels (n,) from 0 to 9

# Every key that a configuration may have, with its default. The keys of the scikit-learn models are the
# names of scikit-learn's own parameters, but for the layers of the mlp.
DATA: Settings = {"seed": 0, "shifts": False}
TRAINING: Settings = {"epochs": 30, "batch_size": 64, "lr": 0.001, "seed": 0}
MODELS: dict[str, Settings] = {
    "mlp": {"layers": [64], "activation": "relu", "alpha": 0.0001},
    "simple_cnn": {"channels": [32, 64]},
    "logistic": {"C": 1.0, "max_iter": 1000},
    "knn": {"n_neighbors": 5, "weights": "uniform"},
    "svm": {"C": 1.0, "kernel": "rbf", "gamma": "scale"},
    "random_forest": {"n_estimators": 200, "max_depth": None},
    "gradient_boosting": {"max_iter": 50, "learning_rate": 0.1, "max_leaf_nodes": 31},
}
BY_EPOCH = ("mlp", "simple_cnn")  # the others are trained in one call
PIP_NAMES = {"sklearn": "scikit-learn", "yaml": "pyyaml"}  # packages that pip knows by another name
SIDE, CLASSES = 8, 10  # an image is 8 x 8 pixels and shows one of ten digits
CHECKPOINT_SECONDS = 60.0  # a host can vanish without a SIGTERM: not much more training than this is lost
CHECKPOINT = "checkpoint.joblib"  # its name in ORZE_CHECKPOINT_DIR


class ProblemError(Exception):
    """Something that the author of an idea can put right; the text is one sentence."""


def load_config(args: argparse.Namespace) -> Settings:
    """The idea's configuration on top of the base: as the farm merged it, else merged here."""
    merged_by_farm = os.environ.get("ORZE_IDEA_CONFIG")
    if merged_by_farm:
        return load_yaml(merged_by_farm, Path(merged_by_farm).read_text("utf-8"))
    base = load_yaml(args.config, Path(args.config).read_text("utf-8"))
    return deep_merge(base, load_yaml(args.ideas_md, idea_block(args.ideas_md, args.idea_id)))


def load_yaml(path: str, text: str) -> Settings:
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
    for line in Path(ideas_md).read_text("utf-8").splitlines(keepends=True):
        mark = re.match(r" {0,3}(`{3,}|~{3,})\s*(.*)", line)
        if fence and mark and mark[1].startswith(fence) and not mark[2].strip():
            if block is not None:
                return "".join(block)
            fence = ""
        elif fence and block is not None:
            block.append(line)
        elif mark and not fence:
            fence = mark[1]
            block = [] if inside and re.match(r"ya?ml\b", mark[2]) else None
        elif line.startswith("## ") and not fence:
            inside = re.match(rf"## +{re.escape(idea_id)}(:|\s|$)", line) is not None
    raise ProblemError(f"{ideas_md}: found no section '## {idea_id}: ...' with a closed ```yaml block")


def deep_merge(base: Settings, over: Settings) -> Settings:
    """`over` on top of `base`: mappings key by key, everything else replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = deep_merge(base[key], value) if both else value
    return merged


def read_settings(config: Settings) -> Settings:
    """Checks the configuration and fills in the defaults. A key that nothing reads is an error."""
    parts = section("", config, {"data": {}, "model": {}, "training": {}})
    kind = parts["model"].get("type", "mlp")
    if not isinstance(kind, str) or kind not in MODELS:
        raise ProblemError(f"unknown model.type {kind!r}; choose one of: {', '.join(MODELS)}")
    settings = {
        "data": section("data.", parts["data"], DATA),
        "model": section("model.", parts["model"], {"type": kind, **MODELS[kind]}),
        "training": section("training.", parts["training"], TRAINING),
    }
    if settings["training"]["epochs"] < 1:
        raise ProblemError("training.epochs must be 1 or more")
    # The seed of the model; the split has its own, so that all seeds are measured on the same images.
    return {**settings, "seed": int(os.environ.get("ORZE_SEED") or settings["training"]["seed"])}


def section(name: str, given: Settings, defaults: Settings) -> Settings:
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


def load_data(settings: Settings) -> tuple[Split, Split, Split]:
    """The 1797 digits as train, validation and test, 60 : 20 : 20."""
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
    return (x, y), (val_x, val_y), (test_x, test_y)


def build_model(settings: Settings) -> Any:
    """An untrained scikit-learn classifier, or one that looks like it."""
    if settings["model"]["type"] == "simple_cnn":
        return SimpleCnn(settings)
    import numpy as np
    from sklearn import calibration, ensemble, linear_model, neighbors, neural_network, svm

    keys = dict(settings["model"])
    kind, training, seed = keys.pop("type"), settings["training"], settings["seed"]
    if kind == "mlp":
        keys["hidden_layer_sizes"] = keys.pop("layers")
        random = np.random.RandomState(seed)  # a plain number would shuffle every epoch alike
        steps = {"batch_size": training["batch_size"], "learning_rate_init": training["lr"]}
        return neural_network.MLPClassifier(**keys, **steps, random_state=random)
    if kind == "knn":
        return neighbors.KNeighborsClassifier(**keys)
    if kind == "svm":  # calibrated, since an SVC has no probabilities of its own
        return calibration.CalibratedClassifierCV(svm.SVC(**keys), ensemble=False)
    seeded = {
        "logistic": linear_model.LogisticRegression,
        "random_forest": ensemble.RandomForestClassifier,
        "gradient_boosting": ensemble.HistGradientBoostingClassifier,
    }
    return seeded[kind](**keys, random_state=seed)


class SimpleCnn:
    """A small convolutional network in torch, on the visible GPU if there is one, else on the CPU.

    It has the methods of scikit-learn's MLPClassifier that are used here, and pickles like it.
    """

    def __init__(self, settings: Settings) -> None:
        import torch
        from torch import nn

        self.torch, self.settings = torch, settings
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.shuffler = torch.Generator().manual_seed(settings["seed"])
        torch.manual_seed(settings["seed"])
        layers: list[nn.Module] = []
        inputs, side = 1, SIDE
        for outputs in settings["model"]["channels"]:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
            if side > 2:
                layers.append(nn.MaxPool2d(2))
                side //= 2
            inputs = outputs
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * side**2, CLASSES)).to(self.device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=settings["training"]["lr"])

    def partial_fit(self, images: np.ndarray, labels: np.ndarray, **_: Any) -> None:
        """Goes once over the data; the mean loss is then in `loss_`."""
        x, y = self._pixels(images), self.torch.as_tensor(labels, device=self.device)
        order = self.torch.randperm(len(y), generator=self.shuffler).to(self.device)
        total = self.torch.zeros((), device=self.device)  # to read each loss would be to wait for the card
        self.net.train()
        for batch in order.split(self.settings["training"]["batch_size"]):
            loss = self.torch.nn.functional.cross_entropy(self.net(x[batch]), y[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(batch)
        self.loss_ = total.item() / len(y)

    def predict_proba(self, images: np.ndarray) -> Any:
        """Probabilities of shape (n, 10)."""
        self.net.eval()
        with self.torch.inference_mode():
            return self.torch.softmax(self.net(self._pixels(images)), dim=1).cpu().numpy()

    def _pixels(self, images: np.ndarray) -> Any:
        pixels = self.torch.as_tensor(images, dtype=self.torch.float32, device=self.device)
        return pixels.reshape(-1, 1, SIDE, SIDE)

    def __getstate__(self) -> dict[str, Any]:
        parts = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
        self.torch.save({**parts, "shuffler": self.shuffler.get_state()}, buffer := io.BytesIO())
        return {"settings": self.settings, "parts": buffer.getvalue()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        SimpleCnn.__init__(self, state["settings"])
        parts = self.torch.load(io.BytesIO(state["parts"]), map_location="cpu", weights_only=True)
        self.net.load_state_dict(parts["net"])
        self.optimizer.load_state_dict(parts["optimizer"])
        self.shuffler.set_state(parts["shuffler"])

    def facts(self) -> dict[str, Any]:
        """The device and how much of its memory was used, in MiB; on the CPU that of the process."""
        if self.device.type == "cuda":
            name, peak = self.torch.cuda.get_device_name(), self.torch.cuda.max_memory_allocated() / 2**20
        else:
            name, peak = "cpu", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # KiB on Linux
        return {"device": name, "peak_memory_mib": round(peak, 1)}


def run(settings: Settings, output: str) -> dict[str, Any]:
    """Trains one model and returns its metrics; progress goes into the directory `output`."""
    kind, progress = settings["model"]["type"], os.path.join(output, "progress.jsonl")
    stop: list[int] = []
    if kind in BY_EPOCH:  # from here on SIGTERM is noted, and answered between two epochs
        signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    train, val, test = load_data(settings["data"])
    if kind in BY_EPOCH:
        model, facts = train_by_epoch(settings, train, val, progress, stop)
    else:
        started = time.monotonic()
        model = build_model(settings).fit(*train)
        facts = {"training_time": round(time.monotonic() - started, 3)}
        append_line(progress, {"step": 1, **score(model, train, "train"), **score(model, val, "val")})
    scores = {**score(model, val, "val"), **score(model, test, "test")}
    return {"status": "COMPLETED", **scores, **facts, "model": kind, "seed": settings["seed"]}


def train_by_epoch(
    settings: Settings, train: Split, val: Split, progress: str, stop: list[int]
) -> tuple[Any, dict[str, Any]]:
    """Trains on from the last checkpoint. Once `stop` is filled it saves one and leaves with 143."""
    model, first, seconds = load_checkpoint(settings) or (build_model(settings), 0, 0.0)
    done, started = first, time.monotonic() - seconds
    due = 0.0 if done else started + CHECKPOINT_SECONDS  # 0: what was taken over is saved again at once
    while done < settings["training"]["epochs"]:
        now = time.monotonic()
        if stop or now >= due:
            save_checkpoint(settings, model, done, now - started)
            due = now + CHECKPOINT_SECONDS
        if stop:
            sys.exit(143)
        model.partial_fit(*train, classes=range(CLASSES))
        done += 1
        append_line(progress, {"step": done, "train_loss": round(model.loss_, 6), **score(model, val, "val")})
    seconds = round(time.monotonic() - started, 3)
    device = model.facts() if isinstance(model, SimpleCnn) else {}
    return model, {"training_time": seconds, "epochs": done, "resumed_at_epoch": first, **device}


def same_experiment(settings: Settings) -> Settings:
    """What two trainings share when one can go on with the other's checkpoint: all but the length."""
    return {**settings, "training": {**settings["training"], "epochs": 0}}


def save_checkpoint(settings: Settings, model: Any, done: int, seconds: float) -> None:
    """Saves all that the next attempt needs, if the farm named a directory for it."""
    import joblib

    directory = os.environ.get("ORZE_CHECKPOINT_DIR")
    if directory:
        joblib.dump((same_experiment(settings), model, done, seconds), buffer := io.BytesIO())
        os.makedirs(directory, exist_ok=True)
        write_whole(os.path.join(directory, CHECKPOINT), buffer.getvalue())


def load_checkpoint(settings: Settings) -> tuple[Any, int, float] | None:
    """The last attempt's model, its epochs and its seconds; None where there is no checkpoint to use."""
    import joblib

    directory = os.environ.get("ORZE_RESUME_FROM")
    if not directory or not os.path.exists(path := os.path.join(directory, CHECKPOINT)):
        return None
    # Loading a pickle can run code: load only what your own attempts have saved.
    experiment, model, done, seconds = joblib.load(path)
    if experiment == same_experiment(settings) and done <= settings["training"]["epochs"]:
        return model, done, seconds
    print(f"{path} belongs to another configuration: starting with the first epoch", flush=True)
    return None


def score(model: Any, split: Split, name: str) -> dict[str, float]:
    """Accuracy and mean log loss, under keys that begin with the name of the split."""
    import numpy as np

    images, labels = split
    probabilities = model.predict_proba(images)
    likelihood = np.clip(probabilities[np.arange(len(labels)), labels], 1e-15, 1.0)
    loss = -float(np.log(likelihood).mean())
    if not math.isfinite(loss):
        raise ProblemError(f"the {name} loss is not a number: training diverged, try a smaller training.lr")
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    return {f"{name}_accuracy": round(accuracy, 6), f"{name}_loss": round(loss, 6)}


def append_line(path: str, values: dict[str, Any]) -> None:
    """Appends one JSON line and prints it; closing the file shows it to the hosts of a network share."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")
    print(values, flush=True)


def write_whole(path: str, content: bytes) -> None:
    """Replaces a file in one step: a reader sees the old one or the new one, never a part."""
    temporary = f"{path}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def explain(error: Exception) -> str:
    """One sentence for metrics.json; what nobody foresaw is also printed in full, for the log."""
    if isinstance(error, ProblemError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{error.name} is not installed; run: pip install {PIP_NAMES.get(error.name, error.name)}"
    traceback.print_exc()
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


def main() -> int:
    """Runs one attempt; returns 0 when it completed and 1 when it failed."""
    parser = argparse.ArgumentParser(description="Trains one idea on the handwritten digits of scikit-learn.")
    for flag in ("--idea-id", "--results-dir", "--ideas-md", "--config"):
        parser.add_argument(flag, required=True)
    args, others = parser.parse_known_args()
    if others:
        print(f"ignored: {' '.join(others)}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a farm runs one training a slot: more would only compete
    output = os.path.join(args.results_dir, args.idea_id)
    os.makedirs(output, exist_ok=True)
    try:
        metrics = run(read_settings(load_config(args)), output)
    except Exception as error:  # noqa: BLE001  whatever went wrong, metrics.json tells it
        metrics = {"status": "FAILED", "error": explain(error)}
        print(f"FAILED: {metrics['error']}", file=sys.stderr)
    write_whole(os.path.join(output, "metrics.json"), json.dumps(metrics, indent=1).encode())
    return 0 if metrics["status"] == "COMPLETED" else 1


if __name__ == "__main__":
    sys.exit(main())
