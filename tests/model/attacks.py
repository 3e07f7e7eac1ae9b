"""The twelve ways to break a naive version, as families of plans: each number is another order of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from tests.model.plan import LEASES, Fault, HostPlan, IdeaPlan, Plan, Trap, draw, with_orders

_LEASE = LEASES[0]  # h 20, F 60, K 10, S 130, C 60
_LONG = 420.0  # seconds of a run that outlives a lease


def _plan(
    seed: int, *faults: Fault, hosts: int = 2, seconds: tuple[float, ...] = (40.0,), clones: str = "",
    offset: float = 0.0, evaluate: bool = False,
) -> Plan:  # fmt: skip
    machines = tuple(
        HostPlan(
            slots=1,
            drift=(-1) ** index * 1e-4,
            offset=offset * (-1) ** index,
            clone=clones == "clone",
            container=clones == "container",
        )
        for index in range(hosts)
    )
    ends = max((fault.at + fault.length for fault in faults), default=10.0)
    return Plan(
        seed=seed,
        hosts=machines,
        ideas=tuple(IdeaPlan(length) for length in seconds),
        lease=_LEASE,
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        evaluate=evaluate,
        heal_at=max(ends + 10.0, 60.0),
    )


def lost_replies_and_a_crash_before_the_first_record(seed: int) -> Plan:
    """1. mkdir or link succeeds but reports EEXIST; crash before the first record."""
    chance = Random(seed)
    crash = Fault("crash_at", chance.randrange(2), 0.0, 30.0, float(chance.randrange(20, 110)))
    lost = [Fault("lost", host, 0.0, 40.0, chance.uniform(0.1, 0.5)) for host in range(2)]
    return _plan(seed, crash, *lost, seconds=(15.0, 15.0))


def two_judges_of_one_attempt(seed: int) -> Plan:
    """2. Two hosts judge one attempt dead, one paused between judging and acting."""
    chance = Random(seed)
    judging = 20.0 + 130.0 + chance.uniform(0.0, 45.0)
    return _plan(
        seed,
        Fault("crash", 0, chance.uniform(4.0, 20.0), 900.0),
        Fault("freeze", 1, judging, chance.uniform(50.0, 200.0)),
        Fault("leader_rm", 2, judging - 5.0, 1.0),
        hosts=3,
        seconds=(60.0, 60.0),
    )


def owner_and_keeper_stopped_past_the_lease(seed: int) -> Plan:
    """3. Owner and keeper stopped past S, successor finishes, owner resumes."""
    chance = Random(seed)
    faults = [
        Fault(chance.choice(("freeze", "cut", "cut")), host, chance.uniform(4.0, 60.0), 520.0, 2.0)
        for host in chance.sample(range(3), 2)
    ]
    return _plan(seed, *faults, hosts=3, seconds=(_LONG, chance.uniform(30.0, 70.0)))


def a_result_and_a_loss_at_one_instant(seed: int) -> Plan:
    """4. DONE and LOST at the same instant: the link of the last record hangs until the lease runs out."""
    chance = Random(seed)
    trap = Trap("DONE", 1, "cut", 130.0 + chance.uniform(-10.0, 150.0))
    delay = Fault("delay", chance.randrange(2), 140.0, 60.0, 0.2)
    plan = _plan(seed, delay, seconds=(20.0, 70.0))
    return replace(plan, traps=(trap,), heal_at=340.0)


def clocks_two_hours_apart(seed: int) -> Plan:
    """5. Clocks two hours apart, stepping back."""
    chance = Random(seed)
    steps = [Fault("clock", host, chance.uniform(0.0, 60.0), 0.0, float(host)) for host in range(2)]
    return _plan(
        seed, *steps, Fault("crash", chance.randrange(2), 30.0, 60.0), seconds=(60.0,) * 3, offset=7200.0
    )


def reboots_with_the_same_name(seed: int) -> Plan:
    """6. Reboot with the same hostname and recycled pids; two containers with one hostname."""
    chance = Random(seed)
    crashes = [Fault("crash", chance.randrange(2), chance.uniform(5.0, 90.0), 20.0) for _ in range(3)]
    return _plan(seed, *crashes, seconds=(60.0,) * 3, clones=chance.choice(("", "clone", "container")))


def stale_lookups_and_reads(seed: int) -> Plan:
    """7. Stale negative lookup of the next slot; stale reads for 60 s."""
    chance = Random(seed)
    stale = [Fault("stale", host, chance.uniform(0.0, 40.0), 150.0) for host in range(2)]
    return _plan(seed, *stale, Fault("crash", chance.randrange(2), 60.0, 20.0), seconds=(50.0, 30.0))


def the_share_hangs_for_five_minutes(seed: int) -> Plan:
    """8. The share hangs for five minutes, then comes back to all at once."""
    chance = Random(seed)
    hang = Fault("hang", 0, chance.uniform(1.0, 50.0), 300.0, float(chance.randrange(2)))
    return _plan(seed, hang, hosts=3, seconds=(40.0, 60.0, 40.0))


def a_directory_removed_during_its_run(seed: int) -> Plan:
    """9. rm -rf results/<id> during a run, step by step."""
    chance = Random(seed)
    removals = [Fault("rm", host, chance.uniform(3.0, 50.0), 1.0, 0.0) for host in range(2)]
    return _plan(seed, *removals, seconds=(chance.uniform(5.0, 50.0), 20.0))


def agents_rewrite_the_ideas(seed: int) -> Plan:
    """10. Three agents rewrite, truncate and append ideas.md during polls; duplicates, half a fence, NUL."""
    chance = Random(seed)
    edits = [Fault("edit", 0, chance.uniform(0.0, 90.0), 20.0, float(k)) for k in range(6)]
    inbox = [Fault("inbox", k % 2, chance.uniform(0.0, 90.0), 0.0, float(k // 2)) for k in range(4)]
    return _plan(seed, *edits, *inbox, seconds=(20.0,) * 3)


def a_crash_after_any_call(seed: int) -> Plan:
    """11. Crash after every single call with un-synced data dropped; ENOSPC on any write."""
    chance = Random(seed)
    crash = Fault("crash_at", seed % 2, 0.0, 20.0, 10.0 + seed)
    power = Fault("power", 0, chance.uniform(2.0, 60.0))
    full = Fault("enospc", 1 - seed % 2, chance.uniform(0.0, 40.0), 30.0, 0.5)
    return _plan(seed, crash, power, full, seconds=(15.0, 30.0), evaluate=chance.random() < 0.5)


def two_leaders_at_once(seed: int) -> Plan:
    """12. Two leaders at once: one frozen or cut off past S, or the leader's chain removed under it."""
    chance = Random(seed)
    cut = [Fault(chance.choice(("freeze", "cut")), host, 5.0 + 180.0 * host, 175.0, 2.0) for host in range(2)]
    gone = Fault("leader_rm", 2, chance.uniform(3.0, 60.0))
    asked = Fault("retry", 2, 200.0, 1.0, 0.0)
    return _plan(seed, *cut, gone, asked, hosts=3, seconds=(30.0, 60.0))


