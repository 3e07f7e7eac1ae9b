"""Which ideas are meant: those that failed, those with the same content, those that have not ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from orze.client.adding import check_place, find_same, leave
from orze.client.failed import NoCause, causes_named, failed_ideas
from orze.client.ids import UnknownIdea
from orze.client.project import NoFarm, Project, open_project
from orze.client.reader import Reader
from orze.client.waiting import standing, standing_of_all
from orze.farm.assembly import Assembly
from tests.unit.farm.farm_examples import Played, a_leader, follow, lead, section, write_ideas

NO_CACHE = {"HOME": "/nonexistent"}


@pytest.fixture
def leader(tmp_path: Path) -> Assembly:
    """A farm of five ideas: 1 completed, 2 and 3 failed, 4 held, 5 queued; and a section at fault."""
    members = a_leader(tmp_path)
    sections = [section(number, title=f"Idea {number}") for number in range(1, 6)]
    write_ideas(members.context, *sections, section(6, GPUs="no"))
    lead(members)
    members.context.clock.sleep(1.1)
    lead(members)
    for number, cause in ((1, ""), (2, "cuda_oom"), (3, "timeout")):
        attempt = Played(members.context, f"idea-00{number}")
        attempt.end(*(["FAIL"] if cause else []), **({"cause": cause} if cause else {}))
        members.settler.settle(attempt.idea_id, attempt.fold)
    lead(members)
    assert members.journal.write(1, {"hold": [["idea-004", "held"]]})
    follow(members)
    return members


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project of that farm."""
    return open_project(None, cwd=tmp_path, environ={})


def reader_of(project: Project) -> Reader:
    reader = Reader(project, NO_CACHE)
    reader.read()
    return reader


def test_the_failed_are_found_by_their_cause(leader: Assembly, project: Project):
    reader = reader_of(project)
    assert failed_ideas(reader) == ["idea-002", "idea-003"]
    assert failed_ideas(reader, "oom") == failed_ideas(reader, "cuda_oom") == ["idea-002"]
    assert failed_ideas(reader, "stall") == []


@pytest.mark.parametrize(
    ("word", "causes"),
    [
        ("oom", {"cuda_oom", "host_oom"}),
        ("host_oom", {"host_oom"}),
        ("timeout", {"timeout"}),
        ("script", {"script"}),
        ("host", {"host_oom", "host_lost"}),
    ],
)
def test_a_word_means_a_cause_or_all_that_have_it(word, causes):
    assert causes_named(word) == causes


@pytest.mark.parametrize("word", ["", "oo", "boredom", "cuda-oom"])
def test_a_word_that_is_no_cause_is_told_with_those_that_are(word):
    with pytest.raises(NoCause, match="known are script, exception"):
        causes_named(word)


def test_what_has_ended_is_told_by_its_state(leader: Assembly, project: Project):
    found = standing(reader_of(project), ["idea-001", "idea-002", "idea-004"])
    assert found.ended == {"idea-001": "COMPLETED", "idea-002": "FAILED"}
    assert found.waiting == {"idea-004": ("HELD", "held")}
    assert not found.well


def test_all_went_well_only_where_all_have_a_result(leader: Assembly, project: Project):
    reader = reader_of(project)
    assert standing(reader, ["idea-001"]).well
    assert not standing(reader, ["idea-001", "idea-003"]).well


def test_of_all_ideas_the_held_are_not_waited_for_and_the_quarantined_count(
    leader: Assembly, project: Project
):
    found = standing_of_all(reader_of(project))
    assert set(found.waiting) == {"idea-005"}
    assert found.ended == {
        "idea-001": "COMPLETED",
        "idea-002": "FAILED",
        "idea-003": "FAILED",
        "idea-006": "QUARANTINED",
    }


def test_an_idea_that_nobody_knows_is_told(leader: Assembly, project: Project):
    with pytest.raises(UnknownIdea, match="idea-7"):
        standing(reader_of(project), ["idea-7"])


def test_the_same_content_is_found_in_ideas_md_whatever_its_id(leader: Assembly, project: Project):
    text = section(1, title="Idea 3", yaml="number: 3").replace("idea-001", "idea")
    assert find_same(reader_of(project), text, "Idea 3") == "idea-003"
    assert find_same(reader_of(project), text + "more\n", "Idea 3") == ""


def test_the_same_content_left_twice_is_one_entry_and_one_idea(leader: Assembly, project: Project):
    text = "## idea: A new one\n\n```yaml\na: 1\n```\n"
    assert leave(project, text, once=True) == leave(project, text, once=True)
    assert leave(project, text, once=False) != leave(project, text, once=False)
    lead(leader)
    same = find_same(reader_of(project), text, "A new one")
    assert same and leader.journal.fold.allocated[leave(project, text, once=True)] == same
    lead(leader)
    ideas = Path(project.settings.ideas_file).read_text()
    assert ideas.count("A new one") == 3  # once, and twice without asking


def test_a_place_without_a_project_is_refused(tmp_path: Path):
    project = open_project(None, cwd=tmp_path, environ={})
    with pytest.raises(NoFarm, match=r"neither orze\.yaml nor ideas\.md"):
        check_place(project)
    (tmp_path / "ideas.md").touch()
    check_place(project)
