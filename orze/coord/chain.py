"""A chain: a directory of numbered records, advanced by put-if-absent (docs/protocol.md, Chains)."""

from __future__ import annotations

import os

from orze.coord.record import LIMIT, Record, decode, digest, encode, slot_name, slot_of, well_formed
from orze.core.files import make_dir, make_dirs, nonce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orze.core.clock import Clock
    from orze.core.files import Files

_LOOKS = 3  # a listing may miss what is linked while it runs; a gap seen this often is one
_TRIES = 20  # of a link that is refused, before an append is given up with its end unknown
_PAUSE = 0.01  # seconds between them
_HEAVY = 64 << 10  # bytes of a last record that is not read again at each look


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
            valid = record.get("prev") == self.tail and well_formed(record) and self.step(record)
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
        present = self._present()
        for _ in range(_LOOKS):
            while self._next in present:
                self._take_in(self._next)
                if self._starts_segment():
                    present |= self._list()
            highest = max(present | {self._last_segment * self._fanout})
            if highest <= self._next:
                return
            present = self._list()
        gap = f"record {slot_name(self._next)} is missing below {slot_name(highest)}"
        raise Damaged(5, f"{gap}: put it back, or remove the whole directory to begin anew", self.directory)

    def append(self, propose: Callable[[], Record | None]) -> Record | None:
        """Append what `propose` returns for the state as it is; again for as long as others come first.

        Args:
            propose: called with the fold up to date; None says that there is nothing legal to append.

        Returns:
            The record that stands in the chain, or None where `propose` gave up.

        Raises:
            OSError: the share failed before the outcome was seen. The record may stand or not: the temporary
                file is left, and the next refresh tells. The same record may be proposed again.
            ValueError: the record is too large, or not legal in the state that it was proposed for.
        """
        while True:
            self.refresh()
            if self._unsynced:  # a link was made whose name may not last yet: nobody is told before it does
                self._sync_again()
            record = propose()
            if record is None or self.stands(str(record["nonce"])):
                return record
            record["prev"] = self.fold.tail
            if self._put(encode(record), str(record["nonce"])):
                return record

    def state(self) -> tuple[int, int, str, int]:
        """Where the reading stands, for `resume`: the next slot, the last valid record, the last segment."""
        return self._next, *self._anchor, self._last_segment

    def holds(self, state: tuple[int, int, str, int]) -> bool:
        """Whether the chain still has the record at which an earlier reading stood."""
        _, slot, sha, _ = state
        try:
            return slot > 0 and digest(self._bytes(slot)) == sha
        except OSError:
            return False

    def resume(self, state: tuple[int, int, str, int]) -> None:
        """Go on where an earlier reading stood; the fold is for the caller to bring there."""
        self._next, slot, sha, self._last_segment = state
        self._anchor = (slot, sha)

    def stands(self, mark: str) -> bool:
        """Whether the record with this nonce was read and is valid: an append whose end was not seen."""
        return self._nonces.get(mark, False)

    def record(self, slot: int) -> tuple[Record, str]:
        """One record and its sha256, read anew.

        Raises:
            OSError: the share did not give it; Unreadable where it is not what the listing promised.
        """
        path = f"{self._folder(slot)}/{slot_name(slot)}"
        data = self._bytes(slot)
        try:
            return decode(data), digest(data)
        except ValueError as error:
            raise Unreadable(5, f"not a record: {error}", path) from None

    def _bytes(self, slot: int) -> bytes:
        path = f"{self._folder(slot)}/{slot_name(slot)}"
        try:
            return self.files.read(path, LIMIT)
        except FileNotFoundError as error:
            raise Unreadable(5, f"not there: {error}", path) from None

    def _put(self, data: bytes, mark: str) -> bool:
        slot = self._next
        folder = self._folder(slot)
        scratch = f"{folder}/.tmp-{nonce()}"
        target = f"{folder}/{slot_name(slot)}"
        self._make_segment(folder)
        begun = self._starts
        self.files.write_new(scratch, data)
        refusal: OSError | None = None
        for number in range(_TRIES):
            self.refresh()  # once before the link: a chain that was begun anew lacks the file, or shows here
            if self._starts != begun:
                self._discard(scratch)
                raise FileNotFoundError(2, "the chain was removed", self.directory)
            if self._next > slot:
                self._discard(scratch)
                return self._outcome(mark)
            if number:
                self._clock.sleep(_PAUSE)
            refusal = self._link(scratch, target, folder)
        raise OSError(5, f"the record is not listed: {refusal or 'its link was granted'}", target)

    def _link(self, scratch: str, target: str, folder: str) -> OSError | None:
        """Link, and make the name durable. A refusal is only told: its reply may be that of a repetition."""
        refusal: OSError | None = None
        self._unsynced = folder
        try:
            self.files.link(scratch, target)
        except FileNotFoundError as error:
            if os.path.basename(scratch) not in self.files.listdir(folder):
                raise OSError(5, "the temporary file was removed", scratch) from None
            refusal = error
        except OSError as error:
            refusal = error
        self._sync(folder)
        return refusal

    def _sync_again(self) -> None:
        try:
            self._sync(self._unsynced)
        except FileNotFoundError:  # the directory was removed, and the link with it
            self._unsynced = ""

    def _sync(self, folder: str) -> None:
        self.files.sync_dir(folder)
        self._unsynced = ""

    def _outcome(self, mark: str) -> bool:
        if self._nonces.get(mark) is False:
            raise ValueError(f"{self.directory}: a record was proposed that is not legal there")
        return self.stands(mark)

    def _discard(self, scratch: str) -> None:
        try:
            self.files.unlink(scratch)
        except OSError:
            return  # the leader sweeps temporary names; what was appended stands

    def _restart(self) -> None:
        self._starts += 1
        self._next = 1
        self._anchor = (0, "")
        self._last_segment = 0
        self._unsynced = ""
        self._heavy = 0
        self._nonces: dict[str, bool] = {}
        self.fold.clear()

    def _folder(self, slot: int) -> str:
        return f"{self.directory}/{slot // self._fanout:04d}" if self._fanout else self.directory

    def _starts_segment(self) -> bool:
        return self._fanout > 0 and (self._next == 1 or self._next % self._fanout == 0)

    def _make_segment(self, folder: str) -> None:
        if not self._starts_segment():
            return
        if self._next == 1:
            make_dirs(self.files, folder)
        elif make_dir(self.files, folder):  # never its parent: a removed chain is not begun anew in mid-way
            self.files.sync_dir(self.directory)

    def _segment_begun(self) -> bool:
        """Whether the segment of the next slot is there: its parent is asked, for a lookup may be stale."""
        try:
            names = self.files.listdir(self.directory)
        except FileNotFoundError:
            if self._next > 1:
                raise
            return False
        begun = {int(name) for name in names if name.isascii() and name.isdigit()}
        if self._next > 1 and self._next // self._fanout - 1 not in begun:
            raise FileNotFoundError(2, "the chain was removed", self.directory)
        self._last_segment = max(begun, default=0)
        return self._next // self._fanout in begun

    def _present(self) -> set[int]:
        """The filled slots; where one that was read is gone or is another's, everything is read anew."""
        for _ in range(_LOOKS):
            present = self._list()
            if present.issuperset(range(self._first_listed(), self._next)) and self._is_same():
                return present
        self._restart()
        return self._list()

    def _is_same(self) -> bool:
        """Whether the last valid record still is what was read: people remove directories of ideas, and a
        power failure takes what was not synced, before another record is put in its slot."""
        slot, sha = self._anchor
        if not slot or slot == self._heavy:
            return True
        data = self._bytes(slot)
        same = digest(data) == sha
        self._heavy = slot if same and len(data) > _HEAVY else 0
        return same

    def _first_listed(self) -> int:
        return max(1, self._next // self._fanout * self._fanout) if self._fanout else 1

    def _list(self) -> set[int]:
        try:
            if self._starts_segment() and not self._segment_begun():
                return set()
            names = self.files.listdir(self._folder(self._next))
        except FileNotFoundError:
            self._restart()
            raise
        return {slot for name in names if (slot := slot_of(name)) is not None}

    def _take_in(self, slot: int) -> None:
        record, sha = self.record(slot)
        mark = str(record.get("nonce"))
        valid = self.fold.apply(record, sha)
        self._nonces[mark] = valid or self.stands(mark)
        if valid or not self.fold.tail:
            self._anchor = (slot, sha)
        self._next = slot + 1
