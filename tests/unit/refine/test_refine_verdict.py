"""Verdicts, the noise, the plateau, divergence: tables of cases."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_examples import TERMS, Play, completed, ended

from orze.refine.model import Ended, Verdict
from orze.refine.noise import is_better, margin, pooled
from orze.refine.terms import Terms
from orze.refine.verdict import diverged, failing, judge, may_repair, plateaued, reached


def played(terms=TERMS, *, baseline=(1.0,), results=()):
    """A session with a baseline and steps that ended so: values, or how they failed."""
    play = Play(terms)
    play.baseline(*baseline)
    for number, result in enumerate(results, 1):
        play.answer(number)
        play.end_run(number, completed(*result) if isinstance(result, tuple) else ended(result))
    return play.fold


def terms(**more):
    return Terms(**{"metric": "val_loss", "ascending": True, **more})


@pytest.mark.parametrize(
    ("ascending", "baseline", "result", "verdict", "part"),
    [
        (True, (1.0,), (0.9,), Verdict.KEPT, "is not known (repeats: 2 would tell)"),
        (True, (1.0,), (1.0,), Verdict.DISCARDED, "is the same as 1"),
        (True, (1.0,), (1.1,), Verdict.DISCARDED, "is worse than 1"),
        (False, (1.0,), (1.1,), Verdict.KEPT, "is better than 1"),
        (False, (1.0,), (0.9,), Verdict.DISCARDED, "is worse than 1"),
        (True, (0.9, 1.1), (0.84, 0.86), Verdict.DISCARDED, "but not by more than the noise, 0.197"),
        (True, (0.9, 1.1), (0.69, 0.71), Verdict.KEPT, "by more than the noise, 0.197"),
        (False, (0.9, 1.1), (1.19, 1.21), Verdict.KEPT, "val_loss 1.2000 (mean of 2 runs)"),
        (True, (1.0, 1.0), (0.99, 0.99), Verdict.KEPT, "by more than the noise, 0"),
    ],
)
def test_a_result_is_kept_if_it_is_better_by_more_than_the_noise(ascending, baseline, result, verdict, part):
    fold = played(terms(ascending=ascending), baseline=baseline, results=[result])
    assert fold.steps[1].verdict is verdict
    assert part in fold.steps[1].reason
    assert fold.best == (1 if verdict is Verdict.KEPT else 0)


@pytest.mark.parametrize(
    ("how", "verdict", "part"),
    [
        (Ended.CRASHED, Verdict.FAILED, "the run crashed: it broke"),
        (Ended.TIMEOUT, Verdict.FAILED, "the run took too long"),
        (Ended.NO_METRIC, Verdict.FAILED, "wrote no value of val_loss"),
        (Ended.NOT_FINITE, Verdict.FAILED, "val_loss is not a finite number"),
        (Ended.VOID, Verdict.VOID, "changed a protected file"),
        (Ended.STOPPED, Verdict.STOPPED, "the run was stopped"),
    ],
)
def test_each_way_to_end_without_a_value_has_words_of_its_own(how, verdict, part):
    fold = played(terms(), results=[how])
    assert fold.steps[1].verdict is verdict
    assert part in fold.steps[1].reason
    assert fold.best == 0


def test_a_step_is_refused_when_its_repairs_are_used_up_and_the_last_fault_is_told():
    play = Play(terms())
    play.baseline()
    for number in range(1, 4):
        play.answer(1, f"fault {number}")
        assert may_repair(play.fold, play.fold.steps[1])
    play.answer(1, "fault 4")
    step = play.fold.steps[1]
    assert step.verdict is Verdict.REFUSED
    assert step.reason == "4 proposals came to no run; the last: fault 4"


def test_a_smoke_command_that_fails_is_repaired_and_spends_no_run():
    play = Play(terms())
    play.baseline()
    play.answer(1)
    play.end_run(1, ended(Ended.SMOKE, "exit status 2"))
    assert play.fold.steps[1].verdict is None
    assert (play.fold.runs, 1 in play.asking) == (1, True)
    for _ in range(3):
        play.answer(1)
        play.end_run(1, ended(Ended.SMOKE, "exit status 2"))
    assert play.fold.steps[1].verdict is Verdict.REFUSED
    assert "the smoke command failed: exit status 2" in play.fold.steps[1].reason
    assert play.fold.runs == 1


def test_in_a_session_not_many_more_proposals_are_refused_than_runs_are_spent():
    play = Play(terms())
    play.baseline()
    asked = 0
    while play.fold.end is None:
        (step,) = play.asking
        play.answer(step, "bad")
        asked += 1
    assert play.fold.runs == 1
    assert asked <= 10 + 1 + 1 + 9, (
        "ten and one for each run; then each step has one proposal until ten are refused"
    )
    assert play.fold.end.reason == "failed"


@pytest.mark.parametrize(
    ("ascending", "target", "value", "there"),
    [
        (True, 0.5, 0.5, True),
        (True, 0.5, 0.6, False),
        (False, 0.5, 0.5, True),
        (False, 0.5, 0.4, False),
        (True, None, 0.0, False),
    ],
)
def test_the_target_is_reached_at_the_value_itself(ascending, target, value, there):
    fold = played(terms(ascending=ascending, target=target), baseline=(value,))
    assert bool(reached(fold)) is there
    assert (fold.end is not None and fold.end.reason == "target") is there


K, D = (0.0,), (9.0,)  # one that would be kept (if it is smaller than all before), one that is not


@pytest.mark.parametrize(
    ("runs", "results", "there"),
    [
        (0, [D] * 9, False),
        (3, [D, D], False),
        (3, [D, D, D], True),
        (3, [D, D, (0.5,), D, D], False),
        (3, [(0.5,), D, D, D], True),
        (3, [D, Ended.CRASHED, D], False),
        (3, [D, Ended.CRASHED, D, D], True),
        (1, [D], True),
        (2, [(0.9,), (0.8,), (0.7,)], False),
    ],
)
def test_a_plateau_is_so_many_completed_runs_of_which_none_was_kept(runs, results, there):
    fold = played(terms(plateau_runs=runs), results=results)
    assert bool(plateaued(fold)) is there
    assert (fold.end is not None and fold.end.reason == "plateau") is there


@pytest.mark.parametrize(
    ("runs", "baseline", "results", "there"),
    [
        (0, (1.0,), [(2.0,)] * 5, False),
        (2, (1.0,), [(2.0,), (3.0,)], True),
        (2, (1.0,), [Ended.NOT_FINITE, (3.0,)], True),
        (2, (1.0,), [(2.0,), (0.5,)], False),
        (2, (1.0,), [(2.0,), Ended.CRASHED, (3.0,)], True),
        (2, (1.0,), [(2.0,), (1.0,)], False),
        (2, (0.9, 1.1), [(1.05, 1.05), (1.1, 1.1)], False),
        (2, (0.9, 1.1), [(1.5, 1.5), (1.6, 1.6)], True),
    ],
)
def test_divergence_is_so_many_runs_that_are_all_worse_than_the_baseline(runs, baseline, results, there):
    fold = played(terms(divergence_runs=runs), baseline=baseline, results=results)
    assert bool(diverged(fold)) is there
    assert (fold.end is not None and fold.end.reason == "divergence") is there


@pytest.mark.parametrize(
    ("limit", "results", "there"),
    [
        (2, [Ended.CRASHED, Ended.TIMEOUT], True),
        (2, [Ended.CRASHED, D, Ended.TIMEOUT], False),
        (2, [Ended.CRASHED, Ended.STOPPED, Ended.VOID], True),
        (0, [Ended.CRASHED] * 12, False),
        (3, [Ended.CRASHED] * 2, False),
    ],
)
def test_failures_are_counted_one_behind_the_other(limit, results, there):
    fold = played(terms(max_failures=limit), results=results)
    assert bool(failing(fold)) is there
    assert (fold.end is not None and fold.end.reason == "failed") is there


def test_the_words_of_an_error_cannot_break_the_line():
    play = Play(terms())
    play.baseline()
    play.answer(1)
    play.end_run(1, ended(Ended.CRASHED, "a\nb\x1b[31m" + "x" * 5000))
    reason = play.fold.steps[1].reason
    assert reason.isprintable()
    assert len(reason) < 1000


def test_judging_again_says_the_same():
    play = Play(terms())
    play.baseline()
    play.answer(1)
    play.session.outcome(1, 1, completed(0.5))
    assert judge(play.fold, 1) == judge(play.fold, 1)
    assert judge(play.fold, 1).verdict is Verdict.KEPT


NUMBERS = st.floats(-1e6, 1e6)
SAMPLES = st.lists(st.lists(NUMBERS, min_size=1, max_size=4), max_size=5)


@given(SAMPLES)
def test_the_noise_of_repeats_is_that_of_the_textbook(samples):
    repeated = [values for values in samples if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    squares = sum((x - math.fsum(v) / len(v)) ** 2 for v in repeated for x in v)
    told = pooled(samples)
    if not freedom:
        assert told is None
    else:
        assert told == pytest.approx(math.sqrt(squares / freedom), rel=1e-6, abs=1e-4)


@pytest.mark.parametrize("values", [[1e308, -1e308], [1.7e308, -1.7e308, 0.0]])
def test_values_that_are_too_far_apart_for_a_number_tell_no_noise(values):
    assert pooled([values]) is None or math.isfinite(pooled([values]))


@given(NUMBERS, NUMBERS, st.floats(0, 10), st.booleans())
def test_of_two_values_at_most_one_is_better(one, other, by, ascending):
    assert not (
        is_better(one, other, by=by, ascending=ascending)
        and is_better(other, one, by=by, ascending=ascending)
    )
    assert not is_better(one, one, by=0.0, ascending=ascending)


def test_the_margin_of_equal_samples_is_the_formula():
    assert margin(0.1, 4, 4) == pytest.approx(1.96 * math.sqrt(2) * 0.1 / math.sqrt(4))
    assert margin(None, 1, 1) == 0
