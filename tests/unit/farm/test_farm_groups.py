"""Groups from ideas.md to the queue: their members run, wait, vanish and change as ideas do."""

from __future__ import annotations

from pathlib import Path

import pytest
from farm_examples import Played, a_leader, context, follow, lead, section, standing

from orze.coord.journal import Answer, Journal
from orze.coord.requests import submit
from orze.core.states import State
from orze.farm.assembly import Assembly
from orze.farm.intake import Intake
from orze.farm.queue import Queue
from orze.ideas.parse import load_config, parse

G = "idea-003"


def group(rates: str = "[0.1, 0.2]", **fields: str) -> str:
    return section(3, yaml=f"sweep: {{lr: {rates}}}", **fields)


def read(members: Assembly, *sections: str) -> None:
    """Write ideas.md, and have the leader take it in when it has settled."""
    Path(members.context.settings.ideas_file).write_text("".join([*sections, "# End\n"]))
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)


def end(members: Assembly, idea_id: str, kind: str = "DONE") -> None:
    """Have it run to its end on its present text."""
    entry = members.queue.get(idea_id)
    played = Played(members.context, idea_id, text=members.intake.section(entry.idea))
    played.end(kind)
    outcome = members.attempts.chain(idea_id)[1]
    outcome.claim["sha"] = entry.idea.sha
    members.settler.settle(idea_id, outcome)
    lead(members)


def states(members: Assembly) -> dict[str, str]:
    return {one: state for one, state in standing(members).items() if state != "None"}


def ask(members: Assembly, kind: str, target: str = G, value: str = "") -> Answer:
    files, paths = members.context.files, members.context.paths
    uuid = submit(
        files, paths.requests, members.context.clock, kind=kind, target=target, value=value, by="ann"
    )
    lead(members)
    return members.journal.fold.answers[uuid]


def members_of(*numbers: int, state: str = "QUEUED") -> dict[str, str]:
    return {f"{G}.{number}": state for number in numbers}


def test_a_group_is_no_idea_and_its_members_are_queued_in_their_order(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, section(4), group("{range: [1, 12, 12]}"), section(2))
    order = ["idea-002", *(f"{G}.{number}" for number in range(1, 13)), "idea-004"]
    assert [idea.id for idea in members.queue.ready(99)] == order
    assert members.queue.depth == 14
    assert members.queue.get(G).state is None
    assert list(members.journal.fold.ideas) == ["idea-002", G, "idea-004"]
    assert members.journal.fold.ideas[G].members == 12
    assert (members.queue.members(G), members.queue.members("idea-002")) == (12, 0)


def test_the_section_of_a_member_is_the_text_that_its_revision_names(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, group(Repeats="2"))
    ideas = [members.queue.get(f"{G}.{number}").idea for number in (1, 2, 3, 4)]
    texts = [members.intake.section(idea) for idea in ideas]
    assert [parse(text, path="ideas.md", line=ideas[0].line) for text in texts] == ideas
    assert [load_config(text, path="", line=1) for text in texts] == [
        {"lr": rate} for rate in (0.1, 0.1, 0.2, 0.2)
    ]
    Path(members.context.settings.ideas_file).write_text(group("[0.1, 0.3]", Repeats="2") + section(9))
    members.intake._source.poll()
    assert [members.intake.section(idea) is None for idea in ideas] == [False, False, True, True]


def test_an_edit_before_they_run_makes_and_takes_members(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, group("[1, 2, 3]"))
    before = {one: members.queue.get(one).idea.sha for one in members_of(1, 2, 3)}
    read(members, group("[1, 5]"))
    assert states(members) == members_of(1, 2)
    after = {one: members.queue.get(one).idea.sha for one in members_of(1, 2)}
    assert [before[one] == sha for one, sha in after.items()] == [True, False]
    read(members, group("[1, 5, 6, 7]"))
    assert states(members) == members_of(1, 2, 3, 4)
    read(members, section(3))
    assert states(members) == {G: "QUEUED"}
    read(members, group("[1]"))
    assert states(members) == members_of(1)


