"""How a session stands, what is new in it, and its steps as rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from orze.config.refine import Budget
from orze.refine.fold import SessionFold
from orze.refine.model import Reason, Try, Verdict
from orze.refine.story import News, change_of, compared, doing, dollars, standing, uses
from orze.refine.table import command_of, cost_of, inherited_command, parent_of, rows
from tests.unit.cli.revis.revis_project import Made, done, ended, whole


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> SessionFold:
    """A session with one of everything, whose last step runs."""
    return whole(tmp_path_factory.mktemp("story") / "project").session.fold


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A session that has begun."""
    return Made(tmp_path / "project", budget=Budget(runs=8))


def test_a_session_stands_as_its_records_say(fold: SessionFold):
    now = standing(fold, where="gpu-a")
    assert (now.state, now.where, now.sentence) == ("running", "gpu-a", "")
    assert (now.steps, now.kept, now.best) == (3, 1, 1)
    assert now.best_value == pytest.approx(0.37)
    assert now.baseline == pytest.approx(0.51)
    assert now.change == pytest.approx(-0.14)
    assert now.noise == pytest.approx(fold.noise or 0)
    assert now.doing == ("step 4: runs as idea-005",)
    assert now.unpriced == 1


def test_a_session_whose_loop_is_gone_is_interrupted_and_one_that_ended_says_why(tmp_path: Path, made: Made):
    assert standing(made.session.fold, where="").state == "interrupted"
    quick = ended(tmp_path / "other").session.fold
    now = standing(quick, where="gpu-a")
    assert (now.state, now.doing) == ("target reached", ())
    assert "the target is 0.1000" in now.sentence


def test_the_words_for_each_end_are_different():
    from orze.refine.story import REASONS

    assert set(REASONS) == set(Reason)
    assert len(set(REASONS.values())) == len(REASONS)


def test_what_is_used_is_told_with_its_limit_where_there_is_one(fold: SessionFold, made: Made):
    told = {use.kind: use.told for use in uses(fold)}
    assert told == {
        "time": "5m39s of 4h00m",
        "runs": "8 of 20 runs",
        "usd": "$0.017 of $5.00",
        "tokens": "11,725 tokens",
    }
    assert {use.kind: use.limit for use in uses(made.session.fold)} == {"time": None, "runs": 8}


def test_an_open_step_says_what_it_is_doing_at_each_point(made: Made):
    fold = made.session.fold
    first = made.baseline(0.5)

    def now() -> str:
        return doing(fold, fold.steps[1])

    made.session.step(1, first)
    seen = [now()]
    made.session.ask(1, 1, usd=None, tokens=10)
    seen.append(now())
    made.session.answer(1, 1, text="x", usd=None, tokens=5)
    seen.append(now())
    made.session.tried(1, Try(1, "why", ("a",), faults=("wrong",)))
    seen.append(now())
    made.session.ask(1, 2, usd=None, tokens=10)
    seen.append(now())
    made.session.answer(1, 2, text="x", usd=None, tokens=5)
    made.session.tried(1, Try(2, "why", ("a",), commit=first))
    seen.append(now())
    made.session.run(1, 2, "uuid")
    seen.append(now())
    made.session.idea(1, 2, "idea-002")
    seen.append(now())
    made.session.outcome(1, 2, done(0.4))
    seen.append(now())
    assert [one.removeprefix("step 1: ") for one in seen] == [
        "begins",
        "asks for a change",
        "makes the change",
        "looks at the faults",
        "asks for a repair, try 2",
        "its run is prepared",
        "its run waits for the farm",
        "runs as idea-002",
        "judges the result",
    ]


def test_news_are_told_once_and_in_order_whenever_it_is_looked(made: Made):
    fold = made.session.fold
    news, at_the_end = News(fold), News(fold)
    told = []
    first = made.baseline(0.5)
    told += news.of(fold)
    assert news.of(fold) == []
    made.asks(1, parent=first)
    told += news.of(fold)
    made.answered(1, 1, Try(1, "Larger  steps.", ("a.py", "b.py"), commit=first))
    made.runs(1, 1)
    told += news.of(fold)
    made.ended(1, 1, done(0.4))
    made.judged(1, Verdict.KEPT, "it is better", first)
    told += news.of(fold)
    made.session.end(Reason.STOPPED, "somebody stopped it")
    told += news.of(fold)
    assert [(line.kind, line.text) for line in told][2:] == [
        ("result", "step 0: val_loss=0.5000 in 24s"),
        ("ask", "step 1: asks for a change"),
        ("change", "step 1: Larger steps. [a.py, b.py] ($0.0042)"),
        ("run", "step 1: runs as idea-002"),
        ("result", "step 1: val_loss=0.4000 in 24s"),
        ("kept", "step 1: kept: it is better"),
        ("end", "stopped: somebody stopped it"),
    ]
    assert at_the_end.of(fold) == told  # also where nobody looked in between


def test_what_is_known_already_is_no_news(fold: SessionFold):
    assert News(fold).of(fold) == []


def test_rows_tell_of_parent_change_and_cost(fold: SessionFold):
    table = rows(fold)
    assert [row.step for row in table] == [0, 1, 2, 3, 4]
    assert [row.parent for row in table] == [None, 0, 1, 1, 1]
    assert [row.verdict for row in table] == ["baseline", "kept", "discarded", "failed", ""]
    assert table[1].change == pytest.approx(-0.14)
    assert table[3].change is None
    assert [row.usd for row in table] == [0.0, 0.0042, 0.0042, None, 0.0042]
    assert (table[3].tries, table[3].ended) == (2, "crashed")
    assert [row.command for row in table] == ["", "", "", "", "python train.py --epochs 8"]
    assert table[4].commit == table[4].ran != ""
    assert table[1].commit != table[1].ran


def test_a_command_is_inherited_until_a_step_has_another(fold: SessionFold):
    last = fold.steps[4]
    assert command_of(fold, last) == "python train.py --epochs 8"
    assert inherited_command(fold, last) == "python train.py"
    assert parent_of(fold, last) is fold.steps[1]
    assert parent_of(fold, fold.steps[0]) is None
    assert cost_of(fold.steps[3]) == (None, 4690)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (0, 1, "val_loss differs by -0.14 (-27%): step 1 is better by more than the noise, 0.0230"),
        (1, 0, "val_loss differs by +0.14 (+38%): step 1 is better by more than the noise, 0.0230"),
        (1, 2, "val_loss differs by -0.0025 (-1%), which is within the noise, 0.0230"),
        (1, 1, "val_loss is the same"),
        (1, 3, ""),
    ],
)
def test_a_difference_is_weighed_against_the_noise(fold: SessionFold, one: int, other: int, told: str):
    assert compared(fold, fold.steps[one], fold.steps[other]) == told


def test_without_repeats_nobody_knows_what_a_difference_is_worth(tmp_path: Path):
    fold = ended(tmp_path / "project").session.fold
    told = "val_loss differs by -0.43 (-83%); how far single runs lie apart is not known"
    assert compared(fold, fold.steps[0], fold.steps[1]) == told


@pytest.mark.parametrize(
    ("amount", "told"),
    [(None, "$?"), (0.0, "$0.00"), (0.0042, "$0.0042"), (0.5, "$0.5"), (1.0, "$1.00"), (12.345, "$12.35")],
)
def test_dollars_have_the_digits_that_they_need(amount: float | None, told: str):
    assert dollars(amount) == told


def test_a_change_from_nothing_has_no_percentage():
    assert change_of(1.0, 0.0) == "+1"
    assert change_of(0.5, -1.0) == "+1.5 (+150%)"
