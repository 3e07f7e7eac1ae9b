"""Clocks, paths and the words for states."""

import time

from orze.core.clock import ManualClock, SystemClock
from orze.core.paths import FarmPaths, IdeaPaths, attempt_name
from orze.core.states import NOT_ITS_FAULT, RUNNING, SUCCEEDED, TERMINAL, Cause, State


def test_a_manual_clock_moves_only_when_told():
    clock = ManualClock(5.0)
    assert (clock.steady(), clock.wall()) == (5.0, 5.0)
    clock.sleep(2.5)
    clock.advance(1.5)
    assert (clock.steady(), clock.wall()) == (9.0, 9.0)


def test_the_steady_clock_counts_the_time_of_a_suspended_machine():
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = SystemClock().steady()
    assert before <= now <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_the_wall_clock_shows_unix_time_and_sleeping_waits():
    clock = SystemClock()
    assert abs(clock.wall() - time.time()) < 5
    before = clock.steady()
    clock.sleep(0.001)
    assert clock.steady() - before >= 0.001


def test_every_path_of_a_farm_lies_in_its_results_and_no_two_are_the_same():
    farm = FarmPaths("/data/results/")
    idea = farm.idea("idea-001")
    paths = [
        farm.home, farm.heartbeats, farm.heartbeat("idea-001", "t"), farm.doors, farm.door("t"), farm.leader,
        farm.journal, farm.requests, farm.hosts, farm.host("t"), farm.out, farm.output("report.md"),
        farm.face("report.md"), idea.home, idea.chain, idea.attempts, idea.attempt(1, "t"),
        idea.projection("metrics.json"), idea.stop_request("t"),
    ]  # fmt: skip
    assert len(set(paths)) == len(paths)
    assert all(path.startswith("/data/results/") and "//" not in path for path in paths)


def test_an_attempt_is_named_by_its_number_and_token():
    assert IdeaPaths("/r/idea-1").attempt(2, "ab") == "/r/idea-1/attempts/2-ab"
    assert attempt_name(2, "ab") == "2-ab"


def test_a_state_is_running_or_terminal_or_waits():
    assert not RUNNING & TERMINAL
    assert SUCCEEDED < TERMINAL
    assert set(State) - RUNNING - TERMINAL == {State.QUEUED, State.HELD, State.QUARANTINED}


def test_only_a_lost_host_and_a_preemption_say_nothing_about_the_experiment():
    assert {Cause.PREEMPTED, Cause.HOST_LOST} == NOT_ITS_FAULT
    assert "host_lost" in NOT_ITS_FAULT  # records hold the bare word