def a_network_that_fails_for_one_host(seed: int) -> Plan:
    """A host that is cut off for longer than the lease while it computes: its fence must end it in time."""
    chance = Random(seed)
    cuts = [Fault("cut", host, chance.uniform(5.0, 40.0), 400.0, 2.0) for host in chance.sample(range(3), 1)]
    return _plan(seed, *cuts, hosts=3, seconds=(_LONG, _LONG))


def a_record_removed_by_hand(seed: int) -> Plan:
    """Somebody removes a record from the middle of a chain: nothing is appended above the gap."""
    chance = Random(seed)
    removal = [Fault("rm_record", k, chance.uniform(16.0, 40.0), 420.0, float(k)) for k in range(2)]
    plan = _plan(seed, *removal, seconds=(12.0, 14.0))
    return replace(plan, ideas=tuple(replace(idea, ends="badly once") for idea in plan.ideas))


def a_power_failure_under_a_late_link(seed: int) -> Plan:
    """A link that is late meets a chain whose last record the power took, and that went on otherwise."""
    plan = _plan(seed, hosts=3, seconds=(65.0,))
    failing = replace(plan.ideas[0], ends="badly once")
    hosts = (*plan.hosts[:2], replace(plan.hosts[2], slots=0))  # one that only leads
    traps = (Trap("FAIL", 1, "crash", 1500.0), Trap("CLAIM", 2, "power", 620.0))
    return replace(plan, hosts=hosts, ideas=(failing,), traps=traps, heal_at=900.0)


def an_attempt_too_short_for_a_leader_to_see(seed: int) -> Plan:
    """The same, but the attempt begins and ends between two looks of a leader that runs nothing itself."""
    return replace(a_power_failure_under_a_late_link(seed), ideas=(IdeaPlan(15.0, ends="badly once"),))


def results_looked_up_often(seed: int) -> Plan:
    """Leaders that look through results every few seconds, while others make directories there."""
    chance = Random(seed)
    leave = Fault("leader_rm", 0, chance.uniform(5.0, 50.0))
    return replace(_plan(seed, leave, hosts=3, seconds=(12.0, 9.0, 15.0, 6.0)), poll=6.0)


def hosts_that_are_drained_lent_and_undrained(seed: int) -> Plan:
    """People drain hosts, change their cards and set priorities, while anything else goes wrong."""
    return with_orders(draw(seed))


ATTACKS: dict[int, Callable[[int], Plan]] = {
    1: lost_replies_and_a_crash_before_the_first_record,
    2: two_judges_of_one_attempt,
    3: owner_and_keeper_stopped_past_the_lease,
    4: a_result_and_a_loss_at_one_instant,
    5: clocks_two_hours_apart,
    6: reboots_with_the_same_name,
    7: stale_lookups_and_reads,
    8: the_share_hangs_for_five_minutes,
    9: a_directory_removed_during_its_run,
    10: agents_rewrite_the_ideas,
    11: a_crash_after_any_call,
    12: two_leaders_at_once,
    13: a_network_that_fails_for_one_host,
    14: a_record_removed_by_hand,
    15: a_power_failure_under_a_late_link,
    16: results_looked_up_often,
    17: an_attempt_too_short_for_a_leader_to_see,
    18: hosts_that_are_drained_lent_and_undrained,
}
