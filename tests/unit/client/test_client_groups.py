"""Groups for who only reads: what is told of them and of their members."""

from __future__ import annotations

from pathlib import Path

import pytest

from orze.client.export import rows
from orze.client.groups import Member, explain_group, members, state_of
from orze.client.ids import nearest
from orze.client.lint_ideas import Surroundings, lint_ideas
from orze.client.project import open_project
from orze.client.reader import Reader
from orze.client.trial import first_idea
from orze.client.waiting import standing
from orze.client.whole import gather, plain
from orze.core.states import State
from tests.unit.farm.farm_examples import Played, a_leader, lead, section, write_ideas

G = "idea-003"
GROUP = section(3, yaml="training: {seed: 5}\nsweep: {number: [1, 2]}", Repeats="2")


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """Of a farm in which the second member of four has run."""
    farm = a_leader(tmp_path)
    write_ideas(farm.context, GROUP, section(4, After=G))
    lead(farm)
    farm.context.clock.sleep(1.1)
    lead(farm)
    played = Played(farm.context, f"{G}.2")
    played.end(metrics={"val_loss": 0.25})
    farm.settler.settle(f"{G}.2", played.fold)
    lead(farm)
    made = Reader(open_project(None, cwd=tmp_path, environ={}), {})
    made.read()
    return made


def test_members_are_told_with_state_and_result(reader: Reader):
    found = members(reader, G)
    assert [(one.idea_id, one.state, one.value) for one in found] == [
        (f"{G}.1", State.QUEUED, None),
        (f"{G}.2", State.COMPLETED, 0.25),
        (f"{G}.3", State.QUEUED, None),
        (f"{G}.4", State.QUEUED, None),
    ]
    assert found[3].title == "An idea [number=2, seed +1]"
    assert members(reader, "idea-004") == ()
    told = explain_group(G, found)
    assert told.headline == f"{G} is a group of 4: 3 queued, 1 completed"
    assert told.because[1] == f"{G}.2 is completed"


def test_everything_of_a_group_and_of_a_member_can_be_shown(tmp_path: Path, reader: Reader):
    project = open_project(None, cwd=tmp_path, environ={})
    group = gather(project, reader, G)
    assert (group.state, len(group.members), group.config.merged) == (State.QUEUED, 4, {"training.seed": 5})
    assert [one["idea_id"] for one in plain(group, None)["members"]] == [f"{G}.{n}" for n in (1, 2, 3, 4)]
    member = gather(project, reader, f"{G}.4")
    assert member.config.merged == {"training.seed": 6, "number": 2}
    assert member.section.startswith(f"## {G}.4: An idea [number=2, seed +1]\n- **Seed**: 1\n")
    assert member.members == ()


def test_who_waits_for_a_group_waits_for_its_members(reader: Reader):
    found = standing(reader, [G])
    assert list(found.waiting) == [f"{G}.1", f"{G}.3", f"{G}.4"]
    assert found.ended == {f"{G}.2": State.COMPLETED}


def test_a_table_of_all_results_has_members_and_no_group(tmp_path: Path, reader: Reader):
    project = open_project(None, cwd=tmp_path, environ={})
    assert [row["id"] for row in rows(project, reader)] == [f"{G}.2"]
    assert [row["id"] for row in rows(project, reader, every=True)] == [
        *(f"{G}.{number}" for number in (1, 2, 3, 4)),
        "idea-004",
    ]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("COMPLETED EVALUATED", "COMPLETED"),
        ("COMPLETED FAILED STOPPED", "FAILED"),
        ("FAILED QUEUED", "QUEUED"),
        ("QUEUED TRAINING HELD", "TRAINING"),
        ("HELD COMPLETED", "HELD"),
        ("", "QUEUED"),
    ],
)
def test_the_state_of_a_group_is_the_liveliest_of_its_members(states: str, expected: str):
    assert state_of(Member("x", "", State(state)) for state in states.split()) is State(expected)


def test_ids_of_members_are_found_when_they_are_mistyped():
    known = ["idea-2", "idea-3.1", "idea-3.2", "idea-3.12"]
    assert nearest("3.2", known)[0] == "idea-3.2"
    assert nearest("idea-003.12", known)[0] == "idea-3.12"
    assert nearest("idea-3.4", known)[0].startswith("idea-3.")


def test_a_file_of_groups_is_checked_as_the_farm_reads_it(tmp_path: Path):
    path = tmp_path / "ideas.md"
    path.write_text(
        GROUP + section(4, yaml="number: 1\ntraining: {seed: 6}") + section(5, After=f"{G}.4, {G}.5")
    )
    base = {"training": {"seed": 0}, "number": 0}
    found = [(one.line, one.text) for one in lint_ideas(path, "ideas.md", Surroundings(base))]
    assert [text for _, text in found] == [
        f"idea-004 would run the same as {G}.2 on line 1: the same configuration",
        f"After {G}.5 is not in ideas.md: it would wait for ever",
    ]
    (many,) = lint_ideas(path, "ideas.md", Surroundings(base, elsewhere=[f"{G}.4", f"{G}.5"], max_members=3))
    assert "the section makes 4 members, and max_members in orze.yaml allows 3" in many.text


def test_a_dry_run_of_a_group_tries_its_first_member(tmp_path: Path):
    path = tmp_path / "ideas.md"
    path.write_text(GROUP)
    sample = first_idea(path)
    assert (sample.idea_id, dict(sample.config)) == (f"{G}.1", {"training": {"seed": 5}, "number": 1})
