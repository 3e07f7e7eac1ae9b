"""The ranking: the right order, at every moment, whatever comes in."""

import itertools
import math
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.core.states import SUCCEEDED, State
from orze.report.leaderboard import Leaderboard
from orze.report.model import Result

ORDER = itertools.count()


def result(number, metrics=None, state=State.COMPLETED, attempt=1, **other):
    fields = {
        "idea_id": f"idea-{number:03d}",
        "title": f"Title {number}",
        "state": state,
        "cause": None,
        "error": None,
        "host": "node-a",
        "gpu": "0",
        "attempt": attempt,
        "finished_at": 1.7e9,
        "seconds": 12.5,
        "metrics": metrics or {},
        "order": next(ORDER),
    }
    return Result(**{**fields, **other})


def board_of(*results, metric=None, sort=None):
    board = Leaderboard(metric, sort)
    for entry in results:
        board.add(entry)
    return board


def ranking(board, count=100):
    return [(entry.rank, entry.result.idea_id, entry.value) for entry in board.top(count)]


def names(board):
    return [entry.result.idea_id for entry in board.top(100)]


def test_higher_is_better_for_an_accuracy_and_lower_for_a_loss():
    pairs = [(0.7, 1.0), (0.9, 3.0), (0.8, 2.0)]
    results = [result(i, {"accuracy": a, "loss": b}) for i, (a, b) in enumerate(pairs)]
    assert names(board_of(*results)) == ["idea-001", "idea-002", "idea-000"]
    assert names(board_of(*results, metric="loss")) == ["idea-000", "idea-002", "idea-001"]
    assert ranking(board_of(*results, sort="ascending"))[0] == (1, "idea-000", 0.7)


def test_a_tie_goes_to_the_earlier_result():
    board = board_of(*(result(i, {"accuracy": 0.5}) for i in (3, 1, 2)))
    board.top(1)
    board.add(result(0, {"accuracy": 0.5}))
    assert names(board) == ["idea-003", "idea-001", "idea-002", "idea-000"]


@pytest.mark.parametrize(
    ("value", "note"),
    [
        (math.nan, "NaN"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (True, "no number"),
        ("0.99", "no number"),
        (None, "null"),
        (10**400, "inf"),
    ],
)
def test_what_is_no_finite_number_is_listed_last_with_a_note(value, note):
    board = board_of(result(1, {"accuracy": value}), result(2, {"accuracy": 0.1}), result(3, {"other": 1}))
    first, second, third = board.top(3)
    assert (first.rank, first.result.idea_id) == (1, "idea-002")
    assert (second.rank, second.value, second.note) == (None, None, note)
    assert (third.rank, third.note) == (None, "missing")
    assert board.best() == first


def test_nothing_ranked_means_no_best():
    board = board_of(result(1, {"accuracy": math.nan}), result(2, state=State.FAILED))
    assert board.best() is None
    assert board.primary is None
    assert Leaderboard().top(5) == []


@pytest.mark.parametrize("state", [State.FAILED, State.SKIPPED, State.STOPPED, State.PRUNED, State.WITHDRAWN])
def test_only_completed_results_are_ranked(state):
    board = board_of(result(1, {"accuracy": 0.99}, state), result(2, {"accuracy": 0.1}, State.EVALUATED))
    assert names(board) == ["idea-002"]
    assert len(board) == 2


def test_a_retry_replaces_the_earlier_result():
    board = board_of(result(1, {"accuracy": 0.9}), result(2, {"accuracy": 0.8}))
    assert board.best().result.idea_id == "idea-001"
    board.add(result(1, {"accuracy": 0.1}, attempt=2))
    assert ranking(board) == [(1, "idea-002", 0.8), (2, "idea-001", 0.1)]
    board.add(result(2, state=State.FAILED))
    assert ranking(board) == [(1, "idea-001", 0.1)]
    assert board.best().result.attempt == 2


def test_a_better_known_metric_takes_over_and_gives_way_again():
    board = board_of(result(1, {"test_accuracy": 0.9}), result(2, {"test_accuracy": 0.8}))
    assert board.primary.name == "test_accuracy"
    board.add(result(3, {"val_accuracy": 0.1, "test_accuracy": 0.1}))
    assert board.primary.name == "val_accuracy"
    assert ranking(board)[0] == (1, "idea-003", 0.1)
    assert board.top(3)[1].note == "missing"
    board.discard("idea-003")
    assert board.primary.name == "test_accuracy"
    assert ranking(board)[0] == (1, "idea-001", 0.9)


def test_a_configured_metric_stays_and_says_what_there_is_instead():
    board = board_of(result(1, {"val_accuracy": 0.9, "epochs": 3}), metric="val_acc")
    assert board.primary.configured
    assert board.primary.available == ("epochs", "val_accuracy")
    board.add(result(2, {"val_acc": 0.5}))
    assert board.primary.available == ()
    assert ranking(board)[0] == (1, "idea-002", 0.5)


def test_everything_of_a_result_comes_back():
    original = result(
        7,
        {"accuracy": 0.5, "note": "x|y", "flag": True, "none": None, "count": 3},
        State.EVALUATED,
        error="evaluation failed",
        cause="script",
        gpu="0,1",
    )
    back = board_of(original).best().result
    assert back == original
    assert type(back.metrics["count"]) is int


def test_recent_lists_the_latest_first():
    board = board_of(*(result(i, state=State.FAILED) for i in range(5)), result(9, {"accuracy": 1.0}))
    board.add(result(1, state=State.FAILED))
    assert [r.idea_id for r in board.recent(State.FAILED, 3)] == ["idea-001", "idea-004", "idea-003"]
    assert board.recent(State.SKIPPED, 3) == []


def test_history_is_a_staircase_in_the_order_of_the_records():
    board = board_of(
        result(1, {"loss": 3.0}),
        result(2, state=State.FAILED),
        result(3, {"loss": 5.0}),
        result(4, {"loss": 2.0}, State.EVALUATED),
        result(5, state=State.SKIPPED, attempt=0),
        result(6, {"loss": 2.0}),
        result(7, {"loss": math.nan}),
        result(8, state=State.SKIPPED, attempt=3),
        result(9, state=State.STOPPED),
    )
    told = board.history()
    assert told.values == [3.0, None, 5.0, 2.0, 2.0, None, None]
    assert told.failed == [1, 6]
    assert told.bests == [(0, "idea-001"), (3, "idea-004")]


VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, True, None, "x", 2]), st.floats(allow_nan=False)
)
METRICS = st.dictionaries(st.sampled_from(["val_accuracy", "val_loss", "test_loss", "f1", "seconds"]), VALUES)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "discard", "read"]),
        st.integers(0, 6),
        st.sampled_from([State.COMPLETED, State.EVALUATED, State.FAILED]),
        METRICS,
    ),
    max_size=25,
)


