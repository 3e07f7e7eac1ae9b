"""train_idea.py as the farm starts it: every model, the outputs, checkpoints and restarts."""

import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.needs import needs

Make = Callable[..., Any]  # the fixture `attempt`
ENDLESS = 10_000_000  # epochs: more than any test waits for
NEEDS_TORCH = needs("torch")

TRAINED_AT_ONCE = [
    ({"type": "logistic"}, 0.93),
    ({"type": "knn", "n_neighbors": 1}, 0.93),
    ({"type": "svm", "kernel": "rbf"}, 0.93),
    ({"type": "random_forest", "n_estimators": 20}, 0.9),
    ({"type": "gradient_boosting", "max_iter": 5, "max_leaf_nodes": 4}, 0.7),
]
TRAINED_BY_EPOCH = [
    pytest.param({"type": "mlp", "layers": [16]}, id="mlp"),
    pytest.param({"type": "simple_cnn", "channels": [8]}, id="simple_cnn", marks=NEEDS_TORCH),
]


def wait_for_lines(process: subprocess.Popen[str], count: int, seconds: float = 60.0) -> None:
    """Waits until the process has printed so many lines; each follows its line in progress.jsonl."""
    assert process.stdout is not None
    deadline, seen = time.monotonic() + seconds, 0
    while seen < count:
        ready, _, _ = select.select([process.stdout], [], [], deadline - time.monotonic())
        assert ready, f"only {seen} of {count} lines came within {seconds} s"
        chunk = os.read(process.stdout.fileno(), 65536)
        assert chunk, "the training ended early"
        seen += chunk.count(b"\n")


def interrupt(one: Any, *, after: int) -> int:
    """Starts an attempt, sends SIGTERM once it has printed some lines; returns its exit status."""
    with one.start() as process:
        try:
            wait_for_lines(process, after)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        finally:
            process.kill()
    return int(process.returncode)


def check_completed(one: Any, kind: str, at_least: float) -> None:
    """The contract of metrics.json and progress.jsonl, and results that only a trained model has."""
    metrics, last = one.metrics, one.progress[-1]
    assert (metrics["status"], metrics["model"], metrics["seed"]) == ("COMPLETED", kind, 0)
    assert at_least <= metrics["val_accuracy"] <= 1
    assert at_least <= metrics["test_accuracy"] <= 1
    assert all(math.isfinite(metrics[key]) and metrics[key] > 0 for key in ("val_loss", "test_loss"))
    assert metrics["training_time"] > 0
    assert "train_loss" in last
    assert (last["val_accuracy"], last["val_loss"]) == (metrics["val_accuracy"], metrics["val_loss"])
    assert {path.name for path in one.output.iterdir()} == {"metrics.json", "progress.jsonl"}


@pytest.mark.parametrize(
    ("model", "at_least"), TRAINED_AT_ONCE, ids=lambda value: value["type"] if isinstance(value, dict) else ""
)
def test_every_model_learns_the_digits_and_leaves_whole_results(
    attempt: Make, model: dict[str, Any], at_least: float
) -> None:
    one = attempt({"model": model})
    done = one.run()
    assert done.returncode == 0, done.stderr
    assert [line["step"] for line in one.progress] == [1]
    check_completed(one, model["type"], at_least)


@pytest.mark.parametrize("model", TRAINED_BY_EPOCH)
def test_an_interrupted_training_goes_on_where_it_stopped_and_ends_as_if_it_had_not_been(
    attempt: Make, tmp_path: Path, model: dict[str, Any]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    first = attempt(
        {"model": model, "training": {"epochs": ENDLESS, "lr": 0.01}}, 1, ORZE_CHECKPOINT_DIR=str(one)
    )
    assert interrupt(first, after=2) == 143
    assert not (first.output / "metrics.json").exists()
    assert [path.name for path in one.iterdir()] == ["checkpoint.joblib"]
    stopped_at = first.progress[-1]["step"]
    assert [line["step"] for line in first.progress] == list(range(1, stopped_at + 1))

    config = {"model": model, "training": {"epochs": stopped_at + 8, "lr": 0.01}}
    second = attempt(config, 2, ORZE_RESUME_FROM=str(one), ORZE_CHECKPOINT_DIR=str(two))
    assert second.run().returncode == 0
    assert [line["step"] for line in second.progress] == list(range(stopped_at + 1, stopped_at + 9))
    assert second.metrics["resumed_at_epoch"] == stopped_at
    assert second.metrics["epochs"] == stopped_at + 8
    check_completed(second, model["type"], 0.7)
    assert [path.name for path in two.iterdir()] == ["checkpoint.joblib"], "a lost attempt must not lose two"

    whole = attempt(config, 3)
    assert whole.run().returncode == 0
    assert whole.progress == first.progress + second.progress


@NEEDS_TORCH
def test_the_network_tells_its_device_and_memory(attempt: Make) -> None:
    one = attempt({"model": {"type": "simple_cnn", "channels": [4]}, "training": {"epochs": 1}})
    assert one.run().returncode == 0
    assert isinstance(one.metrics["device"], str)
    assert one.metrics["peak_memory_mib"] > 0


def test_sigterm_in_the_middle_of_a_single_fit_leaves_with_143_and_no_files(attempt: Make) -> None:
    one = attempt({"model": {"type": "random_forest", "n_estimators": 1_000_000}})
    # Python code that runs the script as it is, and prints a line when the model begins to fit.
    announced = (
        "import runpy, sys; from sklearn.ensemble import RandomForestClassifier as forest; fit = forest.fit;"
        "forest.fit = lambda *data: (print('begins', flush=True), fit(*data))[1];"
        f"sys.argv = {one.command[1:]!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    one.command[:] = [sys.executable, "-c", announced]
    assert interrupt(one, after=1) == 143
    assert list(one.output.iterdir()) == []
