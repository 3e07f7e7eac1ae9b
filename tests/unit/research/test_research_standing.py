"""What came of the ideas: who ran, what improved, and the sentences and numbers that tell of it."""

import pytest

from orze.config.research import Research
from orze.report.research import ArmRow, ResearchStanding, compare, fisher, research_json, research_lines
from orze.research import call
from orze.research.brief import Arm
from orze.research.hiding import hidden
from orze.research.ledger import Entry, LedgerFold, Round, uuid_of
from orze.research.price import PROMPT_BYTES, most, unpriced
from orze.research.prompt import MOST_BYTES
from orze.research.proposers import Cost
from orze.research.ready import lacking
from orze.research.standing import Yield, arm_rows, earned, standing_of, yield_of


def a_round(number, proposer="llm", arms=("llm",), *, control=False, usd=0.1, lost=False):
    entries = tuple(Entry(index, arm, "t") for index, arm in enumerate(arms, 1))
    told = Round(number, proposer, "", control, Cost(), "h", 0.0, ended=True, lost=lost, cost=Cost(usd, 10))
    return Round(
        *(
            getattr(told, name)
            for name in ("number", "proposer", "model", "control", "reserved", "host", "at")
        ),
        ended=True,
        lost=lost,
        cost=told.cost,
        proposed=len(entries),
        valid=len(entries),
        entries=entries,
    )


def allocated(*places):
    """The ids idea-1, idea-2 … in the order of these (round, index)."""
    return {uuid_of(*place): f"idea-{number}" for number, place in enumerate(places, 1)}


ENDED = [
    ("idea-9", 0.5, True),
    ("idea-1", 0.4, True),
    ("idea-2", None, False),
    ("idea-8", 0.7, True),
    ("idea-3", 0.8, True),
]


def test_ideas_that_ran_and_improved_are_told_from_those_of_others():
    came = yield_of(allocated((1, 1), (1, 2), (2, 1)), ENDED, ascending=False, noise=None)
    assert (came.run, came.improved, came.best) == (("idea-1", "idea-2", "idea-3"), {"idea-3"}, 0.8)
    assert came.ideas["idea-3"] == (2, 1)


def test_runs_of_research_are_counted_from_the_last_improvement_of_anybody():
    names = allocated((1, 1), (1, 2), (2, 1))
    assert yield_of(names, ENDED[:3], ascending=False, noise=None).idle_runs == 2
    assert yield_of(names, ENDED[:4], ascending=False, noise=None).idle_runs == 0
    assert yield_of(names, ENDED, ascending=False, noise=None).idle_runs == 0
    assert yield_of(names, ENDED, ascending=False, noise=1.0).idle_runs == 3


def test_members_of_a_proposed_sweep_are_one_idea():
    ended = [("idea-9", 0.5, True), ("idea-1.1", 0.4, True), ("idea-1.2", 0.9, True)]
    came = yield_of(allocated((1, 1)), ended, ascending=False, noise=None)
    assert (came.run, came.improved) == (("idea-1",), {"idea-1"})


def test_names_of_other_programs_in_the_inbox_are_no_research():
    assert yield_of({"my-own": "idea-1"}, ENDED, ascending=False, noise=None) == Yield(
        run=(), best=0.8, improved=frozenset()
    )


ROUNDS = [
    a_round(1, "hybrid", ("llm", "tpe")),
    a_round(2, "hybrid", ("tpe",)),
    a_round(3, "hillclimb", ("hillclimb",), control=True),
]
CAME = yield_of(allocated((1, 1), (2, 1), (3, 1)), ENDED, ascending=False, noise=None)


def test_each_arm_of_a_hybrid_has_earned_what_its_ideas_did_and_the_control_is_no_arm():
    assert earned(ROUNDS, CAME) == (Arm("llm", 1, 1, 0), Arm("tpe", 2, 1, 0))


def test_the_table_has_a_row_for_each_proposer_and_the_control_apart():
    rows = {(row.name, row.control): row for row in arm_rows(ROUNDS, CAME)}
    hybrid, control = rows["hybrid", False], rows["hillclimb", True]
    assert (hybrid.rounds, hybrid.left, hybrid.run, hybrid.improved, hybrid.usd) == (2, 3, 2, 0, 0.2)
    assert (control.rounds, control.left, control.run, control.improved) == (1, 1, 1, 1)


def test_a_row_with_one_price_that_is_not_known_has_none():
    (row,) = arm_rows([a_round(1), a_round(2, usd=None)], Yield())
    assert row.usd is None


