"""What the report layer is given and what it makes of it: plain values, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orze.core.states import State
from orze.report.merit import NO_MERIT, Config, Merit
from orze.report.research import ResearchStanding

Metric = float | int | str | bool | None
Metrics = Mapping[str, Metric]

FREE = "free"  # what people read of a slot on which something may start
DRAINED = "drained"  # and of one that would be free if its host were not to start nothing


@dataclass(frozen=True, slots=True)
class Column:
    """One extra column of the leaderboard, as `report.columns` of orze.yaml has it.

    `source` is `FILE:dotted.path` of a JSON file of the idea; empty means the metric named `key`.
    `fmt` is a number format such as `.4f`; empty means four decimals where that reads well.
    """

    key: str
    label: str = ""
    fmt: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class PrimaryMetric:
    """The number that ranks the results.

    `configured` is false where it was chosen from what the results hold. `available` names the numbers that
    the results do hold, where none of them has this one; otherwise it is empty.
    """

    name: str
    ascending: bool
    configured: bool
    available: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How one idea ended. `order` counts the results as they were recorded, `finished_at` (unix seconds) is
    only ever shown, `metrics` is flat with dotted names. `config` is the key of its configuration, empty
    where that is not known: results of one key and different `seed` are repeats of one configuration.
    `commit` is the hash of the commit that the idea named, or empty."""

    idea_id: str
    title: str
    state: State
    cause: str | None
    error: str | None
    host: str
    gpu: str
    attempt: int
    finished_at: float
    seconds: float
    metrics: Metrics
    order: int
    config: str = ""
    seed: int = 0
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A result and its place. `rank` and `value` are None where the result cannot be ranked, and `note` then
    says why. `cells` are the texts of the extra columns, `config` what is known of its configuration."""

    rank: int | None
    value: float | None
    note: str
    result: Result
    cells: tuple[str, ...] = ()
    config: Config | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Ideas that belong together: the members of one section, or all runs of one configuration.

    `ended` of `total` have ended. `best` is the best of its `configs` configurations.
    """

    name: str
    title: str
    ended: int
    total: int
    configs: int
    best: Config


@dataclass(frozen=True, slots=True)
class History:
    """All trials in the order in which they ended.

    `values` holds the primary metric of each, None for a failure and for a result without a rank; `failed`
    holds indices; `bests` the index and the idea of each trial that was the best when it ended.
    """

    values: list[float | None]
    failed: list[int]
    bests: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Running:
    """An attempt at work. `last` is its latest line of metrics, or empty."""

    idea_id: str
    title: str
    state: State
    host: str
    gpu: str
    elapsed_s: float
    attempt: int
    last: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An idea that does not run, and why. `where` is its place, such as `ideas.md:12`, or empty."""

    idea_id: str
    title: str
    reason: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class CardRow:
    """One card of a host: memory in MiB, utilization in percent of time, temperature in degrees Celsius.

    Each is None where the driver does not tell. `state` is the idea that runs there, FREE, DRAINED or why
    nothing can start.
    """

    key: str
    name: str
    state: str
    memory_used_mib: float | None = None
    memory_total_mib: float | None = None
    utilization: float | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class HostRow:
    """One host. `running` attempts and `free` slots are counts; `seen_s` is how long ago it was heard of.

    `drained` hosts start nothing; `cards_asked` are the cards that an operator asked for, empty where nobody
    did; `problems` are what the host tells of its cards.
    """

    name: str
    alive: bool
    leader: bool
    cards: tuple[CardRow, ...]
    running: int
    free: int
    seen_s: float
    drained: bool = False
    cards_asked: str = ""
    problems: tuple[str, ...] = ()

    @property
    def drained_slots(self) -> int:
        """Slots that are neither busy nor free, because this host is to start nothing."""
        return sum(card.state == DRAINED for card in self.cards)

    @property
    def state(self) -> str:
        """`silent`, `alive`, `draining` (starts nothing, something runs) or `drained` (nothing runs)."""
        if not self.alive:
            return "silent"
        if not self.drained:
            return "alive"
        return "draining" if self.running else "drained"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a person should look at, and since when (unix seconds)."""

    text: str
    since: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one report tells. `recent` are the latest results of any kind, `failed`, `skipped` and
    `pruned` the latest of theirs, `counts` counts all ideas by state.

    `picture` is the file that is shown as the progress picture, empty where there is none; `unfenced` is true
    for a farm with `doors: false`.
    """

    title: str
    generated_at: float
    iteration: int
    leader: str
    primary: PrimaryMetric | None
    counts: Mapping[State, int]
    top: Sequence[Ranked] = ()
    merit: Merit = NO_MERIT
    groups: Sequence[Group] = ()
    running: Sequence[Running] = ()
    recent: Sequence[Result] = ()
    failed: Sequence[Result] = ()
    skipped: Sequence[Result] = ()
    pruned: Sequence[Result] = ()
    held: Sequence[Waiting] = ()
    quarantined: Sequence[Waiting] = ()
    waiting: Sequence[Waiting] = ()
    hosts: Sequence[HostRow] = ()
    problems: Sequence[Problem] = ()
    queue_depth: int = 0
    free_gpus: Sequence[str] = ()
    disk_free_gb: float | None = None
    columns: Sequence[Column] = ()
    notices: Sequence[str] = ()
    unfenced: bool = False
    picture: str = "progress.svg"
    research: ResearchStanding | None = None
