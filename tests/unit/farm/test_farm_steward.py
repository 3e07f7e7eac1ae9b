"""What the leader writes: ideas once, outcomes, the inbox without loss or doubling."""

from __future__ import annotations

import errno
import re
from collections import Counter
from pathlib import Path

import pytest
from farm_examples import HERE, Played, a_leader, context, follow, lead, section, standing, write_ideas

from orze.coord.requests import submit
from orze.core.clock import ManualClock
from orze.core.files import RealFiles
from orze.core.states import State
from orze.farm.assembly import Assembly
from orze.ideas.inbox import enqueue, inbox_of
from orze.ideas.scan import scan
from tests.fakes.shares import Died, Killed, Share, error

TEXTS = {
    "aaaa": "## idea: The first\n- **Priority**: high\n\n```yaml\na: 1\n```\n",
    "bbbb": "## idea-?: The second\n\n```yaml\nb: 2\n```\n",
    "cccc": "## idea-001: The third\n\n```yaml\nc: 3\n```\n",
}


def leave(members: Assembly, texts: dict[str, str]) -> None:
    for uuid, text in texts.items():
        enqueue(RealFiles(), inbox_of(str(members.context.settings.ideas_file)), text, uuid=uuid)


def waiting(members: Assembly) -> list[str]:
    inbox = Path(inbox_of(str(members.context.settings.ideas_file)))
    return sorted(path.name for path in inbox.glob("*.md")) if inbox.exists() else []


def settle(members: Assembly) -> None:
    """Lead until ideas.md has settled and everything is told."""
    lead(members)
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    lead(members)


def titles(members: Assembly) -> list[str]:
    found = scan(Path(members.context.settings.ideas_file).read_bytes())
    return [one.title for one in found]


def entries_with(members: Assembly, part: str) -> int:
    """How many records of the journal hold this part."""
    chain = members.journal._chain
    return sum(bool(chain.record(slot)[0].get(part)) for slot in range(1, chain.length + 1))


def test_an_idea_is_registered_once(tmp_path: Path):
    members = a_leader(tmp_path)
    write_ideas(members.context, section(1), section(2))
    for _ in range(3):
        settle(members)
    chain = members.journal._chain
    registered = [
        item[0] for slot in range(1, chain.length + 1) for item in chain.record(slot)[0].get("register", ())
    ]
    assert sorted(registered) == ["idea-001", "idea-002"]


def test_a_step_with_nothing_to_tell_writes_nothing(tmp_path: Path):
    members = a_leader(tmp_path)
    members.steward.step()
    assert members.journal._chain.length == 0


def test_entries_of_the_inbox_get_ids_above_all_others(tmp_path: Path):
    members = a_leader(tmp_path)
    write_ideas(members.context, section(3))
    (tmp_path / "results" / "idea-0041").mkdir()
    (tmp_path / "results" / "idea-²").mkdir()
    leave(members, TEXTS)
    settle(members)
    assert members.journal.fold.allocated == {"aaaa": "idea-042", "bbbb": "idea-043", "cccc": "idea-044"}
    assert titles(members) == ["An idea", "The first", "The second", "The third"]
    assert waiting(members) == []
    assert standing(members) == dict.fromkeys(["idea-003", "idea-042", "idea-043", "idea-044"], "QUEUED")
    assert members.steward.problems == []
    registered = members.journal.section("idea-042")
    assert registered.startswith("## idea-042: The first\n- **Priority**: high")
    assert entries_with(members, "register") == 2  # what ideas.md holds now is what was registered


def test_the_first_id_of_a_farm_is_one(tmp_path: Path):
    members = a_leader(tmp_path)
    leave(members, {"aaaa": TEXTS["aaaa"]})
    settle(members)
    assert standing(members) == {"idea-001": "QUEUED"}


