"""The trackers themselves, offline: what the mirror's process wrote is read back from them."""

from __future__ import annotations

import json
import sqlite3
import struct
import warnings
from pathlib import Path
from typing import Any

import pytest
from tracker_examples import Ended, mirror

from orze.coord.journal import Journal
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from tests.needs import needs


@pytest.fixture
def farm(tmp_path: Path) -> Ended:
    made = Ended(tmp_path)
    made.ends(1)
    made.ends(2, state="FAILED", cause="timeout", error="too long")
    return made


def begin_again(farm: Ended, tracker: str) -> None:
    """As a crash before anything was recorded leaves it."""
    Path(farm.paths.mirror(tracker)).unlink()


def values_of(farm: Ended) -> set[str]:
    """The keys of the runs that the journal tells of."""
    from orze.trackers.run import read_run

    journal = Journal(RealFiles(), farm.paths.journal, SystemClock(), frame={})
    journal.follow()
    return {read_run(farm.paths, *outcome).key for outcome in journal.fold.drain()[1] if outcome[1]}


# ---- MLflow


def runs_of(farm: Ended) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        client = MlflowClient(f"file://{farm.home}/mlruns")
        experiment = client.get_experiment_by_name("digits")
        return sorted(client.search_runs([experiment.experiment_id]), key=lambda run: run.info.run_name)


