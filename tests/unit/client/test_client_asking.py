"""Asking whoever leads, and waiting for the answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orze.client.asking import PATIENCE, UNATTENDED, Vigil, answers, ask, watch_for, who_leads
from orze.client.project import NoFarm, Project, open_project
from orze.client.reader import Reader
from orze.core.clock import ManualClock
from orze.farm.assembly import Assembly
from tests.unit.farm.farm_examples import a_leader, lead, section, write_ideas


@pytest.fixture
def leader(tmp_path: Path) -> Assembly:
    """A daemon that leads a farm of two ideas."""
    members = a_leader(tmp_path)
    members.hosts.begin()
    write_ideas(members.context, section(1), section(2), section(3))
    lead(members)
    return members


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project, on a clock on which waiting takes no time."""
    return replace(open_project(None, cwd=tmp_path, environ={}), clock=ManualClock())


def soon(project: Project) -> float:
    return project.clock.steady() + 5


def test_a_request_is_answered_when_the_leader_has_acted(leader: Assembly, project: Project):
    asked = ask(project, "hold", "idea-002", by="ada@desk")
    assert answers(project, [asked], soon(project)) == {}
    lead(leader)
    found = answers(project, [asked], soon(project))
    assert found[asked].done and "idea-002 is held" in found[asked].text
    assert leader.queue.get("idea-002").state == "HELD"


def test_a_refusal_is_told_apart(leader: Assembly, project: Project):
    asked = ask(project, "stop", "idea-099", by="ada")
    lead(leader)
    assert answers(project, [asked], soon(project)) == {}  # it may be the last section, which is not read yet
    leader.context.clock.sleep(1.1)
    lead(leader)
    assert not answers(project, [asked], soon(project))[asked].done


def test_a_value_goes_with_the_request(leader: Assembly, project: Project):
    ask(project, "priority", "idea-002", value="critical", by="ada")
    lead(leader)
    assert next(leader.queue.ready(1)).id == "idea-002"


def test_answers_are_told_as_they_come_and_once(leader: Assembly, project: Project):
    asked = [ask(project, "hold", f"idea-00{number}", by="ada") for number in (1, 2)]
    lead(leader)
    told: list[str] = []
    answers(project, asked, soon(project), told=lambda uuid, _: told.append(uuid))
    assert sorted(told) == sorted(asked)


def test_a_reader_that_has_read_goes_on(leader: Assembly, project: Project):
    reader = Reader(project, {"HOME": "/nonexistent"})
    reader.read()
    asked = ask(project, "hold", "idea-001", by="ada")
    lead(leader)
    assert asked in answers(project, [asked], soon(project), reader=reader)


def test_nothing_is_left_where_no_farm_has_run(project: Project, tmp_path: Path):
    with pytest.raises(NoFarm):
        ask(project, "hold", "idea-001", by="ada")
    assert not list(tmp_path.iterdir())


def test_waiting_ends_when_the_time_is_up(leader: Assembly, project: Project):
    before = project.clock.steady()
    assert answers(project, ["never"], before + 2) == {}
    assert project.clock.steady() == pytest.approx(before + 2)


def test_a_share_that_fails_for_a_while_does_not_end_the_wait(leader: Assembly, project: Project):
    reader = Reader(project, {"HOME": "/nonexistent"})
    asked = ask(project, "hold", "idea-001", by="ada")
    lead(leader)
    follow, failing = reader.follow, [OSError(5, "gone"), OSError(5, "gone")]

    def follow_at_last() -> None:
        if failing:
            raise failing.pop()
        follow()

    reader.follow = follow_at_last  # type: ignore[method-assign] # the share, at its outermost edge
    assert asked in answers(project, [asked], soon(project), reader=reader)
    failing += [OSError(5, "gone")] * 100
    with pytest.raises(OSError, match="gone"):
        watch_for(project, reader, ["never"], lambda fold: fold.allocated, deadline=soon(project))


def test_who_leads_is_told_with_what_its_heartbeat_holds(leader: Assembly, project: Project):
    found = who_leads(Reader(project))
    assert (found.host, found.daemons) == ("gpu-a", 1)
    leader.context.clock.sleep(100)
    leader.hosts.renew()
    again = who_leads(Reader(project))
    assert found.beat and again.beat != found.beat


def test_where_no_daemon_runs_hardly_any_time_is_spent(project: Project, tmp_path: Path):
    vigil = Vigil(project, Reader(project), None)
    assert vigil.deadline == project.clock.steady() + UNATTENDED
    assert vigil.why().startswith("no daemon runs")


def test_a_time_that_was_given_holds(leader: Assembly, project: Project):
    assert Vigil(project, Reader(project), 7).deadline == project.clock.steady() + 7
    assert Vigil(project, Reader(project), None).deadline == project.clock.steady() + PATIENCE


def test_why_nobody_answered_is_told(leader: Assembly, project: Project):
    vigil = Vigil(project, Reader(project), None)
    project.clock.sleep(1)
    assert vigil.why() == "gpu-a leads, but has not answered within 1 s"
    project.clock.sleep(59)
    assert vigil.why() == "gpu-a leads, but has given no sign of life for 60 s"
    leader.context.clock.sleep(100)
    leader.hosts.renew()
    assert vigil.why() == "gpu-a leads, but has not answered within 60 s"
    leader.leadership.resign()
    assert vigil.why().startswith("nobody leads yet")
