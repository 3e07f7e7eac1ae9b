"""The leader's part of early stopping: whose curves it reads, whom it spares, what it leaves for a keeper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from farm_examples import ELSEWHERE, Played, a_leader, follow, lead, section, write_ideas

from orze.core.states import State
from orze.farm.assembly import Assembly

ON = {"prune": "median", "prune_runs": 3, "prune_after": 5}


def a_farm(home: Path, *, mine: str = "", research: dict | None = ON, doors: bool = True) -> Assembly:
    """A leader whose ideas 1 to 4 have ended with 0.6 to 0.9 in ten steps."""
    members = a_leader(home, research=research, doors=doors, report={"primary_metric": "acc"})
    write_ideas(members.context, *(section(n) for n in range(1, 5)), mine or section(5))
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    for number in range(1, 5):
        ended(members, f"idea-00{number}", 0.5 + number / 10)
    return members


def ended(members: Assembly, idea_id: str, value: float, kind: str = "DONE", steps: int = 10) -> None:
    played = Played(members.context, idea_id)
    log(played, value, steps, doors=members.context.settings.doors)
    played.end(kind, **({"metrics": {"acc": value}} if kind == "DONE" else {"cause": "pruned"}))
    members.settler.settle(idea_id, played.fold)
    lead(members)
    follow(members)


def log(
    played: Played, value: float, last: int = 10, *, first: int = 1, doors: bool = True, metric: str = "acc"
) -> None:
    home = played.directory if doors else str(Path(played.directory).parents[1])
    with open(f"{home}/progress.jsonl", "a", encoding="utf-8") as stream:
        stream.writelines(json.dumps({"step": step, metric: value}) + "\n" for step in range(first, last + 1))


def running(
    members: Assembly, value: float = 0.1, steps: int = 6, idea_id: str = "idea-005", config: str = ""
) -> Played:
    """An attempt on another host that got so far."""
    played = Played(members.context, idea_id, ELSEWHERE, config=config)
    log(played, value, steps, doors=members.context.settings.doors)
    members.attempts.look(judge=True, clones=False)
    return played


def look(members: Assembly) -> float:
    """Look now, whenever the next look is due."""
    members.context.clock.sleep(60)
    return members.pruning.step()


def request(members: Assembly, played: Played) -> Path:
    return Path(members.context.paths.idea(played.idea_id).prune_request(played.token))


TOLD = "pruned at step 6: acc 0.1000, the median of 4 others there is 0.7500"


@pytest.mark.parametrize("doors", [True, False])
def test_the_keeper_of_a_hopeless_attempt_is_left_the_reason(tmp_path, doors):
    members = a_farm(tmp_path, doors=doors)
    played = running(members)
    look(members)
    assert request(members, played).read_text() == TOLD


@pytest.mark.parametrize(
    ("value", "steps", "research"),
    [
        (0.9, 6, ON),  # better
        (0.1, 4, ON),  # before prune_after
        (0.1, 6, {**ON, "prune_runs": 5}),
        (0.1, 6, {"mode": "random"}),  # off by default
        (0.1, 6, None),
    ],
)
def test_nothing_is_left_where_there_is_no_reason(tmp_path, value, steps, research):
    members = a_farm(tmp_path, research=research)
    played = running(members, value, steps)
    look(members)
    assert not request(members, played).exists()


def test_without_early_stopping_no_look_is_ever_due_and_nothing_is_read(tmp_path):
    members = a_farm(tmp_path, research=None)
    running(members)
    assert look(members) == float("inf")
    assert (members.pruning._ended, members.pruning._running) == ({}, {})


def test_by_default_the_first_quarter_of_the_way_is_spared(tmp_path):
    members = a_farm(tmp_path, research={"prune": "median", "prune_runs": 3})
    played = running(members, steps=1)
    look(members)
    assert not request(members, played).exists()
    log(played, 0.1, 2, first=2)
    look(members)
    assert request(members, played).read_text().startswith("pruned at step 2: ")


@pytest.mark.parametrize("fields", [{"Seed": "1"}, {"Rerun": "yes"}])
def test_a_repeat_or_a_deliberate_rerun_is_spared(tmp_path, fields):
    members = a_farm(tmp_path, mine=section(5, **fields))
    played = running(members)
    look(members)
    assert not request(members, played).exists()


def test_a_later_attempt_is_spared(tmp_path):
    members = a_farm(tmp_path)
    Played(members.context, "idea-005").end("FAIL", final=False)
    played = running(members)
    assert played.number == 2
    look(members)
    assert not request(members, played).exists()


def test_the_base_configuration_is_spared(tmp_path):
    members = a_farm(tmp_path)
    members.board.leaderboard.baseline = "ab" * 8
    first = running(members, config="ab" * 8)
    second = running(members, idea_id="idea-100", config="cd" * 8)
    look(members)
    assert (request(members, first).exists(), request(members, second).exists()) == (False, True)


def test_an_attempt_that_evaluates_is_not_ended(tmp_path):
    members = a_farm(tmp_path)
    played = running(members)
    played.append("TRAINED")
    look(members)
    assert not request(members, played).exists()


def test_a_keeper_is_asked_once(tmp_path):
    members = a_farm(tmp_path)
    played = running(members)
    look(members)
    request(members, played).unlink()
    log(played, 0.1, 8, first=7)
    look(members)
    assert not request(members, played).exists()


def test_a_look_is_due_only_now_and_then(tmp_path):
    members = a_farm(tmp_path)
    due = look(members)
    played = running(members)
    assert members.pruning.step() == due > members.context.clock.steady()
    assert not request(members, played).exists()


def test_what_was_stopped_early_counts_as_far_as_it_got(tmp_path):
    members = a_farm(tmp_path)
    write_ideas(members.context, *(section(n) for n in range(1, 12)))
    for number in range(6, 12):
        ended(members, f"idea-0{number:02d}", 0.05, "FAIL", steps=6)
    played = running(members)
    look(members)
    assert not request(members, played).exists()  # the median of ten at step 6 is 0.05
    log(played, 0.1, 7, first=7)
    look(members)
    assert request(members, played).read_text().startswith("pruned at step 7")


def test_rungs_compare_with_what_still_runs_and_judge_once(tmp_path):
    members = a_farm(tmp_path, research={"prune": "asha", "prune_runs": 3, "prune_after": 5})
    good, bad = (running(members, 0.95), running(members, 0.1, idea_id="idea-004b"))
    look(members)
    assert not request(members, good).exists()
    told = "pruned at step 5: acc 0.1000, 5 of 5 others there are better and 1 may go on"
    assert request(members, bad).read_text() == told
    for number in range(20, 30):
        running(members, 0.99, idea_id=f"idea-0{number}")
    log(good, 0.2, 8, first=8)
    look(members)
    assert not request(members, good).exists()


def test_curves_without_the_metric_that_ranks_stop_nothing_and_one_problem_says_so(tmp_path):
    members = a_leader(tmp_path, research=ON, report={"primary_metric": "acc"})
    for number in range(1, 4):
        played = Played(members.context, f"idea-00{number}")
        log(played, 0.5, metric="loss")
        played.end(metrics={"acc": 0.5})
        members.settler.settle(f"idea-00{number}", played.fold)
    lead(members)
    running(members)
    look(members)
    (problem,) = [p.text for p in members.problems if "prune" in p.text]
    assert "no progress.jsonl of the last 3 results has acc" in problem
    ended(members, "idea-009", 0.5)
    look(members)
    assert [p.text for p in members.problems if "prune" in p.text] == []


def test_one_attempt_that_cannot_be_read_does_not_hide_the_others(tmp_path):
    members = a_farm(tmp_path)
    first, second = running(members, idea_id="idea-100"), running(members)
    damaged = Path(members.context.paths.idea("idea-100").chain)
    (damaged / "000001.json").rename(damaged / "000003.json")
    members.context.clock.sleep(60)
    with pytest.raises(OSError, match="is missing below"):
        members.pruning.step()
    assert request(members, second).exists()
    assert not request(members, first).exists()


def test_a_pruned_idea_is_terminal_and_no_failure(tmp_path):
    members = a_farm(tmp_path)
    played = running(members)
    played.end("FAIL", cause="pruned", error=TOLD)
    members.settler.settle("idea-005", played.fold)
    lead(members)
    follow(members)
    assert members.queue.get("idea-005").state is State.PRUNED
    (row,) = members.board.leaderboard.recent(State.PRUNED, 5)
    assert (row.error, played.fold.failures, played.fold.by_cause) == (TOLD, 0, {})
