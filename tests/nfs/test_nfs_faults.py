"""Sixty ideas on three hosts with clocks hours apart, and every fault of kernels, network and server."""

from __future__ import annotations

import time

import pytest
from lab import Lab
from nfschecker import check, runs
from nfsfarm import STEAL, TIMES, Farm, ideas

pytestmark = pytest.mark.timeout(400 * TIMES)
SHORT, MEDIUM, LONG = STEAL / 6, STEAL, 3 * STEAL  # seconds of a training; a long one outlasts its LOST


def test_sixty_ideas_have_one_result_each_whatever_happens_to_kernels_network_server_and_clocks(
    lab, make_farm
):
    farm = make_farm()
    one, two, three = lab.guests
    one.set_clock("2 hours")
    three.set_clock("2 hours ago")
    two.delay(10)
    farm.start_all()
    farm.append(one, ideas(1, 6, MEDIUM) + ideas(7, 15, SHORT))
    the_server_is_killed_and_restarted(farm, lab)
    ended(farm, 15)
    one.set_clock("3 hours ago")
    farm.append(two, ideas(16, 21, LONG))
    one_client_is_frozen_and_another_cut_off_past_the_lease(farm, lab)
    ended(farm, 32)
    farm.append(three, ideas(33, 38, LONG))
    the_server_is_paused_past_the_lease(farm, lab)
    farm.append(three, ideas(39, 45, SHORT))
    ended(farm, 45)
    farm.append(one, ideas(46, 51, MEDIUM) + ideas(52, 60, SHORT))
    a_kernel_crashes_and_boots_again_under_its_name(farm, lab)
    ended(farm, 60)
    print(farm.summary())
    check(farm, [f"idea-{number:03d}" for number in range(1, 61)])


def the_server_is_killed_and_restarted(farm: Farm, lab: Lab) -> None:
    """All clients reclaim what they had open, in the server's grace period."""
    all_run(farm, lab)
    lab.server.kill()
    time.sleep(STEAL / 6)
    lab.server.start()


def one_client_is_frozen_and_another_cut_off_past_the_lease(farm: Farm, lab: Lab) -> None:
    """Both are superseded, and their ideas end elsewhere; then both are back, and take part again."""
    all_run(farm, lab)
    leader = farm.leader()
    frozen, parted = [guest for guest in lab.guests if guest is not leader]
    frozen.freeze()
    parted.cut()
    farm.frozen |= farm.claimed(frozen)
    lost = farm.claimed(frozen) | farm.claimed(parted)
    farm.append(leader, ideas(22, 30, SHORT))
    took = farm.wait(lambda: all("LOST" in farm.kinds(idea) for idea in lost), "the LOSTs", 4 * STEAL)
    print(f"from the freeze and the cut to the last LOST: {took:.1f} s")
    farm.wait(lambda: all(farm.kinds(idea)[-1] == "DONE" for idea in lost), "successors", 8 * STEAL)
    back = time.time()
    frozen.thaw()
    parted.heal()
    late = lambda: [run for idea in farm.frozen for run in runs(farm)[idea] if run.last > back]  # noqa: E731
    farm.wait(late, "what was frozen does something")
    farm.append(frozen, ideas(31, 31, SHORT, Hosts=frozen.name) + ideas(32, 32, SHORT, Hosts=parted.name))


def the_server_is_paused_past_the_lease(farm: Farm, lab: Lab) -> None:
    """Nobody can renew anything for longer than S, and nobody can tell: it comes back to all at once."""
    all_run(farm, lab)
    lab.server.pause()
    time.sleep(1.3 * STEAL)
    lab.server.resume()


def a_kernel_crashes_and_boots_again_under_its_name(farm: Farm, lab: Lab) -> None:
    """Another boot of the same machine: what ran before it is dead without waiting for the lease."""
    all_run(farm, lab)
    victim = next(guest for guest in lab.guests if guest is not farm.leader())
    victim.crash()
    lost = farm.claimed(victim)
    victim.boot()
    victim.wait()
    farm.start(victim)
    took = farm.wait(lambda: all("LOST" in farm.kinds(idea) for idea in lost), "the LOSTs", 4 * STEAL)
    print(f"from the reboot of a host to the last LOST of what it ran: {took:.1f} s")


def all_run(farm: Farm, lab: Lab) -> None:
    """Wait until a training runs on every slot."""
    farm.wait(lambda: all(len(farm.running(guest)) == 2 for guest in lab.guests), "six trainings", 6 * STEAL)


def ended(farm: Farm, count: int) -> None:
    """Wait until all that was appended so far has its result."""
    took = farm.wait(lambda: farm.completed(count), f"{count} results", 10 * STEAL)
    print(f"until all {count} had a result: {took:.1f} s more")