def test_ids_are_never_given_twice_even_when_the_section_is_gone(tmp_path: Path):
    members = a_leader(tmp_path)
    leave(members, {"aaaa": TEXTS["aaaa"]})
    settle(members)
    write_ideas(members.context)
    settle(members)
    leave(members, {"bbbb": TEXTS["bbbb"]})
    settle(members)
    assert members.journal.fold.allocated == {"aaaa": "idea-001", "bbbb": "idea-002"}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("no heading at all", r"aaaa\.md:1: .*heading"),
        ("## idea: One\n\n```yaml\na: 1\n", r"aaaa\.md:\d+: .*never closed"),
        ("## idea: One\n\n## idea: Two\n", r"aaaa\.md:\d+: "),
        ("## idea: " + "x" * (257 << 10), r"aaaa\.md: .*larger than"),
    ],
)
def test_a_bad_entry_stays_in_the_inbox_and_is_told(tmp_path: Path, text: str, word: str):
    members = a_leader(tmp_path)
    leave(members, {"aaaa": text, "bbbb": TEXTS["bbbb"]})
    settle(members)
    assert waiting(members) == ["aaaa.md"]
    (problem,) = members.steward.problems
    assert re.search(word, problem)
    assert standing(members) == {"idea-001": "QUEUED"}


def test_a_file_that_swallows_what_is_appended_makes_the_entries_wait(tmp_path: Path):
    members = a_leader(tmp_path)
    path = Path(members.context.settings.ideas_file)
    path.write_text("# Ideas\n\n```\nan open fence\n")
    leave(members, TEXTS)
    settle(members)
    assert len(waiting(members)) == 3
    (problem,) = members.steward.problems
    assert problem.startswith("ideas.md:3: ")
    path.write_text("# Ideas\n")
    settle(members)
    assert (waiting(members), len(titles(members))) == ([], 3)
    assert members.steward.problems == []


def test_outcomes_and_retries_reach_the_journal(tmp_path: Path):
    members = a_leader(tmp_path)
    write_ideas(members.context, section(1))
    settle(members)
    members.steward.note("idea-001", State.FAILED, {"cause": "script"})
    lead(members)
    assert standing(members) == {"idea-001": "FAILED"}
    members.steward.reopen("idea-001")
    lead(members)
    assert standing(members) == {"idea-001": "QUEUED"}
    members.steward.reopen("idea-001")
    members.steward.note("idea-001", State.COMPLETED, {})  # the later of the two is what holds
    lead(members)
    assert standing(members) == {"idea-001": "COMPLETED"}


def test_what_was_seen_to_be_open_again_is_looked_at_once_more_before_it_is_written(tmp_path: Path):
    """It may have been an old page, and who saw it may lead again only much later."""
    members = a_leader(tmp_path)
    write_ideas(members.context, section(1))
    settle(members)
    Played(members.context, "idea-001").end()
    members.settler.sweep()
    lead(members)
    written = members.journal.fold.records
    record = next(Path(members.context.paths.idea("idea-001").chain).rglob("000002.json"))
    whole = record.read_bytes()
    record.write_bytes(b"torn")
    members.steward.reopen("idea-001")
    lead(members)
    (problem,) = members.steward.problems
    assert problem.startswith("whether idea-001 is open again: ")
    record.write_bytes(whole)
    lead(members)
    lead(members)
    assert (members.journal.fold.records, members.steward.problems) == (written, [])
    assert standing(members) == {"idea-001": "COMPLETED"}


def test_an_outcome_that_the_journal_tells_already_is_not_written_again(tmp_path: Path):
    members = a_leader(tmp_path)
    members.steward.note("idea-001", State.COMPLETED, {})
    members.steward.told("idea-001")
    lead(members)
    assert members.journal._chain.length == 0


