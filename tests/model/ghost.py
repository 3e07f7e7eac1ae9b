"""The record of what really happened, kept beside the simulation: no simulated process can read it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.model.scheduler import Process
from tests.model.server import Node, Server
from tests.model.spec import Standing, parsed, standing

RESULTS = "/farm/results"
_RECORD = re.compile(RESULTS + r"/(idea-\d+)/\.chain/(\d{6})\.json")
_CHAIN = re.compile(RESULTS + r"/(idea-\d+)/\.chain")
_BEAT = re.compile(RESULTS + r"/\.orze/heartbeats/(.+)\.([0-9a-f]+)")
_DOOR = re.compile(RESULTS + r"/\.orze/doors/([0-9a-f]+)(/.*)?")
_JOURNAL = re.compile(RESULTS + r"/\.orze/journal/\d{4}/(\d{6})\.json")


class Execution:
    """One run of a command of an attempt.

    Attributes:
        begun, ended: virtual seconds; None while it runs.
    """

    def __init__(self, idea_id: str, token: str, kind: str, process: Process, begun: float) -> None:
        self.idea_id = idea_id
        self.token = token
        self.kind = kind
        self.process = process
        self.begun = begun
        self.ended: float | None = None


class ChainRecord:
    """One chain of an idea, from its making to its removal.

    Attributes:
        slots: slot -> bytes, as they were when the record was made.
        made_by: slot -> the process that linked it.
        acknowledged: nonces of records that an append has told to stand.
        tampered: somebody removes its records.
        present: slots that are there now.
        gone_since: slot -> virtual time at which its record was removed.
        since: virtual time of its making, or of the last power failure that changed it.
    """

    def __init__(self, idea_id: str, since: float) -> None:
        self.idea_id = idea_id
        self.slots: dict[int, bytes] = {}
        self.made_by: dict[int, Process | None] = {}
        self.acknowledged: set[str] = set()
        self.standing = Standing()
        self.tampered = False
        self.present: set[int] = set()
        self.gone_since: dict[int, float] = {}
        self.since = since

    @property
    def is_damaged(self) -> bool:
        """Whether a record is absent below another: then people are told to remove the directory."""
        return self.present != set(range(1, len(self.present) + 1))

    def refold(self) -> None:
        """Work out where it stands."""
        self.standing = standing(sorted(self.slots.items()))


class Ghost:
    """Facts, from the server's own view.

    Attributes:
        changed: chains that have changed since they were last checked.
        beats: token -> virtual time of the last renewal that reached the server.
        events: things to be checked at once, as (name, arguments).
    """

    def __init__(self, server: Server, now: Callable[[], float], who: Callable[[], Process | None]) -> None:
        self._server = server
        self._now = now
        self._who = who
        self.executions: list[Execution] = []
        self.chains: dict[str, ChainRecord] = {}
        self.past: list[ChainRecord] = []
        self.beats: dict[str, float] = {}
        self.alive_tokens: dict[str, Process] = {}
        self.operators_removed: dict[str, float] = {}
        self.retried: dict[str, float] = {}
        self.journal: dict[int, bytes] = {}
        self.events: list[tuple[str, tuple[Any, ...]]] = []
        self.changed: dict[str, ChainRecord] = {}
        self.settled_at: dict[str, float] = {}
        server.told = self._told

    def _told(self, what: str, path: str, node: Node) -> None:
        if match := _RECORD.fullmatch(path):
            self._record(what, match[1], int(match[2]), node)
        elif match := _BEAT.fullmatch(path):
            if what != "removed":
                self.beats[match[2]] = self._now()
        elif match := _DOOR.fullmatch(path):
            if what == "removed":
                self.events.append(("door", (match[1], self._who())))
        elif match := _CHAIN.fullmatch(path):
            self._chain(what, match[1])
        elif match := _JOURNAL.fullmatch(path):
            self._journal(what, int(match[1]), node)

    def _chain(self, what: str, idea_id: str) -> None:
        if what == "removed" and idea_id in self.chains:
            self.past.append(self.chains.pop(idea_id))
            self.changed.pop(idea_id, None)
        elif what == "made":
            self.chains[idea_id] = ChainRecord(idea_id, self._now())

    def _record(self, what: str, idea_id: str, slot: int, node: Node) -> None:
        chain = self.chains.setdefault(idea_id, ChainRecord(idea_id, self._now()))
        if what == "made":
            if slot in chain.slots and chain.slots[slot] != node.data and not chain.tampered:
                self.events.append(("changed record", (chain, slot)))
            self.events.append(("record", (chain, slot, node.data, self._who())))
            chain.slots[slot] = node.data
            chain.present.add(slot)
            chain.made_by[slot] = self._who()
            chain.refold()
            self.changed[idea_id] = chain
        elif what == "removed":
            chain.tampered = True
            chain.present.discard(slot)
            chain.gone_since[slot] = self._now()
            if not chain.present:  # what is linked there from now on is another chain
                self._chain("removed", idea_id)
            self.events.append(("removed record", (chain, slot, self._who())))

    def _journal(self, what: str, slot: int, node: Node) -> None:
        if what == "made":
            self.journal[slot] = node.data
            self.events.append(("journal", (slot, parsed(node.data)[0])))

    def began(self, execution: Execution) -> None:
        """A command has started."""
        self.executions.append(execution)
        self.events.append(("began", (execution,)))

    def running(self, idea_id: str) -> list[Execution]:
        """The commands of an idea that compute at this moment; those of frozen hosts do not."""
        now = self._now()
        return [
            run
            for run in self.executions
            if run.idea_id == idea_id
            and run.ended is None
            and max(run.process.host.frozen_until, run.process.frozen_until) <= now
        ]

    def claim_of(self, idea_id: str, token: str) -> dict[str, Any] | None:
        """The valid CLAIM of a token, in any chain that the idea ever had."""
        for chain in [*self.past, *self.chains.values()]:
            if chain.idea_id == idea_id and token in chain.standing.claims:
                return chain.standing.claims[token]
        return None

    def recheck(self) -> None:
        """Somebody wrote past the names: look whether a record has other bytes now."""
        for idea_id, chain in self.chains.items():
            slots = self._on_disk(idea_id) or {}
            for slot in sorted(slots.keys() & chain.slots.keys()):
                if slots[slot] != chain.slots[slot]:
                    self.events.append(("changed record", (chain, slot)))

    def read_again(self) -> list[ChainRecord]:
        """Behind a power failure: compare every chain with what the disk holds now.

        Returns:
            The chains that are not what they were.
        """
        different = []
        for idea_id in sorted({*self.chains, *(chain.idea_id for chain in self.past)}):
            chain, slots = self.chains.get(idea_id), self._on_disk(idea_id)
            if slots == (chain and {slot: chain.slots[slot] for slot in chain.present}):
                continue
            if chain:
                different.append(chain)
                self._chain("removed", idea_id)
            if slots is not None:
                tampered = chain.tampered if chain else self._lacks_some(idea_id, slots)
                self.chains[idea_id] = self._brought_back(idea_id, slots, tampered=tampered)
        return different

    def _lacks_some(self, idea_id: str, slots: dict[int, bytes]) -> bool:
        """Whether these are some records of a chain that somebody had removed: half of it has come back."""
        removed = [chain for chain in self.past if chain.idea_id == idea_id and chain.tampered]
        return any(slots.items() < chain.slots.items() for chain in removed)

    def _brought_back(self, idea_id: str, slots: dict[int, bytes], *, tampered: bool) -> ChainRecord:
        """What the disk holds of a chain; a record that was removed may be there again."""
        chain = ChainRecord(idea_id, self._now())
        chain.slots, chain.present, chain.tampered = slots, set(slots), tampered
        chain.refold()
        return chain

    def _on_disk(self, idea_id: str) -> dict[int, bytes] | None:
        try:
            folder = self._server.directory(f"{RESULTS}/{idea_id}/.chain")
        except OSError:
            return None
        names = [name for name in folder.children if re.fullmatch(r"\d{6}\.json", name)]
        return {int(name[:6]): folder.children[name].data for name in names}