def test_a_member_that_ran_keeps_its_result_whatever_becomes_of_its_group(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, group("[1, 2, 3]"))
    end(members, f"{G}.2")
    assert not members.queue.get(f"{G}.2").edited
    read(members, group("[1, 5]"))
    assert states(members) == {f"{G}.1": "QUEUED", f"{G}.2": "COMPLETED"}
    assert members.queue.get(f"{G}.2").edited
    read(members, group("[1]"))
    assert states(members) == {f"{G}.1": "QUEUED", f"{G}.2": "COMPLETED"}
    read(members)
    assert states(members) == {G: "HELD", f"{G}.2": "COMPLETED"}


def test_members_of_a_group_that_vanished_do_not_run_until_it_is_back(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, group())
    read(members)
    assert states(members) == {G: "HELD"}
    assert not list(members.queue.ready(9))
    assert ask(members, "restore").done
    members.context.clock.sleep(1.1)
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    assert states(members) == members_of(1, 2)


def test_a_group_whose_members_have_ended_may_be_removed(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, group(), section(4, After=G))
    end(members, f"{G}.1")
    end(members, f"{G}.2")
    read(members, section(4, After=G))
    assert states(members) == {**members_of(1, 2, state="COMPLETED"), "idea-004": "QUEUED"}
    assert not members.journal.fold.ideas[G].vanished
    assert [idea.id for idea in members.queue.ready(9)] == ["idea-004"]
    members.intake.recheck()
    lead(members)
    assert not members.journal.fold.ideas[G].vanished


def test_a_group_that_cannot_be_accepted_any_more_has_no_members(tmp_path: Path):
    members = a_leader(tmp_path, max_members=3)
    read(members, group("[1, 2, 3]"))
    read(members, group("[1, 2, 3, 4]"))
    assert states(members) == {G: "QUARANTINED"}
    assert "makes 4 members, and max_members in orze.yaml allows 3" in members.queue.get(G).reason
    read(members, group("[1, 2]"))
    assert states(members) == members_of(1, 2)


def test_another_host_and_a_later_daemon_make_the_same_members(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, section(1), group(Repeats="2"), section(9))
    end(members, f"{G}.3")
    made = context(tmp_path)
    queue = Queue("gpu-b", 2)
    journal = Journal(made.files, made.paths.journal, made.clock, frame=made.frame)
    journal.follow()
    for idea_id, known in journal.fold.ideas.items():
        queue.set_known(idea_id, known)
    intake = Intake(made, queue)
    intake.read()
    assert [idea.id for idea in queue.ready(9)] == ["idea-001", *members_of(1, 2, 4), "idea-009"]
    assert [idea.id for idea in members.queue.ready(4)] == [idea.id for idea in queue.ready(4)]
    assert queue.get(f"{G}.1").idea == members.queue.get(f"{G}.1").idea
    resumed = Queue("gpu-b", 2)
    again = Intake(made, resumed)
    assert again.resume(intake.state())
    assert [idea.id for idea in resumed.ready(9)] == ["idea-001", *members_of(1, 2, 3, 4), "idea-009"]
    assert again.changes() == {}


@pytest.mark.parametrize(
    ("ends", "state", "reason"),
    [
        ([], "QUEUED", f"waits for {G}.1"),
        (["DONE"], "QUEUED", f"waits for {G}.2"),
        (["DONE", "DONE"], "QUEUED", ""),
        (["FAIL"], "SKIPPED", f"its After {G}.1 is FAILED"),
        (["DONE", "FAIL"], "SKIPPED", f"its After {G}.2 is FAILED"),
    ],
)
def test_after_a_group_means_after_all_of_its_members(
    tmp_path: Path, ends: list[str], state: str, reason: str
):
    members = a_leader(tmp_path)
    read(members, section(1, After=G), group())
    for number, kind in enumerate(ends, 1):
        end(members, f"{G}.{number}", kind)
    entry = members.queue.get("idea-001")
    assert (entry.state, entry.reason) == (State(state), reason)


