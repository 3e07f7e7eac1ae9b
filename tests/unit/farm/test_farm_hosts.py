"""The daemons of a farm: signs of life, what each tells of itself, and who is dead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from farm_examples import ELSEWHERE, HERE, context

from orze.core.identity import Machine
from orze.farm.context import Context
from orze.farm.hosts import Hosts, row_of
from orze.report.model import CardRow

REBOOTED = Machine(HERE.host, "boot-before", HERE.pidns, HERE.machine_id)
CARDS = (CardRow("0", "H200", "runs idea-001", 10.0, 143771.0), CardRow("cpu0", "CPU slot", "free"))


def two(home: Path, other: Machine = ELSEWHERE) -> tuple[Context, Hosts, Hosts]:
    mine, theirs = context(home), context(home, other)
    return mine, Hosts(mine), Hosts(theirs)


def token_of(hosts: Hosts) -> str:
    return hosts._context.token


def test_a_daemon_shows_itself_and_leaves_nothing_when_it_goes(tmp_path: Path):
    made = context(tmp_path)
    hosts = Hosts(made)
    hosts.begin()
    hosts.tell(cards=CARDS, running=1, free=1)
    assert Path(made.paths.heartbeat("daemon", made.token)).exists()
    (row,) = hosts.rows({made.token}, made.token)
    assert (row.name, row.leader, row.running, row.free, row.cards) == ("gpu-a", True, 1, 1, CARDS)
    hosts.end()
    assert list(Path(made.paths.heartbeats).iterdir()) == list(Path(made.paths.hosts).iterdir()) == []


def test_the_heartbeat_is_renewed_when_it_is_time_and_not_before(tmp_path: Path):
    made = context(tmp_path)
    hosts = Hosts(made)
    hosts.begin()
    beat = Path(made.paths.heartbeat("daemon", made.token))
    first = beat.read_bytes()
    made.clock.advance(9)
    hosts.renew()
    assert beat.read_bytes() == first
    made.clock.advance(1)
    hosts.renew()
    assert beat.read_bytes() > first
    assert hosts.next_beat() == made.clock.steady() + 10


def test_a_daemon_that_was_buried_alive_shows_itself_again(tmp_path: Path):
    made = context(tmp_path)
    hosts = Hosts(made)
    hosts.begin()
    hosts.tell(cards=CARDS, running=1, free=1)
    Hosts(context(tmp_path, ELSEWHERE)).bury(made.token)
    made.clock.advance(10)
    hosts.renew()
    hosts.tell(cards=CARDS, running=1, free=1)
    assert Path(made.paths.heartbeat("daemon", made.token)).exists()
    assert hosts.rows({made.token}, "")


def test_what_did_not_change_is_not_told_again(tmp_path: Path):
    made = context(tmp_path)
    hosts = Hosts(made)
    hosts.tell(cards=CARDS, running=1, free=1)
    path = Path(made.paths.host(made.token))
    before = path.stat().st_ino
    hosts.tell(cards=CARDS, running=1, free=1)
    assert path.stat().st_ino == before
    made.clock.advance(1)
    hosts.tell(cards=CARDS, running=1, free=0)
    assert json.loads(path.read_text())["free"] == 0


def test_what_changes_often_is_told_once_a_second_and_the_last_of_it_is_not_forgotten(tmp_path: Path):
    made = context(tmp_path)
    hosts = Hosts(made)
    path = Path(made.paths.host(made.token))
    hosts.tell(cards=CARDS, running=1, free=1)
    told_at = made.clock.steady()
    assert hosts.due == float("inf")
    for free in (0, 1, 0):
        made.clock.advance(0.25)
        hosts.tell(cards=CARDS, running=1, free=free)
    assert json.loads(path.read_text())["free"] == 1
    assert hosts.due == told_at + 1
    made.clock.advance(0.25)
    hosts.tell(cards=CARDS, running=1, free=0)
    assert json.loads(path.read_text())["free"] == 0
    assert hosts.due == float("inf")


def test_a_daemon_is_dead_when_its_counter_stood_still_for_the_lease(tmp_path: Path):
    mine, hosts, other = two(tmp_path)
    other.begin()
    token = token_of(other)
    for _ in range(18):
        assert hosts.dead({token}, {token}) == set()
        mine.clock.advance(10)
    assert hosts.dead({token}, {token}) == {token}


def test_a_daemon_that_beats_lives(tmp_path: Path):
    mine, hosts, other = two(tmp_path)
    other.begin()
    token = token_of(other)
    for _ in range(40):
        assert hosts.dead({token}, {token}) == set()
        mine.clock.advance(10)
        other._context.clock.advance(10)
        other.renew()


def test_one_whose_heartbeat_is_gone_is_dead_after_the_lease_too(tmp_path: Path):
    mine, hosts, _ = two(tmp_path)
    for _ in range(18):
        assert hosts.dead({"gone"}, set()) == set()
        mine.clock.advance(10)
    assert hosts.dead({"gone"}, set()) == {"gone"}


@pytest.mark.parametrize(("machine", "expected"), [(ELSEWHERE, False), (REBOOTED, True)])
def test_a_living_daemon_of_another_boot_with_this_machine_s_id_is_a_clone(tmp_path: Path, machine, expected):
    mine, hosts, other = two(tmp_path, machine)
    other.begin()
    other.tell(cards=CARDS, running=0, free=0)
    token = token_of(other)
    for _ in range(6):
        assert hosts.cloned({token}) is expected
        mine.clock.advance(10)
        other._context.clock.advance(10)
        other.renew()


def test_the_daemon_of_the_boot_before_is_no_clone_once_it_is_seen_silent(tmp_path: Path):
    mine, hosts, other = two(tmp_path, REBOOTED)
    other.begin()
    other.tell(cards=CARDS, running=0, free=0)
    token = token_of(other)
    answers = []
    for _ in range(5):
        answers.append(hosts.cloned({token}))
        mine.clock.advance(10)
    assert (answers[0], answers[-1]) == (True, False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"cards": 5}',
        b'{"cards": [[1, 2]]}',
        b'{"cards": [null]}',
        b'{"cards": [["0", "H200", "free", "much", 1]]}',
        b'{"running": "many"}',
        b'{"free": null}',
        b'{"running": {}}',
        b'{"cards": [], "running": 0, "free": 0, "problems": 5}',
        b"[" * 100_000,
    ],
)
def test_what_nobody_of_ours_wrote_is_passed_over(tmp_path: Path, content: bytes):
    made = context(tmp_path)
    hosts = Hosts(made)
    hosts.tell(cards=CARDS, running=1, free=1)
    Path(made.paths.host("stranger")).write_bytes(content)
    assert [row.name for row in hosts.rows({made.token, "stranger"}, "")] == ["gpu-a"]
    assert hosts.cloned({"stranger"}) is False


def test_a_file_that_cannot_be_read_just_now_is_shown_as_it_was(tmp_path: Path):
    mine, hosts, other = two(tmp_path)
    other.tell(cards=CARDS, running=1, free=1)
    token = token_of(other)
    hosts.rows({token}, "")
    Path(mine.paths.host(token)).unlink()
    assert [row.name for row in hosts.rows({token}, "")] == ["gpu-b"]


def test_hosts_are_shown_by_name(tmp_path: Path):
    mine, hosts, other = two(tmp_path)
    hosts.tell(cards=(), running=0, free=0)
    other.tell(cards=(), running=0, free=0)
    rows = hosts.rows({mine.token, token_of(other)}, token_of(other))
    assert [(row.name, row.leader) for row in rows] == [("gpu-a", False), ("gpu-b", True)]


def measured(utilization: float, temperature: float = 40.0, state: str = "free") -> tuple[CardRow, ...]:
    return (CardRow("0", "H200", state, 10.0, 143771.0, utilization, temperature),)


def test_what_only_was_measured_on_the_cards_is_told_every_ten_seconds_at_most(tmp_path: Path):
    made = context(tmp_path)
    hosts = Hosts(made)
    path = Path(made.paths.host(made.token))

    def told() -> list[object]:
        return json.loads(path.read_text())["cards"][0][2:]

    hosts.tell(cards=measured(0.0), running=0, free=1)
    made.clock.advance(9)
    hosts.tell(cards=measured(97.0), running=0, free=1)
    assert told() == ["free", 10.0, 143771.0, 0.0, 40.0]
    made.clock.advance(1)
    hosts.tell(cards=measured(98.0), running=0, free=1)
    assert told() == ["free", 10.0, 143771.0, 98.0, 40.0]
    made.clock.advance(1)
    hosts.tell(cards=measured(99.0, state="idea-001"), running=0, free=1)  # the state is told sooner
    assert told() == ["idea-001", 10.0, 143771.0, 99.0, 40.0]


@pytest.mark.parametrize(
    ("numbers", "utilization", "temperature"),
    [
        ([10, 20], None, None),  # of a daemon that does not tell them yet
        ([10, 20, 97, 71], 97.0, 71.0),
        ([10, 20, None, 71], None, 71.0),
        ([10, 20, 97, 71, "of a later version"], 97.0, 71.0),
    ],
)
def test_rows_of_cards_are_read_whatever_version_wrote_them(
    numbers: list[object], utilization: float | None, temperature: float | None
):
    about = {"name": "a", "running": 0, "free": 0, "cards": [["0", "H200", "free", *numbers]]}
    row = row_of(about, leader=False)
    assert row
    (card,) = row.cards
    assert (card.memory_used_mib, card.utilization, card.temperature) == (10.0, utilization, temperature)


@pytest.mark.parametrize("numbers", [[float("nan"), 1], ["x", 1], [1, 2, float("inf")], [1, 2, 3, []]])
def test_a_measure_that_is_none_makes_the_host_unreadable(numbers: list[object]):
    assert row_of({"running": 0, "free": 0, "cards": [["0", "H200", "free", *numbers]]}, leader=False) is None
