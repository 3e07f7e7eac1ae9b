"""What a large farm asks of its shared directory: 10, 100 and 1,000 hosts with 8 cards, 100,000 ideas.

The operations are counted, not guessed (stage.py). A simulation of the hosts then says how often each
happens.

One operation is one request of an NFS client with cold caches, as NETWORK says. Published limits, operations
a second: Amazon EFS, one regional file system in General Purpose mode, and its latencies from
https://docs.aws.amazon.com/efs/latest/ug/performance.html; Google Filestore, an NFS server that is sold by
its size, from https://docs.cloud.google.com/filestore/docs/service-tiers-zonal (9,200 reads and 2,600 writes
a second for each TiB).
"""

from __future__ import annotations

import heapq
import os
import random
import statistics
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import tell
from stage import CARDS, NETWORK, READDIR, Costs, count, less

from orze.config.load import load_settings

LIMITS = {
    "EFS, bursting": (35_000, 7_000),
    "EFS, provisioned": (55_000, 25_000),
    "EFS, elastic": (90_000, 50_000),
    "Filestore, 1 TiB": (9_200, 2_600),
    "Filestore, 10 TiB": (92_000, 26_000),
}  # reads and metadata, writes
SIZES, IDEAS = (10, 100, 1000), 100_000
MINUTES = 30.0  # of one training, about
READ, WRITE = 0.0005, 0.0027  # seconds of one request; EFS: from 0.00025 and 0.0027
WRITES = frozenset({"create", "link", "rename", "remove", "write", "commit"})


@dataclass
class Outcome:
    """What a simulation of one size found; rates are requests a second."""

    sent: Counter[str]
    parts: Counter[str]
    leader: float
    look: float
    report: float
    lost: int
    claims: int
    launch: list[float]


def simulate(hosts: int, costs: Costs, lease: Any, poll: float) -> Outcome:
    """A busy quarter of an hour: every host cycles with its heartbeat, and at the end of each attempt.

    Hosts pick at random among the first k candidates, k the free slots of the farm; one whose listing is
    older than another's claim comes second.
    """
    chance = random.Random(hosts)
    seconds, wake = 900.0, min(poll, lease.heartbeat)
    run = Run(hosts, costs)
    events = [(chance.uniform(0, wake), host, False) for host in range(hosts)]
    events += [(chance.uniform(0, 60 * MINUTES), host, True) for host in range(hosts) for _ in range(CARDS)]
    heapq.heapify(events)
    claimed: dict[int, float] = {}
    queue, behind = 0, 0.0
    while events[0][0] < seconds:
        now, host, ended = heapq.heappop(events)
        heapq.heappush(events, (now + (_length(chance) if ended else wake), host, ended))
        run.cycle(watches=host < 2 and not ended, ended=ended)
        if not ended:
            continue
        free = max(1, round(hosts * CARDS * wake / (60 * MINUTES)))
        choice = queue + chance.randrange(free)
        while choice in claimed:
            window = run.seconds(costs.idle + costs.claim)
            run.lost += now - claimed[choice] < window
            choice = choice + 1
        claimed[choice] = now
        while queue in claimed:
            queue += 1
        run.claims += 1
        behind = max(behind, now)
    return run.outcome(seconds, lease)


def _length(chance: random.Random) -> float:
    return chance.lognormvariate(0.0, 0.5) * 60 * MINUTES


class Run:
    """Adds up what a simulation sends."""

    def __init__(self, hosts: int, costs: Costs) -> None:
        self.hosts, self.costs = hosts, costs
        self.parts: dict[str, Counter[str]] = {}
        self.lost = self.claims = 0
        self.listing = Counter({"readdir": (1 + CARDS) * hosts / READDIR})

    def seconds(self, sent: Counter[str]) -> float:
        """How long one process waits for these requests, one after the other."""
        return sum(number * (WRITE if name in WRITES else READ) for name, number in sent.items())

    def add(self, part: str, sent: Counter[str], times: float = 1.0) -> None:
        """So many times this."""
        into = self.parts.setdefault(part, Counter())
        for name, number in sent.items():
            into[name] += number * times  # type: ignore[assignment]

    def cycle(self, *, watches: bool, ended: bool) -> None:
        """One wake-up: by the heartbeat, or by the end of an attempt, which makes four cycles of it."""
        costs, cycles = self.costs, 4 if ended else 1
        self.add("cycles", costs.idle, cycles)
        self.add("listing heartbeats (hosts x hosts)", self.listing, cycles)
        if watches:
            self.add("leader and deputy: looking", less(costs.lead, costs.idle, 1))
            self.add("leader and deputy: looking", costs.lead_each, self.hosts)
        if ended:
            self.add("claims", costs.claim)
            self.add("ends of attempts", costs.end)

    def outcome(self, seconds: float, lease: Any) -> Outcome:
        """Add what goes on by the clock, and make rates of all."""
        costs, hosts = self.costs, self.hosts
        sampled = min(hosts, 32)
        states = less(costs.report_each, costs.told, 1)
        report = Counter(costs.report)
        for name in report.keys() | states.keys() | costs.told.keys():
            report[name] += costs.told[name] * hosts + states[name] * min(hosts, 64 / CARDS)  # type: ignore[assignment]
        report["read"] += 3 * min(200, hosts * CARDS)
        every = max(1.0, 10 * self.seconds(report))
        self.add("heartbeats of keepers and daemons", costs.beat, hosts * CARDS * seconds / lease.heartbeat)
        self.add("claims that came second", costs.lost, self.lost)
        self.add("leader: reports", report, seconds / every)
        self.add("counting free slots", costs.told, sampled * hosts * seconds / 60)
        entries = min(seconds, self.claims)  # at most one record a second, of all that ended in it
        journal = Counter(NETWORK["read"])
        self.add("following the journal (ideas x hosts)", journal, entries * hosts)
        total: Counter[str] = Counter()
        for part in self.parts.values():
            total.update(part)
        look = self.seconds(costs.lead) + hosts * self.seconds(costs.lead_each)
        led = look / max(lease.heartbeat, look) + 0.1
        return Outcome(
            sent=less(total, Counter(), seconds),  # type: ignore[arg-type]
            parts=Counter({name: sum(part.values()) / seconds for name, part in self.parts.items()}),  # type: ignore[misc]
            leader=led,
            look=look,
            report=every,
            lost=self.lost,
            claims=self.claims,
            launch=launches(hosts, lease, self.seconds(costs.idle + costs.claim) + look / 10),
        )


