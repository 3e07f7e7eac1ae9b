"""When a mirror is started, and what becomes of one that fails; the mirrors are real processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from farm_examples import a_leader, lead, section, write_ideas

from orze.farm.assembly import Assembly
from orze.farm.mirroring import Mirroring, _destination

HUNG_UP = 1  # SIGHUP


def farm(home: Path, **trackers: Any) -> Assembly:
    return a_leader(home, trackers=trackers)


def running(members: Assembly) -> list[int]:
    return [place.pid for place in members.mirroring._places if place.pid]


def finish(members: Assembly) -> None:
    """Wait for the mirrors, and tell their ends as the daemon does."""
    for pid in running(members):
        members.mirroring.child_ended(*os.waitpid(pid, 0))


def problems(members: Assembly) -> list[str]:
    return [problem.text for problem in members.problems]


def an_end(members: Assembly) -> None:
    """The journal tells that an idea ended."""
    write_ideas(members.context, section(1))
    outcome = ["idea-001", "FAILED", {"cause": "timeout", "error": "x", "dir": "1-t"}]
    members.journal.write(members.leadership.fold.term, {"outcomes": [outcome]})


def test_without_trackers_nothing_is_started_and_nothing_waited_for(tmp_path: Path):
    members = farm(tmp_path)
    members.mirroring.news()
    assert members.mirroring.step() == float("inf")
    assert running(members) == []


def test_who_begins_to_lead_looks_once_and_then_only_when_there_is_news(tmp_path: Path):
    members = farm(tmp_path, mlflow={"uri": "mlruns"})
    clock, mirroring = members.context.clock, members.mirroring
    assert mirroring.step() == float("inf")
    assert len(running(members)) == 1
    mirroring.news()
    assert mirroring.step() == float("inf")  # one at a time
    clock.sleep(2.0)
    finish(members)
    assert problems(members) == []
    assert mirroring.step() == pytest.approx(clock.steady() + 6.0)  # three times what the last one took
    clock.sleep(6.1)
    mirroring.step()
    assert len(running(members)) == 1
    finish(members)
    assert mirroring.step() == float("inf")
    assert running(members) == []
    (position,) = Path(members.context.paths.home, "mirrors").iterdir()
    assert position.name == f"mlflow-{_destination({'uri': 'mlruns', 'experiment': 'orze'})}.json"


def test_a_mirror_that_fails_is_a_problem_and_is_tried_again_later_and_later(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    members = farm(tmp_path, mlflow={"uri": "bad://ada:hunter22@nowhere"})
    an_end(members)
    lead(members)
    waits = []
    for killed in (False, True):
        members.mirroring.step()
        (pid,) = running(members)
        if killed:
            os.kill(pid, HUNG_UP)
        finish(members)
        (problem,) = problems(members)
        assert problem.startswith("mirroring to mlflow: ")
        assert ("signal 1" in problem) == killed
        assert "hunter22" not in problem
        waits.append(members.mirroring.step() - members.context.clock.steady())
        members.context.clock.sleep(waits[-1] + 0.1)
    assert waits == [30.0, 60.0]


def test_one_that_is_killed_is_a_problem_until_the_next_gets_through(tmp_path: Path):
    members = farm(tmp_path, wandb={"project": "x", "mode": "offline"})
    members.mirroring.step()
    (pid,) = running(members)
    os.kill(pid, HUNG_UP)
    finish(members)
    assert problems(members) == ["mirroring to wandb: ended by signal 1; it is tried again"]
    members.context.clock.sleep(31.0)
    members.mirroring.step()
    finish(members)
    assert problems(members) == []


def test_what_the_mirror_is_told_is_in_no_argument_and_in_no_file(tmp_path: Path):
    members = farm(tmp_path, mlflow={"uri": "https://ada:hunter22@ml.example"})
    members.mirroring.step()
    (pid,) = running(members)
    assert b"hunter22" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    finish(members)
    texts = [path.read_bytes() for path in Path(members.context.paths.home).rglob("*") if path.is_file()]
    assert not any(b"hunter22" in text for text in texts)
    assert "hunter22" not in repr(members.context.settings)


def test_a_new_password_is_no_new_place_and_another_project_is_one():
    one, two = ({"uri": f"https://ada:{password}@ml.example/a"} for password in ("x", "y"))
    assert _destination(one) == _destination(two) != _destination({"uri": "https://ml.example/b"})
    assert len({_destination({"project": "a", "mode": mode}) for mode in ("online", "offline")}) == 2


def test_whoever_leads_next_looks_again(tmp_path: Path):
    members = farm(tmp_path, trackio={"project": "x"})
    members.mirroring.step()
    finish(members)
    members.context.clock.sleep(60.0)
    members.leadership.resign()
    assert members.leadership.campaign()
    members.mirroring.step()
    assert len(running(members)) == 1
    finish(members)
    other = Mirroring(members.context, leadership=members.leadership, problems=members.problems)
    assert other._places[0].position == members.mirroring._places[0].position
