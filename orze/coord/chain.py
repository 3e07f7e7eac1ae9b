"""A chain: a directory of numbered records, advanced by put-if-absent (docs/protocol.md, Chains)."""

from __future__ import annotations

import os

from orze.coord.record import LIMIT, Record, decode, digest, encode, slot_name, slot_of
from orze.core.files import make_dirs, nonce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orze.core.clock import Clock
    from orze.core.files import Files

_LOOKS = 3  # a listing may miss what is linked while it runs; a gap seen this often is one


class Damaged(OSError):
    """A slot is absent below one that is filled: somebody removed a record by hand."""


class Unreadable(OSError):
    """A record cannot be read as one; another look may (a stale page), so nothing is decided by it."""


class Fold:
    """A state that is computed from the valid records of a chain, and nowhere else.

    A subclass says in `step` which records are legal. `tail` is the sha256 of the last valid record.
    """

    def __init__(self) -> None:
        self.tail = ""
        self.clear()

    def clear(self) -> None:
        """Go back to the state before the first record."""
        self.tail = ""

    def step(self, record: Record) -> bool:
        """Take in one record if it is legal now; return whether it was. Must not change anything if not."""
        raise NotImplementedError

    def apply(self, record: Record, sha: str) -> bool:
        """Take in the next record; a void one (wrong predecessor, not legal, misshapen) changes nothing."""
        try:
            valid = record.get("prev") == self.tail and self.step(record)
        except (KeyError, TypeError, ValueError, AttributeError):
            return False
        if valid:
            self.tail = sha
        return valid


class Chain:
    """Reads and appends one chain, and keeps `fold` at what has been read.

    Records never change, so what was read once is not read again; a record that is gone starts it anew.

    Args:
        files: the shared directory.
        directory: where the records are.
        fold: the state; it is cleared and filled here.
        clock: waits between looks at a share that does not answer.
        fanout: records a subdirectory, for chains too long to list; 0 for none.
    """

    def __init__(self, files: Files, directory: str, fold: Fold, clock: Clock, *, fanout: int = 0) -> None:
        self.files = files
        self.directory = directory
        self.fold = fold
        self._clock = clock
        self._fanout = fanout
        self._starts = 0
        self._restart()

    @property
    def length(self) -> int:
        """How many slots have been read."""
        return self._next - 1

    def refresh(self) -> None:
        """Read what is new.

        Raises:
            FileNotFoundError: there is no chain (the fold is then empty).
            Damaged: a slot is missing below a filled one.
            OSError: the share did not answer, or not with a record; nothing is to be decided by it.
        """
        for _ in range(_LOOKS):
            present = self._list()
            if any(slot not in present for slot in range(self._first_listed(), self._next)):
                self._restart()
                present = self._list()
            while self._next in present:
                self._read(self._next)
                if self._fanout and self._next % self._fanout == 0:
                    present |= self._list()
            if not present or max(present) < self._next:
                return
        missing, higher = slot_name(self._next), slot_name(max(present))
        raise Damaged(5, f"record {missing} is missing below {higher}", self.directory)

    def append(self, propose: Callable[[], Record | None]) -> Record | None:
        """Append what `propose` returns for the state as it is; again for as long as others come first.

        Args:
            propose: called with the fold up to date; None says that there is nothing legal to append.

        Returns:
            The record that stands in the chain, or None where `propose` gave up.

        Raises:
            OSError: the share failed before the outcome was seen. The record may stand or not: the temporary
                file is left, and the next refresh tells.
        """
        while True:
            self.refresh()
            record = propose()
            if record is None:
                return None
            record["prev"] = self.fold.tail
            if self._put(encode(record), str(record["nonce"])):
                return record

    def _put(self, data: bytes, mark: str) -> bool:
        slot = self._next
        folder = self._folder(slot)
        scratch = f"{folder}/.tmp-{nonce()}"
        target = f"{folder}/{slot_name(slot)}"
        if self._fanout and slot % self._fanout in (0, 1):
            make_dirs(self.files, folder)
        self.files.write_new(scratch, data)
        begun = self._starts
        while self._next <= slot:
            self._link(scratch, target, folder)
            self.refresh()
            if self._starts != begun:
                self.files.unlink(scratch)
                raise FileNotFoundError(2, "the chain was removed", self.directory)
        self.files.unlink(scratch)
        return self._nonces.get(mark, False)

    def _link(self, scratch: str, target: str, folder: str) -> None:
        try:
            self.files.link(scratch, target)
        except FileNotFoundError:
            # a lost reply, or the directory is gone: then nothing can be appended here any more
            if os.path.basename(scratch) not in self.files.listdir(folder):
                raise
        except OSError:
            self._clock.sleep(0.01)  # the reply may be lost: only the listing tells
        self.files.sync_dir(folder)

    def _restart(self) -> None:
        self._starts += 1
        self._next = 1
        self._nonces: dict[str, bool] = {}
        self.fold.clear()

    def _folder(self, slot: int) -> str:
        return f"{self.directory}/{slot // self._fanout:04d}" if self._fanout else self.directory

    def _first_listed(self) -> int:
        return max(1, self._next // self._fanout * self._fanout) if self._fanout else 1

    def _list(self) -> set[int]:
        try:
            names = self.files.listdir(self._folder(self._next))
        except FileNotFoundError:
            if self._fanout and self._next % self._fanout in (0, 1):
                return set()  # this segment is not begun
            self._restart()
            raise
        return {slot for name in names if (slot := slot_of(name)) is not None}

    def _read(self, slot: int) -> None:
        path = f"{self._folder(slot)}/{slot_name(slot)}"
        data = self.files.read(path, LIMIT)
        try:
            record = decode(data)
        except ValueError as error:
            raise Unreadable(5, f"not a record: {error}", path) from None
        self._nonces[str(record.get("nonce"))] = self.fold.apply(record, digest(data))
        self._next = slot + 1