def launches(hosts: int, lease: Any, work: float, tries: int = 500) -> list[float]:
    """Seconds from an append to the launch on a farm with free slots everywhere.

    Each host looks with its heartbeat; what it sees of the file is up to 6 seconds old (measured with a Linux
    client); the last section counts after it was unchanged for a second.
    """
    chance, found = random.Random(1), []
    for _ in range(tries):
        seen = []
        for _ in range(hosts):
            first, stale = chance.uniform(0, lease.heartbeat), chance.uniform(0, 6)
            while first < stale:
                first += lease.heartbeat
            seen.append(first + 1.0)
        found.append(min(seen) + work)
    return found


def show(hosts: int, found: Outcome, lease: Any, cache: float) -> None:
    """One block of the table."""
    total = sum(found.sent.values())
    writes = sum(number for name, number in found.sent.items() if name in WRITES)
    print(f"\nscale: {hosts} hosts, {hosts * CARDS} cards: {total:,.0f} requests a second,", end=" ")
    print(f"{writes:,.0f} of them write")
    print("  by kind: " + ", ".join(f"{name} {number:,.0f}" for name, number in found.sent.most_common()))
    for name, number in found.parts.most_common():
        print(f"  {number:10,.1f}  {name}")
    median, slow = statistics.median(found.launch), sorted(found.launch)[int(0.99 * len(found.launch))]
    print(f"  append to launch: median {median:.1f} s, 99 in 100 within {slow:.1f} s")
    notice = lease.steal + max(lease.heartbeat, found.look)
    print(f"  a dead host, the leader's too, is noticed within {notice:.0f} s;", end=" ")
    print(f"its ideas run {cache:.0f} s later")
    print(f"  the leader: a look at all takes {found.look:.1f} s,", end=" ")
    print(f"a report every {found.report:.0f} s;", end=" ")
    print(f"it waits for the share {min(1.0, found.leader):.0%} of its time")
    print(f"  claims: {found.claims} in the quarter of an hour, {found.lost} came second")
    for name, (reads, made) in LIMITS.items():
        share = max((total - writes) / reads, writes / made)
        print(f"  of {name} ({reads:,} reads, {made:,} writes a second): {share:.1%}")


def main() -> None:
    """Count, simulate and print."""
    with tempfile.TemporaryDirectory(prefix="orze-bench-") as folder:
        costs = count(Path(folder))
        settings = load_settings(Path(folder) / "orze.yaml", {}, Path(folder), os.environ)
    for name, sent in vars(costs).items():
        counted = ", ".join(f"{number:g} {kind}" for kind, number in sent.items() if number)
        print(f"scale: one {name.replace('_', ' ')}: {counted or 'nothing'}")
    for hosts in SIZES:
        found = simulate(hosts, costs, settings.lease, settings.poll)
        show(hosts, found, settings.lease, 60.0)
        if hosts == 100:
            reads, writes = LIMITS["EFS, bursting"]
            made = sum(number for name, number in found.sent.items() if name in WRITES)
            used = max((sum(found.sent.values()) - made) / reads, made / writes)
            tell("scale: 100 hosts:", used, "of what EFS allows at its least", 0.5)
    print(f"\nscale: each host reads {IDEAS:,} ideas once: {IDEAS * 120 / 1e6:.0f} MB of ideas.md", end=" ")
    print(f"and {IDEAS * 350 / 1e6:.0f} MB of journal (ideas x hosts)")


if __name__ == "__main__":
    sys.exit(main())
