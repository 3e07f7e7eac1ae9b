"""Budgets as people write them, and what a resumed session may use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.config.refine import Budget
from orze.refine.budget import BUDGET_FORMS, BudgetError, describe, extended, merged, parse_budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("4h", Budget(time=14400)),
        ("1h30m", Budget(time=5400)),
        ("90m", Budget(time=5400)),
        ("2 h", Budget(time=7200)),
        ("20 runs", Budget(runs=20)),
        ("1 run", Budget(runs=1)),
        ("20runs", Budget(runs=20)),
        ("$5", Budget(usd=5)),
        ("$ 2.50", Budget(usd=2.5)),
        ("5 usd", Budget(usd=5)),
        ("5$", Budget(usd=5)),
        ("200000 tokens", Budget(tokens=200_000)),
        ("4h, $5", Budget(time=14400, usd=5)),
        (" 20 RUNS ,4H ", Budget(time=14400, runs=20)),
    ],
)
def test_a_budget_is_read_as_it_is_written(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "7", "3.5", "0h", "0 runs", "$0", "-4h", "4h $5", "4h,", "4h,2h", "20 run s", "$-1"),
        *("1.5 runs", "nan usd", "1e3 runs", "4x", "$" * 300, "9" * 30 + " runs", "99999999999 runs"),
        *("4h\n;", "\x1b[31m", "٣h"),
    ],
)
def test_anything_else_is_one_clear_sentence(text):
    with pytest.raises(BudgetError) as caught:
        parse_budget(text)
    (line,) = str(caught.value).splitlines()
    assert line.endswith(f"write {BUDGET_FORMS}")
    assert line.isprintable()
    assert len(line) < 250


@given(st.text(max_size=30) | st.from_regex(r"[0-9$ ]{0,5}(h|m| runs| usd|,)?[0-9$h, ]{0,5}", fullmatch=True))
def test_no_text_makes_it_fail_in_another_way(text):
    try:
        budget = parse_budget(text)
    except BudgetError:
        return
    assert budget.model_dump(exclude_none=True)


@given(
    st.builds(
        Budget,
        time=st.none() | st.integers(1, 10**6).map(float),
        runs=st.none() | st.integers(1, 10**6),
        usd=st.none() | st.integers(1, 10**4).map(float),
        tokens=st.none() | st.integers(1, 10**6),
    ).filter(lambda budget: budget.model_dump(exclude_none=True))
)
def test_what_is_told_of_a_budget_is_read_as_the_same(budget):
    assert parse_budget(describe(budget)) == budget


def test_the_command_line_wins_over_the_file_kind_by_kind():
    of_file = Budget(time=60, usd=5)
    assert merged(of_file, Budget(usd=1, runs=3)) == Budget(time=60, usd=1, runs=3)
    assert merged(of_file, Budget()) == of_file


@pytest.mark.parametrize(
    ("budget", "more", "used", "whole"),
    [
        (Budget(time=100), Budget(time=50), {"time": 100}, Budget(time=150)),
        (Budget(time=100), Budget(time=50), {"time": 20}, Budget(time=150)),
        (Budget(time=100), Budget(time=50), {"time": 130}, Budget(time=180)),
        (Budget(), Budget(runs=5), {"runs": 7}, Budget(runs=12)),
        (Budget(usd=2), Budget(runs=5), {"usd": 2.0, "runs": 1}, Budget(usd=2, runs=6)),
        (Budget(usd=2, tokens=10), Budget(), {"usd": 2.0}, Budget(usd=2, tokens=10)),
    ],
)
def test_a_resumed_session_may_use_what_is_added_to_what_it_had(budget, more, used, whole):
    known = {"time": 0.0, "runs": 0, "usd": 0.0, "tokens": 0, **used}
    assert extended(budget, more, **known) == whole
