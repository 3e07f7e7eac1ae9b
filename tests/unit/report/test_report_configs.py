"""Runs of one configuration and members of one group: known after every change, at little cost."""

import itertools
import marshal
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_examples import outcome

from orze.core.states import SUCCEEDED, State
from orze.report.groups import groups
from orze.report.leaderboard import Leaderboard
from orze.report.merit import config_of, judge

ORDER = itertools.count()


def ended(idea_id, value=None, config="", seed=0, state=State.COMPLETED):
    metrics = {} if value is None else {"acc": value}
    order = next(ORDER)
    return outcome(order, f"T {idea_id}", state, idea_id=idea_id, metrics=metrics, config=config, seed=seed)


def board_of(*results, **how):
    board = Leaderboard("acc", **how)
    for one in results:
        board.add(one)
    return board


def resumed(board, **how):
    other = Leaderboard("acc", **how)
    other.resume(marshal.loads(marshal.dumps(board.state())))
    other.baseline = board.baseline
    return other


def test_the_twin_is_the_first_that_succeeded_with_the_configuration_and_the_seed():
    board = board_of(
        ended("idea-1", 0.5, "k", 3, State.FAILED),
        ended("idea-2", 0.5, "k", 4),
        ended("idea-3", 0.5, "k", 3, State.EVALUATED),
        ended("idea-4", 0.5, "k", 3),
        ended("idea-5", 0.5, "", 3),
    )
    for one in (board, resumed(board)):
        assert [one.twin("k", 3), one.twin("k", 4), one.twin("k", 5), one.twin("j", 3)] == [
            "idea-3",
            "idea-2",
            "",
            "",
        ]
        assert one.twin("", 3) == ""
        one.discard("idea-3")
        assert one.twin("k", 3) == "idea-4"
        assert one.seeds("k") == {3, 4}


def test_the_noise_is_that_of_the_baseline_and_changes_with_it():
    board = board_of(
        *(ended(f"idea-1.{n}", v, "base", n) for n, v in enumerate((0.50, 0.51, 0.49), 1)),
        ended("idea-2", 0.6, "k"),
    )
    assert board.merit().verdict == "one run"
    assert board.merit() is board.merit()
    board.baseline = "base"
    assert (board.merit().verdict, board.merit().noise_runs) == ("best", 3)
    assert resumed(board).merit() == board.merit()
    assert board.config("idea-1.2").n == 3
    board.discard("idea-1.2")
    assert board.merit().noise_runs == 2


KEYS = st.sampled_from(["", "a", "b", "c"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "discard", "read", "resume"]),
        st.integers(1, 9),
        st.sampled_from([None, 0.1, 0.2, 0.3]),
        KEYS,
        st.integers(0, 2),
        st.sampled_from([State.COMPLETED, State.EVALUATED, State.FAILED]),
    ),
    max_size=30,
)


def from_first_principles(results, *, baseline):
    found = {}
    for one in results:
        if one.state in SUCCEEDED and "acc" in one.metrics:
            run = (one.order, one.seed, one.idea_id, one.metrics["acc"])
            found.setdefault(one.config or one.idea_id, (one.config, []))[1].append(run)
    configs = [config_of(key, some, ascending=False) for key, some in found.values()]
    base = next((one for one in configs if one.key == baseline), None)
    return judge(configs, ascending=False, base=base, metric="acc" if configs else "")


@given(STEPS)
@settings(deadline=None)
def test_any_sequence_of_changes_ends_in_the_merit_from_first_principles(steps):
    board, kept = Leaderboard("acc"), {}
    board.baseline = "a"
    for step, number, value, key, seed, state in steps:
        if step == "add":
            one = ended(f"idea-{number}", value, key, seed, state)
            kept.pop(one.idea_id, None)
            kept[one.idea_id] = one
            board.add(one)
        elif step == "discard":
            kept.pop(f"idea-{number}", None)
            board.discard(f"idea-{number}")
        elif step == "resume":
            board = resumed(board)
        else:
            board.merit()
    assert board.merit() == from_first_principles(kept.values(), baseline="a")


def test_many_repeated_configurations_are_ranked_as_few_are():
    many = board_of(*(ended(f"idea-{n}.{k}", n / 7 % 1, f"k{n}", k) for n in range(200) for k in (1, 2)))
    best = many.merit().configs
    many.add(ended("idea-900", 2.0, "k3", 3))
    assert [one.mean for one in best] == sorted((n / 7 % 1 for n in range(200)), reverse=True)[:64]
    assert many.merit().configs[0].ids == ("idea-3.1", "idea-3.2", "idea-900")


@pytest.mark.parametrize("sort", ["ascending", "descending"])
def test_groups_are_sections_and_configurations_that_several_ideas_ran(sort):
    board = board_of(
        ended("idea-1.1", 0.5, "a", 0),
        ended("idea-1.2", 0.5, "a", 1),
        ended("idea-1.3", state=State.FAILED),
        ended("idea-2.1", 0.7, "b", 0),
        ended("idea-2.2", 0.3, "c", 0),
        ended("idea-3", 0.6, "d", 0),
        ended("idea-4.1", 0.6, "d", 1),
        ended("idea-5", 0.9, "e", 0),
        ended("idea-6.1", state=State.FAILED),
        sort=sort,
    )
    found = {one.name: one for one in groups(board, 9, lambda name: 4)}
    first = ["idea-2", "idea-3", "idea-1"] if sort == "descending" else ["idea-2", "idea-1", "idea-3"]
    assert list(found) == first
    told = {name: (one.ended, one.total, one.configs, one.best.n) for name, one in found.items()}
    assert told == {"idea-1": (3, 4, 1, 2), "idea-2": (2, 4, 2, 1), "idea-3": (2, 2, 1, 2)}
    assert found["idea-2"].best.mean == (0.7 if sort == "descending" else 0.3)
    assert [one.name for one in groups(board, 1, lambda name: 0)] == first[:1]


def test_ten_thousand_results_with_keys_take_less_than_five_hundred_bytes_each():
    ids = [f"idea-{i:06d}" for i in range(10_000)]
    tracemalloc.start()
    try:
        board = board_of(*(ended(one, i / 7, f"{i:016x}", 1) for i, one in enumerate(ids)))
        verdict = board.merit().verdict
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert verdict == "one run"
    assert size < 500 * len(ids)
