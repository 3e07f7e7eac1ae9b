"""Why an attempt does not go on: raised while it is under way, and turned into its last record."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orze.core.states import Cause


class Over(Exception):
    """The attempt must end before it could finish.

    Args:
        why: a reason of the supervisor.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Failed(Exception):
    """The experiment failed.

    Args:
        cause: the key of the retry policy.
        error: one sentence.
    """

    def __init__(self, cause: Cause, error: str) -> None:
        super().__init__(error)
        self.cause = cause
        self.error = error
