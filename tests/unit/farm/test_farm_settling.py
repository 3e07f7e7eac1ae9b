"""What became of attempts, and what people did in results/."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import pytest
from farm_examples import ELSEWHERE, Played, a_leader, follow, lead, section, standing, write_ideas

from orze.coord.journal import Journal
from orze.core.states import State
from orze.farm.assembly import Assembly
from orze.farm.steward import number_of


def farm(home: Path, *numbers: int, **settings) -> Assembly:
    """A leader whose journal knows these ideas."""
    members = a_leader(home, **settings)
    write_ideas(members.context, *(section(number) for number in numbers))
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    return members


def home(members: Assembly, idea_id: str = "idea-001") -> Path:
    return Path(members.context.paths.idea(idea_id).home)


def settle(members: Assembly, played: Played) -> None:
    members.settler.settle(played.idea_id, played.fold)
    lead(members)


def journaled(members: Assembly) -> list[str]:
    """The ideas whose end the journal tells, as another host reads it."""
    made = members.context
    journal = Journal(made.files, made.paths.journal, made.clock, frame=made.frame)
    journal.follow()
    return [idea_id for idea_id, known in journal.fold.ideas.items() if known.outcome]


@pytest.mark.parametrize(
    ("kind", "content", "state"),
    [
        ("DONE", {}, State.COMPLETED),
        ("DONE", {"evaluated": True}, State.EVALUATED),
        ("FAIL", {}, State.FAILED),
        ("FAIL", {"skip": True}, State.SKIPPED),
        ("FAIL", {"cause": "stopped"}, State.STOPPED),
        ("FAIL", {"final": False}, State.QUEUED),
        ("REQUEUE", {}, State.QUEUED),
        ("LOST", {}, State.QUEUED),
    ],
)
def test_every_end_of_an_attempt_brings_its_idea_where_it_belongs(tmp_path: Path, kind: str, content, state):
    members = farm(tmp_path, 1)
    played = Played(members.context, "idea-001")
    members.queue.set_running("idea-001", State.TRAINING)
    played.end(kind, **content)
    settle(members, played)
    assert standing(members) == {"idea-001": state}
    assert members.journal.fold.ideas["idea-001"].outcome == (None if state is State.QUEUED else state)
    assert len(members.board.leaderboard) == (state is not State.QUEUED)


def test_a_result_is_told_with_title_and_metrics(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    members = farm(tmp_path, 1)
    played = Played(members.context, "idea-001", ELSEWHERE)
    played.end(metrics={"steps": 10, "val_loss": 0.25, "lr": 0.1, "other": 1})
    with caplog.at_level(logging.INFO, "orze"):
        settle(members, played)
    best = members.board.leaderboard.best()
    assert best
    assert (best.result.title, best.result.host, best.value) == ("An idea", "gpu-b", 0.25)
    assert "idea-001 is COMPLETED on gpu-b after 2 s: val_loss=0.25 steps=10 lr=0.1" in caplog.messages


def test_what_a_keeper_could_not_show_is_shown_before_the_journal_settles_it(tmp_path: Path):
    members = farm(tmp_path, 1)
    played = Played(members.context, "idea-001")
    played.end()
    in_the_way = home(members) / "claim.json"
    in_the_way.mkdir()
    settle(members, played)
    assert journaled(members) == []
    assert members.steward.problems == ["the files of idea-001 that show its end: Is a directory"]
    in_the_way.rmdir()
    lead(members)
    assert journaled(members) == ["idea-001"]
    assert json.loads((home(members) / "metrics.json").read_text())["val_loss"] == 0.5
    assert members.steward.problems == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "idea-001 is FAILED (script): it broke"),
        ({"final": False}, "idea-001 failed (script): it broke; queued again"),
    ],
)
def test_a_failure_is_told_with_its_cause(tmp_path: Path, caplog: pytest.LogCaptureFixture, content, message):
    members = farm(tmp_path, 1)
    played = Played(members.context, "idea-001")
    played.end("FAIL", **content)
    settle(members, played)
    assert message in caplog.messages


def test_a_requeue_behind_an_old_failure_does_not_tell_that_failure_again(tmp_path: Path, caplog):
    members = farm(tmp_path, 1)
    Played(members.context, "idea-001").end("FAIL", final=False)
    played = Played(members.context, "idea-001")
    played.end("REQUEUE")
    settle(members, played)
    assert caplog.messages == []


def test_the_sweep_finds_what_ended_while_nobody_looked_and_shows_it(tmp_path: Path):
    members = farm(tmp_path, 1, 2)
    played = Played(members.context, "idea-001")
    played.end()
    assert not (home(members) / "metrics.json").exists()
    assert members.settler.sweep() is True
    lead(members)
    assert standing(members) == {"idea-001": "COMPLETED", "idea-002": "QUEUED"}
    assert json.loads((home(members) / "metrics.json").read_text()) == {
        "status": "COMPLETED",
        "val_loss": 0.5,
    }
    assert members.settler.sweep() is False


def test_the_sweep_follows_a_chain_that_runs_without_a_heartbeat(tmp_path: Path):
    members = farm(tmp_path, 1)
    played = Played(members.context, "idea-001", heartbeat=False)
    assert members.settler.sweep() is False
    members.attempts.look(judge=True, clones=False)
    assert [dead.token for dead in members.attempts.dead] == [played.token]


def test_without_a_new_listing_the_sweep_looks_at_what_has_a_directory_and_has_not_ended(tmp_path: Path):
    members = farm(tmp_path, 1, 2)
    played = Played(members.context, "idea-001", ELSEWHERE, heartbeat=False)
    assert members.settler.sweep(anew=False) is False, "nothing has been listed yet"
    assert members.settler.sweep() is False
    played.append("DONE")
    assert members.settler.sweep(anew=False) is True
    lead(members)
    assert standing(members)["idea-001"] == "COMPLETED"
    assert members.settler.sweep(anew=False) is False


def test_the_sweep_leaves_alone_what_is_followed_already(tmp_path: Path):
    members = farm(tmp_path, 1)
    played = Played(members.context, "idea-001", ELSEWHERE)
    members.attempts.look(judge=True, clones=False)
    played.append("DONE")  # its keeper is about to remove the heartbeat
    assert members.settler.sweep() is False


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({"claim.json": {}, "metrics.json": {"status": "COMPLETED", "val_loss": 0.5}}, "COMPLETED"),
        ({"metrics.json": {"status": "FAILED", "error": "boom"}}, "FAILED"),
        ({"claim.json": {}}, "QUEUED"),
        ({"metrics.json": {"status": "RUNNING"}}, "QUEUED"),
        ({"metrics.json": [1]}, "QUEUED"),
        ({}, "QUEUED"),
    ],
)
def test_results_of_a_plain_farm_count_as_they_are(tmp_path: Path, files, state: str):
    members = farm(tmp_path, 1)
    home(members).mkdir()
    for name, content in files.items():
        (home(members) / name).write_text(json.dumps(content))
    assert members.settler.sweep() is (state != "QUEUED")
    lead(members)
    assert standing(members) == {"idea-001": state}
    assert sorted(os.listdir(home(members))) == sorted(files)


def test_what_a_removal_has_left_of_ours_is_not_taken_for_a_plain_result(tmp_path: Path):
    members = farm(tmp_path, 1)
    played = Played(members.context, "idea-001")
    played.end()
    played.show()
    shutil.rmtree(home(members) / ".chain")  # rm -rf of the whole, half done
    assert members.settler.sweep() is False
    assert standing(members) == {"idea-001": "QUEUED"}


@pytest.mark.parametrize("number", [1, 0, 123456789012345678])
@pytest.mark.parametrize("plain", [False, True])
def test_a_removed_directory_is_a_retry_and_one_that_is_there_is_none(
    tmp_path: Path, number: int, plain: bool
):
    members = farm(tmp_path, number)
    idea_id = f"idea-{number:03d}"
    if plain:
        home(members, idea_id).mkdir()
        (home(members, idea_id) / "metrics.json").write_text('{"status": "COMPLETED", "val_loss": 0.5}')
    else:
        Played(members.context, idea_id).end()
    assert members.settler.sweep() is True
    lead(members)
    assert standing(members) == {idea_id: "COMPLETED"}
    assert members.settler.sweep() is False
    assert standing(members) == {idea_id: "COMPLETED"}
    shutil.rmtree(home(members, idea_id))
    assert members.settler.sweep() is True
    lead(members)
    assert standing(members) == {idea_id: "QUEUED"}
    assert len(members.board.leaderboard) == 0
    assert members.settler.sweep() is False


def test_ideas_that_never_had_a_directory_are_not_retried_for_want_of_one(tmp_path: Path):
    members = farm(tmp_path, 1)
    write_ideas(members.context, section(1), section(2, After="idea-001"), section(3))
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    Played(members.context, "idea-001").end("FAIL")
    members.settler.sweep()
    members.journal.write(members.leadership.fold.term, {"withdraw": ["idea-003"]})
    follow(members)
    expected = {"idea-001": "FAILED", "idea-002": "SKIPPED", "idea-003": "WITHDRAWN"}
    assert standing(members) == expected
    assert members.settler.sweep() is False
    assert standing(members) == expected


def test_a_directory_that_cannot_be_read_hides_no_other(tmp_path: Path):
    members = farm(tmp_path, *range(1, 8))
    for number in range(1, 8):
        Played(members.context, f"idea-{number:03d}").end()
    (home(members, "idea-004") / ".chain" / "000001.json").unlink()
    with pytest.raises(OSError, match=r"record 000001\.json is missing below 000002\.json: put it back"):
        members.settler.sweep()
    lead(members)
    done = [idea for idea, state in standing(members).items() if state == "COMPLETED"]
    assert len(done) == 6


def test_other_names_in_results_are_passed_over(tmp_path: Path):
    members = farm(tmp_path, 1)
    for name in ("idea-", "idea-²", "idea-x", "idea", "Idea-001", "idea-1e5", "notes", "idea-" + "9" * 19):
        (tmp_path / "results" / name).mkdir()
        (tmp_path / "results" / name / "metrics.json").write_text('{"status": "COMPLETED"}')
    (tmp_path / "results" / "idea-777").write_text("a file")
    with pytest.raises(NotADirectoryError):
        members.settler.sweep()
    (tmp_path / "results" / "idea-777").unlink()
    assert members.settler.sweep() is False
    assert standing(members) == {"idea-001": "QUEUED"}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("idea-001", 1),
        ("idea-0", 0),
        ("idea-12.3", 12),
        ("idea-999999999999999999", 999999999999999999),
        ("idea-1000000000000000000", -1),
        ("idea-", -1),
        ("idea-²", -1),
        ("idea-٣", -1),
        ("idea--1", -1),
        ("7", -1),
        ("notes-7", -1),
        ("", -1),
    ],
)
def test_a_name_is_that_of_an_idea_by_its_digits(name: str, number: int):
    assert number_of(name) == number
