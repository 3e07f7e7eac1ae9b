"""The leader's messages: what becomes news, what is recorded before it is sent, and who goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from farm_examples import ELSEWHERE, HERE, Played, a_leader, context, lead, section, write_ideas

from orze.core.errors import ConfigError
from orze.farm.assembly import Assembly
from orze.notify import post

URL = "json://127.0.0.1:9/T0KEN"
HOOK = {"urls": [URL], "every": 0}


class Senders:
    """Stands in for the processes that send: each has ended, well, when it is looked at."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.works = True

    def spawn(self, source: int, answers: int) -> int:
        letters = json.loads(os.pread(source, 1 << 20, 0))
        self.messages += [f"{one['title']}\n{one['body']}" for one in letters if one["body"] and self.works]
        told = [[one["name"], "" if self.works else "HTTP 500"] for one in letters]
        os.write(answers, b"".join(json.dumps(one).encode() + b"\n" for one in told))
        return 1_000_000

    def heard(self, part: str) -> int:
        return sum(part in message for message in self.messages)


@pytest.fixture
def senders(monkeypatch: pytest.MonkeyPatch) -> Senders:
    made = Senders()
    monkeypatch.setattr(post, "_spawn", made.spawn)
    return made


def steps(members: Assembly, count: int = 4, *, swept: bool = True) -> None:
    """Cycles of the daemon, as far as messages are concerned."""
    for _ in range(count):
        members.notifying.step(swept=swept)
        members.notifying.child_ended(1_000_000)


@pytest.fixture
def farm(tmp_path: Path, senders: Senders) -> Callable[..., Assembly]:
    """Makes leaders of one farm with three ideas, the next one when the last has gone."""

    def make(machine: Any = HERE, **settings: Any) -> Assembly:
        members = a_leader(tmp_path, machine, notifications=HOOK, **settings)
        write_ideas(members.context, *(section(number) for number in range(1, 4)))
        members.hosts.begin()
        members.hosts.tell(cards=(), running=0, free=1)
        members.intake.read()
        members.context.clock.sleep(1.1)
        lead(members)
        return members

    return make


def ends(members: Assembly, number: int, **content: Any) -> None:
    """An attempt ends, and the journal tells it."""
    played = Played(members.context, f"idea-{number:03d}")
    played.end(content.pop("kind", "DONE"), **content)
    members.settler.settle(played.idea_id, played.fold)
    lead(members)


def ledgers(members: Assembly) -> list[Path]:
    return sorted(Path(members.context.paths.notify).glob("*.json"))


def test_without_urls_nothing_is_done(tmp_path: Path, senders: Senders) -> None:
    members = a_leader(tmp_path)
    steps(members)
    members.notifying.lost({"token"})
    members.notifying.end(flush=True)
    members.notifying.check()
    assert not Path(members.context.paths.notify).exists()
    assert members.notifying.due() == float("inf")


def test_results_and_failures_are_told_once_each(farm, senders) -> None:
    members = farm()
    steps(members)
    ends(members, 1, metrics={"val_loss": 0.5})
    steps(members)
    ends(members, 2, kind="FAIL", cause="exception", error="ValueError: x")
    steps(members)
    ends(members, 3, metrics={"val_loss": 0.75})
    steps(members)
    assert senders.heard("new best idea-001 val_loss 0.5000 (the first result)") == 1
    assert senders.heard("idea-002 failed for good: exception") == 1
    assert senders.heard("the queue is empty") == 1
    assert len(senders.messages) == 3
    assert members.notifying.due() == float("inf")
    steps(members)
    assert len(senders.messages) == 3


def test_a_failure_that_is_tried_again_is_no_news(farm, senders) -> None:
    members = farm()
    steps(members)
    ends(members, 1, kind="FAIL", final=False)
    steps(members)
    assert senders.messages == []


def test_what_was_there_before_the_first_look_is_no_news(farm, senders) -> None:
    members = farm()
    steps(members, swept=False)
    assert ledgers(members) == []
    ends(members, 1, kind="FAIL")
    ends(members, 2)
    steps(members)
    assert len(ledgers(members)) == 1
    assert senders.messages == []


def test_only_what_is_asked_for_is_told(tmp_path, senders) -> None:
    members = a_leader(tmp_path, notifications={**HOOK, "on": ["new_best"]})
    write_ideas(members.context, section(1), section(2))
    lead(members)
    steps(members)
    ends(members, 1, kind="FAIL")
    ends(members, 2)
    steps(members)
    assert (senders.heard("new best idea-002"), len(senders.messages)) == (1, 1)


