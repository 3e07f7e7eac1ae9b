"""Every problem of a file of ideas, and what in it is probably not meant."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from orze.client.findings import ERROR, WARNING, Finding
from orze.core.errors import OrzeError
from orze.core.states import State
from orze.farm.queue import Queue
from orze.ideas.canonical import add_seed, seed_of
from orze.ideas.members import Group
from orze.ideas.model import Idea, member_ids
from orze.ideas.parse import IdeaError, deep_merge, load_config, parse
from orze.ideas.scan import Scan, Section
from orze.ideas.stream import ShortRead, TooLong, read_exactly, scan_file
from orze.ideas.sweep import MAX_MEMBERS
from orze.ideas.version import Version

_LARGEST: Final = 1 << 30  # bytes of a file of ideas
_SEEDS: Final = frozenset({("seed",), ("training", "seed")})  # they become ORZE_SEED
_DIGEST: Final = 16  # bytes
_MANY: Final = 1 << 30  # cards: how many a host has is held against those that are known


@dataclass(frozen=True)
class Surroundings:
    """What ideas are held against, as far as it is known.

    Attributes:
        base: the base configuration; None where it is not known.
        hosts: names of the hosts whose daemons run, and how many cards each has; empty where none is known.
        begun: ideas that have a directory in results/.
        elsewhere: further ids that are known.
        max_members: how many ideas one section may make.
        commands: whether they may bring command lines of their own.
    """

    base: Mapping[str, Any] | None = None
    hosts: Mapping[str, int] = field(default_factory=dict)
    begun: Collection[str] = frozenset()
    elsewhere: Collection[str] = frozenset()
    max_members: int = MAX_MEMBERS
    commands: bool = True


def ids_of(path: Path) -> set[str]:
    """The ids of a file of ideas; none where it cannot be read."""
    try:
        return {section.id for section in _Reading(path, "").sections}
    except (OrzeError, OSError):
        return set()


def lint_ideas(path: Path, shown: str, around: Surroundings) -> list[Finding]:
    """Check a file of ideas as the farm reads it, its last section included.

    Args:
        path: the file.
        shown: how messages name it.
        around: what it is held against.

    Returns:
        What was found, in the order of the lines.

    Raises:
        OrzeError: it is no file of ideas.
        OSError: it cannot be read.
    """
    reading = _Reading(path, shown)
    found = list(reading.problems)
    ideas: list[Idea] = []
    doubles = _Doubles(shown)
    for section, text in reading.texts():
        try:
            idea = parse(
                text,
                path=shown,
                line=section.line,
                section=section,
                max_members=around.max_members,
                commands=around.commands,
            )
            runs = _runs(text, idea, shown)
        except IdeaError as error:
            found.append(Finding(shown, error.line, ERROR, error.reason))
            continue
        ideas.append(idea)
        found += _strange_keys(shown, idea, text, runs[0][1], around.base)
        for one, own in runs:
            found += doubles.look(one, deep_merge(around.base or {}, own))
    found += _about_others(shown, ideas, around)
    found += _about_hosts(shown, ideas, around)
    return sorted(found, key=lambda one: (one.line, one.kind, one.text))


def _runs(text: str, idea: Idea, shown: str) -> list[tuple[Idea, dict[str, Any]]]:
    """The ideas that a section makes, each with what it changes in the base configuration."""
    if not idea.members:
        return [(idea, load_config(text, path=shown, line=idea.line))]
    group = Group(text, idea, path=shown)
    return [
        (member, load_config(group.text(number), path=shown, line=idea.line))
        for number, member in enumerate(group.members(), 1)
    ]


class _Reading:
    """The sections of a file, scanned as the farm scans them.

    Attributes:
        sections: those that are accepted, in order.
        problems: the others, and sections that stand twice.
    """

    def __init__(self, path: Path, shown: str) -> None:
        self._path = path
        self._shown = shown
        self.sections: list[Section] = []
        self.problems: list[Finding] = []
        version = Version(shown)
        self._first: dict[str, Section] = {}
        with open(path, "rb", opener=_open_at_once) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OrzeError(f"{shown}: not a regular file; name a file of ideas, or - for standard input")
            if status.st_size > _LARGEST:
                raise OrzeError(f"{shown}: larger than {_LARGEST >> 30} GiB; this cannot be a file of ideas")
            try:
                for scanned in scan_file(stream.fileno(), end=status.st_size):
                    version.extend(scanned, lambda _: None)
                    self._take(scanned)
            except TooLong as fault:
                self.problems.append(Finding(shown, fault.line, ERROR, str(fault)))
            except ShortRead:
                raise OrzeError(f"{shown}: it changed while it was read; try again") from None
        bad = [*version.problems, *filter(None, [version.last_problem()])]
        self.problems += [Finding(shown, one.line, ERROR, one.reason) for one in bad]

    def _take(self, scanned: Scan) -> None:
        for section in scanned.sections:
            first = self._first.setdefault(section.id, section) if section.id else section
            if section.problem:
                continue
            if first is section or first.problem:
                self._first[section.id] = section
                self.sections.append(section)
            elif first.sha == section.sha:
                text = f"{section.id} stands here again, as on line {first.line}; it is one idea"
                self.problems.append(Finding(self._shown, section.line, WARNING, text))

    def texts(self) -> Iterator[tuple[Section, str]]:
        """Each accepted section with its text."""
        with open(self._path, "rb", opener=_open_at_once) as stream:
            for section in self.sections:
                try:
                    yield section, read_exactly(stream.fileno(), section.length, section.offset).decode()
                except (ShortRead, UnicodeDecodeError):
                    raise OrzeError(f"{self._shown}: it changed while it was read; try again") from None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not block


# ---- configurations


class _Doubles:
    """Finds ideas that would run the same."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._seen: dict[bytes, Idea] = {}

    def look(self, idea: Idea, config: Mapping[str, Any]) -> Iterator[Finding]:
        """A warning where an earlier idea has the same configuration and seed, Parent and After."""
        if idea.rerun:
            return
        seeded = [add_seed(config, idea.seed), seed_of(config) + idea.seed]
        content = json.dumps([*seeded, idea.parent, idea.after], sort_keys=True).encode()
        first = self._seen.setdefault(hashlib.blake2b(content, digest_size=_DIGEST).digest(), idea)
        if first is not idea:
            text = f"{idea.id} would run the same as {first.id} on line {first.line}: the same configuration"
            yield Finding(self._shown, idea.line, WARNING, text)


