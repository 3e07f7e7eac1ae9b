"""What the executor `ssh` tells the process that stands here for a command there: shapes only."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TypedDict

    class OverSsh(TypedDict):
        """The value of the variable ORZE_OVER_SSH, as JSON."""

        host: str
        user: str
        port: int
        key_path: str
        options: list[str]
        connect_timeout: float
        work_dir: str
        python: str  # there
        exclude: list[str]
        artifacts: list[str]
        gpus: str  # which cards may be used; empty for all
        cards: int  # how many are needed
        threshold: int  # MiB in use from which a card counts as taken
        pythons: list[str]  # the interpreters here that stand for `python` there
        project: str  # the directory of the code here
        names: list[str]  # variables that travel besides those of a run
        protected: list[str]  # patterns of files of the code that the training may not change
        digest: str  # of all that runs
        idea_id: str
        attempt: str
        doors: bool
        grace: float
        stall: float
        patience: float  # seconds for which a machine that was never reached is tried
        commands: dict[str, OverCommand]

    class OverCommand(TypedDict):
        """One command of the attempt."""

        limit: float  # seconds that it may run there
        fetch: bool  # whether it may leave results
        last: bool  # nothing follows it, if it ends well


VARIABLE: Final = "ORZE_OVER_SSH"
