"""What is done next: tables of cases, and whole sessions with random answers, outcomes and crashes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_examples import ASK_USD, BASE, Play, completed, ended, sha

from orze.config.refine import Budget
from orze.refine.budget import extended
from orze.refine.decide import PASSING, Ask, Begin, Finish, Judge, Make, Run, StopRuns
from orze.refine.fold import is_refused
from orze.refine.model import Ended, Reason, Verdict
from orze.refine.noise import is_better
from orze.refine.terms import Terms
from orze.refine.verdict import REPAIRS, STOCK, plateaued, reached


def terms(**more):
    return Terms(**{"metric": "val_loss", "ascending": True, "max_failures": 3, **more})


def begun(budget=None, **more):
    """A session whose baseline has run."""
    play = Play(terms(**more), budget)
    play.baseline()
    return play


# ---- one thing after another


def test_a_session_begins_with_the_baseline_which_nobody_is_asked_for():
    play = Play(terms())
    for expected in (Begin(0, BASE), Make(0, 1), Run(0, 1)):
        assert play.decide() == [expected]
        play.do(expected)
    assert play.decide() == []
    play.session.outcome(0, 1, completed(1.0))
    assert play.decide() == [Judge(0)]


def test_then_come_asking_making_running_judging_and_the_next_step_from_the_best():
    play = begun()
    assert play.asking == {1}
    play.session.answer(1, 1, text="good", usd=0.1, tokens=1)
    for expected in (Make(1, 1), Run(1, 1)):
        assert play.decide() == [expected]
        play.do(expected)
    play.session.outcome(1, 1, completed(2.0))
    assert play.decide() == [Judge(1)]
    play.do(Judge(1))
    assert play.decide() == [Begin(2, sha("final", 0))], "the first step was not kept"
    play.settle()
    play.improve(2, 0.5)
    assert play.fold.steps[3].parent == sha("final", 2)


def test_the_faults_of_a_try_go_into_the_next_asking():
    play = begun()
    play.asking.clear()
    play.session.answer(1, 1, text="line 3: no such text", usd=0.1, tokens=1)
    play.do(Make(1, 1))
    assert play.decide() == [Ask(1, 2, ("line 3: no such text",))]


def test_a_smoke_command_that_fails_goes_into_the_next_asking_with_the_end_of_its_log():
    play = begun()
    play.answer(1)
    play.session.outcome(1, 1, ended(Ended.SMOKE, "exit status 2"))
    assert play.decide() == [Ask(1, 2, ("the smoke command failed: exit status 2", "line 1\nline 2"))]


def test_somebody_who_was_asked_and_is_gone_is_asked_again():
    play = begun()
    play.asking.clear()
    assert play.decide() == [Ask(1, 1)]


def test_steps_are_tried_at_once_each_from_the_best_and_asked_for_one_by_one():
    play = begun(parallel=3)
    assert play.asking == {1, 2, 3}
    assert {play.fold.steps[n].parent for n in (1, 2, 3)} == {sha("final", 0)}
    assert play.asked_of == [(1, 1), (2, 1), (3, 1)]
    play.improve(2, 0.5)
    assert play.fold.steps[4].parent == sha("final", 2)
    assert play.asking == {1, 3, 4}


# ---- the end


@pytest.mark.parametrize(
    ("budget", "steps"),
    [(Budget(runs=1), 0), (Budget(runs=3), 2), (Budget(usd=0.6), 4), (Budget(tokens=200), 3)],
)
def test_what_does_not_fit_into_the_budget_is_not_begun(budget, steps):
    play = begun(budget)
    done = 0
    while not play.fold.end:
        done += 1
        play.improve(done, 1.0 - done / 100)
    assert (done, play.fold.end.reason) == (steps, Reason.BUDGET)
    assert len(play.fold.steps) == steps + 1, "no step was begun in vain"
    assert "budget of" in play.fold.end.sentence


def test_a_budget_of_runs_that_is_no_whole_step_is_left_and_says_so():
    play = begun(Budget(runs=5), repeats=2)
    play.answer(1)
    play.end_run(1, completed(0.5, 0.5))
    assert play.fold.end.sentence == "of the budget of 5 runs 1 are left, and a step takes 2"


def test_the_budget_of_time_ends_runs_in_progress():
    play = begun(Budget(time=100.0))
    play.answer(1)
    play.clock.advance(99)
    assert play.decide() == []
    play.clock.advance(2)
    assert play.decide() == [StopRuns((1,))]
    play.settle()
    assert play.decide() == [], "it is told once"
    play.end_run(1, ended(Ended.STOPPED))
    assert (play.fold.steps[1].verdict, play.fold.end.reason) == (Verdict.STOPPED, Reason.BUDGET)
    assert play.fold.end.sentence.startswith("the budget of time")


def test_a_run_that_completes_while_it_is_being_stopped_is_judged_by_its_result():
    play = begun(Budget(time=100.0))
    play.answer(1)
    play.clock.advance(200)
    play.settle()
    play.end_run(1, completed(0.5))
    assert (play.fold.best, play.fold.end.reason) == (1, Reason.BUDGET)


def test_the_target_ends_all_and_nobody_is_asked_any_more():
    play = begun(target=0.5, parallel=3)
    play.answer(2)
    play.improve(1, 0.4)
    assert play.stopping == {2}
    assert play.fold.steps[3].verdict is Verdict.STOPPED
    play.end_run(2, ended(Ended.STOPPED))
    assert play.fold.end.reason is Reason.TARGET
    assert play.fold.end.sentence == "step 1 has val_loss 0.4000, and the target is 0.5000"


def test_at_a_plateau_runs_in_progress_come_to_their_end_and_may_yet_be_kept():
    play = begun(plateau_runs=1, parallel=3)
    play.answer(2)
    play.answer(1)
    play.end_run(1, completed(2.0))
    assert play.fold.end is None
    assert play.fold.steps[3].verdict is Verdict.STOPPED, "nothing more is run"
    assert play.stopping == set()
    play.end_run(2, completed(0.5))
    assert play.fold.best == 2
    assert play.fold.end is None
    assert play.asking == {4, 5, 6}


@pytest.mark.parametrize("how", [Ended.CRASHED, Ended.TIMEOUT, Ended.NO_METRIC, Ended.NOT_FINITE, Ended.VOID])
def test_a_baseline_without_a_result_fails_the_session(how):
    play = Play(terms())
    play.settle()
    play.end_run(0, ended(how))
    assert play.fold.end.reason is Reason.FAILED
    assert play.fold.end.sentence.startswith("the baseline gave no result to improve on: ")
    assert not play.asked_of


def test_a_baseline_whose_smoke_command_fails_is_not_repaired():
    play = Play(terms())
    play.settle()
    play.end_run(0, ended(Ended.SMOKE, "exit status 2"))
    assert play.fold.end.sentence.endswith("setup or the smoke command failed: exit status 2")
    assert not play.asked_of


def test_a_baseline_that_was_stopped_is_no_failure():
    play = Play(terms())
    play.settle()
    play.end_run(0, ended(Ended.STOPPED, "by ada"))
    assert play.fold.end.reason is Reason.STOPPED
    assert play.fold.steps[0].verdict is Verdict.STOPPED


def test_stopping_ends_runs_and_drops_what_is_not_running():
    play = begun(parallel=2)
    play.answer(1)
    play.stop = True
    assert play.decide() == [Judge(2), StopRuns((1,))]
    play.settle()
    play.end_run(1, ended(Ended.STOPPED))
    assert play.fold.end.reason is Reason.STOPPED
    assert [step.verdict for step in play.fold.steps.values()][1:] == [Verdict.STOPPED] * 2


def test_stopping_at_once_waits_for_nothing():
    play = begun()
    play.answer(1)
    acts = play.decide(stop_now=True)
    assert acts[0] == StopRuns((1,))
    assert isinstance(acts[1], Finish)
    for act in acts:
        play.do(act)
    play.open_session()
    play.settle()
    play.end_run(1, completed(0.5))
    assert play.fold.best == 1, "its result is taken when the session goes on"


def test_a_run_that_never_reached_the_farm_is_left_there_to_be_stopped():
    play = begun(Budget(time=100.0))
    play.answer(1)
    play.farm.pop("revis-s-1-1")
    play.clock.advance(200)
    assert play.decide() == [Run(1, 1), StopRuns((1,))]


def test_a_repair_that_is_being_asked_for_is_waited_for_when_others_have_used_up_the_rest():
    play = begun(parallel=4)
    for step in (1, 2, 3, 4):
        for _ in range(3):
            play.answer(step, "bad")
    assert play.fold.steps[4].verdict is Verdict.REFUSED
    assert [play.fold.steps[n].verdict for n in (1, 2, 3)] == [None] * 3
    assert play.asking >= {1, 2, 3}


# ---- faults that pass


def test_after_a_fault_that_passes_the_same_is_asked_again_each_time_later():
    play = begun()
    waits = []
    for _ in range(PASSING - 1):
        play.answer(1, "", fault="busy", passing=True)
        assert play.decide() == []
        before = play.session.active
        while not play.decide():
            play.clock.advance(1)
        waits.append(play.session.active - before)
        assert play.decide() == [Ask(1, 1)], "it is no repair"
        play.settle()
    assert waits == [5 * 2**n for n in range(PASSING - 1)]
    play.answer(1, "", fault="busy", passing=True)
    assert play.fold.end.reason is Reason.FAILED
    assert play.fold.end.sentence == f"no answer in {PASSING} askings; the last: busy"
    assert play.fold.steps[1].tries == ()


def test_an_answer_forgives_the_faults_before():
    play = begun()
    play.answer(1, "", fault="busy", passing=True)
    play.clock.advance(5)
    play.settle()
    play.answer(1)
    assert (play.fold.passing, play.fold.end) == (0, None)


def test_a_fault_that_does_not_pass_is_one_of_the_proposal():
    play = begun()
    play.answer(1, "", fault="the key is refused")
    assert play.fold.steps[1].tries[0].faults == ("the key is refused",)


# ---- budgets in parallel


def test_an_asking_waits_for_what_others_reserve_and_may_go_on_when_they_cost_less():
    play = begun(Budget(usd=ASK_USD * 1.5), parallel=2)
    assert play.asking == {1}
    play.improve(1, 0.9)
    assert play.asking == {2}, "the first cost less than it might have"


def test_nobody_is_asked_when_no_run_can_follow():
    play = begun(Budget(runs=3), parallel=4)
    assert play.asking == {1, 2}


# ---- whole sessions


def outcome_of(rng):
    how = rng.choice([Ended.COMPLETED] * 20 + [e for e in Ended if e is not Ended.STOPPED])
    return (
        completed(*(rng.random() for _ in range(rng.choice([1, 2]))))
        if how is Ended.COMPLETED
        else ended(how)
    )


def something_happens(play, rng):
    """An answer, the end of a run, or time goes by."""
    play.clock.advance(rng.choice([0.1, 1.0, 60.0]))
    running = [s for s in play.fold.open if s.last and s.last.uuid in play.farm and not s.last.outcome]
    asking = sorted(play.asking)
    if running and (not asking or rng.random() < 0.6):
        step = rng.choice(running)
        stopped = step.number in play.stopping and rng.random() < 0.9
        outcome = ended(Ended.STOPPED) if stopped else outcome_of(rng)
        assert play.farm[step.last.uuid] is None, "a run ends once"
        play.farm[step.last.uuid] = outcome
        play.session.outcome(step.number, step.last.number, outcome)
    elif asking:
        step = rng.choice(asking)
        play.asking.discard(step)
        text, fault = rng.choice([("good", "")] * 4 + [("bad", ""), ("", "busy"), ("", "refused")])
        cost = {"usd": rng.choice([None, 0.0, 0.1, ASK_USD]), "tokens": rng.randrange(100)}
        number = play.fold.asked[step].number
        play.session.answer(step, number, text=text, fault=fault, passing=fault == "busy", **cost)


def hold(play):
    """What must be true at any moment."""
    fold, budget, rules = play.fold, play.fold.budget, play.terms
    assert len(fold.open) <= rules.parallel
    assert budget.runs is None or fold.runs <= budget.runs
    assert budget.usd is None or fold.usd + fold.reserved.usd <= budget.usd + 1e-9
    assert all(sum(map(is_refused, step.tries)) <= REPAIRS + 1 for step in fold.steps.values())
    refused = sum(is_refused(one) for step in fold.steps.values() for one in step.tries)
    assert refused <= STOCK + 1 + fold.runs + len(fold.steps)
    kept = [s.outcome.value for s in fold.steps.values() if s.verdict in (Verdict.BASELINE, Verdict.KEPT)]
    if kept:
        assert fold.best_value == min(kept)
        worse = is_better(fold.best_value, kept[0], by=0.0, ascending=True)
        assert worse or fold.best_value == kept[0]
    asks = [act for act in play.decide() if isinstance(act, Ask | Begin)]
    if asks and fold.best is not None:
        assert budget.runs is None or fold.runs + rules.repeats <= budget.runs, "no run could follow"
        assert not reached(fold)
        assert not plateaued(fold)
        assert budget.time is None or play.session.active < budget.time
        assert not play.stop


def until_the_end(play, rng, *, stop_at):
    for number in range(2000):
        play.stop = number >= stop_at
        hold(play)
        if play.fold.end:
            return
        if not play.turn():
            something_happens(play, rng)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9))
def test_a_session_keeps_its_promises_whatever_happens_and_comes_to_its_end(seed):
    rng = random.Random(seed)
    rules = terms(
        parallel=rng.choice([1, 1, 2, 3]),
        repeats=rng.choice([1, 2]),
        plateau_runs=rng.choice([0, 3]),
        max_failures=rng.choice([0, 3]),
        divergence_runs=rng.choice([0, 4]),
        target=rng.choice([None, 0.05]),
    )
    bounds = {"runs": 8, "usd": 4.0, "time": 500.0}
    chosen = rng.sample(sorted(bounds), rng.choice([1, 2, 3]))
    play = Play(rules, Budget(**{name: bounds[name] for name in chosen}), rng)
    play.crashes = rng.choice([0.0, 0.02, 0.1])
    until_the_end(play, rng, stop_at=rng.choice([1000, rng.randrange(60)]))
    if rng.random() < 0.5:
        play.open_session()
        used = {"time": play.fold.active, "runs": play.fold.runs, "usd": play.fold.usd, "tokens": 0}
        play.session.extend(extended(play.fold.budget, Budget(runs=3, usd=1.0, time=300.0), **used))
        until_the_end(play, rng, stop_at=1000)
    fold = play.fold
    assert fold.end, "it comes to its end"
    assert not fold.open
    for step in fold.steps.values():
        for one in step.tries:
            has_run = one.uuid and one.outcome and one.uuid in play.farm
            last = one is step.last and step.verdict is Verdict.STOPPED
            assert not one.commit or has_run or last, "a commit was neither run nor refused"
    uuids = [one.uuid for step in fold.steps.values() for one in step.tries if one.uuid]
    assert len(uuids) == len(set(uuids))
    assert set(uuids) == set(play.farm)
