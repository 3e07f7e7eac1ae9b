"""Two daemons on one directory, as two machines: own host names, own pids, nothing shared but the files."""

from __future__ import annotations

import os
import signal

import pytest
from farmhouse import SHORT_LEASE, idea, two_machines

pytestmark = pytest.mark.skipif(bool(two_machines()), reason=two_machines() or "two machines can be had")


def test_two_machines_share_ideas_and_run_none_twice(make_farm):
    farm = make_farm(poll=1)
    farm.write(*[idea(n) for n in range(1, 13)])
    farm.start(gpus="cpu:2", on=farm.machine("alpha"))
    farm.start(gpus="cpu:2", on=farm.machine("beta"))
    farm.wait_states(COMPLETED=12)
    assert len(farm.starts()) == 12
    assert {event["host"] for event in farm.starts()} == {"alpha", "beta"}
    assert {host["name"] for host in farm.status()["hosts"]} == {"alpha", "beta"}
    assert [host["leader"] for host in farm.status()["hosts"]].count(True) == 1


def test_a_daemon_that_is_killed_on_either_machine_loses_nothing_and_is_followed_by_one_that_adopts(make_farm):
    farm = make_farm(poll=1)
    farm.write(idea(1, "wait('go')\nmetrics()"), idea(2, "wait('go')\nmetrics()"))
    machines = [farm.machine("alpha"), farm.machine("beta")]
    daemons = [farm.start(on=machine) for machine in machines]
    farm.wait(lambda: len(farm.starts()) == 2, "two starts")
    running = set(farm.processes("train_idea.py"))
    for machine, daemon in zip(machines, daemons, strict=True):
        daemon.kill()
        again = farm.start(on=machine)
        farm.wait(lambda daemon=again: "adopted" in daemon.output, "the adoption")
    assert set(farm.processes("train_idea.py")) == running
    farm.flag("go")
    farm.wait_states(COMPLETED=2)
    assert len(farm.starts()) == 2


def test_what_a_dead_host_ran_is_run_again_once_by_the_other_after_the_lease(make_farm):
    farm = make_farm(poll=1, lease=SHORT_LEASE)
    farm.write(idea(1, "wait('go')\nmetrics()"))
    farm.start(on=farm.machine("alpha"))
    farm.wait(farm.starts, "the start on alpha")
    machine = farm.machine("beta")
    beta = farm.start(on=machine)
    farm.append(idea(2, "if not resumed(): save('half'); touch('saved'); rest()\nmetrics(resumed=resumed())"))
    farm.wait(lambda: farm.flagged("saved"), "the start on beta")
    farm.flag("go")
    beta.kill()
    for pid in farm.keepers(on=machine):
        os.kill(pid, signal.SIGKILL)
    farm.wait_for(idea_001="CLAIM DONE", idea_002="CLAIM LOST CLAIM DONE")
    first, second = farm.starts("idea-002")
    assert (first["host"], second["host"]) == ("beta", "alpha")
    assert second["at"] - first["at"] >= SHORT_LEASE["steal"]
    assert not farm.records("idea-002")[1]["seen_gone"]
    assert farm.last("idea-002")["metrics"]["resumed"] == "half"
    farm.wait_states(COMPLETED=2)


def test_when_the_leader_dies_the_other_host_leads_after_the_lease_and_the_reports_go_on(make_farm):
    farm = make_farm(poll=1, lease=SHORT_LEASE)
    machine = farm.machine("alpha")
    farm.write(idea(1, "wait('go')\nmetrics()"))
    farm.start(on=machine)
    farm.wait(lambda: farm.status().get("leader") == "alpha" and farm.starts(), "a leader")
    beta = farm.start(on=farm.machine("beta"))
    farm.append(idea(2))
    farm.wait_for(idea_002="CLAIM DONE")
    machine.stop()
    farm.daemons[0].wait()
    farm.wait(lambda: farm.status()["leader"] == "beta", "the new leader")
    assert "this host leads" in beta.output
    farm.append(idea(3))
    farm.flag("go")
    farm.wait_states(COMPLETED=3)
    assert farm.kinds("idea-001") == ["CLAIM", "LOST", "CLAIM", "DONE"]
    assert [host["name"] for host in farm.status()["hosts"]] == ["beta"]
