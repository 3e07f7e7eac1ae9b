"""metrics.prom: the numbers of a farm in the text format that Prometheus and node_exporter read."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from orze.core.states import Cause, State
from orze.report.model import FREE, CardRow, HostRow
from orze.report.text import as_float, clean

BUSY, WASTED, WITHOUT_WORK, UNUSABLE = "busy", "free_despite_work", "free_without_work", "unusable"
_USES: Final = (BUSY, WASTED, WITHOUT_WORK, UNUSABLE)
_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IDEA: Final = re.compile(r"idea-\d{1,18}(\.\d+)?", re.ASCII)
_CAUSES: Final = frozenset(map(str, Cause))
_MIB: Final = 1 << 20
_LABEL_LIMIT: Final = 200  # characters

Labels = tuple[tuple[str, str], ...]
SlotUse = Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took, each time: `counts` by the bounds of the buckets, and the sum in seconds."""

    counts: tuple[int, ...] = (0,) * (len(_BOUNDS) + 1)
    total: float = 0.0

    def with_another(self, seconds: float) -> Durations:
        """These and one more."""
        place = bisect_left(_BOUNDS, seconds)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return Durations(counts, self.total + seconds)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is told of a farm, or of one host of it.

    Attributes:
        farm: the results directory, which tells farms apart that one Prometheus watches.
        host: the host whose daemon tells.
        counts: ideas by state.
        finished: ideas by state and cause, as often as the journal told of an end.
        hosts: the hosts that are told of.
        slots: slots by host and use; slot_seconds: the time that they spent so.
        ended: attempts of this host by cause, empty for a result; started: how many began.
        cycles: the cycles of the daemon; reads: one read of the shared directory in each of them.
        problems: how many problems this daemon shows.
        disk_free_gb: None where it is not told.
        at: unix seconds.
    """

    farm: str
    host: str
    counts: Mapping[State, int]
    finished: Mapping[tuple[str, str], int]
    hosts: Sequence[HostRow]
    slots: SlotUse
    slot_seconds: SlotUse
    started: int
    ended: Mapping[str, int]
    cycles: Durations
    reads: Durations
    problems: int
    at: float
    disk_free_gb: float | None = None


@dataclass(slots=True)
class Family:
    """One metric: its samples by name and labels.

    `kind` is gauge, counter or histogram. Labels that come out the same are one sample, whose values add up:
    a scrape that tells a sample twice is refused as a whole.
    """

    name: str
    kind: str
    about: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def add(self, value: float, *, suffix: str = "", **labels: object) -> None:
        """Add to a sample; labels are made harmless."""
        told = tuple((name, clean(str(text), _LABEL_LIMIT)) for name, text in labels.items())
        key = (self.name + suffix, told)
        whole = isinstance(value, int) and abs(value) < 2**53
        self.samples[key] = self.samples.get(key, 0) + (value if whole else as_float(value))


def slot_use(hosts: Iterable[HostRow], *, work: bool) -> Counter[tuple[str, str]]:
    """Count slots by host and use.

    Args:
        work: whether an idea is ready that a free slot could run.
    """
    free = WASTED if work else WITHOUT_WORK
    uses: Counter[tuple[str, str]] = Counter()
    for host in hosts:
        uses.update((host.name, _use(card, free)) for card in host.cards)
    return uses


def families(numbers: Numbers) -> list[Family]:
    """Everything that is told, in the names and base units that Prometheus asks for.

    Source: "Metric and label naming" and "Writing exporters" of the Prometheus documentation.
    """
    told = [*_ideas(numbers), *_hosts(numbers), *_own(numbers)]
    return [family for family in told if family.samples]


def exposition(told: Iterable[Family]) -> bytes:
    """The text of some families.

    Source: "Exposition formats" of the Prometheus documentation, text format 0.0.4, without the timestamps
    that node_exporter's textfile collector refuses.
    """
    lines: list[str] = []
    for family in told:
        lines.append(f"# HELP {family.name} {_escape(family.about)}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        for (name, labels), value in family.samples.items():
            shown = ",".join(f'{label}="{_quoted(text)}"' for label, text in labels)
            lines.append(f"{name}{{{shown}}} {_number(value)}")
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _ideas(n: Numbers) -> list[Family]:
    depth = Family("orze_queue_depth", "gauge", "Ideas that are queued, on whatever host they may run.")
    depth.add(n.counts.get(State.QUEUED, 0), farm=n.farm)
    ideas = Family("orze_ideas", "gauge", "Ideas by state.")
    for state in State:
        ideas.add(n.counts.get(state, 0), farm=n.farm, state=state)
    finished = Family(
        "orze_ideas_finished_total",
        "counter",
        "Ideas that ended, by state and cause of failure; each time that one ends it counts.",
    )
    for (end, cause), count in sorted(n.finished.items()):
        finished.add(count, farm=n.farm, state=end, cause=_cause(cause))
    told = Family("orze_told_timestamp_seconds", "gauge", "When these numbers were written, in unix time.")
    told.add(n.at, farm=n.farm)
    return [depth, ideas, finished, told]


def _hosts(n: Numbers) -> list[Family]:
    running = Family("orze_attempts_running", "gauge", "Attempts that run on a host.")
    slots = Family(
        "orze_slots",
        "gauge",
        "Slots of a host: busy with an attempt, free_despite_work (an idea is ready), free_without_work, "
        "unusable (drained, used by others or unknown).",
    )
    seconds = Family(
        "orze_slot_seconds_total", "counter", "Time that slots spent in the states of orze_slots."
    )
    used = Family("orze_card_memory_used_bytes", "gauge", "Memory in use on the card of a slot.")
    share = Family("orze_card_utilization_ratio", "gauge", "Share of time that the card of a slot worked.")
    for host in n.hosts:
        running.add(host.running, farm=n.farm, host=host.name)
        for card in host.cards:
            place = {"farm": n.farm, "host": host.name, "slot": card.key}
            if card.memory_used_mib is not None:
                used.add(card.memory_used_mib * _MIB, **place)
            if card.utilization is not None:
                share.add(card.utilization / 100, **place)
    for name in sorted({name for name, _ in (*n.slots, *n.slot_seconds)}):
        for kind in _USES:
            slots.add(n.slots.get((name, kind), 0), farm=n.farm, host=name, state=kind)
            seconds.add(n.slot_seconds.get((name, kind), 0.0), farm=n.farm, host=name, state=kind)
    return [running, slots, seconds, used, share]


def _own(n: Numbers) -> list[Family]:
    """What a daemon knows of itself alone."""
    here = {"farm": n.farm, "host": n.host}
    started = Family("orze_attempts_started_total", "counter", "Attempts that this daemon started.")
    started.add(n.started, **here)
    ended = Family(
        "orze_attempts_ended_total",
        "counter",
        "Attempts of this host that ended, by cause; none: with a result.",
    )
    for cause, count in sorted(n.ended.items()):
        ended.add(count, **here, cause=_cause(cause))
    problems = Family("orze_problems", "gauge", "Problems that this daemon shows.")
    problems.add(n.problems, **here)
    disk = Family("orze_disk_free_bytes", "gauge", "Space that is free in the results directory.")
    if n.disk_free_gb is not None:
        disk.add(n.disk_free_gb * 1e9, farm=n.farm)
    return [
        started,
        ended,
        problems,
        disk,
        _histogram("orze_cycle_seconds", "Time of one cycle of this daemon.", n.cycles, here),
        _histogram(
            "orze_share_read_seconds",
            "Time to read the leader chain (a listing and a small file) in the shared directory.",
            n.reads,
            here,
        ),
    ]


def _histogram(name: str, about: str, times: Durations, labels: Mapping[str, str]) -> Family:
    family = Family(name, "histogram", about)
    for bound, count in zip((*_BOUNDS, math.inf), accumulate(times.counts), strict=True):
        family.add(count, suffix="_bucket", **labels, le=_number(bound))
    family.add(times.total, suffix="_sum", **labels)
    family.add(sum(times.counts), suffix="_count", **labels)
    return family


def _use(card: CardRow, free: str) -> str:
    if card.state == FREE:
        return free
    return BUSY if _IDEA.fullmatch(card.state) else UNUSABLE


def _cause(text: str) -> str:
    """Causes that nobody knows are one, so that no record can make a label of its own each time."""
    return text if text in _CAUSES else "other" if text else "none"


def _number(value: float) -> str:
    """As Go's ParseFloat reads it."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escape(text).replace('"', r"\"")
