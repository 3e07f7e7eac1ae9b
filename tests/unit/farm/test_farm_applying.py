"""Requests of operators: what each does to an idea in each state, and what it answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from farm_examples import (
    ELSEWHERE,
    HERE,
    Played,
    a_leader,
    chain_of,
    follow,
    kinds,
    lead,
    section,
    write_ideas,
)

from orze.coord.journal import Answer
from orze.coord.requests import KINDS, OF_IDEAS, Request
from orze.core.identity import start_time
from orze.core.states import RUNNING, TERMINAL, State
from orze.farm.applying import Applier
from orze.farm.assembly import Assembly
from orze.ideas.scan import scan

ME = "idea-001"
OWN_RECORD = {State.COMPLETED: {}, State.EVALUATED: {"evaluated": True}}
FAILURES = {State.FAILED: {}, State.SKIPPED: {"skip": True}, State.STOPPED: {"cause": "stopped"}}
FAILURES |= {State.PRUNED: {"cause": "pruned"}}


def farm(home: Path, **settings) -> tuple[Assembly, Applier]:
    members = a_leader(home, **settings)
    settle(members, section(1), section(2))
    made = Applier(
        members.context,
        journal=members.journal,
        queue=members.queue,
        attempts=members.attempts,
        hosts=members.hosts,
        board=members.board,
    )
    return members, made


def settle(members: Assembly, *sections: str) -> None:
    write_ideas(members.context, *sections)
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)


def bring(members: Assembly, state: State) -> None:
    """Bring idea-001 into a state by what really brings ideas there."""
    journal, term = members.journal, members.leadership.fold.term
    if state is State.QUARANTINED:
        settle(members, "## idea-001: An idea\n\n```yaml\na: [\n```\n", section(2))
    elif state is State.HELD:
        journal.write(term, {"hold": [[ME, "held by bob"]]})
    elif state is State.WITHDRAWN:
        journal.write(term, {"withdraw": [ME]})
    elif state in RUNNING:
        Played(members.context, ME)
        members.queue.set_running(ME, state)
    elif state in OWN_RECORD or state in FAILURES:
        done = state in OWN_RECORD
        played = Played(members.context, ME)
        played.end("DONE" if done else "FAIL", **(OWN_RECORD if done else FAILURES)[state])
        members.settler.settle(ME, played.fold)
        lead(members)
    follow(members)
    assert members.queue.get(ME).state is state


def ask(
    members: Assembly, made: Applier, kind: str, target: str = ME, value: str = "high", *, uuid: str = "u"
) -> Answer:
    """Apply one request as the leader does; its answer."""
    parts: dict = {}
    assert made.apply(Request(uuid, kind, target, value=value, by="ann"), parts)
    assert members.journal.write(members.leadership.fold.term, parts)
    follow(members)
    return members.journal.fold.answers[uuid]


def apply(members: Assembly, made: Applier, kind: str, target: str = ME, *, uuid: str = "u") -> str:
    """The text of its answer alone."""
    return ask(members, made, kind, target, uuid=uuid).text


SAME = "the state stays"
WAITS = (State.QUEUED, State.HELD, State.QUARANTINED)
HELD_BY_ANN = (State.HELD, "idea-001 is held", True)
EXPECTED: dict[tuple[str, State], tuple[State | str, str, bool]] = {
    **{("hold", state): (SAME, f"idea-001 is {state} already", False) for state in RUNNING | TERMINAL},
    **{("hold", state): HELD_BY_ANN for state in (State.QUEUED, State.QUARANTINED)},
    ("hold", State.HELD): (SAME, "idea-001 is held by bob already", True),
    **{("release", state): (SAME, f"idea-001 is not held, it is {state}", True) for state in State},
    ("release", State.HELD): (State.QUEUED, "idea-001 is released", True),
    ("release", State.WITHDRAWN): (State.QUEUED, "idea-001 is released", True),
    **{("withdraw", state): (SAME, f"idea-001 is {state} already", False) for state in RUNNING | TERMINAL},
    **{("withdraw", state): (State.WITHDRAWN, "idea-001 is withdrawn", True) for state in WAITS},
    ("withdraw", State.WITHDRAWN): (SAME, "idea-001 is withdrawn already", True),
    **{
        ("stop", state): (SAME, f"idea-001 does not run, it is {state}", state is State.STOPPED)
        for state in set(State) - RUNNING
    },
    **{("stop", state): (SAME, "idea-001 is being stopped", True) for state in RUNNING},
    **{
        ("retry", state): (SAME, f"idea-001 has not ended, it is {state}", True)
        for state in (State.QUEUED, *RUNNING)
    },
    **{
        ("retry", state): (SAME, f"idea-001 has not ended, it is {state}", False)
        for state in (State.HELD, State.QUARANTINED)
    },
    **{
        ("retry", state): (State.QUEUED, "idea-001 is queued again", True)
        for state in (
            State.COMPLETED,
            State.EVALUATED,
            State.FAILED,
            State.SKIPPED,
            State.STOPPED,
            State.PRUNED,
        )
    },
    ("retry", State.WITHDRAWN): (SAME, "idea-001 was withdrawn; release it", False),
    **{("restore", state): (SAME, "idea-001 is in ideas.md", True) for state in State},
    ("restore", State.QUARANTINED): (
        SAME,
        "idea-001 is in ideas.md, but cannot be accepted: ideas.md:",
        False,
    ),
    **{
        ("priority", state): (SAME, f"idea-001 has priority high, but is {state}", True)
        for state in RUNNING | TERMINAL
    },
    **{("priority", state): (SAME, "idea-001 has priority high", True) for state in WAITS},
}


def test_the_table_is_of_all_requests_and_states():
    assert EXPECTED.keys() == {(kind, state) for kind in OF_IDEAS for state in State}


@pytest.mark.parametrize(("kind", "state"), sorted(EXPECTED), ids=str)
def test_each_request_in_each_state(tmp_path: Path, kind: str, state: State):
    members, made = farm(tmp_path)
    bring(members, state)
    after, text, done = EXPECTED[kind, state]
    answer = ask(members, made, kind)
    assert answer.text.startswith(text)
    assert answer.done is done
    assert members.queue.get(ME).state is (state if after == SAME else after)


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("hold", State.QUEUED),
        ("withdraw", State.QUEUED),
        ("release", State.HELD),
        ("retry", State.FAILED),
        ("priority", State.QUEUED),
        ("stop", State.TRAINING),
    ],
    ids=str,
)
def test_a_request_that_is_repeated_is_done_already(tmp_path: Path, kind: str, state: State):
    members, made = farm(tmp_path)
    bring(members, state)
    assert ask(members, made, kind).done
    after = members.queue.get(ME).state
    parts: dict = {}
    assert made.apply(Request("v", kind, ME, value="high", by="bob"), parts)
    ((_, _, done),) = parts.pop("answers")
    assert (parts, done) == ({}, True)
    assert members.queue.get(ME).state is after


@pytest.mark.parametrize("kind", OF_IDEAS)
def test_a_request_for_an_idea_that_nobody_knows_is_answered(tmp_path: Path, kind: str):
    members, made = farm(tmp_path)
    assert ask(members, made, kind, "idea-999") == ("idea-999 is not known", False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_that_was_answered_does_nothing_more(tmp_path: Path, kind: str):
    members, made = farm(tmp_path)
    members.journal.write(members.leadership.fold.term, {"answers": [["u", "done before", True]]})
    follow(members)
    parts: dict = {}
    assert made.apply(Request("u", kind, ME, by="ann"), parts)
    assert parts == {}


def test_a_request_that_cannot_be_understood_is_answered_with_its_fault(tmp_path: Path):
    _, made = farm(tmp_path)
    parts: dict = {}
    made.apply(Request("u", "", "", problem="the request is not a JSON object"), parts)
    assert parts == {"answers": [["u", "the request is not a JSON object", False]]}


def test_who_held_an_idea_is_told(tmp_path: Path):
    members, made = farm(tmp_path)
    apply(members, made, "hold")
    assert members.queue.get(ME).reason == "held by ann"
    apply(members, made, "release", uuid="v")
    assert [idea.id for idea in members.queue.ready(9)] == [ME, "idea-002"]


def test_a_stop_leaves_its_file_beside_the_records_and_wakes_a_keeper_of_this_machine(tmp_path: Path):
    members, made = farm(tmp_path)
    code = "import signal, sys; signal.signal(10, lambda *_: sys.exit(7)); print(flush=True); signal.pause()"
    keeper = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stdout=subprocess.PIPE)
    assert keeper.stdout
    keeper.stdout.readline()
    played = Played(members.context, ME, frame=HERE.frame(keeper.pid, start_time(keeper.pid) or 0))
    members.attempts.look(judge=True, clones=False)
    members.queue.set_running(ME, State.TRAINING)
    assert apply(members, made, "stop") == "idea-001 is being stopped"
    assert keeper.wait(timeout=10) == 7
    keeper.stdout.close()
    assert Path(members.context.paths.idea(ME).stop_request(played.token)).read_bytes() == b"stop\n"
    assert apply(members, made, "stop", uuid="v") == "idea-001 is being stopped already"
    assert kinds(members.context, ME) == ["CLAIM"]  # the file is no record


def test_a_stop_reaches_an_attempt_of_another_host_by_its_file(tmp_path: Path):
    members, made = farm(tmp_path)
    played = Played(members.context, ME, ELSEWHERE)
    members.attempts.look(judge=True, clones=False)
    members.queue.set_running(ME, State.TRAINING)
    assert apply(members, made, "stop") == "idea-001 is being stopped"
    assert Path(members.context.paths.idea(ME).stop_request(played.token)).exists()


@pytest.mark.parametrize("claimed", [False, True])
def test_a_stop_of_an_attempt_that_is_only_being_prepared_waits_until_it_runs(tmp_path: Path, claimed: bool):
    members, made = farm(tmp_path)
    if claimed:
        Played(members.context, ME).end("REQUEUE")
    members.queue.set_running(ME, State.CLAIMED)
    parts: dict = {}
    assert not made.apply(Request("u", "stop", ME), parts)
    assert parts == {}
    played = Played(members.context, ME, ELSEWHERE)
    assert ask(members, made, "stop") == ("idea-001 is being stopped", True)
    assert Path(members.context.paths.idea(ME).stop_request(played.token)).exists()


def test_a_stop_of_an_attempt_that_never_began_is_answered_when_that_is_seen(tmp_path: Path):
    members, made = farm(tmp_path)
    members.queue.set_running(ME, State.CLAIMED)
    assert not made.apply(Request("u", "stop", ME), {})
    members.queue.set_running(ME, None)
    assert ask(members, made, "stop") == ("idea-001 does not run, it is QUEUED", False)


def test_a_retry_is_a_record_of_the_idea_and_not_doubled(tmp_path: Path):
    members, made = farm(tmp_path)
    bring(members, State.FAILED)
    parts: dict = {}
    made.apply(Request("u", "retry", ME), parts)  # the leader dies before the journal has the answer
    parts = {}
    made.apply(Request("u", "retry", ME), parts)
    assert parts == {"reopen": [ME], "answers": [["u", "idea-001 is queued again", True]]}
    assert kinds(members.context, ME) == ["CLAIM", "FAIL", "RETRY"]
    _, fold = chain_of(members.context, ME)
    assert (fold.phase, fold.end) == ("open", None)


def test_a_retry_whose_answer_was_never_written_is_not_made_again_behind_another_failure(tmp_path: Path):
    members, made = farm(tmp_path)
    bring(members, State.FAILED)
    made.apply(Request("u", "retry", ME), {})  # the leader dies before the journal has the answer
    Played(members.context, ME).end("FAIL")
    parts: dict = {}
    assert made.apply(Request("u", "retry", ME), parts)
    assert parts == {"answers": [["u", "idea-001 was queued again, and has ended since", True]]}
    assert kinds(members.context, ME) == ["CLAIM", "FAIL", "RETRY", "CLAIM", "FAIL"]
    assert ask(members, made, "retry", uuid="v") == ("idea-001 is queued again", True)
    assert kinds(members.context, ME)[-1] == "RETRY"


def test_a_retry_keeps_to_the_limit_on_failures(tmp_path: Path):
    members, made = farm(tmp_path, max_idea_failures=1)
    bring(members, State.SKIPPED)
    assert apply(members, made, "retry") == ("idea-001 failed 1 times; raise max_idea_failures (now 1) first")
    assert members.queue.get(ME).state is State.SKIPPED


def test_a_retry_of_an_idea_that_was_skipped_for_another_names_that_one(tmp_path: Path):
    members, made = farm(tmp_path)
    settle(members, section(1, After="idea-002"), section(2))
    played = Played(members.context, "idea-002")
    played.end("FAIL")
    members.settler.settle("idea-002", played.fold)
    answer = apply(members, made, "retry")
    assert answer == "idea-001 is SKIPPED: its After idea-002 is FAILED; retry that one"


def test_a_retry_of_a_plain_result_says_how(tmp_path: Path):
    members, made = farm(tmp_path)
    home = Path(members.context.paths.idea(ME).home)
    home.mkdir()
    (home / "metrics.json").write_text('{"status": "COMPLETED", "val_loss": 1}')
    members.settler.sweep()
    assert "remove results/idea-001" in apply(members, made, "retry")


def test_a_vanished_idea_comes_back_as_it_was_registered(tmp_path: Path):
    members, made = farm(tmp_path)
    settle(members, section(2))
    assert members.queue.get(ME).state is State.HELD
    assert apply(members, made, "restore") == "idea-001 is back in ideas.md"
    found = scan(Path(members.context.settings.ideas_file).read_bytes())
    assert [one.id for one in found] == ["idea-002", ME]
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    assert members.queue.get(ME).state is State.QUEUED
    assert not members.journal.fold.ideas[ME].vanished


def test_a_vanished_idea_whose_id_was_taken_comes_back_under_a_new_one(tmp_path: Path):
    members, made = farm(tmp_path)
    settle(members, section(2))
    settle(members, section(2), section(1, title="Another"))
    assert apply(members, made, "restore").startswith("another idea is called idea-001 now")
    apply(members, made, "restore", uuid="v")  # asking twice brings it back once
    for _ in range(2):
        lead(members)
        members.intake.read()
        members.context.clock.sleep(1.1)
    lead(members)
    found = scan(Path(members.context.settings.ideas_file).read_bytes())
    assert [(one.id, one.title) for one in found] == [
        ("idea-002", "An idea"),
        (ME, "Another"),
        ("idea-003", "An idea"),
    ]


def test_an_idea_that_was_never_registered_cannot_be_restored(tmp_path: Path):
    members, made = farm(tmp_path)
    members.queue.set_running("idea-050", State.TRAINING)
    assert apply(members, made, "restore", "idea-050") == "the section of idea-050 was never registered"


def test_a_restore_waits_for_a_file_that_would_swallow_it(tmp_path: Path):
    members, made = farm(tmp_path)
    settle(members, section(2))
    with Path(members.context.settings.ideas_file).open("a") as stream:
        stream.write("```\nopen\n")
    assert apply(members, made, "restore").startswith("ideas.md:8: the fence opened on line 8")
    assert members.queue.get(ME).state is State.HELD