def _strange_keys(
    shown: str, idea: Idea, text: str, own: Mapping[str, Any], base: Mapping[str, Any] | None
) -> Iterator[Finding]:
    """Keys that the base configuration does not have, where it has any at that place."""
    waiting: list[tuple[tuple[str, ...], Mapping[str, Any], Mapping[str, Any]]] = [((), own, base or {})]
    while waiting:
        above, values, known = waiting.pop()
        for key, value in values.items() if known else ():
            path = (*above, key)
            below = known.get(key)
            if key not in known and path not in _SEEDS:
                close = get_close_matches(key, known, 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                line = idea.line + _line_of(text, path)
                name = ".".join(path)
                yield Finding(shown, line, WARNING, f"{name!r} is not in the base configuration{hint}")
            elif isinstance(value, Mapping) and isinstance(below, Mapping):
                waiting.append((path, value, below))


def _line_of(text: str, path: Iterable[str]) -> int:
    """How many lines of a section are before a key of its configuration, by a look at the text."""
    fence = re.search(r"^ {0,3}(?:```+|~~~+)[ \t]*ya?ml\b.*$", text, re.MULTILINE | re.IGNORECASE)
    at = fence.end() if fence else 0
    for key in path:
        match = re.compile(rf"(?:^|[\s{{,'\"]){re.escape(key)}['\"]?\s*:").search(text, at)
        at = match.end() if match else at
    return text.count("\n", 0, at)


# ---- other ideas, hosts


def _about_others(shown: str, ideas: Iterable[Idea], around: Surroundings) -> Iterator[Finding]:
    """Ideas that wait for one that is not there or for one another, and parents that are not there."""
    queue = Queue("", _MANY)
    with queue.loading():
        for idea in ideas:
            queue.set_idea(idea.id, idea)
            for member in member_ids(idea.id, idea.members):
                queue.set_idea(member, idea._replace(id=member, members=0))
    known = {*queue.ids(), *around.begun, *around.elsewhere}
    where = f"{shown} and results/" if around.begun or around.elsewhere else shown
    for idea in ideas:
        unknown = [("After", other) for other in idea.after] + [("Parent", idea.parent or "")]
        for name, other in unknown:
            if other and other not in known and idea.id not in around.begun:
                waits = ": it would wait for ever" if name == "After" else ""
                yield Finding(shown, idea.line, WARNING, f"{name} {other} is not in {where}{waits}")
        entry = queue.get(f"{idea.id}.1" if idea.members else idea.id)
        if entry and entry.state is State.HELD and idea.id not in around.begun:
            yield Finding(shown, idea.line, WARNING, f"{idea.id} cannot start: {entry.reason}")


def _about_hosts(shown: str, ideas: Iterable[Idea], around: Surroundings) -> Iterator[Finding]:
    """Ideas that no host may or can run, where any host is known."""
    if not around.hosts:
        return
    there = ", ".join(sorted(around.hosts))
    for idea in ideas:
        if idea.id in around.begun:
            continue
        fit = [cards for host, cards in around.hosts.items() if idea.may_run_on(host)]
        if not fit:
            text = f"no host fits Hosts {', '.join(idea.hosts)}; these run: {there}"
            yield Finding(shown, idea.line, WARNING, text)
        elif idea.gpus > max(fit):
            text = f"GPUs {idea.gpus} is more than any host has that it may run on: {max(fit)}"
            yield Finding(shown, idea.line, WARNING, text)