def test_nothing_is_acted_upon_once_another_leads(tmp_path: Path):
    """What was worked out here was not written: no id is given, no section appended, no request answered."""
    members = a_leader(tmp_path)
    leave(members, TEXTS)
    members.steward.note("idea-009", State.COMPLETED, {})
    uuid = ask(members, "hold", "idea-001")
    other = successor(tmp_path)
    other.steward.note("idea-008", State.COMPLETED, {})
    other.steward._inbox = str(tmp_path / "nobody")  # it has not come to the inbox yet
    lead(other)
    members.steward.step()
    assert len(waiting(members)) == 3
    assert not Path(members.context.settings.ideas_file).exists()
    assert Path(members.context.paths.requests, f"{uuid}.json").exists() is False  # the other answered it
    assert members.steward._outcomes  # told by whoever leads next
    follow(members)
    assert members.journal.fold.allocated == {}


def ask(members: Assembly, kind: str, target: str, value: str = "", at: float = 0.0) -> str:
    requests, clock = members.context.paths.requests, ManualClock()
    clock.advance(at)
    return submit(RealFiles(), requests, clock, kind=kind, target=target, value=value, by="ann")


def test_a_request_is_answered_once_and_then_removed(tmp_path: Path):
    members = a_leader(tmp_path)
    write_ideas(members.context, section(1))
    settle(members)
    uuid = ask(members, "hold", "idea-001")
    lead(members)
    assert members.journal.fold.answers == {uuid: ("idea-001 is held", True)}
    assert list(Path(members.context.paths.requests).iterdir()) == []
    assert (standing(members), members.queue.get("idea-001").reason) == ({"idea-001": "HELD"}, "held by ann")


def test_of_two_requests_about_one_idea_the_second_is_decided_by_what_the_first_did(tmp_path: Path):
    members = a_leader(tmp_path)
    write_ideas(members.context, section(1), section(2))
    settle(members)
    first = ask(members, "hold", "idea-001", at=1)
    second = ask(members, "release", "idea-001", at=2)
    other = ask(members, "hold", "idea-002", at=3)
    lead(members)
    assert (members.journal.fold.answers.keys(), members.steward.waiting) == ({first, other}, True)
    lead(members)
    assert members.journal.fold.answers[second] == ("idea-001 is released", True)
    assert (standing(members), members.steward.waiting) == ({"idea-001": "QUEUED", "idea-002": "HELD"}, False)


def test_a_stop_of_what_is_only_being_claimed_waits_and_holds_up_nothing(tmp_path: Path):
    members = a_leader(tmp_path)
    write_ideas(members.context, section(1), section(2))
    settle(members)
    members.queue.set_running("idea-001", State.CLAIMED)
    stop = ask(members, "stop", "idea-001")
    other = ask(members, "hold", "idea-002")
    lead(members)
    assert (members.journal.fold.answers.keys(), members.steward.waiting) == ({other}, True)
    Played(members.context, "idea-001")
    lead(members)
    assert members.journal.fold.answers[stop] == ("idea-001 is being stopped", True)
    assert list(Path(members.context.paths.requests).iterdir()) == []


@pytest.mark.parametrize("kind", ["stop", "retry"])
def test_a_request_for_a_damaged_chain_is_told_and_holds_up_nothing(tmp_path: Path, kind: str):
    members = a_leader(tmp_path)
    write_ideas(members.context, section(1), section(2))
    settle(members)
    Played(members.context, "idea-001").end("FAIL", final=kind == "retry")
    if kind == "retry":
        members.settler.sweep()
        lead(members)
    else:
        members.queue.set_running("idea-001", State.TRAINING)
    Path(members.context.paths.idea("idea-001").chain, "000001.json").unlink()
    asked = ask(members, kind, "idea-001")
    other = ask(members, "hold", "idea-002")
    lead(members)
    (problem,) = members.steward.problems
    assert problem.startswith(f"the request to {kind} idea-001: record 000001.json is missing below")
    assert members.journal.fold.answers.keys() == {other}
    assert asked in {path.stem for path in Path(members.context.paths.requests).iterdir()}


class Faulty(Share):
    """The call number `at` (from 0) fails, and is done all the same or not."""

    def __init__(self, inner: RealFiles, at: int, *, done: bool) -> None:
        super().__init__(inner)
        self.at = at
        self.done = done

    def around(self, name, arguments, call):
        if len(self.calls) != self.at + 1:
            return call()
        if self.done:
            call()
        raise error(errno.EIO)