def expected(results, name, ascending):
    """The ranking from first principles: sort all that is there."""
    ranked = []
    for entry in results:
        value = entry.metrics.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if entry.state in SUCCEEDED and number:
            ranked.append((value if ascending else -value, entry.order, entry.idea_id))
    return [idea for _, _, idea in sorted(ranked)]


@given(STEPS, st.sampled_from([None, "val_loss", "f1"]), st.sampled_from([None, "ascending", "descending"]))
@settings(deadline=None)
def test_any_sequence_of_changes_ends_in_the_ranking_from_first_principles(steps, metric, sort):
    board = Leaderboard(metric, sort)
    kept = {}
    for step, number, state, metrics in steps:
        if step == "add":
            entry = result(number, metrics, state)
            kept[entry.idea_id] = entry
            board.add(entry)
        elif step == "discard":
            kept.pop(f"idea-{number:03d}", None)
            board.discard(f"idea-{number:03d}")
        else:
            board.top(3)
    primary = board.primary
    done = [entry.idea_id for entry in kept.values() if entry.state in SUCCEEDED]
    ranked = expected(kept.values(), primary.name, primary.ascending) if primary else []
    told = board.top(100)
    assert [r.result.idea_id for r in told if r.rank] == ranked
    assert [r.rank for r in told if r.rank] == list(range(1, len(ranked) + 1))
    assert sorted(r.result.idea_id for r in told) == sorted(done)
    assert [r.result.idea_id for r in board.top(2)] == [r.result.idea_id for r in told[:2]]
    bests = board.history().bests
    assert (bests[-1][1] if bests else None) == (ranked[0] if ranked else None)


def test_ten_thousand_results_take_less_than_three_hundred_bytes_each():
    ids = [f"idea-{i:06d}" for i in range(10_000)]
    tracemalloc.start()
    try:
        board = Leaderboard()
        for i, idea_id in enumerate(ids):
            metrics = {"val_accuracy": i / 7, "val_loss": i / 9, "test_accuracy": i / 11, "test_loss": i / 13}
            board.add(result(1, metrics, idea_id=idea_id, title=f"A wider network with dropout, {i}"))
        best = board.best()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert best.result.idea_id == ids[-1]
    assert size < 300 * len(ids)
