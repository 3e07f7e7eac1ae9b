"""A result as the leaderboard stores it: a few hundred bytes."""

from __future__ import annotations

import marshal
from typing import NamedTuple

from orze.core.states import State
from orze.report.model import Metric, Result

_LONGEST_TEXT = 400
_LONGEST_KEY = 64


class Row(NamedTuple):
    """A result; `shape` says which names its metric values have."""

    title: str
    cause: str | None
    error: str | None
    host: str
    gpu: str
    attempt: int
    finished_at: float
    seconds: float
    order: int
    shape: int
    values: tuple[Metric, ...]
    config: str
    seed: int
    commit: str

    def result(self, idea_id: str, state: State, names: tuple[str, ...]) -> Result:
        """The result that was packed.

        Args:
            names: of its metrics.
        """
        return Result(
            idea_id,
            self.title,
            state,
            self.cause,
            self.error,
            self.host,
            self.gpu,
            self.attempt,
            self.finished_at,
            self.seconds,
            dict(zip(names, self.values, strict=True)),
            self.order,
            self.config,
            self.seed,
            self.commit,
        )


def pack(result: Result, shape: int) -> bytes:
    """Pack a result, with texts cut at 400 characters."""
    row: tuple[Metric | tuple[Metric, ...], ...] = (
        result.title[:_LONGEST_TEXT],
        result.cause and str(result.cause),
        result.error and result.error[:_LONGEST_TEXT],
        result.host,
        result.gpu,
        result.attempt,
        result.finished_at,
        result.seconds,
        result.order,
        shape,
        tuple(result.metrics.values()),
        config_key(result),
        result.seed,
        result.commit[:_LONGEST_KEY],
    )
    return marshal.dumps(row)


def unpack(packed: bytes) -> Row:
    """What `pack` packed."""
    return Row(*marshal.loads(packed))  # noqa: S302  `pack` made these bytes


def config_key(result: Result) -> str:
    """The key of its configuration, of a length that no untrusted text can stretch."""
    return result.config[:_LONGEST_KEY]
