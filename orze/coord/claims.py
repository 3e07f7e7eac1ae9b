"""Claiming an idea: the gate, the wait before a directory without a record, and the CLAIM."""

from __future__ import annotations

import errno
import os

from orze.coord.chain import Chain
from orze.coord.idea_chain import CLAIM, OPEN, IdeaFold
from orze.coord.record import Record, decode, new_record
from orze.core.files import make_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from orze.core.clock import Clock
    from orze.core.files import Files
    from orze.core.paths import FarmPaths

_CLAIM_FILE, _LIMIT = "claim.json", 64 << 10
PLAIN_FILES = frozenset({_CLAIM_FILE, "metrics.json"})
OUR_FILES = frozenset({"attempts", "latest"})
_LOOKS = 3


class Claimed:
    """The claim was made: the keeper may go."""

    __slots__ = ("fold", "record")

    def __init__(self, record: Record, fold: IdeaFold) -> None:
        self.record = record
        self.fold = fold


class Taken:
    """Somebody else has the idea, or it is settled."""

    __slots__ = ("fold", "why")

    def __init__(self, why: str, fold: IdeaFold | None = None) -> None:
        self.why = why
        self.fold = fold


class Unsettled:
    """A directory without a valid record: it may be claimed once it was seen unchanged for long enough."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


class _Quiet:
    __slots__ = ("listing", "looks", "since")

    def __init__(self, listing: frozenset[str], since: float) -> None:
        self.listing = listing
        self.since = since
        self.looks = 0


class Claims:
    """Makes claims for the keepers of this host.

    Args:
        quiet: seconds for which a directory without a valid record must stay unchanged (2S).
    """

    def __init__(self, files: Files, paths: FarmPaths, clock: Clock, *, quiet: float) -> None:
        self._files = files
        self._paths = paths
        self._clock = clock
        self._quiet = quiet
        self._waiting: dict[str, _Quiet] = {}

    def open_chain(self, idea_id: str) -> tuple[Chain, IdeaFold]:
        """The chain of an idea, not read yet."""
        fold = IdeaFold()
        return Chain(self._files, self._paths.idea(idea_id).chain, fold, self._clock), fold

    def claim(
        self, idea_id: str, token: str, frame: Mapping[str, object], content: Mapping[str, object]
    ) -> Claimed | Taken | Unsettled:
        """Try to claim an idea for a keeper whose heartbeat for it exists already.

        Args:
            token: the attempt's; a claim that was made with it already is found again.
            frame: host, boot, pid namespace, pid and start time of the keeper.
            content: what else the CLAIM says: section, sha, cards.

        Raises:
            OSError: the share did not answer; the claim may stand, and a later look tells.
        """
        home = self._paths.idea(idea_id).home
        seen = self._waiting.pop(idea_id, None)
        try:
            self._files.mkdir(home)
            fresh = True
        except FileExistsError:
            fresh = False
        chain, fold = self.open_chain(idea_id)
        if not fresh:
            refused = self._look(idea_id, token, seen, chain, fold)
            if refused is not None:
                return refused
        make_dir(self._files, chain.directory)
        chain.append(lambda: self._propose(fold, token, frame, content))
        if fold.token != token or fold.claim is None:
            return Taken("claimed by another host first", fold)
        for directory in (home, self._paths.results):  # nothing begins before the names that lead here last
            self._files.sync_dir(directory)
        return Claimed(fold.claim, fold)

    def _propose(
        self, fold: IdeaFold, token: str, frame: Mapping[str, object], content: Mapping[str, object]
    ) -> Record | None:
        if fold.phase != OPEN:
            return None
        return new_record(CLAIM, token=token, attempt=fold.attempt + 1, **frame, **content)

    def _look(
        self, idea_id: str, token: str, seen: _Quiet | None, chain: Chain, fold: IdeaFold
    ) -> Taken | Unsettled | None:
        names = frozenset(self._files.listdir(self._paths.idea(idea_id).home))
        if os.path.basename(chain.directory) in names:
            chain.refresh()
            if fold.tail:
                mine = fold.phase == OPEN or fold.token == token
                return None if mine else Taken(f"it is {fold.state}", fold)
            names |= frozenset(self._files.listdir(chain.directory))
        if names & PLAIN_FILES and not self._is_ours(idea_id, names):
            return Taken("its directory was made by a plain farm or a person")
        return self._wait(idea_id, names, seen)

    def _is_ours(self, idea_id: str, names: frozenset[str]) -> bool:
        """Whether a directory without a record is what a removal left that did not come to its end."""
        if names & OUR_FILES or _CLAIM_FILE not in names:
            return bool(names & OUR_FILES)
        try:
            claim = decode(self._files.read(self._paths.idea(idea_id).projection(_CLAIM_FILE), _LIMIT))
        except ValueError:
            return False
        except OSError as error:
            if error.errno == errno.EFBIG:
                return False
            raise
        return "attempt" in claim  # a plain farm has none

    def _wait(self, idea_id: str, names: frozenset[str], seen: _Quiet | None) -> Unsettled | None:
        now = self._clock.steady()
        if seen is None or seen.listing != names:
            seen = _Quiet(names, now)
        else:
            seen.looks += 1
        if seen.looks >= _LOOKS and now - seen.since >= self._quiet:
            return None
        self._waiting[idea_id] = seen
        return Unsettled("its directory holds no record yet; it is claimed once nothing changes there")
