"""The key of a configuration: one for all that say the same, another for all else."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.ideas.canonical import config_key, run_mark, seed_of

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**4000)
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates too: YAML can write them
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below, max_size=3),
    max_leaves=6,
)
CONFIGS = st.dictionaries(st.text(max_size=3), VALUES, max_size=3)
ALIKE = st.fixed_dictionaries({"x": st.sampled_from([0, 0.0, False, "", None, "0", 1, 1.0, True, [], {}])})


def turned(value: Any) -> Any:
    """The same with its keys in the other order, and whole numbers written the other way."""
    if isinstance(value, dict):
        return {key: turned(below) for key, below in reversed(value.items())}
    if isinstance(value, list):
        return [turned(below) for below in value]
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if type(value) is int and abs(value) < 2**53:
        return float(value)
    return value


def told_apart(value: Any) -> Any:
    """What a value is, so that == tells two of them apart as the key has to."""
    if isinstance(value, dict):
        return "mapping", frozenset((key, told_apart(below)) for key, below in value.items())
    if isinstance(value, list):
        return "list", tuple(map(told_apart, value))
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    kind = (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )
    return kind, value


@settings(deadline=None)
@given(CONFIGS)
def test_the_order_of_keys_and_the_way_a_number_is_written_make_no_difference(config: dict[str, Any]):
    key = config_key(config)
    assert len(key) == 16
    assert config_key(turned(config)) == key


@settings(deadline=None)
@given(CONFIGS | ALIKE, CONFIGS | ALIKE)
def test_two_configurations_have_one_key_only_where_they_say_the_same(one: Any, other: Any):
    assert (config_key(one) == config_key(other)) == (told_apart(one) == told_apart(other))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (0, -0.0, True),
        (10**22, 1e22, True),
        (1, True, False),
        (0, False, False),
        (None, "None", False),
        (1, "1", False),
        (math.nan, math.nan, True),
        (math.nan, "nan", False),
        (math.inf, -math.inf, False),
        (math.inf, 2**1024, False),
        (2**53, 2**53 + 1, False),
        (0.1, 0.1 + 2**-56, False),
        (255, "ff", False),
        ([1, [2]], [1, 2], False),
        ([[1], 2], [[1.0], 2.0], True),
        ([], {}, False),
        ([1, 2], [2, 1], False),
        ("é", "e\u0301", False),  # a text is only itself
        ("\ud800", "\ufffd", False),
        ({"a": {"b": 1}}, {"a.b": 1}, False),
        ({"a": None}, {}, False),
    ],
)
def test_what_is_the_same_and_what_is_not(one: Any, other: Any, same: bool):
    assert (config_key({"x": one}) == config_key({"x": other})) is same


@pytest.mark.parametrize(
    ("config", "seed", "like"),
    [
        ({"training": {"seed": 7, "lr": 1}}, 7, {"training": {"lr": 1}}),
        ({"seed": 7, "lr": 1}, 7, {"lr": 1}),
        ({"training": {"seed": -7}, "seed": 3}, -7, {"training": {"seed": 8}, "seed": 3}),
        ({"training": {"lr": 1}, "seed": 3}, 3, {"training": {"lr": 1}}),
        ({"training": 5, "seed": 3}, 3, {"training": 5}),
        ({"lr": 1}, 0, {"lr": 1}),
    ],
)
def test_the_seed_that_a_run_takes_is_no_part_of_its_configuration(config: Any, seed: int, like: Any):
    assert seed_of(config) == seed
    assert config_key(config) == config_key(like)


@pytest.mark.parametrize("seed", ["7", 7.0, True, None, [7], 2**62, -(2**62), 10**4000])
def test_what_is_no_seed_is_a_value_like_others(seed: Any):
    config = {"training": {"seed": seed}}
    assert seed_of(config) == 0
    assert config_key(config) != config_key({"training": {}})


def test_the_mark_of_a_run_tells_seeds_and_configurations_apart():
    keys = [config_key({"x": x}) for x in range(100)]
    marks = {run_mark(key, seed) for key in keys for seed in range(-50, 50)}
    assert len(marks) == 10_000
    assert {len(mark) for mark in marks} == {16}
    assert run_mark(keys[0], 3) == run_mark(keys[0], 3)


def test_code_of_its_own_makes_another_configuration_and_no_two_codes_are_one() -> None:
    codes = [("", ""), ("a" * 40, ""), ("b" * 40, ""), ("", "ls"), ("a" * 40, "ls"), ("", "a" * 40)]
    keys = [config_key({"x": 1}, commit=commit, command=command) for commit, command in codes]
    assert len(set(keys)) == len(codes)
    assert keys[0] == config_key({"x": 1})