def test_who_waits_for_a_group_waits_for_members_that_are_added(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, section(1, After=G), group("[1]"))
    end(members, f"{G}.1")
    assert [idea.id for idea in members.queue.ready(9)] == ["idea-001"]
    read(members, section(1, After=G), group("[1, 2]"))
    assert members.queue.get("idea-001").reason == f"waits for {G}.2"


def test_a_circle_through_a_group_is_held_and_dissolves(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, section(1, After=G), group(After="idea-001"))
    assert states(members) == {"idea-001": "HELD", **members_of(1, 2, state="HELD")}
    read(members, section(1, After=f"{G}.2"), group(After="idea-001"))
    assert states(members)["idea-001"] == "HELD"
    read(members, section(1), group(After="idea-001"))
    assert states(members) == {"idea-001": "QUEUED", **members_of(1, 2)}
    read(members, section(1, After="idea-003"), group(), section(5, After="idea-001"))
    assert states(members)["idea-005"] == "QUEUED"


def test_two_groups_that_wait_for_one_another_are_held(tmp_path: Path):
    members = a_leader(tmp_path)
    other = section(4, yaml="sweep: {lr: [1, 2]}", After=G)
    read(members, group(After="idea-004"), other)
    assert set(states(members).values()) == {"HELD"}
    read(members, group(), other)
    assert [idea.id for idea in members.queue.ready(9)] == list(members_of(1, 2))


def test_requests_about_a_group_go_to_its_members_and_are_answered_once(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, group("[1, 2, 3]"))
    end(members, f"{G}.1")
    told = f"{G}, 2 of 3: is held; 1 of 3: is COMPLETED already"
    assert ask(members, "hold") == Answer(told, True)
    assert states(members) == {f"{G}.1": "COMPLETED", **members_of(2, 3, state="HELD")}
    assert ask(members, "release", f"{G}.3") == Answer(f"{G}.3 is released", True)
    assert states(members)[f"{G}.3"] == "QUEUED"
    assert ask(members, "priority", value="low").done
    assert [members.queue.get(one).effective.priority for one in members_of(2, 3)] == [3, 3]
    assert ask(members, "retry").text.startswith(f"{G}, 2 of 3: has not ended, it is HELD") is False
    assert states(members)[f"{G}.1"] == "QUEUED"
    assert ask(members, "withdraw").done
    assert states(members) == members_of(1, 2, 3, state="WITHDRAWN")
    assert ask(members, "release") == Answer(f"{G}, 3 of 3: is released", True)
    assert ask(members, "stop") == Answer(f"{G}, 3 of 3: does not run, it is QUEUED", False)
    assert ask(members, "restore") == Answer(f"{G} is in ideas.md", True)
    assert ask(members, "hold", f"{G}.4") == Answer(f"{G}.4 is not known", False)


def test_what_was_asked_of_an_idea_holds_for_the_members_that_it_becomes(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, section(3))
    assert ask(members, "hold").done
    read(members, group())
    assert states(members) == {G: "HELD", **members_of(1, 2, state="HELD")}
    assert members.queue.get(f"{G}.1").reason == f"its group {G} is held by ann"
    assert ask(members, "release").done
    assert states(members) == members_of(1, 2)


def test_a_group_that_vanished_can_be_given_up(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, group())
    read(members)
    assert ask(members, "withdraw") == Answer(f"{G}, 1 of 1: is withdrawn", True)
    assert states(members) == {G: "WITHDRAWN"}


def test_the_outcome_of_a_member_is_told_by_the_journal_and_reopened(tmp_path: Path):
    members = a_leader(tmp_path)
    read(members, group())
    end(members, f"{G}.2")
    assert members.journal.fold.ideas[f"{G}.2"].outcome is State.COMPLETED
    assert members.board.leaderboard.get(f"{G}.2").title == "An idea [lr=0.2]"
    assert members.journal.write(members.leadership.fold.term, {"reopen": [f"{G}.2"]})
    follow(members)
    assert states(members) == members_of(1, 2)
