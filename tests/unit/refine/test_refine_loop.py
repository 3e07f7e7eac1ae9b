"""The loop: what it does in which order, and that a crash at any point loses and doubles nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from loop_examples import World, edit
from userrepo import git, snapshot

from orze.refine.making import Rules
from orze.refine.model import Ended, Outcome, Reason, Verdict
from orze.refine.terms import Terms

REPLIES = {
    (1, 1): edit("8", "5", "Less is more."),
    (2, 1): "I would rather not say.",
    (2, 2): edit("5", "7", "More again."),
    (3, 1): edit("5", "3", "Still less."),
}


def test_a_session_keeps_what_is_better_and_leaves_the_checkout_alone(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES)
    before = snapshot(world.top)
    end = world.run()
    assert end.reason is Reason.BUDGET
    assert [row.verdict for row in world.rows] == ["baseline", "kept", "discarded", "kept"]
    assert [row.value for row in world.rows] == [8, 5, 7, 3]
    assert [row.parent for row in world.rows] == [None, 0, 1, 1]
    assert world.branch() == ["8", "8", "5", "3"]
    assert world.refs() == {str(row.step): row.commit for row in world.rows}
    assert world.model.asked == [(1, 1), (2, 1), (2, 2), (3, 1)]
    assert "HYPOTHESIS" in world.model.faults[2][0]
    assert {name: value for name, value in snapshot(world.top).items() if name in before} == before


def test_the_commit_of_a_step_tells_its_result_and_has_the_tree_that_ran(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES, runs=2)
    world.run()
    row = world.rows[1]
    message = git(world.top, "show", "-s", "--format=%B", row.commit)
    assert message.startswith("Less is more.\n\nloss 5.0000 is better than 8.0000")
    trailers = git(world.top, "show", "-s", "--format=%(trailers:only)", row.commit).splitlines()
    assert trailers == [
        "Revis-Session: s",
        "Revis-Step: 1",
        "Revis-Command: python train.py",
        "Revis-Metric: loss=5.0 (n=1)",
        "Revis-Verdict: kept",
        f"Revis-Ran: {row.ran}",
    ]
    assert git(world.top, "rev-parse", f"{row.commit}^{{tree}}") == git(
        world.top, "rev-parse", f"{row.ran}^{{tree}}"
    )
    assert git(world.top, "diff", "--name-only", f"{row.commit}^", row.commit) == "value.txt"


def test_a_crash_at_any_point_loses_and_doubles_nothing(tmp_path: Path):
    replies = {(1, 1): REPLIES[2, 1], (1, 2): REPLIES[1, 1]}
    world = World(tmp_path / "repo", replies, runs=2)
    crashed: list[World] = []
    world.point = lambda: crashed.append(world.copy(tmp_path / f"crash-{len(crashed)}"))
    world.run()
    branch = world.branch()
    assert len(crashed) > 25
    for left in crashed:
        end = left.run()
        assert end.reason is Reason.BUDGET
        assert [row.verdict for row in left.rows] == [row.verdict for row in world.rows]
        assert [(row.value, row.parent) for row in left.rows] == [(8, None), (5, 0)]
        assert left.branch() == branch
        assert left.refs() == {str(row.step): row.commit for row in left.rows}
        assert list(left.farm.runs) == list(world.farm.runs)
        again = sorted(left.model.asked)
        assert sorted(set(again)) == sorted(world.model.asked)
        assert len(again) <= len(world.model.asked) + 1  # the one whose answer was not recorded yet


def test_a_stop_leaves_the_run_in_progress_and_its_result_is_taken_later(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES, runs=2)
    world.farm.held.add("revis-s-1-1")
    loop = world.loop()
    while "revis-s-1-1" not in world.farm.looked:
        loop.turn()
    world.wishes.stop = True
    end = loop.run()
    assert end is not None
    assert (end.reason, world.farm.stopped) == (Reason.STOPPED, [])
    world.wishes.stop = False
    world.farm.held.clear()
    assert world.run().reason is Reason.BUDGET
    assert [row.value for row in world.rows] == [8, 5]
    assert len(world.farm.runs) == 2


def test_a_stop_at_once_ends_the_run_too_which_is_run_again_later(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES, runs=2)
    world.farm.held.add("revis-s-1-1")
    loop = world.loop()
    while "revis-s-1-1" not in world.farm.looked:
        loop.turn()
    world.wishes.stop = world.wishes.stop_now = True
    end = loop.run()
    assert end is not None
    assert (end.reason, world.farm.stopped) == (Reason.STOPPED, ["idea-002"])
    assert world.rows[1].verdict == Verdict.STOPPED
    world.wishes.stop = world.wishes.stop_now = False
    assert world.run().reason is Reason.BUDGET
    assert [row.value for row in world.rows] == [8, 5]
    assert list(world.farm.runs) == ["revis-s-0-1", "revis-s-1-1", "revis-s-1-2"]
    assert world.model.asked == [(1, 1)]


def test_an_asking_is_given_up_when_the_session_is_stopped_and_counts_with_what_it_may_have_cost(
    tmp_path: Path,
):
    world = World(tmp_path / "repo", REPLIES)
    world.model.slow = True
    loop = world.loop()
    while not world.model.asked:
        loop.turn()
    world.wishes.stop = True
    end = loop.run()
    assert end is not None and end.reason is Reason.STOPPED
    assert world.session.fold.usd == 0.5
    assert not world.session.fold.asked


def test_with_a_budget_of_dollars_nothing_is_asked_that_it_may_not_hold(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES, runs=None)
    loop = world.loop()
    world.session.extend(world.budget.model_copy(update={"usd": 0.7}))
    assert loop.run().reason is Reason.BUDGET  # type: ignore[union-attr]
    assert world.model.asked == [(1, 1)]  # 0.25 are spent; with 0.5 at most for the next it might be 0.75
    assert world.session.fold.usd == 0.25


def test_time_that_is_used_up_ends_a_run_in_progress(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES, runs=None)
    world.farm.held.add("revis-s-1-1")
    loop = world.loop()
    world.session.extend(world.budget.model_copy(update={"time": 1000.0}))
    while "revis-s-1-1" not in world.farm.looked:
        loop.turn()
    world.clock.advance(1000)
    assert loop.run().reason is Reason.BUDGET  # type: ignore[union-attr]
    assert world.farm.stopped == ["idea-002"]


def test_steps_in_parallel_begin_from_the_best_and_run_at_once(tmp_path: Path):
    replies = {(1, 1): edit("8", "5"), (2, 1): edit("8", "6", "Another."), (3, 1): edit("5", "4")}
    world = World(tmp_path / "repo", replies, terms=Terms("loss", ascending=True, parallel=2), runs=4)
    world.farm.held |= {"revis-s-1-1", "revis-s-2-1"}
    loop = world.loop()
    while not world.farm.held <= world.farm.looked:
        loop.turn()
    world.farm.held.clear()
    assert loop.run().reason is Reason.BUDGET  # type: ignore[union-attr]
    assert [(row.value, row.parent) for row in world.rows[:3]] == [(8, None), (5, 0), (6, 0)]
    assert [row.verdict for row in world.rows[:3]] == ["baseline", "kept", "discarded"]


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (edit("8", "8"), "changes nothing"),
        (edit("9", "7"), "value.txt"),
        (edit("8", "7").replace("value.txt", "train.py"), "train.py"),
        (edit("8", "7").replace("value.txt", "../value.txt"), "../value.txt"),
        ("HYPOTHESIS: x\n\nNEW FILE: new.py\n<<<<<<< NEW\nprint(\n>>>>>>> NEW\n", "new.py:1"),
        ("HYPOTHESIS: x\n\nCOMMAND: python train.py\n", "changes nothing"),
    ],
)
def test_a_proposal_that_cannot_be_run_is_given_back_with_its_fault(tmp_path: Path, reply: str, fault: str):
    replies = {(1, 1): reply, (1, 2): edit("8", "7")}
    world = World(tmp_path / "repo", replies, runs=2, rules=Rules(deny=("train.py",)))
    world.run()
    assert fault in world.model.faults[1][0]
    assert world.rows[1].value == 7


def test_what_another_step_has_measured_is_not_run_again(tmp_path: Path):
    replies = {(1, 1): edit("8", "9"), (2, 1): edit("8", "9"), (2, 2): edit("8", "7")}
    world = World(tmp_path / "repo", replies, runs=3)
    world.run()
    known = "step 1 tried exactly this (loss=9.0000 in 2s); propose something else"
    assert world.model.faults[-1][0] == known
    assert [row.value for row in world.rows] == [8, 9, 7]
    assert len(world.farm.runs) == 3


def test_another_command_line_is_left_to_the_farm_and_inherited(tmp_path: Path):
    command = "python  train.py --epochs '2  0'"
    replies = {(1, 1): edit("8", "7") + f"\nCOMMAND: {command}\n", (2, 1): edit("7", "6")}
    world = World(tmp_path / "repo", replies, runs=3)
    world.run()
    sections = list(world.farm.runs.values())
    assert "Command" not in sections[0]
    assert f"- **Command**: {command}\n" in sections[1]
    assert f"- **Command**: {command}\n" in sections[2]
    assert "- **Parent**: idea-002\n" in sections[2]


def test_a_branch_that_somebody_else_moved_is_left_alone_and_told(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES, runs=2)
    loop = world.loop()
    while world.session.fold.best is None:
        loop.turn()
    git(world.top, "update-ref", "refs/heads/revis/s", "HEAD")
    theirs = git(world.top, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "mine")
    git(world.top, "update-ref", "refs/heads/revis/s", theirs)
    for _ in range(12):
        loop.turn()
    assert any("no step of the session" in line for line in world.said)
    assert git(world.top, "rev-parse", "revis/s") == theirs
    git(world.top, "update-ref", "-d", "refs/heads/revis/s")
    assert loop.run().reason is Reason.BUDGET  # type: ignore[union-attr]
    assert world.branch() == ["8", "8", "5"]


def test_a_branch_that_is_checked_out_does_not_hold_up_the_session_and_follows_later(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES, runs=2)
    loop = world.loop()
    while world.session.fold.best is None:
        loop.turn()
    git(world.top, "worktree", "add", "-q", str(tmp_path / "look"), "revis/s")
    assert loop.run().reason is Reason.BUDGET  # type: ignore[union-attr]
    assert [row.verdict for row in world.rows] == ["baseline", "kept"]
    assert any("is checked out in" in line for line in world.said)
    assert world.branch() == ["8", "8"]
    git(world.top, "worktree", "remove", str(tmp_path / "look"))
    world.run()
    assert world.branch() == ["8", "8", "5"]


def test_a_baseline_without_a_result_ends_the_session_and_runs_again_when_it_is_resumed(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES, runs=2)
    world.farm.ends["revis-s-0-1"] = Outcome(Ended.CRASHED, error="KeyError: 'x'")
    assert world.run().reason is Reason.FAILED
    assert world.rows[0].verdict == Verdict.FAILED
    assert world.run().reason is Reason.BUDGET
    assert world.rows[0].verdict == Verdict.BASELINE


def test_a_farm_without_a_sign_of_life_is_told_once(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES)
    world.farm.held.add("revis-s-0-1")
    world.farm.quiet = 100.0
    loop = world.loop()
    for _ in range(10):
        loop.turn()
        world.clock.advance(20)
    assert [line for line in world.said if "sign of life" in line] == [
        "no daemon of the farm gives a sign of life: start one there"
    ]


def test_a_loop_that_is_superseded_ends_and_the_other_one_goes_on(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES, runs=2)
    first = world.loop()
    first.turn()
    second = world.loop()
    with pytest.raises(Exception, match="another process has taken"):
        first.run()
    assert second.run().reason is Reason.BUDGET  # type: ignore[union-attr]
    assert len(world.farm.runs) == 2


def test_a_process_that_is_to_go_leaves_the_session_open_for_the_next_one(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES, runs=2)
    loop = world.loop()
    loop.turn()
    world.wishes.away = True
    assert loop.run() is None
    assert world.session.fold.end is None
    world.wishes.away = False
    assert world.run().reason is Reason.BUDGET


def test_a_farm_of_its_own_that_does_not_work_ends_the_session(tmp_path: Path):
    world = World(tmp_path / "repo", REPLIES)
    ended: list[bool] = []
    daemon = SimpleNamespace(tend=lambda now: "it ended", hopeless="it ends again and again")
    daemon.end = lambda: ended.append(True)
    world.daemon = daemon
    end = world.run()
    assert (end.reason, end.sentence) == (Reason.FAILED, "it ends again and again")
    assert "it ended" in world.said
    assert ended == [True]
