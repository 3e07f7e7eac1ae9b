"""When a round is due and who proposes: tables."""

import pytest

from orze.config.research import Budget, Research
from orze.research.control import (
    Due,
    Spent,
    View,
    Wait,
    Who,
    candidates,
    choose,
    dead,
    due,
    improvements,
    left_of,
)
from orze.research.ledger import Entry, Round
from orze.research.proposers import Cost

LEFT = (Entry(1, "a", "t"),)
LLM = Research(mode="llm", model="m1", fallbacks=("m2",))


def rounds(*words):
    """Rounds: `hillclimb+` left an idea, `llm:m1-` left none, `llm:m1?` is open, `llm:m1!` lost."""
    made = []
    for number, word in enumerate(words, 1):
        proposer, _, model = word[:-1].partition(":")
        mark = word[-1]
        one = Round(number, proposer, model, False, Cost(), "h", 0.0, ended=mark != "?", lost=mark == "!")
        made.append(
            Round(number, proposer, model, False, Cost(), "h", 0.0, ended=True, entries=LEFT)
            if mark == "+"
            else one
        )
    return made


def view(settings=None, **more):
    return View(now=1000.0, settings=settings or Research(), **more)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (view(), Due(1, Who("hillclimb"), 4)),
        (view(rounds=rounds("hillclimb+")), Due(2, Who("hillclimb"), 4)),
        (view(Research(ideas_per_round=7)), Due(1, Who("hillclimb"), 7)),
        (view(queued=3, slots=4), Due(1, Who("hillclimb"), 4)),
        (view(Research(min_queue=9), queued=8, slots=1), Due(1, Who("hillclimb"), 4)),
        (view(ended_at=940.0, rounds=rounds("hillclimb+")), Due(2, Who("hillclimb"), 4)),
        (
            view(Research(cooldown=0), ended_at=1000.0, rounds=rounds("hillclimb+")),
            Due(2, Who("hillclimb"), 4),
        ),
        (view(Research(target=0.9), best=0.8), Due(1, Who("hillclimb"), 4)),
        (view(Research(target=0.1), best=0.2, ascending=True), Due(1, Who("hillclimb"), 4)),
        (view(Research(plateau=10), idle_runs=9), Due(1, Who("hillclimb"), 4)),
        (view(idle_runs=999), Due(1, Who("hillclimb"), 4)),
        (view(Research(budget=Budget(rounds=2)), spent=Spent(rounds=1)), Due(1, Who("hillclimb"), 4)),
    ],
)
def test_a_round_is_due(seen, told):
    assert due(seen) == told


@pytest.mark.parametrize(
    ("seen", "reason", "final"),
    [
        (view(queued=4, slots=4), "4 ideas are queued; the next round begins below 4", False),
        (view(queued=1, slots=0), "1 idea is queued; the next round begins below 1", False),
        (view(rounds=rounds("llm:m1?")), "round 1 is under way: llm (m1) proposes", False),
        (view(paused="launches pause: 1 GB free"), "launches pause: 1 GB free", False),
        (view(refused="a round may cost 2 USD"), "a round may cost 2 USD", False),
        (view(ended_at=950.0, rounds=rounds("hillclimb+")), "the last round ended less than 60 s ago", False),
        (view(Research(target=0.9), best=0.9), "the target of 0.9 is reached: 0.9", True),
        (view(Research(target=0.1), best=0.05, ascending=True), "the target of 0.1 is reached: 0.05", True),
        (
            view(Research(plateau=10), idle_runs=10),
            "plateau: 10 runs of research brought no improvement",
            True,
        ),
        (
            view(Research(budget=Budget(rounds=2)), spent=Spent(rounds=2)),
            "budget.rounds of 2 is used up",
            True,
        ),
        (
            view(Research(budget=Budget(usd=1.5)), spent=Spent(usd=1.5)),
            "budget.usd of 1.5 is used up",
            True,
        ),
        (
            view(Research(budget=Budget(tokens=9)), spent=Spent(tokens=10)),
            "budget.tokens of 9 is used up",
            True,
        ),
        (
            view(Research(budget=Budget(gpu_hours=1)), spent=Spent(gpu_hours=2)),
            "budget.gpu_hours of 1 is used up",
            True,
        ),
        (
            view(Research(budget=Budget(rounds=1)), spent=Spent(rounds=1), queued=9),
            "budget.rounds of 1 is used up",
            True,
        ),
    ],
)
def test_no_round_is_due(seen, reason, final):
    told = due(seen)
    assert isinstance(told, Wait)
    assert reason in told.reason
    assert told.final is final


