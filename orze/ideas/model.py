"""What an accepted section of ideas.md says, kept small: 50,000 of these are held in memory."""

from enum import IntEnum
from fnmatch import fnmatchcase
from typing import NamedTuple

from orze.core.errors import OrzeError


class IdeaError(OrzeError):
    """A section cannot be accepted.

    Attributes:
        line: the line of the file that is at fault, from 1.
        reason: what is wrong and what to do, in one sentence.
        path: the file; empty where the text is in none.
    """

    def __init__(self, line: int, reason: str, path: str = "") -> None:
        super().__init__(f"{path}:{line}: {reason}" if path else f"line {line}: {reason}")
        self.line = line
        self.reason = reason
        self.path = path


class Priority(IntEnum):
    """How urgent an idea is; the most urgent sorts first."""

    CRITICAL = 0
    HIGH = 1
    MEDIUM = 2
    LOW = 3


class Idea(NamedTuple):
    """One idea; a tuple, since those are made fastest. Its text and configuration stay in the file.

    Attributes:
        id: `idea-` and digits; of a member of a group also a dot and digits.
        number: the first digits.
        title: the rest of the heading.
        priority: a `Priority`, as a plain number; decides the order, before the number.
        category: a word of the author's; empty where none is given.
        parent: id of the idea that it builds on.
        hypothesis: why it might work; empty where it is not told.
        gpus: cards that it needs, from 1.
        timeout: seconds that its training may take; None for the farm's limit.
        after: ids of the ideas that must have completed before it may start.
        hosts: patterns of the names of the hosts that it may run on; none for any host.
        fields: name and value of every other field, in their order.
        line: number of its heading's line.
        sha: the revision, in hex: what `Section.sha` is in bytes.
        repeats: how many times each configuration runs, each with a seed of its own.
        seed: what is added to the seed of the configuration; with repeats, for the first of them.
        rerun: whether it runs although its configuration has run before.
        members: 0 for an idea that runs; else it is a group, and so many ideas are made of it.
        commit: the commit whose code runs, as it was written; empty for the code as it lies there.
        command: the line for a shell that trains; empty for that of the farm.
    """

    id: str
    number: int
    title: str
    priority: int
    category: str
    parent: str | None
    hypothesis: str
    gpus: int
    timeout: float | None
    after: tuple[str, ...]
    hosts: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]
    line: int
    sha: str
    repeats: int = 1
    seed: int = 0
    rerun: bool = False
    members: int = 0
    commit: str = ""
    command: str = ""

    @property
    def order(self) -> tuple[int, int, int, str]:
        """The key by which ideas are started: priority, then number, then number in its group, then id."""
        return self.priority, self.number, int(self.id.partition(".")[2] or 0), self.id

    def may_run_on(self, host: str) -> bool:
        """Whether its Hosts name a host, or any host may run it."""
        return not self.hosts or any(fnmatchcase(host, pattern) for pattern in self.hosts)


def is_member(idea_id: str) -> bool:
    """Whether an id is that of a member of a group, such as idea-3.2."""
    return "." in idea_id


def group_of(idea_id: str) -> str:
    """The group that a member belongs to: idea-3 for idea-3.2; of any other id, itself."""
    return idea_id.partition(".")[0]


def member_ids(group: str, count: int) -> list[str]:
    """The ids of the members of a group of so many."""
    return [f"{group}.{number}" for number in range(1, count + 1)]
