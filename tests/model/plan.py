"""What one run is made of: hosts, ideas, a lease and faults, all drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        kind: a name of `tests.model.faults`.
        host: index of the host that it strikes.
        at, length: virtual seconds.
        number: what its kind needs: a chance, a count of calls, an index.
    """

    kind: str
    host: int
    at: float
    length: float = 0.0
    number: float = 0.0


@dataclass(frozen=True)
class Trap:
    """Something that goes wrong at one link of one record, the first of its kind.

    Attributes:
        kind, attempt: of the record.
        what: `cut` (the host does not reach the share from this call on), `delay` (of this call alone),
            `crash` (of the host, behind the call and before the next), `power` (of the server, behind it).
        length: virtual seconds.
    """

    kind: str
    attempt: int
    what: str
    length: float = 0.0


@dataclass(frozen=True)
class IdeaPlan:
    """One idea: how long its script runs (virtual seconds), how it ends, and whether it leaves a child."""

    seconds: float
    ends: str = "well"
    helper: bool = False
    stubborn: bool = False


@dataclass(frozen=True)
class HostPlan:
    """One host: slots, clock error (seconds a second, seconds), and whose image or kernel it shares."""

    slots: int = 1
    drift: float = 0.0
    offset: float = 0.0
    clone: bool = False
    container: bool = False


@dataclass(frozen=True)
class LeasePlan:
    """h, F, K, S and C of docs/protocol.md, in seconds."""

    heartbeat: float
    fence: float
    kill: float
    steal: float
    cache: float


LEASES = (
    LeasePlan(20.0, 60.0, 10.0, 130.0, 60.0),
    LeasePlan(10.0, 60.0, 15.0, 180.0, 60.0),
    LeasePlan(15.0, 50.0, 10.0, 115.0, 60.0),
    LeasePlan(25.0, 80.0, 20.0, 145.0, 60.0),
)


@dataclass(frozen=True)
class Plan:
    """One run, decided by these values alone."""

    seed: int
    hosts: tuple[HostPlan, ...]
    ideas: tuple[IdeaPlan, ...]
    lease: LeasePlan
    faults: tuple[Fault, ...] = ()
    evaluate: bool = False
    retries: int = 0
    heal_at: float = field(default=400.0)
    poll: float = 30.0
    traps: tuple[Trap, ...] = ()

    def without(self, fault: int) -> Plan:
        """The same without one of the faults."""
        return replace(self, faults=self.faults[:fault] + self.faults[fault + 1 :])


WEIGHTS = {
    "crash": 10, "crash_at": 8, "freeze": 10, "cut": 8, "hang": 5, "daemon_kill": 6, "keeper_kill": 6,
    "daemon_stop": 4, "keeper_stop": 3, "eio": 5, "estale": 4, "lost": 10, "enospc": 4, "delay": 5,
    "stale": 6, "clock": 4, "power": 5, "rm": 6, "rm_record": 2, "leader_rm": 2, "stop": 2, "retry": 3,
    "hold": 2, "leave": 3, "preempt": 2, "edit": 4, "inbox": 2,
}  # fmt: skip
ORDERS = ("drain", "drain", "cards", "priority")
_HORIZON = 150.0  # seconds in which faults strike
_LONGEST = {
    "crash": 260.0, "crash_at": 200.0, "freeze": 400.0, "cut": 300.0, "hang": 300.0, "daemon_kill": 100.0,
    "drain": 200.0, "cards": 200.0, "priority": 100.0,
    "daemon_stop": 300.0, "keeper_stop": 250.0, "stale": 200.0, "leave": 60.0, "hold": 100.0,
}  # fmt: skip
_RATES = {"eio": 0.25, "estale": 0.2, "lost": 0.3, "enospc": 0.5, "delay": 0.3}


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    chance = Random(seed)
    hosts = tuple(_host(chance, index) for index in range(chance.choice((1, 2, 2, 2, 3))))
    ideas = tuple(_idea(chance) for _ in range(chance.choice((1, 1, 2, 2, 3))))
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    count = chance.choice((0, 1, 1, 2, 2, 3, 3, 4, 6))
    faults = tuple(_fault(chance, chance.choices(kinds, weights)[0], len(hosts)) for _ in range(count))
    return Plan(
        seed=seed,
        hosts=hosts,
        ideas=ideas,
        lease=chance.choice(LEASES),
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        evaluate=chance.random() < 0.25,
        retries=chance.choice((0, 1)),
        heal_at=max([60.0, *(fault.at + fault.length for fault in faults)]) + 10.0,
        poll=chance.choice((30.0, 30.0, 30.0, 10.0)),
        traps=_traps(chance),
    )


def with_orders(plan: Plan) -> Plan:
    """The same plan, in which people also drain hosts, change their cards, and set priorities.

    These are drawn apart from the rest, so that a seed means the same without them as before they were.
    """
    chance = Random(f"orders {plan.seed}")
    kinds = [chance.choice(ORDERS) for _ in range(chance.choice((1, 2, 3, 5)))]
    faults = (*plan.faults, *(_fault(chance, kind, len(plan.hosts)) for kind in kinds))
    ends = max(fault.at + fault.length for fault in faults) + 10.0
    return replace(
        plan,
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        heal_at=max(plan.heal_at, ends),
    )


def _traps(chance: Random) -> tuple[Trap, ...]:
    if chance.random() < 0.8:
        return ()
    what = chance.choice(("cut", "delay", "crash", "power"))
    kind = chance.choice(("CLAIM", "DONE", "DONE", "FAIL", "TRAINED", "LOST"))
    return (Trap(kind, chance.choice((1, 1, 2)), what, chance.uniform(5.0, 300.0)),)


def _host(chance: Random, index: int) -> HostPlan:
    return HostPlan(
        slots=chance.choice((1, 1, 2)),
        drift=chance.uniform(-2e-4, 2e-4),
        offset=chance.choice((0.0, 0.0, 7200.0, -7200.0)),
        clone=index > 0 and chance.random() < 0.1,
        container=index > 0 and chance.random() < 0.1,
    )


def _idea(chance: Random) -> IdeaPlan:
    return IdeaPlan(
        seconds=chance.uniform(5.0, 90.0),
        ends=chance.choice(("well", "well", "well", "well", "badly", "badly once", "misshapen")),
        helper=chance.random() < 0.2,
        stubborn=chance.random() < 0.2,
    )


def _fault(chance: Random, kind: str, hosts: int) -> Fault:
    return Fault(
        kind=kind,
        host=chance.randrange(hosts),
        at=chance.uniform(0.0, chance.choice((10.0, _HORIZON / 2, _HORIZON))),
        length=chance.uniform(5.0, _LONGEST.get(kind, 60.0)),
        number=chance.uniform(0.02, _RATES[kind]) if kind in _RATES else float(chance.randrange(1, 240)),
    )
