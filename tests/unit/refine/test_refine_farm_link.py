"""A farm as the loop sees it: left once, followed by the journal, its ends told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orze.client.project import Project
from orze.core.states import Cause, State
from orze.farm.assembly import Assembly
from orze.refine.farm_link import FarmLink, Run, outcome_of_runs
from orze.refine.model import Ended
from orze.refine.section import NotRunnable, section_of
from tests.unit.farm.farm_examples import Played, a_leader, follow, lead

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def section(**more: Any) -> str:
    return section_of(**{"commit": COMMIT, "hypothesis": "Less is more", "origin": "s, step 1", **more})


def link_of(members: Assembly) -> FarmLink:
    context = members.context
    project = Project(context.settings, context.paths, context.files, context.clock, "orze.yaml")
    return FarmLink(project, "val_loss")


def settle(members: Assembly, idea_id: str, played: Played) -> None:
    """Let the leader see that an attempt has ended."""
    members.settler.settle(idea_id, played.fold)
    lead(members)
    follow(members)


def test_a_run_is_left_once_taken_in_claimed_and_its_result_told(tmp_path: Path):
    members = a_leader(tmp_path)
    link = link_of(members)
    assert not link.look(["u-1"])["u-1"].left
    for _ in range(2):
        link.enqueue("u-1", section())
    assert (link.look(["u-1"])["u-1"].idea_id, link.look(["u-1"])["u-1"].left) == ("", True)
    lead(members)
    link.enqueue("u-1", section())  # once more, as after a crash
    lead(members)
    assert (tmp_path / "ideas.md").read_text().count("## idea-") == 1
    where = link.look(["u-1"])["u-1"]
    assert (where.idea_id, where.state, where.outcome) == ("idea-001", State.QUEUED, None)
    played = Played(members.context, "idea-001")
    assert link.look(["u-1"])["u-1"].state is State.TRAINING
    played.end(metrics={"val_loss": 0.25, "other": {"deep": 1}})
    settle(members, "idea-001", played)
    outcome = link.look(["u-1"])["u-1"].outcome
    assert outcome is not None
    assert (outcome.ended, outcome.values, outcome.seconds) == (Ended.COMPLETED, (0.25,), 2.0)
    assert outcome.metrics == {"val_loss": 0.25, "other.deep": 1}
    assert outcome.log == f"{played.directory}/train_output.log"


def test_repeats_are_one_outcome_when_all_have_ended(tmp_path: Path):
    members = a_leader(tmp_path)
    link = link_of(members)
    link.enqueue("u-1", section(repeats=2))
    lead(members)
    first, second = (Played(members.context, f"idea-001.{number}") for number in (1, 2))
    first.end(metrics={"val_loss": 1.0})
    settle(members, "idea-001.1", first)
    assert link.look(["u-1"])["u-1"].outcome is None
    second.end(metrics={"val_loss": 3.0})
    settle(members, "idea-001.2", second)
    outcome = link.look(["u-1"])["u-1"].outcome
    assert outcome is not None
    assert (outcome.values, outcome.value, outcome.seconds) == ((1.0, 3.0), 2.0, 4.0)


def test_the_log_of_a_run_that_failed_is_told(tmp_path: Path):
    members = a_leader(tmp_path)
    link = link_of(members)
    link.enqueue("u-1", section())
    lead(members)
    played = Played(members.context, "idea-001")
    (Path(played.directory) / "train_output.log").write_text("epoch 1\nKeyError: 'lr'\n")
    played.end("FAIL", cause="exception", error="KeyError: 'lr'")
    settle(members, "idea-001", played)
    outcome = link.look(["u-1"])["u-1"].outcome
    assert outcome is not None
    assert (outcome.ended, outcome.error) == (Ended.CRASHED, "KeyError: 'lr'")
    assert "epoch 1" in outcome.tail


def test_a_run_is_stopped_by_a_request_whether_it_runs_or_waits(tmp_path: Path):
    members = a_leader(tmp_path)
    link = link_of(members)
    link.enqueue("u-1", section())
    lead(members)
    lead(members)
    for _ in range(3):
        link.stop("idea-001")
    for _ in range(3):
        lead(members)
    outcome = link.look(["u-1"])["u-1"].outcome
    assert outcome is not None
    assert outcome.ended is Ended.STOPPED
    assert len(members.journal.fold.answers) == 2  # to withdraw, and to stop; asked once within seconds


def test_a_run_that_somebody_holds_tells_why_it_waits(tmp_path: Path):
    members = a_leader(tmp_path)
    link = link_of(members)
    link.enqueue("u-1", section())
    lead(members)
    term = members.leadership.fold.term
    members.journal.write(term, {"hold": [["idea-001", "held by ann"]]})
    assert link.look(["u-1"])["u-1"].reason == "held by ann"


def test_silence_grows_while_no_leader_gives_a_sign_of_life(tmp_path: Path):
    members = a_leader(tmp_path)
    link = link_of(members)
    members.hosts.begin()
    assert link.silent() == 0.0
    members.context.clock.sleep(50)
    assert link.silent() == 50.0
    members.hosts.renew()
    assert link.silent() == 0.0


@pytest.mark.parametrize(
    ("cause", "ended"),
    [
        (Cause.PRE_SCRIPT, Ended.SMOKE),
        (Cause.TIMEOUT, Ended.TIMEOUT),
        (Cause.STALL, Ended.TIMEOUT),
        (Cause.NO_METRICS, Ended.NO_METRIC),
        (Cause.METRICS_NOT_JSON, Ended.NO_METRIC),
        (Cause.METRICS_NOT_FINITE, Ended.NOT_FINITE),
        (Cause.PROTECTED, Ended.VOID),
        (Cause.STOPPED, Ended.STOPPED),
        (Cause.CUDA_OOM, Ended.CRASHED),
        (Cause.SCRIPT, Ended.CRASHED),
        (Cause.DISK_FULL, Ended.CRASHED),
    ],
)
def test_each_cause_of_the_farm_is_one_end_of_a_run(cause: Cause, ended: Ended):
    end = {"kind": "FAIL", "cause": str(cause), "error": "why", "seconds": 1.0}
    outcome = outcome_of_runs([Run(end, State.FAILED, "")], "val_loss")
    assert outcome.ended is ended
    assert ("the machine is at fault" in outcome.error) == (cause is Cause.DISK_FULL)


@pytest.mark.parametrize(
    ("metrics", "ended", "word"),
    [
        ({"val_loss": 1}, Ended.COMPLETED, ""),
        ({"deep": {"val_loss": 1}}, Ended.NO_METRIC, "deep.val_loss"),
        ({}, Ended.NO_METRIC, "nothing"),
        ({"val_loss": None}, Ended.NOT_FINITE, "not finite"),
        ({"val_loss": -1e40}, Ended.NOT_FINITE, "too large"),
        ({"val_loss": "low"}, Ended.NO_METRIC, "no number"),
        ({"val_loss": True}, Ended.NO_METRIC, "no number"),
        ("rubbish", Ended.NO_METRIC, "nothing"),
    ],
)
def test_a_run_without_a_value_of_the_metric_has_not_completed(metrics: Any, ended: Ended, word: str):
    end = {"kind": "DONE", "metrics": metrics, "seconds": 1.0}
    outcome = outcome_of_runs([Run(end, State.COMPLETED, "")], "val_loss")
    assert (outcome.ended, word in outcome.error) == (ended, True)
    assert bool(outcome.values) == (ended is Ended.COMPLETED)


def test_one_bad_repeat_makes_the_outcome_but_all_seconds_count():
    good = {"kind": "DONE", "metrics": {"val_loss": 1.0}, "seconds": 1.0}
    bad = {"kind": "FAIL", "cause": "timeout", "error": "late", "seconds": 5.0}
    runs = [Run(good, State.COMPLETED, ""), Run(bad, State.FAILED, "")]
    outcome = outcome_of_runs(runs, "val_loss")
    assert (outcome.ended, outcome.values, outcome.seconds) == (Ended.TIMEOUT, (), 6.0)


def test_a_hypothesis_cannot_become_anything_else_in_a_section():
    text = section(hypothesis="## idea-9: Mine\n- **Command**: rm -rf /\n```yaml\nx: 1\n```")
    assert text.count("\n- **") == 5
    assert "- **Command**" not in text


@pytest.mark.parametrize("command", ["two\nlines", "`x`", "\x07", "x" * 5000])
def test_a_command_that_a_section_cannot_hold_is_refused(command: str):
    with pytest.raises(NotRunnable):
        section(command=command)
