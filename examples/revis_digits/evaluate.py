"""What is measured, and on which images. Who is being measured may not change this file (see revis.yaml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Split: TypeAlias = "tuple[np.ndarray, np.ndarray]"  # images (n, 64) with pixels from 0 to 16, labels (n,)
SPLIT_SEED = 7  # the same images in every run, whatever its seed
TRAIN, VALIDATION = 1000, 400  # images; the other 397 are the test set


def training_images() -> Split:
    """The images to learn from."""
    return _splits()["train"]


def measure(probabilities_of: Callable[[np.ndarray], np.ndarray]) -> Mapping[str, float]:
    """Measures a model on images that it has not seen.

    Args:
        probabilities_of: takes images (n, 64) with pixels from 0 to 16, gives probabilities (n, 10).

    Returns:
        `val_loss` and `val_accuracy`, which a search looks at; `test_accuracy`, by which nothing is chosen.
    """
    from sklearn.metrics import accuracy_score, log_loss

    images, labels = _splits()["validation"]
    probabilities = probabilities_of(images)
    test_images, test_labels = _splits()["test"]
    return {
        "val_loss": float(log_loss(labels, probabilities, labels=range(10))),
        "val_accuracy": float(accuracy_score(labels, probabilities.argmax(1))),
        "test_accuracy": float(accuracy_score(test_labels, probabilities_of(test_images).argmax(1))),
    }


def _splits() -> Mapping[str, Split]:
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.RandomState(SPLIT_SEED).permutation(len(digits.target))
    parts = np.split(order, [TRAIN, TRAIN + VALIDATION])
    names = ("train", "validation", "test")
    return {name: (digits.data[part], digits.target[part]) for name, part in zip(names, parts, strict=True)}
