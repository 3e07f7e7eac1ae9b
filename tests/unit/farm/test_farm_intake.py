"""From ideas.md to the queue, and to what the journal is to know of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from farm_examples import a_leader, context, lead, section, standing, write_ideas

from orze.core.clock import ManualClock
from orze.core.states import State
from orze.farm.assembly import Assembly
from orze.farm.intake import Intake
from orze.farm.queue import Queue
from orze.ideas.inbox import enqueue, inbox_of

BAD_YAML = "## idea-001: An idea\n\n```yaml\nnumber: [1\n```\n\n"
UNCLOSED = "## idea-001: An idea\n\n```yaml\nnumber: 1\n"


def read(members: Assembly, *sections: str, ideas: str = "") -> None:
    """Write ideas.md and read it, also when it counts as settled."""
    path = Path(members.context.settings.ideas_file)
    path.write_text(ideas or "".join([*sections, "# End\n"]))
    members.intake.read()
    members.context.clock.sleep(1.1)
    members.intake.read()


def settle(members: Assembly, *sections: str, ideas: str = "") -> None:
    """Write ideas.md, and let the leader take it in."""
    read(members, *sections, ideas=ideas)
    lead(members)


def test_accepted_sections_are_queued_and_registered_with_their_exact_text(tmp_path: Path):
    members = a_leader(tmp_path)
    settle(members, section(1), section(2, Priority="high"))
    assert standing(members) == {"idea-001": "QUEUED", "idea-002": "QUEUED"}
    assert [idea.id for idea in members.queue.ready(9)] == ["idea-002", "idea-001"]
    assert members.journal.section("idea-002").rstrip() == section(2, Priority="high").rstrip()
    assert members.intake.changes() == {}


def test_a_last_section_that_the_journal_has_is_queued_without_a_wait(tmp_path: Path):
    members = a_leader(tmp_path)
    settle(members, section(1))
    entry = section(2)
    inbox = inbox_of(str(members.context.settings.ideas_file))
    enqueue(members.context.files, inbox, entry, uuid="one")
    lead(members)
    members.intake.read()
    assert standing(members)["idea-002"] == "QUEUED"
    assert members.intake.due() is not None


def test_a_file_that_did_not_change_is_nothing_new(tmp_path: Path):
    members = a_leader(tmp_path)
    settle(members, section(1))
    records = members.journal.fold.records
    assert members.intake.read() is False
    lead(members)
    assert members.journal.fold.records == records


def test_an_edit_before_the_claim_is_a_new_revision(tmp_path: Path):
    members = a_leader(tmp_path)
    settle(members, section(1))
    settle(members, section(1, Priority="low"), section(2))
    assert [idea.id for idea in members.queue.ready(9)] == ["idea-002", "idea-001"]
    assert members.journal.section("idea-001").rstrip() == section(1, Priority="low").rstrip()


@pytest.mark.parametrize(
    ("text", "line", "word"), [(BAD_YAML, 11, "YAML"), (UNCLOSED, 9, "never closed")], ids=["yaml", "fence"]
)
def test_a_bad_section_is_quarantined_with_its_line_and_the_good_ones_run(tmp_path: Path, text, line, word):
    members = a_leader(tmp_path)
    settle(members, ideas=section(2) + text)
    assert standing(members) == {"idea-001": "QUARANTINED", "idea-002": "QUEUED"}
    (bad,) = members.intake.quarantined
    assert (bad.id, bad.line) == ("idea-001", line)
    assert word in bad.reason
    assert members.queue.get("idea-001").reason == f"ideas.md:{line}: {bad.reason}"
    assert "idea-001" not in members.journal.fold.ideas


@pytest.mark.parametrize("text", [BAD_YAML, UNCLOSED], ids=["yaml", "fence"])
def test_a_registered_idea_that_is_edited_into_a_bad_one_is_quarantined_and_not_gone(
    tmp_path: Path, text: str
):
    members = a_leader(tmp_path)
    settle(members, section(1))
    settle(members, ideas=text)
    assert standing(members) == {"idea-001": "QUARANTINED"}
    members.intake.recheck()  # as behind a change of leader
    lead(members)
    assert not members.journal.fold.ideas["idea-001"].vanished
    settle(members, section(1, Priority="high"))
    assert standing(members) == {"idea-001": "QUEUED"}
    assert members.intake.quarantined == []
    assert members.journal.fold.displaced == {}
    assert members.journal.section("idea-001").rstrip() == section(1, Priority="high").rstrip()


@pytest.mark.parametrize("text", [BAD_YAML, UNCLOSED], ids=["yaml", "fence"])
def test_a_bad_idea_that_becomes_what_it_was_is_queued_again(tmp_path: Path, text: str):
    members = a_leader(tmp_path)
    settle(members, section(1))
    settle(members, ideas=text)
    settle(members, section(1))
    assert standing(members) == {"idea-001": "QUEUED"}


@pytest.mark.parametrize("text", [BAD_YAML, UNCLOSED], ids=["yaml", "fence"])
@pytest.mark.parametrize("registered", [False, True])
def test_a_bad_section_that_is_deleted_is_not_quarantined_any_more(
    tmp_path: Path, text: str, registered: bool
):
    members = a_leader(tmp_path)
    if registered:
        settle(members, section(1))
    settle(members, ideas=text)
    settle(members, section(2))
    assert standing(members).get("idea-001") == ("HELD" if registered else None)
    assert members.intake.quarantined == []
    assert members.queue.counts[State.QUARANTINED] == 0


def test_one_kind_of_fault_may_follow_another(tmp_path: Path):
    members = a_leader(tmp_path)
    for text in (BAD_YAML, UNCLOSED, BAD_YAML):
        settle(members, ideas=text)
        assert standing(members) == {"idea-001": "QUARANTINED"}
        assert len(members.intake.quarantined) == 1


def test_of_two_sections_with_one_id_the_first_stands(tmp_path: Path):
    members = a_leader(tmp_path)
    settle(members, section(1, title="First"), section(1, title="Second"), section(2), section(2))
    assert standing(members) == {"idea-001": "QUEUED", "idea-002": "QUEUED"}
    assert members.queue.title("idea-001") == "First"
    (bad,) = members.intake.quarantined
    assert (bad.id, bad.line) == ("idea-001", 7)


def test_a_registered_idea_that_vanishes_is_held_and_comes_back_when_it_is_back(tmp_path: Path):
    members = a_leader(tmp_path)
    settle(members, section(1), section(2))
    settle(members, section(2))
    entry = members.queue.get("idea-001")
    assert (entry.state, members.journal.fold.ideas["idea-001"].vanished) == (State.HELD, True)
    assert "vanished" in entry.reason
    settle(members, section(2), section(1))
    assert standing(members)["idea-001"] == "QUEUED"
    assert not members.journal.fold.ideas["idea-001"].vanished


def test_an_idea_that_vanishes_before_it_is_registered_was_never_there(tmp_path: Path):
    members = a_leader(tmp_path)
    write_ideas(members.context, section(1))
    members.intake.read()
    write_ideas(members.context)
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    assert standing(members) == {}
    assert members.journal.fold.ideas == {}


def test_an_editor_that_empties_the_file_before_it_writes_makes_nothing_vanish(tmp_path: Path):
    members = a_leader(tmp_path)
    settle(members, section(1))
    write_ideas(members.context)
    lead(members)
    assert standing(members) == {"idea-001": "QUEUED"}
    settle(members, section(1))
    assert not members.journal.fold.ideas["idea-001"].vanished


def test_a_terminal_idea_that_vanishes_keeps_its_result(tmp_path: Path):
    members = a_leader(tmp_path)
    settle(members, section(1))
    members.steward.note("idea-001", State.COMPLETED, {"metrics": {"val_loss": 1.0}})
    lead(members)
    settle(members)
    assert standing(members) == {"idea-001": "COMPLETED"}
    assert not members.journal.fold.ideas["idea-001"].vanished


def test_the_last_section_is_taken_once_the_file_has_settled(tmp_path: Path):
    members = a_leader(tmp_path)
    Path(members.context.settings.ideas_file).write_text(section(1) + section(2))
    members.intake.read()
    assert standing(members) == {"idea-001": "QUEUED"}
    due = members.intake.due()
    assert due is not None
    members.context.clock.sleep(due - members.context.clock.steady())
    members.intake.read()
    assert standing(members) == {"idea-001": "QUEUED", "idea-002": "QUEUED"}
    assert members.intake.due() is None


def test_a_new_leader_compares_everything_with_the_journal(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, section(1))
    assert list(members.intake.changes()) == ["register"]  # drained, and the write failed
    assert members.intake.changes() == {}
    members.intake.recheck()
    lead(members)
    assert "idea-001" in members.journal.fold.ideas


def test_a_section_that_changed_a_moment_ago_is_registered_when_it_was_read(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, section(1))
    idea = next(iter(members.queue.ready(1)))
    assert members.intake.section(idea) is not None
    write_ideas(members.context, section(1, Priority="low"))
    assert members.intake.section(idea) is None
    assert members.intake.changes() == {}
    members.context.clock.sleep(1.1)
    read(members, section(1, Priority="low"))
    assert list(members.intake.changes()) == ["register"]


class Slow(ManualClock):
    """A clock on which every look takes a tenth of a second."""

    def steady(self) -> float:
        self.advance(0.1)
        return super().steady()


def test_a_long_file_is_taken_in_within_the_budget_of_several_cycles(tmp_path: Path):
    made = context(tmp_path, clock=Slow())
    write_ideas(made, *(section(number) for number in range(1, 3001)))
    queue = Queue("gpu-a", 1)
    intake = Intake(made, queue)
    sizes = []
    while intake.read() and intake.behind:
        sizes.append(len(queue))
    assert 1 < len(sizes) < 12
    assert all(later - before <= 6 * 256 for before, later in zip([0, *sizes], sizes, strict=False))
    assert len(queue) == 3000


def test_a_file_that_is_not_there_yet_is_no_fault(tmp_path: Path):
    members = a_leader(tmp_path)
    lead(members)
    assert standing(members) == {}
    settle(members, section(1))
    assert standing(members) == {"idea-001": "QUEUED"}
