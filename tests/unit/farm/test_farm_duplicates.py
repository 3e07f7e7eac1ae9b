"""An idea that another ran before, or runs now, is recognised before it is claimed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from farm_examples import ELSEWHERE, HERE, Played, a_leader, context, follow, lead, section, write_ideas

from orze.coord.requests import DUPLICATE, pending, submit
from orze.core.states import State
from orze.farm.assembly import Assembly
from orze.farm.decide import Launch
from orze.farm.launch import Merged
from orze.farm.preview import plan
from orze.farm.starter import Refusal
from orze.ideas.canonical import config_key, run_mark

KEY = config_key({"lr": 1})
RUN = Merged("lr: 1\n", 0, KEY)
EARLIER = "the same configuration and seed as idea-001, which has val_loss 0.5000"
HELD = f"{EARLIER}; release it, or write **Rerun**: yes, to run it all the same"
NOW = "the same configuration and seed as idea-001, which runs now"


def farm(home: Path, *sections: str, **settings: Any) -> Assembly:
    """A leader that has taken in two ideas with the configuration RUN, or these sections."""
    members = a_leader(home, python=sys.executable, **settings)
    write(members, *(sections or (section(1, yaml="lr: 1"), section(2, yaml="lr: 1.0"))))
    return members


def write(members: Assembly, *sections: str) -> None:
    write_ideas(members.context, *sections)
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)


def ran(members: Assembly, idea_id: str = "idea-001", kind: str = "DONE", **content: object) -> None:
    """An idea has ended, on another host, and the journal tells."""
    began(members, idea_id).end(kind, **content)
    ended(members, idea_id)
    lead(members)


def began(members: Assembly, idea_id: str = "idea-001", seed: int = 0) -> Played:
    told = members.queue.get(idea_id)
    sha = told.idea.sha if told and told.idea else ""
    more = {"config": KEY, "seed": seed, "sha": sha}
    return Played(members.context, idea_id, ELSEWHERE, mark=run_mark(KEY, seed), more=more)


def ended(members: Assembly, idea_id: str) -> None:
    _, fold = members.attempts.chain(idea_id)
    members.settler.settle(idea_id, fold)


def judge(members: Assembly, idea_id: str = "idea-002", run: Merged = RUN) -> str:
    entry = members.queue.get(idea_id)
    assert entry and entry.idea
    return members.duplicates.judge(entry.idea, run)


def notes(members: Assembly) -> list[str]:
    return [request.uuid for request in pending(members.context.files, members.context.paths.requests)]


def state(members: Assembly, idea_id: str = "idea-002") -> tuple[State | None, str]:
    entry = members.queue.get(idea_id)
    assert entry
    return entry.state, entry.reason


def ask(members: Assembly, kind: str, idea_id: str) -> None:
    m = members.context
    submit(m.files, m.paths.requests, m.clock, kind=kind, target=idea_id, by="test")
    lead(members)


def test_what_has_a_result_is_held_by_the_leader_with_that_result(tmp_path: Path):
    members = farm(tmp_path)
    ran(members)
    assert [judge(members), judge(members)] == [EARLIER, EARLIER]
    assert len(notes(members)) == 1  # two looks, or two hosts, leave one
    assert state(members) == (State.QUEUED, "")
    lead(members)
    assert (notes(members), state(members)) == ([], (State.HELD, HELD))
    assert members.journal.fold.answers == {}  # nobody waits for an answer


def test_a_release_is_remembered_by_every_later_daemon_until_the_section_is_edited(tmp_path: Path):
    members = farm(tmp_path)
    ran(members)
    judge(members)
    lead(members)
    ask(members, "release", "idea-002")
    assert state(members) == (State.QUEUED, "")
    assert judge(members) == ""
    later = Assembly(context(tmp_path, python=sys.executable), {"PATH": os.defpath})
    later.intake.read()
    later.context.clock.sleep(1.1)
    later.intake.read()
    follow(later)
    assert (judge(later), notes(later)) == ("", [])
    write(members, section(1, yaml="lr: 1"), section(2, yaml="lr: 0x1"))
    assert judge(members) == EARLIER


def test_an_edit_ends_the_hold_and_an_operator_s_hold_outlives_it(tmp_path: Path):
    members = farm(tmp_path)
    ran(members)
    judge(members)
    lead(members)
    write(members, section(1, yaml="lr: 1"), section(2, yaml="lr: 1.0", Rerun="yes"))
    assert (state(members), judge(members)) == ((State.QUEUED, ""), "")
    ask(members, "hold", "idea-002")
    assert state(members) == (State.HELD, "held by test")


def test_only_a_success_with_the_same_seed_counts(tmp_path: Path):
    members = farm(tmp_path)
    ran(members, kind="FAIL")
    assert judge(members) == ""
    ask(members, "retry", "idea-001")
    ran(members)
    assert judge(members, run=Merged("", 1, KEY)) == ""
    assert judge(members, run=Merged("", 0, config_key({"lr": 2}))) == ""
    assert judge(members) == EARLIER


def test_an_idea_that_is_to_run_again_is_held_for_no_result(tmp_path: Path):
    members = farm(tmp_path)
    ran(members)
    assert judge(members, "idea-001") == ""
    judge(members)
    lead(members)
    ask(members, "release", "idea-002")
    ran(members, "idea-002")
    ask(members, "retry", "idea-001")
    assert judge(members, "idea-001") == ""  # though idea-002 has the same result


def test_what_runs_now_is_waited_for(tmp_path: Path):
    members = farm(tmp_path)
    first = began(members)
    members.attempts.look(judge=False, clones=False)  # the name of its heartbeat is all that is known of it
    assert (judge(members), notes(members)) == (NOW, [])
    assert judge(members, "idea-001") == ""
    assert members.duplicates.freed() == []
    first.end("FAIL")
    members.attempts.look(judge=False, clones=False)
    ended(members, "idea-001")
    assert members.duplicates.freed() == ["idea-002"]
    assert (members.duplicates.freed(), judge(members)) == ([], "")


def test_what_has_just_succeeded_is_waited_for_until_the_journal_tells(tmp_path: Path):
    members = farm(tmp_path)
    first = began(members)
    members.attempts.look(judge=True, clones=False)
    assert judge(members) == NOW
    first.end()
    members.attempts.look(judge=True, clones=False)
    ended(members, "idea-001")
    assert (members.duplicates.freed(), judge(members)) == ([], NOW)
    lead(members)
    assert (members.duplicates.freed(), judge(members)) == (["idea-002"], EARLIER)


@pytest.mark.parametrize(
    "change",
    [
        {"value": "idea-001 " + "0" * 64},  # another revision than the leader sees
        {"value": "idea-003 {sha}"},  # no result
        {"value": "idea-002 {sha}"},  # its own
        {"target": "idea-004"},
        {"target": "idea-001"},  # ended by now
    ],
)
def test_what_the_leader_does_not_see_so_is_dropped_without_a_word(tmp_path: Path, change: Mapping[str, str]):
    members = farm(tmp_path)
    ran(members)
    m, entry = members.context, members.queue.get("idea-002")
    assert entry and entry.idea
    told = {"target": "idea-002", "value": "idea-001 {sha}", **change}
    value = told["value"].format(sha=entry.idea.sha)
    submit(m.files, m.paths.requests, m.clock, kind=DUPLICATE, target=told["target"], value=value)
    lead(members)
    assert (notes(members), members.journal.fold.answers) == ([], {})
    assert state(members) == (State.QUEUED, "")


@pytest.mark.parametrize("value", ["", "idea-001", "idea-001 a b", "../x ab", "idea-001  ab"])
def test_a_note_that_cannot_be_understood_is_answered_as_any_request(tmp_path: Path, value: str):
    members = farm(tmp_path)
    m = members.context
    uuid = submit(m.files, m.paths.requests, m.clock, kind=DUPLICATE, target="idea-002", value=value)
    lead(members)
    assert "names no idea and revision" in members.journal.fold.answers[uuid].text


def test_two_twins_of_one_cycle_do_not_both_start_and_the_slot_is_offered_at_once(tmp_path: Path):
    (tmp_path / "train_idea.py").write_text("")
    members = farm(tmp_path, gpus="cpu:2")
    refused: list[Refusal] = []
    starter = members.starter(started=lambda _: None, refused=refused.append)
    starter.launch(Launch("idea-001", ("cpu0",)))
    starter.launch(Launch("idea-002", ("cpu1",)))
    assert starter.taken == {"cpu0": "idea-001"}
    assert [(one.idea_id, one.why) for one in refused] == [("idea-002", NOW)]
    members.events.wait(30.0)
    while starter.taken:
        members.events.wait(30.0)
    _, fold = members.attempts.chain("idea-001")
    assert (fold.claim or {})["config"] == KEY
    assert (fold.claim or {})["seed"] == 0
    assert fold.token.endswith(run_mark(KEY, 0))
    starter.close()


def test_the_machine_s_mark_stays_in_front(tmp_path: Path):
    token = HERE.new_token(run_mark(KEY, 5))
    assert HERE.may_own(token)
    assert not ELSEWHERE.may_own(token)


def test_a_dry_run_tells_of_a_duplicate_and_leaves_no_note(tmp_path: Path):
    members = farm(tmp_path)
    ran(members)
    (planned,) = plan(members, {})
    assert (planned.idea_id, planned.problem) == ("idea-002", EARLIER)
    assert notes(members) == []
