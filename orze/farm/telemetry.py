"""What a daemon counts of its own work, and the numbers that it tells to Prometheus."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orze.coord.idea_chain import IdeaFold
from orze.core.states import Cause
from orze.farm.exporter import Exporter
from orze.farm.queue import Queue
from orze.report.model import CardRow, HostRow, Snapshot
from orze.report.prometheus import Durations, Numbers, exposition, families, slot_use

if TYPE_CHECKING:
    from orze.core.clock import Clock

_UNSEEN = 300.0  # seconds for which what was seen last is believed; a longer gap counts for nothing
_LATELY = 1000  # attempts whose end may be seen twice, because the share failed just behind it


class SlotClock:
    """Adds up how long slots were in each use: what was seen holds until the next look.

    Attributes:
        now: how many slots were in each use when they were seen last, by host.
        seconds: how long they were.
    """

    def __init__(self) -> None:
        self.now: Mapping[tuple[str, str], int] = {}
        self.seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._seen = float("-inf")

    def see(self, at: float, hosts: Sequence[HostRow], *, work: bool) -> None:
        """Look again.

        Args:
            at: the steady time in seconds.
            work: whether an idea is ready that a free slot could run.
        """
        passed = at - self._seen
        if passed <= _UNSEEN:
            for key, count in self.now.items():
                self.seconds[key] += count * passed
        self._seen, self.now = at, slot_use(hosts, work=work)


class Telemetry:
    """The counters of one daemon. They begin at zero with it, as Prometheus expects of a restart.

    Args:
        farm: the results directory.
        host: this host's name.
        queue: the ideas.
        finished: how often ideas ended, by state and cause.

    Attributes:
        exporter: who serves the numbers of this host over HTTP, if anybody asked for that.
    """

    def __init__(
        self,
        farm: str,
        host: str,
        *,
        clock: Clock,
        queue: Queue,
        finished: Mapping[tuple[str, str], int],
    ) -> None:
        self._farm = farm
        self._host = host
        self._clock = clock
        self._queue = queue
        self._finished = finished
        self._here, self._everywhere = SlotClock(), SlotClock()
        self._cycles = self._reads = Durations()
        self._started = 0
        self._ended: Counter[str] = Counter()
        self._lately: deque[str] = deque(maxlen=_LATELY)
        self.exporter: Exporter | None = None

    @contextmanager
    def cycle(self) -> Iterator[None]:
        """Time a cycle of the daemon."""
        begun = self._clock.steady()
        yield
        self._cycles = self._cycles.with_another(self._clock.steady() - begun)

    @contextmanager
    def read(self) -> Iterator[None]:
        """Time one read of the shared directory, also one that fails."""
        begun = self._clock.steady()
        try:
            yield
        finally:
            self._reads = self._reads.with_another(self._clock.steady() - begun)

    def started(self) -> None:
        """An attempt was started here."""
        self._started += 1

    def ended(self, token: str, cause: str) -> None:
        """An attempt of this host is over, with a result or by this cause; told twice it counts once."""
        if token not in self._lately:
            self._lately.append(token)
            self._ended[cause] += 1

    def see(self, cards: tuple[CardRow, ...], *, running: int, problems: int) -> None:
        """How this host stands at the end of a cycle.

        Args:
            running: attempts.
            problems: how many its daemon shows.
        """
        row = HostRow(self._host, alive=True, leader=False, cards=cards, running=running, free=0, seen_s=0.0)
        self._here.see(self._clock.steady(), [row], work=self._work())
        if self.exporter:
            self.exporter.numbers = self._numbers([row], self._here, problems, self._clock.wall(), None)

    def of_farm(self, snapshot: Snapshot) -> bytes:
        """metrics.prom: the numbers of the farm, with those that its leader counts of itself."""
        self._everywhere.see(self._clock.steady(), snapshot.hosts, work=self._work())
        at, disk = snapshot.generated_at, snapshot.disk_free_gb
        numbers = self._numbers(snapshot.hosts, self._everywhere, len(snapshot.problems), at, disk)
        return exposition(families(numbers))

    def _work(self) -> bool:
        """Whether an idea is ready that this host could run."""
        return next(self._queue.ready(1), None) is not None

    def _numbers(
        self, hosts: Sequence[HostRow], slots: SlotClock, problems: int, at: float, disk: float | None
    ) -> Numbers:
        return Numbers(
            farm=self._farm,
            host=self._host,
            counts=dict(self._queue.counts),
            finished=dict(self._finished),
            hosts=tuple(hosts),
            slots=slots.now,
            slot_seconds=dict(slots.seconds),
            started=self._started,
            ended=dict(self._ended),
            cycles=self._cycles,
            reads=self._reads,
            problems=problems,
            at=at,
            disk_free_gb=disk,
        )


def cause_of(fold: IdeaFold, token: str) -> str:
    """Why an attempt ended, by its idea's chain; empty where it left a result."""
    failure, end = fold.last_failure or {}, fold.end or {}
    if failure.get("token") == token:
        return str(failure.get("cause", ""))
    return "" if end.get("token") == token else Cause.PREEMPTED
