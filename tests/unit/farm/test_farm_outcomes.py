"""From the end of a chain, or a metrics file, to what the journal remembers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from farm_examples import Played, context
from hypothesis import given
from hypothesis import strategies as st

from orze.core.states import State
from orze.farm.outcomes import flatten, outcome_of, plain_outcome

METRICS = {"val_loss": 0.5, "per": {"a": 1, "b": {"c": 2}}}


def ended(tmp_path: Path, kind: str, **content):
    played = Played(context(tmp_path), "idea-001", gpu="0,1")
    played.append(kind, **content)
    return outcome_of(played.fold)


@pytest.mark.parametrize(
    ("kind", "content", "state", "told"),
    [
        ("DONE", {"metrics": METRICS}, State.COMPLETED, {"error": ""}),
        ("DONE", {"evaluated": True}, State.EVALUATED, {"error": ""}),
        ("DONE", {"evaluation_error": "exit code 1"}, State.COMPLETED, {"error": "exit code 1"}),
        (
            "DONE",
            {"evaluated": True, "post_errors": ["p: x", "q: y"]},
            State.EVALUATED,
            {"error": "p: x; q: y"},
        ),
        ("FAIL", {}, State.FAILED, {"cause": "script", "error": "it broke"}),
        (
            "FAIL",
            {"cause": "timeout", "error": "x" * 999},
            State.FAILED,
            {"cause": "timeout", "error": "x" * 300},
        ),
        (
            "FAIL",
            {"cause": "stopped", "error": "stopped by an operator"},
            State.STOPPED,
            {"cause": "stopped"},
        ),
        ("FAIL", {"skip": True}, State.SKIPPED, {"cause": "script"}),
    ],
)
def test_every_end_has_its_outcome(tmp_path: Path, kind: str, content, state: State, told):
    outcome = ended(tmp_path, kind, **content)
    assert outcome
    assert outcome[0] is state
    facts = outcome[1]
    assert {key: facts[key] for key in told} == told
    assert (facts["attempt"], facts["host"], facts["gpu"], facts["seconds"]) == (1, "gpu-a", "0,1", 2.0)
    assert ("metrics" in facts) == (kind == "DONE")


@pytest.mark.parametrize(
    ("kind", "content"), [("FAIL", {"final": False}), ("REQUEUE", {}), ("LOST", {}), ("TRAINED", {})]
)
def test_what_is_not_settled_has_no_outcome(tmp_path: Path, kind: str, content):
    assert ended(tmp_path, kind, **content) is None


def test_metrics_of_a_chain_are_kept_flat(tmp_path: Path):
    outcome = ended(tmp_path, "DONE", metrics=METRICS)
    assert outcome
    assert outcome[1]["metrics"] == {"val_loss": 0.5, "per.a": 1, "per.b.c": 2}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {"status": "COMPLETED", "val_loss": 0.5, "training_time": 7},
            (State.COMPLETED, {"metrics": {"val_loss": 0.5, "training_time": 7}, "seconds": 7.0}),
        ),
        (
            {"status": "COMPLETED", "training_time": True},
            (State.COMPLETED, {"metrics": {"training_time": True}}),
        ),
        ({"status": "FAILED", "error": "boom"}, (State.FAILED, {"cause": "script", "error": "boom"})),
        ({"status": "RUNNING"}, None),
        ({"val_loss": 1}, None),
        ([1], None),
        ({"status": "COMPLETED", "val_loss": float("nan")}, None),
    ],
)
def test_a_plain_farm_s_metrics_count_where_they_are_a_result(tmp_path: Path, content, expected):
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    assert plain_outcome(str(tmp_path)) == expected


@pytest.mark.parametrize("kind", ["torn", "link", "directory", "missing"])
def test_a_plain_metrics_file_that_is_none_is_no_outcome(tmp_path: Path, kind: str):
    path = tmp_path / "metrics.json"
    if kind == "torn":
        path.write_text('{"status": "COMPL')
    if kind == "link":
        (tmp_path / "real.json").write_text('{"status": "COMPLETED"}')
        path.symlink_to("real.json")
    if kind == "directory":
        path.mkdir()
    assert plain_outcome(str(tmp_path)) is None


def test_flat_metrics_are_bounded():
    wide = {f"m{n}": n for n in range(1000)}
    deep = {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}
    assert list(flatten(wide)) == [f"m{n}" for n in range(64)]
    assert flatten(deep) == {}
    assert flatten({"a": {"b": {"c": {"d": {"e": 1}}}}}) == {"a.b.c.d.e": 1}
    assert flatten({"t": "x" * 1000, "n": None, "list": [1], "x" * 1000: True}) == {
        "t": "x" * 300,
        "n": None,
        "x" * 300: True,
    }


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers()),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=30,
)


@given(st.dictionaries(st.text(max_size=3), values, max_size=6))
def test_flat_metrics_hold_plain_values_in_the_order_of_the_file(metrics):
    flat = flatten(metrics)
    assert len(flat) <= 64
    assert all(value is None or isinstance(value, bool | int | float | str) for value in flat.values())
    tops = [name for name in metrics if name in flat]
    assert [name for name in flat if name in tops] == tops


@pytest.mark.parametrize(
    ("said", "config", "seed"),
    [({"config": "c0ffee", "seed": -3}, "c0ffee", -3), ({}, "", 0)],  # earlier versions claimed without
)
def test_an_outcome_tells_configuration_and_seed_of_its_claim(tmp_path: Path, said, config: str, seed: int):
    played = Played(context(tmp_path), "idea-001", more=said)
    played.append("DONE")
    ended_so = outcome_of(played.fold)
    assert ended_so
    assert (ended_so[1]["config"], ended_so[1]["seed"]) == (config, seed)


def test_an_outcome_tells_the_commit_that_was_claimed_and_only_then(tmp_path: Path):
    for said in ({"commit": "c0ffee" * 6}, {}):
        played = Played(context(tmp_path / str(len(said))), "idea-001", more=said)
        played.append("FAIL", cause="protected", error="x", final=True)
        ended_so = outcome_of(played.fold)
        assert ended_so
        assert {name: value for name, value in ended_so[1].items() if name == "commit"} == said
