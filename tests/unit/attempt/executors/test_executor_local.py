"""Keepers of this host: the nursery that forks them, and what of the daemon they get."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from orze.attempt.executors.base import Keeper
from orze.attempt.executors.local import Local, Nursery
from orze.core.clock import SystemClock

DEADLINE = 30.0


def until(happened: Callable[[], object]) -> None:
    clock = SystemClock()
    end = clock.steady() + DEADLINE
    while not happened():
        assert clock.steady() < end
        select.select([], [], [], 0.01)


def a_keeper(nursery: Nursery) -> Keeper:
    return Keeper(*nursery.fork())


def test_a_nursery_that_was_killed_is_replaced_and_its_keepers_live():
    nursery = Nursery()
    first = a_keeper(nursery)
    parent = psutil.Process(first.pid).parent()
    assert parent
    parent.send_signal(signal.SIGKILL)
    os.waitpid(parent.pid, 0)
    second = a_keeper(nursery)
    assert psutil.Process(first.pid).is_running()
    assert psutil.Process(second.pid).parent() != parent
    for keeper in (first, second):
        keeper.let_go()
    nursery.close()


def test_keepers_outlive_the_nursery_s_end_and_sessions_are_their_own(tmp_path: Path):
    nursery = Nursery()
    keeper = a_keeper(nursery)
    nursery.close()
    assert keeper.tell(prepare={"results": str(tmp_path), "idea_id": "x", "token": "t", "locks": []})
    assert keeper.answer() == ""
    assert os.getsid(keeper.pid) == keeper.pid
    keeper.let_go()


@pytest.mark.parametrize("answered", [False, True])
def test_a_nursery_whose_daemon_dies_before_it_has_the_answer_leaves_without_a_word(capfd, answered: bool):
    link = Nursery().open()
    nursery = psutil.Process().children()[-1]
    requests, replies = os.pipe(), os.pipe()
    if not answered:
        nursery.suspend()
    socket.send_fds(link, [b"\0"], [requests[0], replies[1]])
    if answered:
        until(lambda: select.select([link], [], [], 0)[0])
    for descriptor in (*requests, *replies, link.detach()):
        os.close(descriptor)
    nursery.resume()
    _, status = os.waitpid(nursery.pid, 0)
    assert (status, capfd.readouterr().err) == (0, "")


def test_nothing_of_the_daemon_s_environment_reaches_a_keeper(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    nursery = Nursery()
    keeper = a_keeper(nursery)
    assert set(psutil.Process(keeper.pid).environ()) <= {"PATH", "LC_ALL"}
    keeper.let_go()
    nursery.close()


def test_a_keeper_inherits_no_descriptor_of_the_daemon(tmp_path: Path):
    nursery = Nursery()
    with (tmp_path / "open").open("w"):
        keeper = a_keeper(nursery)
    names = {os.readlink(f"/proc/{keeper.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{keeper.pid}/fd")}
    assert not any(str(tmp_path) in name for name in names)
    keeper.let_go()
    nursery.close()


def test_the_executor_of_this_host_gives_keepers_and_leaves_what_they_are_told_as_it_is(tmp_path: Path):
    local = Local()
    local.check()
    local.open()
    keeper = local.keeper()
    local.close()
    assert keeper.tell(prepare={"results": str(tmp_path), "idea_id": "x", "token": "t", "locks": []})
    assert keeper.answer() == ""
    keeper.let_go()
    message = {"train": {"argv": ["a", "{config}"]}}
    assert local.adapt(message) is message
    assert local.words == "processes of this host"
