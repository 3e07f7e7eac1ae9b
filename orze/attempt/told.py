"""What a process that stands here for a command elsewhere tells its keeper, where an exit status cannot."""

from __future__ import annotations

import json
import os

from orze.attempt import verdict
from orze.attempt.ends import Failed, Over
from orze.core.states import Cause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

TOLD: Final = (
    "told"  # the file, beside the snapshots of the attempt, where nothing of the command's own writes
)
LOST_THERE: Final = (
    "lost there"  # why an attempt is over: the machine that ran its command does not know of it
)
_LIMIT: Final = 1 << 16  # bytes
_SAID: Final = frozenset({Cause.START, Cause.TIMEOUT, Cause.HOST_OOM, Cause.DISK_FULL, Cause.PROTECTED})


def tell(directory: str, cause: Cause, error: str) -> None:
    """Leave word for the keeper.

    Args:
        directory: that of the attempt's snapshots.

    Raises:
        OSError: it cannot be written.
    """
    draft = f"{directory}/{TOLD}.draft"
    with open(draft, "w", encoding="utf-8") as stream:
        json.dump({"cause": cause, "error": error}, stream)
    os.rename(draft, f"{directory}/{TOLD}")


def forget(directory: str) -> None:
    """Remove what an earlier command of the attempt told."""
    try:
        os.unlink(f"{directory}/{TOLD}")
    except FileNotFoundError:
        return


def hear(directory: str) -> None:
    """Act upon it, if there is any.

    Raises:
        Failed: with the cause that was told.
        Over: the machine there lost the run, which says nothing about the experiment.
    """
    try:
        with open(f"{directory}/{TOLD}", "rb") as stream:
            told = json.loads(stream.read(_LIMIT))
        cause, error = Cause(told["cause"]), verdict.one_line(str(told["error"]))
    except (OSError, ValueError, KeyError, TypeError):
        return  # nothing was told
    if cause == Cause.HOST_LOST:
        raise Over(LOST_THERE)
    if cause in _SAID:
        raise Failed(cause, error)
