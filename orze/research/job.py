"""What the leader asks of the process of a round, and what that answers: plain values on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypedDict

LAST_SECONDS: Final = 15.0  # behind its time limit, for the round to record its end


class Job(TypedDict):
    """What the leader asks for."""

    brief: dict[str, Any]  # of `Brief.plain`
    proposer: str
    model: str
    control: bool
    waiting: list[str]  # ids of ideas that wait or run
    timeout: float  # seconds


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        refused: why the budgets do not allow it, which will not change by itself; empty where they do.
        fault: why it came to no end, or was not begun; empty also where another was first.
        round: the round as ledger.jsonl tells it; None where it was not begun.
    """

    refused: str = ""
    fault: str = ""
    round: dict[str, Any] | None = None
