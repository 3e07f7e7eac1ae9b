"""The median rule and the rungs, as tables."""

from __future__ import annotations

import pytest

from orze.farm.curves import Curve
from orze.farm.prune_rule import Bounds, by_median, by_rungs, rung

FREE = Bounds(first=1, length=None, runs=3)


def flat(value: float, last: int = 100, *, axis: str = "step", ascending: bool = False) -> Curve:
    """A curve that has one value from the beginning, logged at every tenth step."""
    made = Curve("acc", ascending=ascending)
    for step in (1, *range(10, last + 1, 10)):
        made.add({axis: step, "acc": value})
    return made


OTHERS = [flat(value) for value in (0.6, 0.7, 0.8, 0.9, 1.0)]


@pytest.mark.parametrize(
    ("mine", "others", "bounds", "stops"),
    [
        (flat(0.79, 40), OTHERS, FREE, True),
        (flat(0.80, 40), OTHERS, FREE, False),  # the median itself is not worse
        (flat(0.81, 40), OTHERS, FREE, False),
        (flat(0.1, 40), [], FREE, False),
        (flat(0.1, 40), OTHERS[:2], FREE, False),  # too few
        (flat(0.1, 40), [flat(0.9, 30)] * 5, FREE, False),  # none got as far
        (flat(0.1, 40), [*OTHERS[:2], flat(0.9, 40)], FREE, True),
        (flat(0.1, 40), [flat(0.9, axis="epoch")] * 5, FREE, False),  # other steps
        (flat(0.1, 40), OTHERS, FREE._replace(first=41), False),
        (flat(0.1, 40), OTHERS, FREE._replace(first=40), True),
        (flat(0.1, 40), OTHERS, Bounds(None, 160, 3), True),  # a quarter of the way
        (flat(0.1, 40), OTHERS, Bounds(None, 164, 3), False),
        (flat(0.1, 40), OTHERS, Bounds(None, None, 3), False),  # nobody knows how far it is
        (Curve("acc", ascending=False), OTHERS, FREE, False),
        (flat(0.81, 40, ascending=True), [flat(v, ascending=True) for v in (0.7, 0.8, 0.9)], FREE, True),
        (flat(0.79, 40, ascending=True), [flat(v, ascending=True) for v in (0.7, 0.8, 0.9)], FREE, False),
    ],
)
def test_the_median_rule_stops_what_is_worse_than_the_median_of_those_that_got_as_far(
    mine, others, bounds, stops
):
    assert bool(by_median(mine, others, bounds)) is stops


def test_the_reason_tells_step_value_and_median():
    told = "pruned at step 40: acc 0.7100, the median of 5 others there is 0.8000"
    assert by_median(flat(0.71, 40), OTHERS, FREE) == told
    assert by_median(flat(0.71, 49), OTHERS, FREE) == told  # its last line is of step 40


@pytest.mark.parametrize(
    ("last", "bounds", "reached"),
    [
        (9, Bounds(10, None, 3), -1),
        (10, Bounds(10, None, 3), 0),
        (30, Bounds(10, None, 3), 0),
        (40, Bounds(10, None, 3), 1),
        (160, Bounds(10, None, 3), 2),
        (10, Bounds(None, 160, 3), 0),
        (40, Bounds(None, 160, 3), 1),
        (100, Bounds(None, None, 3), -1),
        (100, Bounds(None, 3, 3), 3),
    ],
)
def test_rungs_are_geometric_from_the_first_step_or_a_sixteenth_of_the_way(last, bounds, reached):
    assert rung(flat(0.5, last), bounds) == reached


EIGHT = [flat(value / 10) for value in range(1, 9)]


@pytest.mark.parametrize(
    ("mine", "others", "reason"),
    [
        (0.85, EIGHT, ""),  # the best of nine
        (0.75, EIGHT, ""),  # the second of nine, and two may go on
        (0.65, EIGHT, "pruned at step 40: acc 0.6500, 2 of 8 others there are better and 2 may go on"),
        (0.8, EIGHT, ""),  # as good as the best
        (0.1, EIGHT[:2], None),  # too early to tell
        (0.1, [flat(0.9, 30)] * 8, None),
        (0.1, EIGHT[:3], "pruned at step 40: acc 0.1000, 2 of 3 others there are better and 1 may go on"),
        (0.1, [flat(0.9, axis="epoch")] * 8, None),
    ],
)
def test_of_what_reached_a_rung_the_best_quarter_goes_on(mine, others, reason):
    assert by_rungs(flat(mine, 60), others, FREE._replace(first=10), 1) == reason


def test_below_the_lowest_rung_nothing_is_told():
    assert by_rungs(flat(0.1, 5), EIGHT, FREE._replace(first=10), -1) is None