@pytest.mark.parametrize(
    ("empty", "pause"), [(0, 60), (1, 60), (2, 60), (3, 120), (4, 240), (7, 1920), (8, 3600), (500, 3600)]
)
def test_the_cooldown_grows_while_nothing_comes_of_the_rounds(empty, pause):
    before = rounds(*["hillclimb+", *["hillclimb-"] * empty])
    told = due(view(rounds=before, ended_at=999.0))
    assert isinstance(told, Wait)
    assert told.until == 999.0 + pause


def test_without_a_cooldown_an_empty_space_is_not_asked_all_the_time():
    told = due(view(Research(cooldown=0), rounds=rounds(*["hillclimb-"] * 3), ended_at=999.0))
    assert isinstance(told, Wait)
    assert told.until >= 1000.0


M1, M2, HILL = Who("llm", "m1"), Who("llm", "m2"), Who("hillclimb")


@pytest.mark.parametrize(
    ("before", "who"),
    [
        ([], M1),
        (["llm:m1-", "llm:m1-"], M1),
        (["llm:m1-"] * 3, M2),
        (["llm:m1!"] * 3, M2),
        (["llm:m1-", "llm:m1-", "llm:m1+", "llm:m1-", "llm:m1-"], M1),
        (["llm:m1-"] * 3 + ["llm:m2-"] * 3, HILL),
        (["llm:m1-"] * 3 + ["llm:m2+"] * 9, M2),
        (["llm:m1-"] * 3 + ["llm:m2+"] * 10, M1),
        (["llm:m1-"] * 3 + ["llm:m2+"] * 10 + ["llm:m1-"], M2),
        (["llm:m1-"] * 3 + ["llm:m2+"] * 10 + ["llm:m1+"], M1),
        (["llm:m1-"] * 3 + ["llm:m2-"] * 3 + ["hillclimb-"] * 5, HILL),
    ],
)
def test_after_three_empty_rounds_the_next_one_is_asked_and_the_first_again_ten_rounds_later(before, who):
    assert choose(LLM, rounds(*before)) == who


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (Research(), ["hillclimb", "random"]),
        (Research(mode="random"), ["random", "hillclimb"]),
        (Research(mode="optuna"), ["optuna", "hillclimb"]),
        (Research(mode="command", command=("x",)), ["command", "hillclimb"]),
        (LLM, ["llm (m1)", "llm (m2)", "hillclimb"]),
        (Research(mode="hybrid", model="m"), ["hybrid (m)", "hillclimb"]),
        (Research(mode="hybrid", command=("x",)), ["hybrid", "hillclimb"]),
    ],
)
def test_at_last_somebody_proposes_who_needs_nothing(settings, names):
    assert [who.name for who in candidates(settings)] == names


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.2, 4), (0.25, 5), (0.5, 10), (0.9, 18)])
def test_the_control_has_its_share_of_the_rounds(share, expected):
    settings = Research(mode="llm", model="m", control=share)
    who = [choose(settings, rounds(*["llm:m+"] * number)) for number in range(20)]
    assert sum(one.control for one in who) == expected
    assert {one.proposer for one in who if one.control} <= {"hillclimb"}


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ([], ""),
        (["llm:m1-"] * 2, ""),
        (["llm:m1-"] * 3, "llm (m1) left no valid new idea in its last 3 rounds: nothing was proposed"),
        (["llm:m1!"] * 3, "the round did not come to its end"),
        (["llm:m1-"] * 3 + ["llm:m2+"], "llm (m1) left no"),
        (["llm:m1-"] * 3 + ["llm:m1+"], ""),
    ],
)
def test_the_configured_proposer_counts_as_dead_after_three_empty_rounds(before, said):
    told = dead(LLM, rounds(*before))
    assert said in told
    assert bool(said) == bool(told)


def test_what_is_left_of_a_budget_is_never_below_nothing():
    budget = Budget(usd=1.0, tokens=100, gpu_hours=2.0)
    assert left_of(budget, Spent(usd=3.0, tokens=40)) == {"usd": 0.0, "tokens": 60.0, "gpu_hours": 2.0}


RUNS = [("a", 0.5), ("b", 0.52), ("c", 0.4), ("d", 0.8), ("e", 0.81)]


@pytest.mark.parametrize(
    ("ascending", "noise", "found"),
    [(False, None, "bde"), (False, 0.01, "d"), (False, 0.2, ""), (True, None, "c"), (True, 0.05, "")],
)
def test_an_improvement_is_beyond_the_noise(ascending, noise, found):
    assert "".join(name for name, _ in improvements(RUNS, ascending=ascending, noise=noise)) == found
