"""Trains a small network on the handwritten digits of scikit-learn. It is not good at it, on purpose."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import yaml
from sklearn.neural_network import MLPClassifier


def prepare(images: np.ndarray) -> np.ndarray:
    """Scales pixels for the network."""
    return images / 32.0


def train(config: dict[str, Any], progress: Path) -> MLPClassifier:
    """Trains epoch by epoch, and tells in a file how it goes."""
    images, labels = evaluate.training_images()
    model = MLPClassifier(
        hidden_layer_sizes=config["hidden"],
        solver="sgd",
        learning_rate_init=config["learning_rate"],
        momentum=config["momentum"],
        batch_size=config["batch_size"],
        random_state=np.random.RandomState(int(os.environ.get("ORZE_SEED", config["seed"]))),
    )
    for epoch in range(1, config["epochs"] + 1):
        model.partial_fit(prepare(images), labels, classes=range(10))
        with progress.open("a") as stream:
            print(json.dumps({"epoch": epoch, "train_loss": float(model.loss_)}), file=stream)
        print(f"epoch {epoch}: train_loss {model.loss_:.4f}", flush=True)
    return model


def main() -> None:
    """Trains, measures, and leaves the metrics in eval.json."""
    output_dir = Path(os.environ.get("REVIS_OUTPUT_DIR", "."))
    output_dir.mkdir(parents=True, exist_ok=True)
    config = yaml.safe_load(Path("config.yaml").read_text())
    model = train(config, output_dir / "progress.jsonl")
    metrics = evaluate.measure(lambda images: model.predict_proba(prepare(images)))
    with (output_dir / "eval.json").open("w") as stream:
        json.dump(metrics, stream)
    print(json.dumps(metrics))


if __name__ == "__main__":
    main()