@pytest.fixture
def mlflow_job(farm: Ended, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return farm.job("mlflow", uri="mlruns", experiment="digits")


@needs("mlflow")
def test_mlflow_gets_each_idea_once_with_all_that_is_known(farm: Ended, mlflow_job):
    assert mirror(mlflow_job) == (0, "")
    done, failed = runs_of(farm)
    assert (done.info.run_name, done.info.status) == ("idea-001", "FINISHED")
    assert (failed.info.run_name, failed.info.status) == ("idea-002", "FAILED")
    assert (done.info.start_time, done.info.end_time) == (1_799_999_987_500, 1_800_000_000_000)
    assert done.data.params == {"model.lr": "0.1", "model.layers": "[64, 64]", "name": "é ?"}
    assert done.data.metrics.items() >= {"val_loss": 0.25, "odd _1_": 3.0, "train_loss": 1 / 3}.items()
    about = {"idea": "idea-001", "title": "A title", "host": "gpu-a", "card": "0", "attempt": "1",
             "seconds": "12.5", "state": "COMPLETED", "note": "fine"}  # fmt: skip
    assert done.data.tags.items() >= {f"orze.{name}": value for name, value in about.items()}.items()
    assert failed.data.tags["orze.cause"] == "timeout"
    history = (farm.home / "mlruns").glob(f"*/{done.info.run_id}/metrics/train_loss")
    assert [line.split()[2] for line in next(history).read_text().splitlines()] == ["0", "10", "20"]


@needs("mlflow")
def test_mlflow_has_no_run_twice_after_a_crash_and_a_run_for_each_retry(farm: Ended, mlflow_job):
    assert mirror(mlflow_job) == (0, "")
    before = {run.info.run_id for run in runs_of(farm)}
    begin_again(farm, "mlflow")
    cut_off = next((farm.home / "mlruns").glob(f"*/{sorted(before)[0]}/meta.yaml"))
    running = cut_off.read_text().replace("status: 3", "status: 1").replace("status: 4", "status: 1")
    cut_off.write_text(running)
    farm.journal.write(1, {"reopen": ["idea-001"]})
    farm.ends(1, attempt=2)
    assert mirror(mlflow_job) == (0, "")
    found = runs_of(farm)
    assert [(run.info.run_name, run.data.tags["orze.attempt"]) for run in found] in (
        [("idea-001", "1"), ("idea-001", "2"), ("idea-002", "1")],
        [("idea-001", "2"), ("idea-001", "1"), ("idea-002", "1")],
    )
    assert {run.data.tags["orze.run"] for run in found} == values_of(farm)
    assert len(before & {run.info.run_id for run in found}) == 1  # the one that was cut off is made anew


@needs("mlflow")
def test_a_server_that_is_not_there_is_one_line_and_the_runs_are_kept_for_later(farm: Ended, mlflow_job):
    job = farm.job("mlflow", uri="http://ada:hunter22@127.0.0.1:9", experiment="digits")
    status, said = mirror(job, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert status == 1
    assert said.count("\n") == 1
    assert "127.0.0.1" in said
    assert "hunter22" not in said
    assert mirror(mlflow_job) == (0, "")
    assert len(runs_of(farm)) == 2


# ---- Weights & Biases


def wandb_runs(farm: Ended) -> dict[str, bytes]:
    """The binary logs of the offline runs, by the ids of the runs."""
    found = list((farm.home / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len({path.stem for path in found}) == len(found)
    return {path.stem.removeprefix("run-"): path.read_bytes() for path in found}


def wandb_records(path: Path) -> list[Any]:
    """What an offline run holds: a log of LevelDB's form (its doc/log_format.md) behind seven bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from wandb.proto import wandb_internal_pb2
    data, at, parts, records = path.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        length, kind = struct.unpack_from("<HB", data, at + 4)
        if (1 << 15) - at % (1 << 15) < 7 or not kind:  # the rest of a block that holds no more
            at += (1 << 15) - at % (1 << 15)
            continue
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            records.append(wandb_internal_pb2.Record.FromString(parts))
            parts = b""
    return records


@needs("wandb")
def test_wandb_writes_an_offline_run_for_each_idea_and_none_twice(farm: Ended):
    job = farm.job("wandb", project="digits", entity=None, mode="offline")
    assert mirror(job) == (0, "")
    assert wandb_runs(farm).keys() == values_of(farm)
    begin_again(farm, "wandb")
    assert mirror(job) == (0, "")
    assert wandb_runs(farm).keys() == values_of(farm)
    told = [wandb_records(path) for path in (farm.home / "wandb").glob("offline-run-*/run-*.wandb")]
    about = {
        run.display_name: run for records in told for run in (r.run for r in records if r.HasField("run"))
    }
    assert about.keys() == {"idea-001", "idea-002"}
    config = {item.key: json.loads(item.value_json) for item in about["idea-001"].config.update}
    assert config["model.lr"] == 0.1
    assert config["orze"]["host"] == "gpu-a"
    (done,) = [records for records in told if any(r.run.display_name == "idea-001" for r in records)]
    history = [{item.key or item.nested_key[0]: json.loads(item.value_json) for item in r.history.item}
               for r in done if r.HasField("history")]  # fmt: skip
    assert [row["train_loss"] for row in history] == [1.0, 0.5, 1 / 3]
    assert [row["_step"] for row in history] == [0, 10, 20]
    summary = {item.key or item.nested_key[0]: json.loads(item.value_json)
               for r in done if r.HasField("summary") for item in r.summary.update}  # fmt: skip
    assert summary.items() >= {"val_loss": 0.25, "note": "fine"}.items()


@needs("wandb")
def test_wandb_without_a_key_is_one_line(farm: Ended):
    job = farm.job("wandb", project="digits", entity=None, mode="online")
    status, said = mirror(job, WANDB_BASE_URL="http://127.0.0.1:9", NETRC="/dev/null")
    assert (status, said.count("\n")) == (1, 1)


# ---- trackio


def trackio_runs(farm: Ended) -> dict[str, list[dict[str, Any]]]:
    """Run -> what it logged, in order."""
    with sqlite3.connect(farm.home / "trackio" / "digits.db") as base:
        rows = base.execute("SELECT run_name, step, metrics FROM metrics ORDER BY step").fetchall()
    base.close()
    found: dict[str, list[dict[str, Any]]] = {}
    for name, step, values in rows:
        found.setdefault(name, []).append({"_step": step, **json.loads(values)})
    return found


@needs("trackio")
def test_trackio_keeps_each_idea_once_on_this_machine(farm: Ended):
    job = farm.job("trackio", project="digits")
    where = {"TRACKIO_DIR": str(farm.home / "trackio")}
    assert mirror(job, **where) == (0, "")
    first = trackio_runs(farm)
    begin_again(farm, "trackio")
    assert mirror(job, **where) == (0, "")
    found = trackio_runs(farm)
    assert found == first
    assert sorted(name[:9] for name in found) == ["idea-001-", "idea-002-"]
    (done,) = [rows for name, rows in found.items() if name.startswith("idea-001-")]
    assert [(row["_step"], row.get("train_loss")) for row in done] == [
        (0, 1.0),
        (10, 0.5),
        (20, 1 / 3),
        (21, None),
    ]
    assert done[-1].items() >= {"val_loss": 0.25, "note": "fine", "orze.seconds": 12.5}.items()
