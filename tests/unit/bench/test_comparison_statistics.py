"""Paired differences, their intervals and tests, and the correction for many of them."""

from statistics import fmean, stdev

import pytest
from contest.stats import compare, holm
from hypothesis import given
from hypothesis import strategies as st


def test_six_of_six_pairs_won_are_as_likely_by_chance_as_two_of_two_to_the_sixth() -> None:
    compared = compare([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.2, 0.4, 0.6, 0.8, 1.0, 1.2])
    assert compared.p == pytest.approx(2 / 2**6)
    assert (compared.wins, compared.ties, compared.losses) == (6, 0, 0)
    assert compared.mean == pytest.approx(-0.35)
    assert -0.6 < compared.low < compared.mean < compared.high < -0.1


def test_an_arm_against_itself_ties_everywhere_and_proves_nothing() -> None:
    compared = compare([0.3, 0.1, 0.2], [0.3, 0.1, 0.2])
    assert (compared.wins, compared.ties, compared.losses) == (0, 3, 0)
    assert (compared.mean, compared.low, compared.high, compared.p) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    "ours",
    [[1.0, 9.0, 2.0, 5.0, 7.0, 7.5], [3.0, 3.0, 3.0, 3.0, 3.0, 9.0], [0.0, 0.1, 0.2, 0.3, 0.4, 6.0]],
)
def test_whichever_arm_comes_first_the_finding_is_the_same_with_its_sign_turned(ours: list[float]) -> None:
    theirs = [3.0, 1.0, 4.0, 1.5, 5.0, 9.0]
    there, back = compare(ours, theirs), compare(theirs, ours)
    assert there.p == pytest.approx(back.p)
    assert (there.wins, there.ties, there.losses) == (back.losses, back.ties, back.wins)
    assert (there.mean, there.low, there.high) == pytest.approx((-back.mean, -back.high, -back.low))
    assert there.low <= there.mean + 1e-9 <= there.high + 2e-9


def test_the_order_of_the_pairs_matters_to_the_difference_because_they_are_pairs() -> None:
    hard_and_easy = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    a_little_better = [loss - 0.1 - loss / 1000 for loss in hard_and_easy]
    assert compare(a_little_better, hard_and_easy).p < 0.05
    assert compare(a_little_better[::-1], hard_and_easy).p > 0.5


def test_the_interval_is_as_wide_as_that_of_a_normal_mean_where_there_are_many_pairs() -> None:
    ours = [(number * 37 % 101) / 101 for number in range(101)]
    compared = compare(ours, [0.0] * 101)
    half = 1.96 * stdev(ours) / 101**0.5
    assert compared.low == pytest.approx(fmean(ours) - half, abs=half / 10)
    assert compared.high == pytest.approx(fmean(ours) + half, abs=half / 10)


@pytest.mark.parametrize("theirs", [[0.1], []])
def test_losses_that_make_no_pairs_are_refused(theirs: list[float]) -> None:
    with pytest.raises(ValueError, match="make no pairs"):
        compare([0.1, 0.2] if theirs else [], theirs)


def test_holm_corrects_the_example_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_a_corrected_value_is_never_smaller_keeps_its_rank_and_is_a_probability(values: list[float]) -> None:
    corrected = holm(values)
    assert all(raw <= one <= 1 for raw, one in zip(values, corrected, strict=True))
    ranked = [one for _, one in sorted(zip(values, corrected, strict=True))]
    assert ranked == sorted(ranked)
