"""What a session of refinement knows: its steps, the tries of each, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

BASELINE: Final = 0  # the number of the step that changes nothing


class Ended(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    SMOKE = "smoke"  # setup or smoke failed: no run was spent
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    NO_METRIC = "no_metric"
    NOT_FINITE = "not_finite"
    VOID = "void"  # it touched a protected file
    STOPPED = "stopped"


class Verdict(StrEnum):
    """What was decided about a step."""

    BASELINE = "baseline"
    KEPT = "kept"
    DISCARDED = "discarded"
    FAILED = "failed"  # its run ended without a value
    VOID = "void"
    REFUSED = "refused"  # no try of it came to a run: the faults of the last tell why
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of running one commit.

    Attributes:
        ended: how.
        values: the primary metric of each repeat that completed.
        metrics: all metrics, of the first repeat.
        seconds: of training, all repeats together.
        error: one sentence; empty for a completed run.
        tail: the useful lines at the end of its log.
        log: the file of that log, where it is on this machine.
    """

    ended: Ended
    values: tuple[float, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    tail: str = ""
    log: str = ""

    @property
    def value(self) -> float | None:
        """The mean of its values; None without one."""
        return sum(self.values) / len(self.values) if self.values else None


@dataclass(frozen=True, slots=True)
class Try:
    """One proposal of a step; the later ones repair the faults of the one before.

    Attributes:
        number: from 1.
        hypothesis: why it might be better.
        files: paths that it changes, relative to the project.
        command: the line for the shell that trains.
        commit: what runs; empty where no commit came of it.
        faults: why none did.
        usd: what asking cost; None where nobody knows.
        tokens: sent and answered.
        uuid: under which it was left in the farm's inbox; empty until it is to run.
        idea_id: its idea in the farm; empty until the farm has told.
        outcome: of its run; None until it has ended.
    """

    number: int
    hypothesis: str = ""
    files: tuple[str, ...] = ()
    command: str = ""
    commit: str = ""
    faults: tuple[str, ...] = ()
    usd: float | None = 0.0
    tokens: int = 0
    uuid: str = ""
    idea_id: str = ""
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One iteration.

    Attributes:
        number: from 0, which is the baseline.
        parent: the commit that it starts from.
        tries: in their order.
        verdict: None while it is open.
        reason: of the verdict, one sentence.
        commit: the child commit that records it: the tree that ran, with result and verdict in its message.
    """

    number: int
    parent: str
    tries: tuple[Try, ...] = ()
    verdict: Verdict | None = None
    reason: str = ""
    commit: str = ""

    @property
    def last(self) -> Try | None:
        """Its last try."""
        return self.tries[-1] if self.tries else None

    @property
    def outcome(self) -> Outcome | None:
        """Of its run, once there is one."""
        return self.tries[-1].outcome if self.tries else None


class Reason(StrEnum):
    """Why a session ended."""

    TARGET = "target"
    BUDGET = "budget"
    PLATEAU = "plateau"
    STOPPED = "stopped"
    FAILED = "failed"
    DIVERGENCE = "divergence"


@dataclass(frozen=True, slots=True)
class End:
    """Why, and the same for people."""

    reason: Reason
    sentence: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that no try was made of yet.

    Attributes:
        text: as it came.
        changes: what an agent changed, path to content (None: removed); None where a model was asked.
        fault: why there is no answer; empty where there is one.
        at: unix seconds at which it was recorded: the date of the commit that is made of it.
    """

    text: str
    changes: Mapping[str, bytes | None] | None
    fault: str
    at: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A proposal that was asked for.

    Attributes:
        number: of the try that is to be made of it.
        usd, tokens: what it may cost at most; usd is None where nobody knows.
        answer: None while it is open.
    """

    number: int
    usd: float | None
    tokens: int
    answer: Answered | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
    """What the open askings may still cost."""

    usd: float = 0.0
    tokens: int = 0
