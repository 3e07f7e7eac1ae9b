"""What operators ask of hosts: which daemons do it, what is shown of it, and what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from farm_examples import ELSEWHERE, HERE, a_leader, context, follow

from orze.coord.journal import Answer
from orze.coord.requests import Request
from orze.core.identity import Machine
from orze.farm.applying import Applier
from orze.farm.assembly import Assembly
from orze.farm.hosts import Hosts
from orze.farm.show import Show

ME, OTHER = HERE.host, ELSEWHERE.host


def tell(home: Path, machine: Machine) -> None:
    """A daemon of this machine tells of it."""
    Hosts(context(home, machine)).tell(cards=(), running=0, free=1)


def applier_of(members: Assembly) -> Applier:
    return Applier(
        members.context,
        journal=members.journal,
        queue=members.queue,
        attempts=members.attempts,
        hosts=members.hosts,
        board=members.board,
    )


def ask(members: Assembly, kind: str, host: str = ME, value: str = "", *, uuid: str = "u") -> Answer:
    """Apply one request as the leader does; its answer."""
    parts: dict = {}
    assert applier_of(members).apply(Request(uuid, kind, host, value=value, by="ann"), parts)
    assert members.journal.write(members.leadership.fold.term, parts)
    follow(members)
    return members.journal.fold.answers[uuid]


ANSWERS = [  # kind, host, value, answer, whether it was done; one behind the other
    ("undrain", ME, "", "gpu-a is not drained", True),
    ("undrain", "nobody", "", "nobody is not drained", True),
    ("drain", ME, "", "gpu-a takes no new ideas; what runs there goes on", True),
    ("drain", ME, "", "gpu-a is drained already", True),
    ("drain", OTHER, "", "gpu-b takes no new ideas; what runs there goes on", True),
    ("drain", "nobody", "", "no daemon runs on a host called nobody; there are gpu-a, gpu-b", False),
    ("drain", "gpu-*", "", "no daemon runs on a host called gpu-*; there are gpu-a, gpu-b", False),
    ("undrain", ME, "", "gpu-a takes new ideas again", True),
    ("cards", OTHER, "0,1", "gpu-b is to use cards 0,1; what runs on others goes on", True),
    ("cards", OTHER, "0,1", "gpu-b is to use cards 0,1 already", True),
    ("cards", "nobody", "0", "no daemon runs on a host called nobody; there are gpu-a, gpu-b", False),
    ("cards", OTHER, "default", "gpu-b is to use the cards that it was started with; what runs on", True),
    ("cards", OTHER, "default", "gpu-b is to use the cards that it was started with already", True),
    ("cards", "nobody", "default", "nobody is to use the cards that it was started with already", True),
]


def test_each_request_of_a_host_is_answered_with_what_is_the_case(tmp_path: Path):
    members = a_leader(tmp_path)
    tell(tmp_path, ELSEWHERE)
    for number, (kind, host, value, text, done) in enumerate(ANSWERS):
        answer = ask(members, kind, host, value, uuid=f"u{number}")
        assert (answer.text.startswith(text), answer.done) == (True, done), (number, answer)
    assert members.journal.fold.drained == {OTHER: "drained by ann"}
    assert members.journal.fold.cards == {}


@pytest.mark.parametrize("kind", ["drain", "undrain", "cards"])
def test_a_request_of_a_host_that_was_answered_does_nothing_more(tmp_path: Path, kind: str):
    members = a_leader(tmp_path)
    ask(members, kind, value="cpu:2")
    before = members.journal.fold.tail
    parts: dict = {}
    assert applier_of(members).apply(Request("u", kind, ME, value="cpu:2", by="ann"), parts)
    assert (parts, members.journal.fold.tail) == ({}, before)


def test_what_strangers_wrote_among_the_hosts_is_no_host(tmp_path: Path):
    members = a_leader(tmp_path)
    hosts = Path(members.context.paths.hosts)
    for number, data in enumerate([b"", b"{", b'{"name": 7}', b'{"name": "a b"}', b'{"cards": []}']):
        (hosts / f"stranger{number}.json").write_bytes(data)
    (hosts / "a.b.json").write_bytes(b'{"name": "dots"}')
    (hosts / "directory.json").mkdir()
    (hosts / "readme.txt").write_bytes(b'{"name": "text"}')
    assert members.hosts.names() == {ME}
    tell(tmp_path, ELSEWHERE)
    assert members.hosts.names() == {ME, OTHER}


def test_a_host_does_what_is_asked_of_it_says_so_once_and_leaves_alone_what_is_asked_of_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    members = a_leader(tmp_path, gpus="cpu:2")
    tell(tmp_path, ELSEWHERE)
    caplog.set_level(logging.INFO, "orze")
    logging.getLogger("orze").propagate = True
    ask(members, "drain", OTHER, uuid="u1")
    assert members.orders.take_in()
    assert (members.orders.drained, members.orders.take_in()) == ("", False)
    ask(members, "drain", uuid="u2")
    assert [members.orders.take_in() for _ in range(3)] == [True, False, False]
    assert members.orders.drained == "drained by ann"
    ask(members, "cards", value="cpu:1", uuid="u3")
    assert [members.orders.take_in() for _ in range(3)] == [True, False, False]
    assert [slot.name for slot in members.cards.slots] == ["cpu0"]
    ask(members, "undrain", uuid="u4")
    ask(members, "cards", value="default", uuid="u5")
    assert members.orders.take_in()
    assert (members.orders.drained, len(members.cards.slots)) == ("", 2)
    told = [record.getMessage() for record in caplog.records if not record.getMessage().startswith("request")]
    assert told == [
        "this host is drained by ann: it takes no new ideas, what runs goes on",
        "slots in use from now on: cpu0",
        "this host takes new ideas again",
        "slots in use from now on: cpu0, cpu1",
    ]


def test_it_holds_after_a_restart_and_under_another_leader(tmp_path: Path):
    members = a_leader(tmp_path, gpus="cpu:2")
    tell(tmp_path, ELSEWHERE)
    ask(members, "drain", OTHER, uuid="u1")
    ask(members, "cards", OTHER, "cpu:3", uuid="u2")
    members.leadership.resign()
    again = a_leader(tmp_path, ELSEWHERE, gpus="cpu:1")
    follow(again)
    again.orders.take_in()
    assert (again.orders.drained, len(again.cards.slots)) == ("drained by ann", 3)


def snapshot_of(members: Assembly) -> dict:
    show = Show(members.context, members)
    members.attempts.look(judge=False, clones=False)
    members.orders.take_in()
    show.after_cycle({})
    show.write()
    return json.loads(Path(members.context.paths.output("status.json")).read_bytes())


def test_a_drained_host_has_no_free_slot_and_the_report_says_why(tmp_path: Path):
    members = a_leader(tmp_path, gpus="cpu:2")
    members.hosts.begin()
    ask(members, "drain", uuid="u1")
    ask(members, "cards", value="cpu:1", uuid="u2")
    status = snapshot_of(members)
    (host,) = status["hosts"]
    assert (host["state"], host["free"], host["cards_asked"]) == ("drained", 0, "cpu:1")
    assert [(card["key"], card["state"]) for card in host["cards"]] == [("cpu0", "drained")]
    assert status["free_gpus"] == []


def test_a_problem_with_the_cards_of_any_host_stands_in_the_report(tmp_path: Path):
    members = a_leader(tmp_path)
    members.hosts.begin()
    other = Hosts(context(tmp_path, ELSEWHERE))
    other.begin()
    other.tell(cards=(), running=0, free=0, problems=["GPU 3 is out of use: \x1b[2J", "x" * 1000])
    told = [problem["text"] for problem in snapshot_of(members)["problems"]]
    assert told == ["gpu-b: GPU 3 is out of use: \x1b[2J", "gpu-b: " + "x" * 300]
    other._context.clock.advance(1)
    other.tell(cards=(), running=0, free=0)
    assert snapshot_of(members)["problems"] == []
