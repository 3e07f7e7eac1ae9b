"""Axes of sweeps and search spaces: their points, and what is no axis."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.ideas.axes import MAX_POINTS, Axis, parse_axis


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ([3], (3,)),
        (["a", None, {"b": [1]}, [1, 2], True], ("a", None, {"b": [1]}, [1, 2], True)),
        ({"range": [0, 10, 6]}, (0, 2, 4, 6, 8, 10)),
        ({"range": [0, 1, 5]}, (0.0, 0.25, 0.5, 0.75, 1.0)),
        ({"range": [0.1, 0.5, 5]}, (0.1, 0.2, 0.3, 0.4, 0.5)),
        ({"range": [-1, 1, 3]}, (-1, 0, 1)),
        ({"range": [0.0, 10, 3]}, (0.0, 5.0, 10.0)),
        ({"log": [1e-4, 1e-2, 3]}, (1e-4, 1e-3, 1e-2)),
        ({"log": ["1e-4", "1E-2", 5]}, (1e-4, 0.000316227766017, 1e-3, 0.00316227766017, 1e-2)),
        ({"log": [1, 1000, 4]}, (1, 10, 100, 1000)),
        ({"log": [16, 256, 5]}, (16, 32, 64, 128, 256)),
        ({"log": [1, 10, 3]}, (1.0, 3.16227766017, 10.0)),
    ],
)
def test_an_axis_has_the_points_that_are_written(written: Any, values: tuple[Any, ...]) -> None:
    axis = parse_axis(written, continuous=False)

    assert axis.values == values
    assert [type(value) for value in axis.values] == [type(value) for value in values]
    assert axis == parse_axis(written, continuous=True)


def test_an_axis_knows_its_ends_and_its_kind() -> None:
    assert parse_axis([1, 2], continuous=True) == Axis((1, 2))
    assert parse_axis({"log": ["1e-4", 1]}, continuous=True) == Axis((), 1e-4, 1.0, log=True)
    assert parse_axis({"range": [16, 512]}, continuous=True) == Axis((), 16.0, 512.0, whole=True)
    assert parse_axis({"range": [1, 3, 3]}, continuous=True) == Axis((1, 2, 3), 1.0, 3.0, whole=True)
    assert not parse_axis({"range": [1, 2, 3]}, continuous=True).whole


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ([], "no values"),
        ({}, "must be a list of values"),
        (3, "must be a list of values"),
        ("1, 2", "must be a list of values"),
        ({"choice": [1]}, "must be a list of values"),
        ({"range": [1, 2, 3], "log": [1, 2, 3]}, "must be a list of values"),
        ({"range": [1, 2]}, r"write range: \[low, high, n\]"),
        ({"range": 3}, "write range"),
        ({"log": [1, 2, 3, 4]}, "write log"),
        ({"range": [2, 1, 3]}, "must be below"),
        ({"range": [1, 1, 3]}, "must be below"),
        ({"log": [0, 1, 3]}, "above 0"),
        ({"range": [0, 1, 1]}, "number of points"),
        ({"range": [0, 1, 2.5]}, "number of points"),
        ({"range": [0, 1, MAX_POINTS + 1]}, "number of points"),
        ({"range": [0, True, 3]}, "no number"),
        ({"range": [0, "one", 3]}, "no number"),
        ({"range": [0, "٣", 3]}, "no number"),
        ({"range": [0, None, 3]}, "no number"),
        ({"range": [0, float("inf"), 3]}, "no number"),
        ({"range": [float("nan"), 1, 3]}, "no number"),
        ({"range": [0, "1e999", 3]}, "no number"),
        ({"range": [0, 10**400, 3]}, "no number"),
        ({"range": [1.0, 1.0000000000000002, 5]}, "too close"),
    ],
)
def test_what_is_no_axis_is_told_in_a_sentence(written: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_axis(written, continuous=False)


_ENDS = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e9, 1e9, allow_subnormal=False))


@given(low=_ENDS, high=_ENDS, n=st.integers(2, 60), log=st.booleans())
def test_points_rise_from_the_first_number_to_the_second(low: float, high: float, n: int, log: bool) -> None:
    try:
        axis = parse_axis({"log" if log else "range": [low, high, n]}, continuous=False)
    except ValueError:
        assert low >= high or (log and low <= 0) or (high - low) < 1e-9 * max(abs(low), abs(high))
        return
    assert len(axis.values) == n
    assert (axis.values[0], axis.values[-1]) == (low, high)
    assert list(axis.values) == sorted(set(axis.values))
    assert axis.whole == all(isinstance(value, int) for value in axis.values)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["range", "log", "x"]), inner, max_size=2)
        ),
    ),
    st.booleans(),
)
def test_anything_is_an_axis_or_a_fault(written: Any, continuous: bool) -> None:
    try:
        axis = parse_axis(written, continuous=continuous)
    except ValueError as fault:
        assert str(fault)
    else:
        assert axis.values or (axis.low is not None and axis.high is not None and axis.low < axis.high)
