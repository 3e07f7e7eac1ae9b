"""Reading idea.yaml quickly must give what YAML says, whatever it says."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orze.client.flat import Configs, _Unsure, flat
from orze.ideas.model import IdeaError
from orze.ideas.values import load_values

WORDS = [
    "relu",
    "no",
    "Yes",
    "null",
    "~",
    "1e-3",
    "0x1f",
    "010",
    "1_000",
    "1:30",
    "a - b",
    "- x",
    "/data/x",
    "",
]
WORDS += [
    "2024-05-01",
    "it's",
    "a: b",
    "#c",
    "é",
    "x " * 60,
    ".inf",
    "{}",
    "[]",
    "a\nb",
    "-",
    "=",
    "y",
    "*a",
    "&b",
]
TEXTS = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | TEXTS
KEYS = st.sampled_from(["lr", "model", "on", "a.b", "seed", "x y", "null", "_k", "k-1"]) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def written(values: dict[str, Any]) -> str:
    """idea.yaml as the farm writes it."""
    return yaml.dump(values, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)


@settings(max_examples=400)
@given(st.dictionaries(KEYS, VALUES, max_size=5))
@example({"a": {"b": [1, {"c": 2}]}, "d": [[1], []], "e": {}, "f": [{}], "g": None})
@example({"a": [1, 2], "b": {"c": {"d": [0.5]}, "e": 1}, "f": 2})
@example({"a": "long text " * 12 + "- more", "b": ["long text " * 12 + "- more"]})
def test_what_is_read_quickly_is_what_yaml_says(values: dict[str, Any]):
    text = written(values)
    try:
        expected = flat(load_values(text, path="idea.yaml", line=1))
    except IdeaError:
        return
    found = Configs().read(text)
    assert found == expected
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in expected.items()
    }


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(["a:", "a: 1", "  b: x", "  b:", "- 1", "  - 2", "c: yes", "    d: 'q'", ""]),
        max_size=6,
    )
)
def test_whatever_else_stands_there_is_left_to_the_reader_of_yaml(lines: list[str]):
    text = "\n".join(lines)
    try:
        expected = flat(load_values(text, path="idea.yaml", line=1))
    except IdeaError:
        expected = None
    try:
        found = Configs()._quick(text)
    except _Unsure:
        return
    assert found == expected


def test_an_ordinary_configuration_is_read_without_the_reader_of_yaml():
    values = {
        "model": {"type": "mlp", "layers": [128, 64], "dropout": 0.1, "act": None},
        "training": {"lr": 1.0e-05, "epochs": 30, "opt": {"name": "adam w", "nesterov": True}},
        "data": "/data/x",
        "note": "",
    }
    assert Configs()._quick(written(values)) == {
        "model.type": "mlp",
        "model.layers": "[128, 64]",
        "model.dropout": 0.1,
        "model.act": None,
        "training.lr": 1e-05,
        "training.epochs": 30,
        "training.opt.name": "adam w",
        "training.opt.nesterov": True,
        "data": "/data/x",
        "note": "",
    }


@pytest.mark.parametrize("text", ["- a\n", "a: [1", "a: 1\na: 2\n", "a:\n- 1\na:\n- 2\n", "? " * 3000])
def test_what_is_no_configuration_is_refused(text: str):
    with pytest.raises(IdeaError):
        Configs().read(text)


def test_numbers_that_are_none_come_through():
    found = Configs().read(written({"a": math.inf, "b": [math.nan]}))
    assert found == {"a": math.inf, "b": "[NaN]"}


def test_an_idea_that_did_not_run_has_no_configuration(tmp_path):
    assert Configs().ran(str(tmp_path)) is None
    (tmp_path / "idea.yaml").write_bytes(b"a: \xff")
    assert Configs().ran(str(tmp_path)) is None
    (tmp_path / "idea.yaml").unlink()
    (tmp_path / "idea.yaml").symlink_to("/etc/hostname")
    assert Configs().ran(str(tmp_path)) is None
