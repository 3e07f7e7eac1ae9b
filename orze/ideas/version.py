"""One version of ideas.md as it was read: where its sections lie, and which of them cannot be accepted."""

import hashlib
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

from orze.ideas.index import Index
from orze.ideas.scan import Scan, Section, Unclosed

EDGE = 4096  # bytes before the end that must be unchanged for a growth to count as an append


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Something in the file that cannot be accepted.

    Attributes:
        id: of the idea; None where it has none.
        path: the file's name.
        line: the line at fault, from 1.
        reason: what is wrong and what to do, in one sentence.
    """

    id: str | None
    path: str
    line: int
    reason: str


class Version:
    """What the file held. Its last section is kept apart, since it may not be whole yet.

    Attributes:
        index: every accepted section but the last.
        problems: why the others but the last were not accepted.
        last: the last section, accepted or not.
        unclosed: what is open at the end of the file.
        size: bytes of the file.
        edge: its last bytes, `EDGE` at most.
        whole: the hash of all of it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.index = Index()
        self.problems: list[Quarantine] = []
        self.last: Section | None = None
        self.unclosed: Unclosed | None = None
        self.size = 0
        self.edge = b""
        self.whole = hashlib.blake2b()

    def state(self) -> tuple[Any, ...]:
        """All of it but the hash, as plain values, for `resume`."""
        problems = [(bad.id, bad.path, bad.line, bad.reason) for bad in self.problems]
        last = self.last and astuple(self.last)
        return (
            self.index.state(),
            problems,
            last,
            self.unclosed and tuple(self.unclosed),
            self.size,
            self.edge,
        )

    def resume(self, state: tuple[Any, ...]) -> None:
        """Become what `state` told; the hash is for the caller to work out."""
        index, problems, last, unclosed, self.size, self.edge = state
        self.index.resume(index)
        self.problems = [Quarantine(*bad) for bad in problems]
        self.last = Section(*last) if last else None
        self.unclosed = Unclosed(*unclosed) if unclosed else None

    def extend(self, found: Scan, known: Callable[[str], bytes | None]) -> list[Section]:
        """Take in the sections that follow.

        Args:
            found: the next sections; the last of the file is kept apart until another follows.
            known: tells the revision of an id that was accepted before.

        Returns:
            Those that were accepted and whose revision was not known.
        """
        fresh = []
        for section in found.sections:
            if self.last and self._take(self.last, known):
                fresh.append(self.last)
            self.last = section
        self.unclosed = found.unclosed
        return fresh

    def _take(self, section: Section, known: Callable[[str], bytes | None]) -> bool:
        problem = self.problem(section)
        if problem:
            self.problems.append(problem)
        elif section.id not in self.index:
            fresh = known(section.id) != section.sha
            self.index.add(section)
            return fresh
        return False

    def problem(self, section: Section) -> Quarantine | None:
        """Why a section that follows those of the index cannot be accepted; None where it can."""
        if section.problem:
            line = self.unclosed.line if self.unclosed and not section.closed else section.line
            return Quarantine(section.id or None, self._name, line, section.problem)
        first = self.index.get(section.id)
        if first is None or first.sha == section.sha:
            return None
        reason = (
            f"{section.id} is already at {self._name}:{first.line} with other content, which stands: "
            "give one of the two another id"
        )
        return Quarantine(section.id, self._name, section.line, reason)

    def last_problem(self) -> Quarantine | None:
        """Why the end of the file cannot be accepted; None where it can."""
        if self.last:
            return self.problem(self.last)
        return Quarantine(None, self._name, self.unclosed.line, str(self.unclosed)) if self.unclosed else None