def successor(home: Path, **settings) -> Assembly:
    """A new daemon that takes the office from whoever has it."""
    settings = {"gpus": "cpu", **settings}
    members = Assembly(context(home, HERE, **settings), {"PATH": "/bin"})
    members.leadership.refresh()
    if members.leadership.fold.token:
        members.leadership.depose(members.leadership.fold.token)
    assert members.leadership.campaign()
    members.journal.follow()
    follow(members)
    members.intake.recheck()
    return members


ASKED = [
    ("hold", "idea-007", ""),
    ("priority", "idea-007", "critical"),
    ("drain", HERE.host, ""),
    ("cards", HERE.host, "cpu:2"),
]
ANSWERED = [
    "idea-007 is held",
    "idea-007 has priority critical",
    f"{HERE.host} takes no new ideas; what runs there goes on",
    f"{HERE.host} is to use cards cpu:2; what runs on others goes on",
]


def prepared(home: Path, share: Share) -> Assembly:
    """A leader that has read one idea, with two entries in the inbox, requests, and an outcome to tell."""
    members = a_leader(home)
    write_ideas(members.context, section(7))
    settle(members)
    leave(members, {"aaaa": TEXTS["aaaa"], "bbbb": TEXTS["bbbb"]})
    for number, (kind, target, value) in enumerate(ASKED):
        ask(members, kind, target, value, at=number)
    Played(members.context, "idea-002").end()
    share.inner = RealFiles()
    made = Assembly(context(home, HERE, share, gpus="cpu"), {"PATH": "/bin"})
    made.leadership.refresh()
    made.leadership.depose(made.leadership.fold.token)
    assert made.leadership.campaign()
    follow(made)
    made.intake.read()
    made.context.clock.sleep(1.1)
    made.intake.read()
    made.settler.sweep()
    share.calls.clear()
    return made


def check(members: Assembly) -> None:
    assert Counter(titles(members)) == {"An idea": 1, "The first": 1, "The second": 1}
    assert waiting(members) == []
    assert len(set(members.journal.fold.allocated.values())) == len(members.journal.fold.allocated) == 2
    fold = members.journal.fold
    assert sorted(fold.answers.values()) == sorted((text, True) for text in ANSWERED)
    assert (fold.ideas["idea-007"].priority, fold.drained) == (0, {HERE.host: "drained by ann"})
    assert fold.cards == {HERE.host: "cpu:2"}
    assert not [path for path in Path(members.context.paths.requests).iterdir() if path.suffix == ".json"]
    states = standing(members)
    assert states.pop("idea-002") == "COMPLETED"
    assert states.pop("idea-007") == "HELD"
    assert set(states.values()) == {"QUEUED"}
    assert len(states) == 2


def steps_of(tmp_path: Path) -> int:
    share = Share(None)
    members = prepared(tmp_path / "count", share)
    members.steward.step()
    return len(share.calls)


def test_a_crash_before_any_call_of_a_step_neither_loses_nor_doubles(tmp_path: Path):
    count = steps_of(tmp_path)
    assert count > 15
    for at in range(count + 1):
        home = tmp_path / f"killed-{at}"
        share = Killed(None, 1 << 30)
        members = prepared(home, share)
        share.at = at
        if at < count:
            with pytest.raises(Died):
                members.steward.step()
        else:
            members.steward.step()
        after = successor(home)
        after.settler.sweep()
        settle(after)
        check(after)


@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
def test_a_call_that_fails_neither_loses_nor_doubles(tmp_path: Path, done: bool):
    for at in range(steps_of(tmp_path)):
        share = Faulty(None, 1 << 30, done=done)
        members = prepared(tmp_path / f"faulty-{at}", share)
        share.at = at
        try:
            members.steward.step()
        except OSError as told:
            assert told.errno == errno.EIO
        share.at = 1 << 30
        follow(members)
        settle(members)
        check(members)
