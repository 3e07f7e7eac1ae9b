"""What is gathered of a finished idea, however its files look."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracker_examples import CONFIG, Ended

from orze.core.paths import FarmPaths
from orze.core.states import State
from orze.trackers.run import Run, flat, read_run
from orze.trackers.to_mlflow import named


def run_of(farm: Ended, number: int = 1, **facts) -> Run:
    idea_id = farm.ends(number, **facts)
    farm.journal.follow()
    _, outcomes = farm.journal.fold.drain()
    _, state, told = outcomes[-1]
    return read_run(farm.paths, idea_id, state, told)


def test_a_run_holds_configuration_metrics_steps_and_where_it_ran(tmp_path: Path):
    run = run_of(Ended(tmp_path))
    assert run.config == {"model.lr": 0.1, "model.layers": "[64, 64]", "name": "é ?"}
    assert run.metrics == {"val_loss": 0.25, "odd #1?": 3.0}
    assert run.texts == {"note": "fine"}
    assert run.steps == [(0, {"step": 0.0, "train_loss": 1.0}), (10, {"step": 10.0, "train_loss": 0.5}),
                         (20, {"step": 20.0, "train_loss": 1 / 3})]  # fmt: skip
    assert run.about == {"idea": "idea-001", "title": "A title", "cause": "", "error": "", "host": "gpu-a",
                         "state": "COMPLETED", "card": "0", "attempt": 1, "seconds": 12.5}  # fmt: skip
    assert (run.name, run.succeeded, run.begun, run.ended) == (
        "idea-001",
        True,
        1_799_999_987.5,
        1_800_000_000.0,
    )


def test_a_failure_is_a_run_too(tmp_path: Path):
    run = run_of(Ended(tmp_path), state="FAILED", cause="timeout", error="too long")
    assert (run.succeeded, run.about["cause"], run.about["error"]) == (False, "timeout", "too long")
    assert run.metrics == {}


def test_the_key_tells_attempts_apart_and_stays_the_same(tmp_path: Path):
    farm = Ended(tmp_path)
    keys = [run_of(farm, 1).key, run_of(farm, 1, attempt=2).key, run_of(farm, 2).key]
    assert len(set(keys)) == 3
    again = read_run(farm.paths, "idea-001", State.COMPLETED, {"dir": "1-token1.1", "seconds": 1})
    assert again.key == keys[0]
    assert all(len(key) == 16 for key in keys)


def test_results_of_others_are_told_apart_by_what_they_are(tmp_path: Path):
    paths = FarmPaths(str(tmp_path))
    keys = [read_run(paths, "idea-001", State.COMPLETED, {"metrics": {"a": n}}).key for n in (1, 2, 1)]
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize("directory", ["../../secret", "1-a/../../b", "", "1-" + "x" * 300, "1-\n"])
def test_a_directory_that_is_none_leads_nowhere(tmp_path: Path, directory):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "idea.yaml").write_text("leaked: 1\n")
    paths = FarmPaths(str(tmp_path / "results"))
    assert read_run(paths, "idea-001", State.COMPLETED, {"dir": directory}).config == {}


def test_without_doors_the_files_are_at_the_top_of_the_idea(tmp_path: Path):
    home = tmp_path / "idea-001"
    home.mkdir()
    (home / "idea.yaml").write_text(CONFIG)
    (home / "progress.jsonl").write_text('{"loss": 1}\n')
    run = read_run(FarmPaths(str(tmp_path)), "idea-001", State.COMPLETED, {"dir": "1-t"})
    assert run.config["model.lr"] == 0.1
    assert run.steps == [(0, {"loss": 1.0})]


@pytest.mark.parametrize(
    ("lines", "steps"),
    [
        (['{"step": 5, "a": 1}', '{"step": 7, "a": 2}'], [5, 7]),
        (['{"epoch": 0, "a": 1}', '{"epoch": 0, "a": 2}'], [0, 0]),
        (['{"step": 7, "a": 1}', '{"step": 5, "a": 2}'], [0, 1]),
        (['{"step": 7, "a": 1}', '{"a": 2}'], [0, 1]),
        (['{"step": 1.5, "a": 1}', '{"step": 2, "a": 2}'], [0, 1]),
        (['{"step": -1, "a": 1}'], [0]),
        (["no json", '{"a": 1}', "[1]", "", '{"a": 2}'], [1, 4]),
        ([], []),
    ],
)
def test_steps_are_those_that_every_line_names_or_else_the_lines(tmp_path: Path, lines, steps):
    (tmp_path / "idea-001").mkdir()
    (tmp_path / "idea-001" / "progress.jsonl").write_text("".join(f"{line}\n" for line in lines))
    run = read_run(FarmPaths(str(tmp_path)), "idea-001", State.COMPLETED, {})
    assert [step for step, _ in run.steps] == steps


def test_of_very_many_steps_an_even_part_is_taken(tmp_path: Path):
    (tmp_path / "idea-001").mkdir()
    with (tmp_path / "idea-001" / "progress.jsonl").open("w") as stream:
        stream.writelines(json.dumps({"step": step, "a": step}) + "\n" for step in range(25_000))
    steps = [step for step, _ in read_run(FarmPaths(str(tmp_path)), "idea-001", State.COMPLETED, {}).steps]
    assert steps == list(range(0, 25_000, 4))


@pytest.mark.parametrize("kind", ["fifo", "device", "directory", "broken yaml", "not utf-8", "huge"])
def test_files_of_every_kind_are_survived(tmp_path: Path, kind):
    home = tmp_path / "idea-001"
    home.mkdir()
    for name in ("idea.yaml", "progress.jsonl"):
        match kind:
            case "fifo":
                os.mkfifo(home / name)
            case "device":
                (home / name).symlink_to("/dev/zero")
            case "directory":
                (home / name).mkdir()
            case "broken yaml":
                (home / name).write_text("a: [\n{")
            case "not utf-8":
                (home / name).write_bytes(b"\xff\xfe: 1\n")
            case "huge":
                (home / name).write_text("a: " + "x" * 100_000)
    run = read_run(FarmPaths(str(tmp_path)), "idea-001", State.COMPLETED, {})
    assert (run.config, run.steps) == ({}, [])


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=9), ANYTHING, max_size=4))
def test_whatever_a_result_holds_becomes_bounded_scalars_with_printable_names(values):
    found = flat(values, 5)
    assert len(found) <= 5
    for name, value in found.items():
        assert name.isprintable()
        assert value is None or isinstance(value, bool | int | float | str)
        json.dumps(value).encode()


@given(st.dictionaries(st.text(min_size=1, max_size=9).filter(str.isprintable), st.integers()))
@settings(deadline=None)  # the first time it loads mlflow
def test_mlflow_takes_every_name(values):
    validation = pytest.importorskip("mlflow.utils.validation", reason="mlflow is not installed")
    given_names = named(values)
    for name, value in given_names.items():
        validation._validate_metric_name(name)
        validation._validate_param(name, str(value))
        validation._validate_tag(name, str(value))
    assert bool(given_names) == bool(values)
