"""Hosts that share nothing but an NFS export run one queue, and go on when the one that leads is gone."""

from __future__ import annotations

import pytest
from nfschecker import check, runs
from nfsfarm import STEAL, TIMES, ideas

pytestmark = pytest.mark.timeout(200 * TIMES)


def test_three_hosts_run_each_idea_once_and_what_is_written_on_one_takes_effect_on_another(lab, make_farm):
    farm = make_farm()
    one, two, three = lab.guests
    farm.start_all()
    farm.append(one, ideas(1, 12, 1))
    farm.wait(lambda: farm.completed(12), "the results")
    assert {run.host for of_one in runs(farm).values() for run in of_one} == {"c1", "c2", "c3"}
    farm.append(one, ideas(13, 13, 600, Hosts=three.name) + ideas(14, 14, 0.1, Hosts=two.name))
    took = farm.wait(lambda: farm.running(three), "the launch on another host")
    print(f"from an append on one host to the training on another: {took:.1f} s")
    farm.ask(two, "stop", "idea-013")
    farm.wait(lambda: farm.states() == {"COMPLETED": 13, "STOPPED": 1}, "the stop from another host")
    done = [f"idea-{number:03d}" for number in (*range(1, 13), 14)]
    check(farm, done, others=["idea-013"])
    assert [len(of_one) for of_one in runs(farm).values()] == [1] * 14


def test_when_the_kernel_of_the_leader_crashes_another_leads_and_runs_its_ideas_again(lab, make_farm):
    farm = make_farm()
    farm.start_all()
    leader = farm.leader()
    other = next(guest for guest in lab.guests if guest is not leader)
    farm.append(other, ideas(1, 6, STEAL / 2) + ideas(7, 7, 0.1))
    farm.wait(lambda: farm.running(leader), "a training on the leading host")
    leader.crash()
    lost = farm.claimed(leader)
    took = farm.wait(lambda: farm.status()["leader"] != leader.name, "the report of another", 3 * STEAL)
    print(f"from the crash of the leading kernel to the next leader's report: {took:.1f} s")
    took += farm.wait(lambda: any(len(runs(farm)[i]) == 2 for i in lost), "a second training", 4 * STEAL)
    print(f"from its crash to the next training of its ideas: {took:.1f} s")
    leader.boot()
    leader.wait()
    farm.start(leader)
    farm.append(leader, ideas(8, 8, 0.1, Hosts=leader.name))
    farm.wait(lambda: farm.completed(8), "the results", 8 * STEAL)
    everyone = {"c1", "c2", "c3"}
    farm.wait(lambda: {host["name"] for host in farm.status()["hosts"]} == everyone, "all hosts", STEAL)
    assert farm.leader() is not leader
    check(farm, [f"idea-{number:03d}" for number in range(1, 9)])
