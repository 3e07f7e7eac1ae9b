"""The search space is learnt from what there is, and drawn from within its bounds."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.ideas.axes import Axis, parse_axis
from orze.research.keys import flatten, is_seed, nest
from orze.research.space import contains, draw, learn_space, place, points, settle


@pytest.mark.parametrize(
    ("value", "axis"),
    [
        (0.001, Axis((), 0.0001, 0.01, log=True)),
        (20.0, Axis((), 2.0, 200.0, log=True)),
        (0.5, Axis((), 0.05, 1.0, log=True)),
        (1.0, Axis((), 0.1, 1.0, log=True)),
        (64, Axis((), 16.0, 256.0, log=True, whole=True)),
        (1, Axis((), 1.0, 4.0, log=True, whole=True)),
        (2, Axis((), 1.0, 8.0, log=True, whole=True)),
        (0, Axis((0, 1))),
        (True, Axis((False, True))),
        (0.0, None),
        (-3, None),
        (-0.5, None),
        (float("inf"), None),
        (float("nan"), None),
        (1 << 60, None),
        (5e-324, None),
        ("adam", None),
        (None, None),
        ([1, 2], None),
    ],
)
def test_each_value_of_the_base_says_how_far_it_may_go(value, axis):
    assert learn_space({"a": {"b": value}}, []).get("a.b") == axis


def test_seeds_are_not_searched_and_dotted_names_are_not_meant():
    base = {"seed": 1, "training": {"seed": 2, "data_seed": 3, "random_state": 4}, "a.b": 5}
    assert learn_space(base, []) == {}


def test_what_ran_widens_the_space_but_adds_no_key():
    ran = [
        {"lr": 0.5, "opt": "sgd", "n": 1000, "new": 3},
        {"lr": 0.02, "opt": "adam", "n": 0},
        {"lr": "text", "opt": 3},
    ]
    assert learn_space({"lr": 0.01, "opt": "adam", "n": 10}, ran) == {
        "lr": Axis((), 0.001, 0.5, log=True),
        "opt": Axis(("adam", "sgd")),
        "n": Axis((), 2.0, 1000.0, log=True, whole=True),
    }


AXES = st.one_of(
    st.lists(st.integers(-5, 5), min_size=1, max_size=5),
    st.tuples(st.integers(-1000, 1000), st.integers(1, 1000)).map(
        lambda ends: {"range": [ends[0], sum(ends)]}
    ),
    st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)).map(lambda ends: {"range": [ends[0], sum(ends)]}),
    st.tuples(st.floats(1e-9, 1e6), st.floats(1.1, 1e6)).map(
        lambda ends: {"log": [ends[0], ends[0] * ends[1]]}
    ),
    st.tuples(st.integers(1, 1000), st.integers(1, 1000)).map(lambda ends: {"log": [ends[0], sum(ends)]}),
)


@settings(max_examples=60)
@given(AXES, st.integers(0, 1 << 32))
def test_what_is_drawn_lies_in_the_axis_and_comes_back_to_its_place(written, seed):
    axis = parse_axis(written, continuous=True)
    value = draw(axis, random.Random(seed))
    assert contains(axis, value)
    if not axis.values:
        assert type(value) is (int if axis.whole else float)
        assert settle(axis, place(axis, value)) == pytest.approx(value, rel=0.01)


@pytest.mark.parametrize(
    ("axis", "value", "expected"),
    [
        (Axis((1, "a")), 1.0, True),
        (Axis((1, "a")), True, False),
        (Axis((), 1.0, 2.0), 2, True),
        (Axis((), 1.0, 2.0), 2.1, False),
        (Axis((), 1.0, 2.0), True, False),
        (Axis((), 1.0, 2.0), "1", False),
        (Axis((), 1.0, 9.0, whole=True), 1.5, False),
        (Axis((), 1.0, 9.0, whole=True), 2.0, True),
    ],
)
def test_an_axis_has_just_its_values(axis, value, expected):
    assert contains(axis, value) is expected


@pytest.mark.parametrize(
    ("space", "count"),
    [
        ({}, 1),
        ({"a": Axis((1, 2, 3)), "b": Axis((), 0.0, 4.0, whole=True)}, 15),
        ({"a": Axis((1, 2)), "b": Axis((), 0.0, 4.0)}, None),
    ],
)
def test_configurations_are_counted_where_they_can_be(space, count):
    assert points(space) == count


NAMES = st.sampled_from(["a", "b", "learning_rate"])


@settings(max_examples=30)
@given(st.dictionaries(NAMES, st.dictionaries(NAMES, st.integers(), max_size=2)))
def test_flat_and_nested_are_one(config):
    whole = {key: value for key, value in config.items() if value}
    assert nest(flatten(whole)) == whole


def test_flattening_keeps_lists_null_and_empty_blocks():
    assert flatten({"a": {"b": [1], "c": None}, "d": {}, "e.f": 1, "g": {"h.i": 2}}) == {
        "a.b": [1],
        "a.c": None,
        "d": {},
    }


@pytest.mark.parametrize(
    ("key", "is_one"), [("seed", True), ("a.SEED", True), ("a.n_seeds", False), ("seed.a", False)]
)
def test_seeds_are_told_by_the_last_part_of_their_key(key, is_one):
    assert is_seed(key) is is_one
