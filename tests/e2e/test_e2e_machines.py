"""Two daemons on one directory, as two machines: own host names, pids and clocks, shared files."""

from __future__ import annotations

import os
import signal

import pytest
from farmhouse import SHORT_LEASE, idea
from machines import two_machines

pytestmark = pytest.mark.skipif(bool(two_machines()), reason=two_machines() or "two machines can be had")


def test_two_machines_share_ideas_and_run_none_twice_and_a_request_reaches_the_other_one(make_farm):
    farm = make_farm(poll=1, lease=SHORT_LEASE)
    farm.write(*[idea(n) for n in range(1, 13)])
    farm.start(gpus="cpu:2", on=farm.machine("alpha"))
    farm.start(gpus="cpu:2", on=farm.machine("beta", up=7200))
    farm.wait_states(COMPLETED=12)
    assert len(farm.starts()) == 12
    assert {event["host"] for event in farm.starts()} == {"alpha", "beta"}
    assert {host["name"] for host in farm.status()["hosts"]} == {"alpha", "beta"}
    assert [host["leader"] for host in farm.status()["hosts"]].count(True) == 1
    endless = "on_term(lambda: None)\nrest()"
    farm.append(idea(13, endless, Hosts="alpha"), idea(14, endless, Hosts="beta"))
    farm.wait(lambda: len(farm.starts()) == 14, "the starts")
    farm.ask("stop", "idea-013")
    farm.ask("stop", "idea-014")
    farm.wait_states(COMPLETED=12, STOPPED=2)


def test_a_daemon_killed_on_either_machine_loses_nothing_and_the_next_one_adopts(make_farm):
    farm = make_farm(poll=1)
    farm.write(idea(1, "wait('go')\nmetrics()"), idea(2, "wait('go')\nmetrics()"))
    machines = [farm.machine("twin"), farm.machine("twin", up=7200)]  # a host name proves nothing
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
    farm = make_farm(poll=1, lease={**SHORT_LEASE, "attribute_cache": 1})
    farm.write(idea(1, "wait('go')\nmetrics()"))
    farm.start(on=farm.machine("alpha"))
    farm.wait(farm.starts, "the start on alpha")
    machine = farm.machine("beta", up=7200)
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
    claim, lost, again, done = farm.records("idea-002")
    assert (
        lost["at"] - claim["at"] > SHORT_LEASE["steal"] - 0.5
    )  # the heartbeat is a little older than the claim
    assert second["at"] - again["at"] >= 1  # the attribute cache: until then old writes may come to light
    assert not lost["seen_gone"]
    assert done["metrics"]["resumed"] == "half"
    farm.wait_states(COMPLETED=2)


def test_when_the_leader_dies_the_other_host_leads_after_the_lease_and_the_reports_go_on(make_farm):
    short = {name: SHORT_LEASE[name] for name in ("heartbeat", "fence", "kill")}
    farm = make_farm(poll=1, lease=short, orphan_timeout_hours=SHORT_LEASE["steal"] / 3600)
    machine = farm.machine("alpha", up=7200)
    farm.write(idea(1, "wait('go')\nmetrics()"))
    alpha = farm.start(on=machine)
    farm.wait(lambda: farm.status().get("leader") == "alpha" and farm.starts(), "a leader")
    beta = farm.start(on=farm.machine("beta"))
    farm.append(idea(2))
    farm.wait_for(idea_002="CLAIM DONE")
    machine.stop()
    alpha.wait()
    farm.wait(lambda: farm.status()["leader"] == "beta", "the new leader")
    assert "this host leads" in beta.output
    farm.append(idea(3))
    farm.flag("go")
    farm.wait_states(COMPLETED=3)
    assert farm.kinds("idea-001") == ["CLAIM", "LOST", "CLAIM", "DONE"]
    assert [host["name"] for host in farm.status()["hosts"]] == ["beta"]


def test_whatever_is_killed_on_either_machine_every_idea_completes_and_none_has_two_results(make_farm):
    farm = make_farm(poll=1, lease=SHORT_LEASE, grace=0.2)
    farm.write(*[idea(n, "pause(0.2)\nmetrics()") for n in range(1, 25)])
    machines = [farm.machine("alpha"), farm.machine("beta", up=7200)]
    daemons = [farm.start(gpus="cpu:2", on=machine) for machine in machines]
    for ended, side, keepers in ((2, 0, False), (4, 1, True), (7, 0, True), (10, 1, False), (13, 0, True)):
        farm.wait(lambda count=ended: len(farm.events("end")) >= count, f"{ended} ends")
        daemons[side].kill()
        for pid in farm.keepers(on=machines[side]) if keepers else ():
            os.kill(pid, signal.SIGKILL)
        daemons[side] = farm.start(gpus="cpu:2", on=machines[side])
    farm.wait_states(COMPLETED=24)
    assert [farm.kinds(f"idea-{n:03d}").count("DONE") for n in range(1, 25)] == [1] * 24


def test_a_machine_that_was_frozen_past_the_lease_goes_on_without_a_second_result_or_a_second_leader(
    make_farm,
):
    farm = make_farm(poll=1, lease=SHORT_LEASE)
    frozen = farm.machine("beta", up=7200)
    beta = farm.start(on=frozen)
    farm.wait(lambda: "this host leads" in beta.output, "a leader")
    farm.write(idea(1, "touch('up')\nwait('go')\nmetrics()"))
    farm.wait(lambda: farm.flagged("up"), "the start")
    farm.start(on=farm.machine("alpha"))
    frozen.send(signal.SIGSTOP)
    farm.frozen.add("idea-001")
    farm.wait(lambda: len(farm.starts()) == 2, "the rerun")
    frozen.send(signal.SIGCONT)
    farm.wait(lambda: len(farm.keepers(on=frozen)) <= 1 and not frozen.runs("train_idea.py"), "its end")
    farm.flag("go")
    farm.wait_states(COMPLETED=1)
    assert farm.kinds("idea-001") == ["CLAIM", "LOST", "CLAIM", "DONE"]
    assert farm.last("idea-001")["host"] == "alpha"
    farm.append(idea(2, Hosts="beta"))
    farm.wait_states(COMPLETED=2)
    assert farm.status()["leader"] == "alpha"


def test_a_disk_that_is_full_for_a_while_delays_what_is_to_be_written_and_loses_nothing(make_farm):
    farm = make_farm(poll=1)
    machine = farm.machine("alpha")
    farm.results.mkdir()
    mounted = machine.run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(farm.results))
    assert mounted == 0
    farm.results = machine.path(farm.results)
    fill = """
with open(f'{out}/big', 'wb', 0) as stream:
    try:
        while stream.write(bytes(4096)): pass
    except OSError:
        touch('full')
        raise
"""
    farm.write(idea(1, fill), idea(2))
    daemon = farm.start(on=machine)
    farm.wait(lambda: farm.flagged("full"), "the full disk")
    chain = farm.results / "idea-001" / ".chain"
    before = chain.stat().st_mtime_ns
    farm.wait(lambda: chain.stat().st_mtime_ns != before, "the try to record the failure")
    assert farm.kinds("idea-001") == ["CLAIM"]
    farm.append(idea(3))
    farm.wait(lambda: "No space left on device" in daemon.output, "the notice")
    next(farm.results.glob("idea-001/attempts/*/big")).unlink()
    farm.wait_states(FAILED=1, COMPLETED=2)
    assert farm.last("idea-001")["cause"] == "disk_full"  # though the log had no room for the message
    farm.wait(lambda: farm.problems() == "", "no more problems")
