"""Who follows a dead leader, and that whoever died with it is not waited for twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from farm_examples import ELSEWHERE, HERE, NOBODY, Played, a_leader, context

from orze.core.clock import ManualClock
from orze.core.identity import Machine
from orze.farm.assembly import Assembly
from orze.farm.decide import Campaign, Depose, Reap, decide
from orze.farm.follow import Follower
from orze.farm.show import Show
from orze.farm.view import View

THIRD = Machine("gpu-c", "boot-third", "pid:[4026531836]", "machine-third")
LEASE = 180.0  # seconds: the default of the settings used here
BEAT = 10.0


class Three:
    """A leader that shows no more life, and two hosts beside it, on one clock."""

    def __init__(self, home: Path) -> None:
        self.clock = ManualClock()
        self.gone = a_leader(home, Machine("gpu-x", "boot-x", "pid:[4026531836]", "machine-x"))
        self.gone.hosts.begin()
        self.leader = self.gone.context.token
        self.hosts = [self._start(home, machine) for machine in (ELSEWHERE, THIRD)]
        self.hosts.sort(key=lambda members: members.context.token)
        self.deputy, self.third = self.hosts
        self.followers = [Follower(members, Show(members.context, members)) for members in self.hosts]

    def _start(self, home: Path, machine: Machine) -> Assembly:
        members = Assembly(context(home, machine, clock=self.clock, gpus="cpu"), {"PATH": os.defpath})
        members.hosts.begin()
        return members

    def wait(self, seconds: float) -> None:
        """Let time pass, with a cycle of each host every ten seconds."""
        end = self.clock.steady() + seconds
        while self.clock.steady() < end:
            for members, follower in zip(self.hosts, self.followers, strict=True):
                members.hosts.renew()
                members.leadership.refresh()
                follower.look()
                follower.take_in()
                members.succession.judge()
            self.clock.advance(BEAT)


@pytest.fixture
def three(tmp_path: Path) -> Three:
    return Three(tmp_path)


def test_two_hosts_watch_what_runs_however_many_there_are(three):
    assert not any(members.succession.watches for members in three.hosts), "nobody has been seen yet"
    three.wait(BEAT)
    assert (three.deputy.succession.watches, three.third.succession.watches) == (True, False)
    assert three.gone.succession.watches


def test_the_deputy_has_the_first_word_and_the_others_follow_where_it_says_nothing(three):
    three.wait(LEASE)
    assert not three.deputy.succession.due
    three.wait(BEAT)
    assert (three.deputy.succession.due, three.third.succession.due) == (True, False)
    three.wait(3 * BEAT)
    assert three.third.succession.due


def test_a_leader_that_beats_again_is_not_followed(three):
    three.wait(LEASE)
    three.gone.context.clock.advance(BEAT)
    three.gone.hosts.renew()
    three.wait(LEASE)
    assert not any(members.succession.due for members in three.hosts)


def test_what_died_with_the_leader_is_reaped_by_who_follows_it_within_one_lease(three):
    lost = Played(three.gone.context, "idea-001", three.gone.context.machine)
    three.wait(LEASE + BEAT)
    deputy = three.deputy
    view = View(
        leader=three.leader, leader_dead=deputy.succession.due, dead=tuple(deputy.attempts.dead), leads=False
    )
    assert decide(view) == [Depose(three.leader), Campaign()]
    deputy.leadership.depose(three.leader)
    assert deputy.leadership.campaign()
    three.wait(BEAT)
    view = View(leader=deputy.context.token, leads=True, dead=tuple(deputy.attempts.dead))
    (reap,) = decide(view)
    assert isinstance(reap, Reap)
    assert reap.dead.token == lost.token
    assert not three.third.attempts.dead


def test_a_chain_that_cannot_be_read_keeps_no_host_from_following_a_dead_leader(three):
    ended = Played(three.gone.context, "idea-001", three.gone.context.machine)
    three.wait(BEAT)
    ended.end()
    next(Path(three.gone.context.paths.idea("idea-001").chain).rglob("000002.json")).write_bytes(b"torn")
    three.wait(LEASE + BEAT)
    assert three.deputy.problems.of("reading the chains of attempts") != []
    assert three.deputy.succession.due


def test_a_leader_of_this_machine_is_followed_as_soon_as_its_process_is_gone(tmp_path):
    dead = a_leader(tmp_path)
    members = Assembly(context(tmp_path, gpus="cpu"), {"PATH": os.defpath})
    members.leadership.refresh()
    members.succession.judge()
    assert not members.succession.due, "its process is this one"
    dead.leadership.resign()
    frame = HERE.frame(NOBODY, 1)
    ghost = type(dead.leadership)(
        dead.context.files, dead.context.paths.leader, dead.context.clock, token="ghost", frame=frame
    )
    assert ghost.campaign()
    members.leadership.refresh()
    members.succession.judge()
    assert members.succession.due
