"""status.json: always JSON, with all that the contract names."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_examples import NOON, bare, outcome, snapshot

from orze.core.states import Cause, State
from orze.report.advice import advice
from orze.report.model import PrimaryMetric, Problem, Ranked, Running
from orze.report.status import status_json


def strict(data):
    """Parse as a reader does that knows RFC 8259 only."""

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(data.decode("ascii"), parse_constant=refuse)


def test_everything_that_the_contract_names_is_there():
    status = strict(status_json(snapshot()))
    assert status["schema"] == 1
    assert status["timestamp"] == "2025-11-21T12:00:00+00:00"
    assert (status["iteration"], status["leader"], status["unfenced"]) == (42, "node-a", True)
    assert (status["completed"], status["failed"], status["skipped"], status["running"]) == (4, 1, 1, 1)
    assert (status["queue_depth"], status["free_gpus"], status["disk_free_gb"]) == (3, ["node-a:0"], 812.3)
    assert status["active"][0]["elapsed_min"] == 1.25
    assert {"idea_id", "gpu", "host", "elapsed_min"} <= status["active"][0].keys()
    assert status["primary_metric"] == {"name": "val_accuracy", "sort": "descending", "configured": False}
    assert status["quarantined"][0]["where"] == "ideas.md:7"
    assert status["held"][0]["reason"] == "vanished from ideas.md"
    assert status["waiting"][0]["idea_id"] == "idea-010"
    assert [host["name"] for host in status["hosts"]] == ["node-a", "node-b"]
    assert status["hosts"][0]["cards"][0]["memory_total_mib"] == 143771
    assert status["problems"] == [
        {"text": "card 0 of node-b does not answer", "since": "2025-11-21T11:55:00+00:00"}
    ]
    assert status["recent_failures"][0]["what_to_do"] == advice(Cause.CUDA_OOM)


def test_the_best_come_first_and_what_is_no_number_is_null():
    first, *_, last = strict(status_json(snapshot()))["top_results"]
    assert (first["rank"], first["idea_id"], first["value"]) == (1, "idea-002", 0.9889)
    assert first["columns"] == {"auc": "0.91"}
    assert (last["rank"], last["value"], last["note"]) == (None, None, "NaN")
    assert last["metrics"] == {"val_accuracy": None}


def test_a_farm_that_has_done_nothing_has_the_same_keys():
    assert strict(status_json(bare())).keys() == strict(status_json(snapshot())).keys()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(math.inf, None), (10**5, 100000), (2**53, 2.0**53), (True, True), ("\ud800", "?"), (None, None)],
)
def test_values_that_readers_disagree_about_are_made_harmless(value, shown):
    entry = Ranked(1, 0.5, "", outcome(1, "x", metrics={"m": value}))
    status = strict(status_json(bare(top=[entry], primary=PrimaryMetric("m", True, True))))
    assert status["top_results"][0]["metrics"]["m"] == shown


def test_no_byte_of_it_can_steer_a_terminal():
    data = status_json(bare(title="\x1b[31m\x9b\u202e卷"))
    assert set(data) <= {*range(0x20, 0x7F), 0x0A}


METRICS = st.dictionaries(st.text(), st.floats() | st.text() | st.booleans() | st.none() | st.integers())


@given(st.text(), st.floats(), st.floats(), METRICS)
@settings(deadline=None)
def test_any_input_gives_json(text, real, other, metrics):
    run = Running(text, text, State.TRAINING, text, text, real, 1, text)
    entry = Ranked(None, None, text, outcome(1, text, metrics=metrics, seconds=real, finished_at=other))
    problem = Problem(text, real)
    made = bare(title=text, generated_at=other, running=[run], top=[entry], problems=[problem])
    assert strict(status_json(made))["active"][0]["attempt"] == 1


def test_the_time_is_the_one_of_the_snapshot():
    assert status_json(snapshot()) == status_json(snapshot())
    assert status_json(snapshot()) != status_json(snapshot(generated_at=NOON + 1))


def test_what_was_stopped_early_stands_with_its_reason_and_is_no_failure():
    reason = "pruned at step 40: acc 0.7100, the median of 12 others there is 0.8300"
    pruned = outcome(9, "Hopeless", State.PRUNED, cause="pruned", error=reason)
    status = strict(status_json(snapshot(pruned=[pruned], counts={State.PRUNED: 1})))
    (row,) = status["recent_pruned"]
    assert (row["idea_id"], row["reason"], row["seconds"]) == ("idea-009", reason, 95.0)
    assert (status["states"], status["failed"]) == ({"PRUNED": 1}, 0)
