"""Arms of one pair meet one task; the test split is opened once; budgets are kept; nothing is left out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contest.arm import Arm, Budget, Chosen, Played, play
from contest.history import Past, shuffled, study_of
from contest.tables import report, verdicts
from contest.task import Ran, Task
from threadpoolctl import threadpool_limits

from orze.ideas.parse import deep_merge

RANDOM, CLIMBER = Arm("random", "random"), Arm("hill-climb", "hillclimb")
BUDGET = Budget(runs=5, seconds=0.1)


@pytest.fixture(scope="module")
def task() -> Iterator[Task]:
    with threadpool_limits(1):  # so small a matrix is slower on many cores
        yield Task(3, epochs=1)


def test_arms_of_a_pair_start_alike_and_share_their_runs(task: Task, tmp_path: Path) -> None:
    one, other = (play(arm, task.enter(), BUDGET, tmp_path / arm.name) for arm in (RANDOM, CLIMBER))
    assert one.curve[0] == other.curve[0] == task.ran(task.base).loss
    assert one.curve != other.curve
    assert task.enter().run(task.base) is task.enter().run(task.base)
    assert Task(4, epochs=1).ran(task.base | {"data": {"seed": 4}}).loss != task.ran(task.base).loss


def test_an_arm_keeps_both_budgets_chooses_by_validation_and_does_the_same_again(
    task: Task, tmp_path: Path
) -> None:
    played, again = (play(RANDOM, task.enter(), BUDGET, tmp_path / name) for name in ("a", "b"))
    assert played.by_runs.run == BUDGET.runs
    assert played.by_seconds.seconds <= BUDGET.seconds
    assert played.curve == sorted(played.curve, reverse=True)
    assert len(played.curve) == BUDGET.runs + 1
    assert played.by_runs.loss == played.curve[-1]
    assert (played.by_runs.proposed, played.by_runs.valid, played.faults) == (8, 8, [])
    assert (played.curve, played.by_runs.test_loss) == (again.curve, again.by_runs.test_loss)


def test_the_test_split_is_handed_out_once_and_nothing_runs_behind_that(task: Task) -> None:
    entry = task.enter()
    entry.run(task.base)
    (scores,) = entry.finish([task.base])
    assert scores["test_loss"] != task.ran(task.base).loss
    with pytest.raises(RuntimeError, match="nothing more can be run"):
        entry.run(task.base)
    with pytest.raises(RuntimeError, match="opened before"):
        entry.finish([task.base])


@pytest.mark.parametrize("block", [{"data": {"shifts": True}}, {"training": {"epochs": 9}}])
def test_no_arm_leaves_the_space_that_all_of_them_search(task: Task, block: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match="outside of the search space"):
        task.enter().run(deep_merge(task.base, block))


def test_a_proposer_that_cannot_propose_gives_up_with_its_reason_and_the_start_for_its_choice(
    task: Task, tmp_path: Path
) -> None:
    broken = Arm("scripted", "command", {"command": ["/nonexistent/program"]})
    played = play(broken, task.enter(), BUDGET, tmp_path / "home")
    assert len(played.faults) == 3
    assert "/nonexistent/program" in played.faults[0]
    assert (played.by_runs.run, played.by_runs.loss) == (0, task.ran(task.base).loss)


def test_shuffled_feedback_gives_every_outcome_to_some_idea_and_changes_nothing_else() -> None:
    past = [
        Past(f"idea-{n}", f"Idea {n}", "f", "", "", {"lr": n}, Ran(n / 10 if n % 3 else None, "", 1.0))
        for n in range(1, 21)
    ]
    mixed = shuffled(past, "1 2")
    assert sorted(map(repr, (one.ran for one in mixed))) == sorted(map(repr, (one.ran for one in past)))
    assert [(one.idea_id, one.config) for one in mixed] == [(one.idea_id, one.config) for one in past]
    assert sum(one.ran is other.ran for one, other in zip(mixed, past, strict=True)) < 10
    assert mixed == shuffled(past, "1 2") != shuffled(past, "1 3")


def test_a_study_tells_the_best_first_counts_failures_and_holds_no_word_of_the_test_split(task: Task) -> None:
    losses = [0.9, None, 0.4, 0.7]
    past = [
        Past(
            f"idea-00{n}", f"Idea {n}", f"family {n % 2}", "", "climb", task.base, Ran(loss, "it broke", 1.0)
        )
        for n, loss in enumerate(losses, 1)
    ]
    study = study_of(past, task.base, number=2, count=4, chance="3 2")
    assert [one.idea_id for one in study.brief.top] == ["idea-003", "idea-004", "idea-001"]
    assert [(one.family, one.value) for one in study.brief.families] == [("family 1", 0.4), ("family 0", 0.7)]
    assert [(one.count, one.example) for one in study.brief.failures] == [(1, "it broke")]
    assert study.brief.trend == ((1, 0.9), (3, 0.4))
    assert [(one.run, one.improved) for one in study.brief.arms] == [(4, 1)]
    assert "test" not in repr(study.brief)


def test_a_report_shows_every_arm_losses_included_and_corrects_for_all_comparisons() -> None:
    def played(loss: float) -> Played:
        chosen = Chosen(loss, loss, 0.9, 1.0, 4, 3, 2)
        return Played(chosen, chosen, [1.0, loss, loss], ["round 1: a fault"] if loss > 0.3 else [])

    pairs = [
        {"random": played(0.3), "scripted": played(0.2 - n / 100), "placebo": played(0.4 + n / 100)}
        for n in range(8)
    ]
    text = report(pairs, BUDGET)
    assert text.count("8/0/0") == text.count("0/0/8") + 2 == 4  # the placebo's own comparison is the third
    assert "scripted against placebo: -0.2" in text
    assert "placebo: 8, the first: round 1: a fault" in text
    assert [one.p for one in verdicts(pairs)] == pytest.approx([6 * 2 / 2**8] * 6)
