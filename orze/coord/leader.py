"""Which host leads: one chain, moved on by LEAD, RESIGN and LOST."""

from __future__ import annotations

from orze.coord.chain import Chain, Fold
from orze.coord.record import Record, new_record
from orze.core.files import make_dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orze.core.clock import Clock
    from orze.core.files import Files

LEAD, RESIGN, LOST = "LEAD", "RESIGN", "LOST"
_FANOUT = 1000
_FALLEN = 100  # leaders that are remembered as deposed


class LeaderFold(Fold):
    """Who leads.

    Attributes:
        token: the daemon that leads; empty where nobody does.
        term: grows with every LEAD; a journal record of an earlier term is void.
        lead: the LEAD record, which names the daemon's host and process.
        fallen: the LEAD records of the last daemons that were deposed as dead, oldest first.
    """

    def clear(self) -> None:
        """Nobody has led yet."""
        super().clear()
        self.token = ""
        self.term = 0
        self.lead: Record = {}
        self.fallen: list[Record] = []

    def step(self, record: Record) -> bool:
        """LEAD where nobody leads; RESIGN by the leader; LOST by anyone who names what it supersedes."""
        kind = record["kind"]
        if kind == LEAD:
            if self.token or not record["token"] or not record["term"] > self.term:
                return False
            self.token, self.lead = str(record["token"]), record
            self.term = int(record["term"])
            return True
        if not self.token:
            return False
        legal = record["token"] == self.token if kind == RESIGN else record["supersedes"] == self.tail
        if kind not in (RESIGN, LOST) or not legal:
            return False
        if kind == LOST:
            self.fallen = [*self.fallen[1 - _FALLEN :], self.lead]
        self.token = ""
        return True


class Leadership:
    """This daemon's part in deciding who leads.

    Args:
        directory: the leader chain.
        token: this daemon's.
        frame: host, boot, pid and so on of this daemon, for its records.
    """

    def __init__(
        self, files: Files, directory: str, clock: Clock, *, token: str, frame: Mapping[str, object]
    ) -> None:
        make_dirs(files, directory)
        self.fold = LeaderFold()
        self.token = token
        self._frame = dict(frame)
        self._chain = Chain(files, directory, self.fold, clock, fanout=_FANOUT)

    @property
    def mine(self) -> bool:
        """Whether this daemon led when the chain was last read."""
        return self.fold.token == self.token

    def refresh(self) -> None:
        """Read what is new in the chain; OSError decides nothing."""
        self._chain.refresh()

    def campaign(self, above: int = 0) -> bool:
        """Lead, if nobody does.

        Args:
            above: the highest term of the journal, which outlives a leader chain that somebody removed.

        Returns:
            Whether this daemon leads now.
        """
        self._append(
            lambda: None if self.fold.token else self._record(LEAD, term=1 + max(above, self.fold.term))
        )
        return self.mine

    def depose(self, token: str) -> None:
        """Record that the leader with this token is dead."""
        self._append(
            lambda: None if self.fold.token != token else self._record(LOST, supersedes=self.fold.tail)
        )

    def resign(self) -> None:
        """Lay the office down, so that another host need not wait for the lease."""
        self._append(lambda: self._record(RESIGN) if self.mine else None)

    def _append(self, propose: Callable[[], Record | None]) -> None:
        self._chain.append(propose)

    def _record(self, kind: str, **content: object) -> Record:
        return new_record(kind, token=self.token, **self._frame, **content)