def standing(rounds=ROUNDS, came=CAME):
    fold = LedgerFold()
    fold.rounds = list(rounds)
    fold.unpriced = sum(one.cost.usd is None for one in rounds)
    fold.usd = sum(one.cost.usd or 0.0 for one in rounds)
    return standing_of(
        fold, came, mode="hybrid", proposer="hybrid", state="waiting", why="cooldown", left={"rounds": 4.0}
    )


def test_people_read_the_funnel_the_cost_and_why_nothing_is_proposed():
    text = "\n".join(research_lines(standing()))
    assert "4 proposed → 4 valid → 4 new → 3 run → 1 improved, in 3 rounds" in text
    assert "hybrid (waiting: cooldown)" in text
    assert "0.0750 USD an idea; 0.3000 USD an improvement" in text
    assert "rounds 4" in text


def test_a_price_that_is_not_known_is_told_so_and_null_for_programs():
    told = standing([*ROUNDS, a_round(4, usd=None)])
    assert "unknown an idea" in "\n".join(research_lines(told))
    as_json = research_json(told)
    assert as_json["usd"] is as_json["usd_per_idea"] is as_json["usd_per_improvement"] is None


def test_without_ideas_no_price_per_idea_is_told():
    told = ResearchStanding("llm", "llm", "waiting")
    assert "an idea" not in "\n".join(research_lines(told))
    assert research_json(told)["usd_per_idea"] is None
    assert research_json(None) is None


@pytest.mark.parametrize(
    ("table", "p"),
    [((1, 9, 11, 3), 0.002759), ((3, 1, 1, 3), 0.485714), ((0, 5, 0, 5), 1.0), ((8, 2, 1, 5), 0.034965)],
)
def test_the_exact_test_of_fisher_gives_what_tables_of_it_give(table, p):
    assert fisher(*table) == pytest.approx(p, abs=2e-6)


def arm(run, improved, *, control=False, name="llm (m)"):
    return ArmRow("hillclimb" if control else name, control, 1, run, run, run, run, improved, 0.0)


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ([arm(5, 1)], ""),
        ([arm(5, 1), arm(0, 0, control=True)], "nothing to compare yet"),
        ([arm(20, 2), arm(5, 1, control=True)], "no difference is shown"),
        ([arm(60, 30), arm(30, 2, control=True)], "the proposer pays"),
        ([arm(60, 2), arm(30, 14, control=True)], "the control does better"),
    ],
)
def test_the_control_says_whether_the_proposer_pays(arms, said):
    told = compare(arms)
    assert said in told
    assert bool(told) == bool(said)


# ---- prices, keys, and what is missing


def settings(**more):
    return Research.model_validate(more)


def test_the_most_that_a_round_may_cost_is_three_calls_at_the_given_price():
    price = {"input": 1.0, "output": 10.0}
    cost = most("llm", {"model": "m", "reply_tokens": 1000, "price": price})
    assert cost.tokens == 3 * ((48 << 10) + 1000)
    assert cost.usd == pytest.approx(3 * ((48 << 10) * 1e-6 + 1000 * 1e-5))


def test_no_question_is_longer_than_what_is_reserved_for_it():
    question = {"messages": [{"content": "x" * MOST_BYTES}], "reply_tokens": 7}
    assert call.most(question)[0] <= PROMPT_BYTES


@pytest.mark.parametrize("proposer", ["hillclimb", "random", "optuna", "command"])
def test_who_asks_no_model_costs_nothing(proposer):
    assert most(proposer, {"model": "m", "reply_tokens": 1000}) == Cost()


@pytest.mark.parametrize(
    "research",
    [
        settings(),
        settings(mode="llm", model="nobody/knows"),
        settings(mode="llm", model="m", budget={"usd": 1}, price={"input": 1, "output": 1}),
        settings(mode="hillclimb", model="m", budget={"usd": 1.0}),
    ],
)
def test_prices_are_asked_for_only_where_a_budget_in_dollars_needs_them(research):
    assert unpriced(research) == []


def test_an_axis_that_is_none_is_told_before_the_farm_starts():
    (said,) = lacking(settings(space={"lr": {"log": [-1, 5]}}))
    assert said.startswith("research.space: lr: ")
    assert lacking(None) == lacking(settings()) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nothing in it", "nothing in it"),
        ("with abcdefgh inside", "with *** inside"),
        ("https://ada:pw@host/x", "https://***@host/x"),
        ("sk-0123456789abcdef", "***"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
    ],
)
def test_what_may_be_a_key_is_hidden(text, told):
    assert hidden(text, {"MY_API_KEY": "abcdefgh", "PATH": "nothing", "SHORT_KEY": "in"}) == told