def test_the_next_leader_tells_what_the_last_one_could_not_and_repeats_nothing(farm, senders) -> None:
    first = farm()
    steps(first)
    ends(first, 1, kind="FAIL", cause="exception")
    steps(first)
    senders.works = False
    ends(first, 2, kind="FAIL", cause="signal")
    steps(first)
    assert first.notifying.problems == ["notifications: 1 of 1 targets not reached: HTTP 500 (json)"]
    ends(first, 3, kind="FAIL", cause="timeout")  # it dies before it looks again
    first.leadership.resign()
    assert first.notifying.problems == []
    senders.works = True
    second = farm(ELSEWHERE)
    steps(second)
    assert [senders.heard(cause) for cause in ("exception", "signal", "timeout")] == [1, 1, 1]
    assert [path.stem for path in ledgers(second)] == ["000000000002"]
    assert senders.heard("lost") == 0, "it resigned"


def test_the_host_of_a_leader_that_was_deposed_is_lost_unless_a_daemon_lives_there(farm, senders) -> None:
    first = farm()
    steps(first)
    second = context(Path(first.context.settings.project_dir), ELSEWHERE)
    Assembly(second, {"PATH": os.defpath}).leadership.depose(first.context.token)
    first.hosts.bury(first.context.token)
    again = farm()
    steps(again)
    assert senders.messages == [], "a daemon was started again on that host"
    Assembly(second, {"PATH": os.defpath}).leadership.depose(again.context.token)
    again.hosts.bury(again.context.token)
    third = farm(ELSEWHERE)
    steps(third)
    steps(third)
    assert senders.heard(f"host {HERE.host} is lost") == 1
    assert len(senders.messages) == 1


def test_a_dead_daemon_is_told_before_it_is_forgotten_and_once(farm, senders) -> None:
    members = farm()
    steps(members)
    other = a_leader_beside(members)
    for _ in range(2):  # forgetting it did not work the first time
        members.notifying.lost({other})
    steps(members)
    assert senders.heard(f"host {ELSEWHERE.host} is lost") == 1
    assert len(senders.messages) == 1


def a_leader_beside(members: Assembly) -> str:
    """Another daemon, of another machine; its token."""
    beside = context(Path(members.context.settings.project_dir), ELSEWHERE)
    other = Assembly(beside, {"PATH": os.defpath})
    other.hosts.begin()
    other.hosts.tell(cards=(), running=0, free=1)
    return beside.token


def test_what_cannot_be_recorded_is_not_sent_but_later(farm, senders) -> None:
    members = farm()
    steps(members)
    directory = Path(members.context.paths.notify)
    kept = directory.rename(directory.with_name("away"))
    directory.write_text("in the way")
    ends(members, 1, kind="FAIL", cause="exception")
    for _ in range(3):
        with pytest.raises(OSError, match="Not a directory"):
            members.notifying.step(swept=True)
    with pytest.raises(OSError, match="Not a directory"):
        members.notifying.lost({a_leader_beside(members)})
    assert senders.messages == []
    directory.unlink()
    kept.rename(directory)
    steps(members)
    assert senders.heard("exception") == 1
    assert senders.heard("is lost") == 1


def test_who_leaves_waits_for_what_is_under_way_and_with_once_sends_the_rest(farm, senders) -> None:
    members = farm()
    steps(members)
    ends(members, 1, kind="FAIL", cause="exception")
    members.notifying.end(flush=False)
    assert senders.messages == []
    members.notifying.end(flush=True)
    assert senders.heard("exception") == 1


def test_a_host_without_apprise_is_told_so_at_the_start(farm, monkeypatch) -> None:
    members = farm()
    members.notifying.check()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'orze\[notify\]'"):
        members.notifying.check()


def outcome(members: Assembly, number: int, value: float, config: str, seed: int) -> None:
    """The journal tells of a result of a configuration."""
    facts = {"metrics": {"val_loss": value}, "config": config, "seed": seed}
    row = [f"idea-{number:03d}", "COMPLETED", facts]
    members.journal.write(members.leadership.fold.term, {"outcomes": [row]})
    lead(members)
    steps(members)


def test_a_best_that_has_to_be_confirmed_is_told_when_it_is(farm, senders) -> None:
    members = farm(report={"confirm": 2})
    steps(members)
    outcome(members, 1, 0.5, "a" * 16, 0)
    assert senders.heard("new best") == 0
    outcome(members, 11, 0.5, "a" * 16, 1)
    assert senders.heard("new best idea-001 val_loss 0.5000 (the first result)") == 1
    outcome(members, 2, 0.25, "b" * 16, 0)
    assert senders.heard("new best") == 1
    outcome(members, 12, 0.25, "b" * 16, 1)
    assert senders.heard("new best idea-002 val_loss 0.2500 (was 0.5000)") == 1
    assert senders.heard("clears idea-001's 0.5000 ± 0") == 1


def test_without_that_a_single_run_is_told_as_one(farm, senders) -> None:
    members = farm()
    steps(members)
    outcome(members, 1, 0.5, "a" * 16, 0)
    assert senders.heard("new best idea-001 val_loss 0.5000 (the first result)") == 1
    assert senders.heard("best so far, one run") == 1
