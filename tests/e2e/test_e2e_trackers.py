"""Metrics and mirrors of real daemons: what a scrape is told, and what an experiment tracker gets, once."""

from __future__ import annotations

import json
import os
import re
import socket
import urllib.request
from pathlib import Path

from farmhouse import SHORT_LEASE, Farm, idea

from tests.needs import needs

WITH_MLFLOW = needs("mlflow")
TRAIN = "progress(step=1, loss=0.5)\nprogress(step=2, loss=0.4)\nmetrics(val_loss=0.25)"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def tags(farm: Farm, name: str) -> list[str]:
    """One tag of every run that MLflow's directory holds and has not deleted, sorted."""
    whole = [
        meta.parent
        for meta in farm.home.glob("mlruns/*/*/meta.yaml")
        if "lifecycle_stage: active" in meta.read_text()
    ]
    return sorted(
        (run / "tags" / name).read_text() for run in whole if "status: 3" in (run / "meta.yaml").read_text()
    )


def test_metrics_prom_and_the_port_tell_of_the_farm_and_of_this_host(farm: Farm):
    port = free_port()
    farm.configure(poll=1)
    farm.write(idea(1, TRAIN), idea(2, "sys.exit(3)"))
    daemon = farm.start("--metrics-port", str(port))
    farm.wait_states(COMPLETED=1, FAILED=1)
    failed = re.compile(r'orze_ideas_finished_total\{farm="[^"]+",state="FAILED",cause="exit_code"\} 1\n')
    told = farm.results / "metrics.prom"  # written behind status.json
    farm.wait(lambda: told.exists() and failed.search(told.read_text()))
    text = told.read_text()
    assert re.search(r'orze_slots\{farm="[^"]+",host="[^"]+",state="free_without_work"\} 1\n', text)

    def scraped() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return answer.read().decode()

    farm.wait(
        lambda: re.search(r'orze_attempts_ended_total\{cause="none",[^}]*\} 1\.0', scraped()), "the scrape"
    )
    told = scraped()
    assert re.search(r"orze_attempts_started_total\{[^}]*\} 2\.0", told)
    assert float(re.search(r"orze_cycle_seconds_count\{[^}]*\} (\S+)", told)[1]) > 2
    assert float(re.search(r"orze_share_read_seconds_sum\{[^}]*\} (\S+)", told)[1]) > 0
    second = farm.run("--metrics-port", str(port), status=2)
    assert second.count("\n") == 1
    assert f"127.0.0.1:{port}" in second
    assert daemon.end() == 0
    farm.check()


@WITH_MLFLOW
def test_every_finished_idea_is_mirrored_once_though_daemons_are_killed(farm: Farm):
    farm.configure(poll=1, lease=SHORT_LEASE, trackers={"mlflow": {"uri": "mlruns", "experiment": "digits"}})
    farm.write(idea(1, TRAIN), idea(2, "sys.exit(3)"))
    first = farm.start()
    farm.wait_states(COMPLETED=1, FAILED=1)
    first.kill()  # wherever its mirror is
    farm.append(idea(3, TRAIN))
    farm.start()
    farm.wait_for(idea_003="CLAIM DONE")
    farm.wait(lambda: "idea-003" in tags(farm, "orze.idea"), "the mirror of idea-003", 60.0)
    assert tags(farm, "orze.idea") == ["idea-001", "idea-003"]
    failed = [meta for meta in farm.home.glob("mlruns/*/*/meta.yaml") if "status: 4" in meta.read_text()]
    assert len(failed) == 1
    places = list((farm.results / ".orze" / "mirrors").glob("mlflow-*.json"))
    farm.wait(lambda: json.loads(places[0].read_text())["done"] == 0, "the place of the mirror")
    farm.check()


def test_trackers_that_cannot_be_reached_are_problems_and_the_farm_goes_on(farm: Farm):
    trackers = {
        "mlflow": {"uri": "http://ada:hunter22@127.0.0.1:9", "experiment": "x"},
        "wandb": {"project": "x", "entity": "nobody", "mode": "online"},
        "trackio": {"project": "registry-x"},
    }
    farm.configure(poll=1, trackers=trackers)
    farm.write(idea(1, TRAIN))
    where = {"HOME": str(farm.home), "NETRC": os.devnull, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    daemon = farm.start(MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", TRACKIO_DIR=str(farm.home / "trackio"), **where)
    farm.wait_states(COMPLETED=1)
    farm.wait(lambda: farm.problems().count("mirroring to ") == 3, "three problems", 60.0)
    farm.append(idea(2, TRAIN))
    farm.wait_for(idea_002="CLAIM DONE")
    assert "hunter22" not in daemon.output + farm.report()
    assert not any("hunter22" in path.read_text() for path in Path(farm.results, ".orze").rglob("*.json"))
    farm.check()
