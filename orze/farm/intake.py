"""Takes in ideas.md: what the file says now, and what the journal is to know of it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from orze.farm.context import Context
from orze.farm.queue import Queue
from orze.ideas.members import Group, section_of_member
from orze.ideas.model import Idea, group_of, is_member, member_ids
from orze.ideas.parse import IdeaError, parse
from orze.ideas.scan import Section, revision
from orze.ideas.source import IdeasSource, Quarantine, StaleSection

_LOG = logging.getLogger("orze")
SETTLING = 1.0  # seconds for which a file must be unchanged before its last section is taken as whole
_BUDGET = 0.5  # seconds of one cycle that may go into reading new sections
_BATCH = 5000  # sections that go into the journal in one cycle
_CHUNK = 256  # sections that are read with one opening of the file
_LOGGED = 20  # lines about bad sections at a time; the report has more of them


class Intake:
    """Follows ideas.md into the queue.

    Attributes:
        quarantined: what cannot be accepted, by id or place.
    """

    def __init__(self, context: Context, queue: Queue) -> None:
        self._context = context
        self._queue = queue
        self._source = IdeasSource(
            Path(context.settings.ideas_file), SETTLING, context.clock.steady, whole=self._is_registered
        )
        self._name = context.settings.ideas_file.name
        self._pending: deque[Section] = deque()
        self._scanned: list[Quarantine] = []
        self._bad: dict[str, Quarantine] = {}
        self._refused: set[str] = set()
        self._logged: set[tuple[str | None, str]] = set()
        self._present: dict[str, str] = {}
        self._changed: dict[str, None] = {}  # in the order of what it names, which lies so in memory
        self._complete = False

    @property
    def behind(self) -> bool:
        """Whether sections wait to be read: the next cycle should follow at once."""
        return bool(self._pending)

    @property
    def unregistered(self) -> bool:
        """Whether more waits to be told to the journal than one step takes."""
        return len(self._changed) >= _BATCH and self._complete

    @property
    def quarantined(self) -> list[Quarantine]:
        """What cannot be accepted, in the order of the file."""
        return sorted([*self._scanned, *self._bad.values()], key=lambda bad: bad.line)

    def due(self) -> float | None:
        """The steady time at which the file wants another look; None where only a change does."""
        return self._source.due()

    def read(self) -> bool:
        """Look at the file and take in what changed, for at most half a second.

        Returns:
            Whether anything changed.
        """
        update = self._source.poll()
        if update is not None:
            self._complete = update.complete
            self._pending.extend(update.upserted)
            for idea_id in update.removed:
                self._remove(idea_id)
            self._scanned = list(update.problems)
            if update.complete:
                self._refuse(update.problems)
        if not self._pending and update is None:
            return False
        until = self._context.clock.steady() + _BUDGET
        while self._pending and self._context.clock.steady() < until:
            chunk = [self._pending.popleft() for _ in range(min(_CHUNK, len(self._pending)))]
            left = self._read_chunk(chunk, until)
            self._pending.extendleft(reversed(left))
        self._log_bad()
        return True

    def _is_registered(self, idea_id: str, sha: bytes) -> bool:
        """Whether the journal has this revision: it was whole when it was registered."""
        entry = self._queue.get(idea_id)
        return bool(entry and entry.known and entry.known.sha == sha.hex())

    def _read_chunk(self, chunk: list[Section], until: float) -> list[Section]:
        """Take sections in; returns those that are left when a group, with all its members, took long."""
        for number, (section, text) in enumerate(self._source.texts(chunk), 1):
            if text is None:
                continue  # it changed under the reading: its next version is on its way
            if self._take(section, text) and self._context.clock.steady() >= until:
                return chunk[number:]
        return []

    @property
    def is_whole(self) -> bool:
        """Whether all was read that the file holds, so that `state` tells of all of it."""
        return self._source.is_whole and not self._pending

    def state(self) -> tuple[Any, ...]:
        """What was read, as plain values for `resume`."""
        source = self._source.state()
        entries = map(self._queue.get, self._present)
        ideas = [tuple(entry.idea) for entry in entries if entry and entry.idea]
        bad = [(name, found.line, found.reason) for name, found in self._bad.items()]
        return source, ideas, bad, [(b.id, b.line, b.reason) for b in self._scanned]

    def resume(self, state: tuple[Any, ...]) -> bool:
        """Take up what an earlier process read, if the file still begins with it.

        Returns:
            Whether it does.
        """
        source, ideas, bad, scanned = state
        if not self._source.resume(source):
            return False
        for idea in map(Idea._make, ideas):
            self._present[idea.id] = idea.sha
            self._queue.set_idea(idea.id, idea)
        for idea_id, line, reason in bad:
            self._quarantine(idea_id, line, reason)
        self._scanned = [Quarantine(idea_id, self._name, line, reason) for idea_id, line, reason in scanned]
        self._refuse(self._scanned)
        return True

    def section(self, idea: Idea) -> str | None:
        """The text of an idea as the file has it; None where it changed a moment ago."""
        try:
            text = self._source.read(group_of(idea.id))
            if not is_member(idea.id):
                return text
            text = section_of_member(text, idea.id, path=self._name)
        except (StaleSection, IdeaError, OSError, KeyError):
            return None
        return text if revision(text.encode()).hex() == idea.sha else None

    def changes(self) -> dict[str, list[list[str] | str]]:
        """Parts for the journal: what this host, as leader, has to register, and what vanished or came back.

        They are drained: whoever cannot write them calls `recheck`.
        """
        parts: dict[str, list[list[str] | str]] = {"register": [], "vanish": [], "restore": []}
        later: dict[str, None] = {}
        for idea_id in sorted(self._news()):
            if len(parts["register"]) >= _BATCH or not self._tell(idea_id, parts):
                later[idea_id] = None
        self._changed = later
        return {part: items for part, items in parts.items() if items}

    def _news(self) -> Iterator[str]:
        """The changed ones of which the journal may not know yet; after `recheck` that is a look at all."""
        look, present = self._queue.get, self._present.get
        for idea_id in self._changed:
            if is_member(idea_id):
                continue  # what is registered is the section of its group
            entry = look(idea_id)
            known = entry.known if entry else None
            if known is None or known.vanished or known.sha != present(idea_id):
                yield idea_id

    def _tell(self, idea_id: str, parts: dict[str, list[list[str] | str]]) -> bool:
        """Add what the journal does not know of an idea; False where that cannot be told yet."""
        entry = self._queue.get(idea_id)
        known = entry.known if entry else None
        sha = self._present.get(idea_id)
        if sha is None:
            if not self._complete or self._pending:
                return False  # what has not been read yet has not vanished
            over = known and (known.outcome or self._queue.has_ended(idea_id))
            if known and not known.vanished and not over and not (entry and entry.bad):
                parts["vanish"].append(idea_id)
            return True
        if known is None or known.sha != sha:
            text = self.section(entry.idea) if entry and entry.idea else None
            if text is None:
                return False
            parts["register"].append([idea_id, sha, text])
        if known and known.vanished:
            parts["restore"].append(idea_id)
        return True

    def recheck(self) -> None:
        """Compare everything with the journal again: this host has just become the leader."""
        self._changed |= dict.fromkeys(self._queue.ids())
        self._changed |= dict.fromkeys(self._present)

    def _take(self, section: Section, text: str) -> int:
        """Take a section in; returns how many members it makes."""
        settings = self._context.settings
        try:
            idea = parse(
                text,
                path=self._name,
                line=section.line,
                section=section,
                max_members=settings.max_members,
                commands=settings.train_command is not None,
            )
            members = Group(text, idea, path=self._name).members() if idea.members else ()
        except IdeaError as error:
            self._quarantine(section.id, error.line, error.reason)
            return 0
        self._accept(idea, members)
        return idea.members

    def _accept(self, idea: Idea, members: Iterable[Idea]) -> None:
        self._drop_members(idea.id, above=idea.members)
        self._bad.pop(idea.id, None)
        self._changed[idea.id] = None
        for one in (idea, *members):
            self._present[one.id] = one.sha
            self._queue.set_idea(one.id, one)

    def _drop_members(self, idea_id: str, *, above: int) -> None:
        """A group makes no members above this number any more; those that have begun stay what they are."""
        entry = self._queue.get(idea_id)
        for member in member_ids(idea_id, entry.idea.members)[above:] if entry and entry.idea else ():
            self._present.pop(member, None)
            self._queue.set_idea(member, None)
            self._queue.forget(member)

    def _quarantine(self, idea_id: str, line: int, reason: str) -> None:
        self._drop_members(idea_id, above=0)
        self._present.pop(idea_id, None)
        self._bad[idea_id] = Quarantine(idea_id, self._name, line, reason)
        self._queue.set_bad(idea_id, f"{self._name}:{line}: {reason}")

    def _log_bad(self) -> None:
        """Tell once what cannot be accepted."""
        bad = {(one.id, one.reason): one for one in self.quarantined}
        for one in [bad[key] for key in bad if key not in self._logged][:_LOGGED]:
            _LOG.warning("%s:%d: %s", one.path, one.line, one.reason)
        self._logged = set(bad)

    def _refuse(self, problems: Iterable[Quarantine]) -> None:
        """Take in which ids the settled file has only in sections that the scan found at fault."""
        refused = {bad.id: bad for bad in problems if bad.id and bad.id not in self._source}
        gone = [idea_id for idea_id in self._refused - refused.keys() if idea_id not in self._source]
        self._refused = set(refused)
        for idea_id in gone:
            self._remove(idea_id)
        for idea_id, bad in refused.items():
            self._drop_members(idea_id, above=0)
            self._bad.pop(idea_id, None)
            self._present.pop(idea_id, None)
            self._queue.set_bad(idea_id, f"{self._name}:{bad.line}: {bad.reason}")

    def _remove(self, idea_id: str) -> None:
        self._drop_members(idea_id, above=0)
        self._bad.pop(idea_id, None)
        self._present.pop(idea_id, None)
        self._changed[idea_id] = None
        self._queue.set_idea(idea_id, None)
        self._queue.forget(idea_id)
