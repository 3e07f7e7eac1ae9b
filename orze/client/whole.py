"""Everything that is known of one idea, gathered from ideas.md, the journal, its chain and its files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from orze.attempt.spec import ENVIRONMENT
from orze.client.configs import Config, config_of
from orze.client.differ import ABSENT, Flat, Row, changed, flatten
from orze.client.groups import Member, members, state_of
from orze.client.project import Project
from orze.client.reader import Reader
from orze.client.story import Attempt, Story
from orze.client.told import read_object
from orze.coord.chain import Chain
from orze.core.states import SUCCEEDED, State
from orze.farm.outcomes import plain_outcome
from orze.farm.queue import Entry
from orze.ideas.model import Idea, Priority
from orze.report.leaderboard import finite

_FILES = 200  # of a directory that are listed
_ENVIRONMENT_LIMIT = 1 << 20
_REFUSED = Config(fault="its section cannot be accepted, so it has none")


@dataclass(frozen=True, slots=True)
class Rank:
    """The place of a result: `place` of `of`, by a metric; None where it has no finite number there."""

    metric: str
    ascending: bool
    place: int | None
    of: int


@dataclass(frozen=True)
class Whole:
    """One idea.

    Attributes:
        reason: why it does not run; empty where there is nothing to say.
        where: its place in ideas.md, such as `ideas.md:12`; empty where it has none.
        section: its text, as ideas.md has it or the journal keeps it.
        edited: its section is no longer what its result came of.
        metrics: of its result, flat; nothing where it has none.
        environment: environment.json of the last attempt.
        files: name and bytes of what lies in the directory of the last attempt; None for directories.
        directory: that directory, or the idea's own; empty where there is none.
        members: of a group; its `state` is what theirs make of it.
    """

    idea_id: str
    title: str
    state: State
    reason: str
    where: str
    section: str
    idea: Idea | None
    edited: bool
    attempts: tuple[Attempt, ...]
    config: Config
    metrics: Flat
    rank: Rank | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[tuple[str, int | None], ...] = ()
    directory: str = ""
    members: tuple[Member, ...] = ()

    @property
    def parent(self) -> str:
        """The id of the idea that it builds on, or nothing."""
        return (self.idea.parent or "") if self.idea else ""


def gather(project: Project, reader: Reader, idea_id: str) -> Whole:
    """Gather everything about an idea that the reader knows.

    Raises:
        OSError: the share did not answer.
    """
    entry = reader.queue.get(idea_id) or Entry()
    story = story_of(project, idea_id)
    last = story.find(None)
    section = _section(reader, entry, idea_id)
    name = project.settings.ideas_file.name
    group = members(reader, idea_id)
    state = entry.state or state_of(group)
    metrics = _metrics(project, idea_id, last, state)
    directory = _directory(project, idea_id, last)
    return Whole(
        idea_id=idea_id,
        title=entry.idea.title if entry.idea else _heading(section),
        state=state,
        reason=entry.reason,
        where=f"{name}:{entry.idea.line}" if entry.idea else "",
        section=section or "",
        idea=entry.idea,
        edited=entry.edited,
        attempts=tuple(story.attempts),
        config=_REFUSED
        if state is State.QUARANTINED and not last
        else config_of(project, idea_id, last, section),
        metrics=metrics,
        rank=_rank(reader, idea_id, metrics) if state in SUCCEEDED else None,
        environment=read_object(f"{directory}/{ENVIRONMENT}", _ENVIRONMENT_LIMIT) if directory else {},
        files=tuple(_files(directory)) if directory else (),
        directory=directory,
        members=group,
    )


def story_of(project: Project, idea_id: str) -> Story:
    """The attempts of an idea; none where it never ran here.

    Raises:
        OSError: the share did not answer, or a record is missing.
    """
    story = Story()
    with suppress(FileNotFoundError):
        Chain(project.files, project.paths.idea(idea_id).chain, story, project.clock).refresh()
    return story


def plain(whole: Whole, parent: Whole | None) -> dict[str, Any]:
    """The same as plain values."""
    idea, rank = whole.idea, whole.rank
    return {
        "idea_id": whole.idea_id,
        "title": whole.title,
        "state": whole.state,
        "reason": whole.reason,
        "where": whole.where,
        "edited": whole.edited,
        "priority": Priority(idea.priority).name.lower() if idea else None,
        "category": idea.category if idea else None,
        "parent": whole.parent or None,
        "hypothesis": idea.hypothesis if idea else None,
        "after": list(idea.after) if idea else [],
        "gpus": idea.gpus if idea else None,
        "hosts": list(idea.hosts) if idea else [],
        "section": whole.section,
        "config": whole.config.merged,
        "config_ran": whole.config.ran,
        "config_fault": whole.config.fault,
        "changes_base": _plain_rows(changed(whole.config.base, whole.config.merged)),
        "changes_parent": _plain_rows(changed(parent.config.merged, whole.config.merged)) if parent else None,
        "attempts": [plain_attempt(attempt) for attempt in whole.attempts],
        "metrics": whole.metrics,
        "parent_metrics": parent.metrics if parent else None,
        "rank": {"place": rank.place, "of": rank.of, "metric": rank.metric} if rank else None,
        "environment": dict(whole.environment),
        "directory": whole.directory,
        "files": [{"name": name, "bytes": size} for name, size in whole.files],
        "members": [asdict(member) for member in whole.members],
    }


def plain_attempt(attempt: Attempt) -> dict[str, Any]:
    """An attempt as plain values."""
    return {
        "attempt": attempt.number,
        "name": attempt.name,
        "host": attempt.host,
        "gpu": attempt.gpu,
        "state": attempt.state,
        "cause": attempt.cause or None,
        "error": attempt.error or None,
        "began": attempt.began,
        "ended": attempt.ended,
        "seconds": attempt.seconds,
    }


def _plain_rows(rows: list[Row]) -> list[dict[str, Any]]:
    return [
        {"name": row.name, "before": _or_none(row.values[0]), "after": _or_none(row.values[1])}
        for row in rows
    ]


def _or_none(value: object) -> object:
    return None if value is ABSENT else value


def _section(reader: Reader, entry: Entry, idea_id: str) -> str | None:
    """Its text in ideas.md, else as it was registered last."""
    text = reader.intake.section(entry.idea) if entry.idea else None
    if text is None:
        with suppress(KeyError, OSError, ValueError):
            text = reader.journal.section(idea_id)
    return text


def _heading(section: str | None) -> str:
    """The title of a section that is not in ideas.md any more."""
    return (section or "").partition("\n")[0].partition(":")[2].strip()


def _metrics(project: Project, idea_id: str, last: Attempt | None, state: State) -> Flat:
    if last:
        return flatten(last.metrics or {})
    if state not in SUCCEEDED:
        return {}
    with suppress(OSError):
        outcome = plain_outcome(project.paths.idea(idea_id).home)
        return dict(outcome[1].get("metrics", {})) if outcome else {}
    return {}


def _rank(reader: Reader, idea_id: str, metrics: Flat) -> Rank | None:
    board = reader.board.leaderboard
    if board.primary is None:
        return None
    ranked = [entry for entry in board.top(len(board)) if entry.rank is not None]
    place = next((entry.rank for entry in ranked if entry.result.idea_id == idea_id), None)
    known = place is not None or finite(metrics.get(board.primary.name)) is not None
    return Rank(board.primary.name, board.primary.ascending, place, len(ranked)) if known else None


def _directory(project: Project, idea_id: str, last: Attempt | None) -> str:
    idea = project.paths.idea(idea_id)
    own = f"{idea.attempts}/{last.directory}" if last else ""
    if own and os.path.isfile(f"{own}/{ENVIRONMENT}"):
        return own
    return idea.home if os.path.isdir(idea.home) else ""


def _files(directory: str) -> list[tuple[str, int | None]]:
    """What lies in a directory, by name, without hidden names."""
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError:
        return []
    return [(name, _size(f"{directory}/{name}")) for name in names[:_FILES]]


def _size(path: str) -> int | None:
    """Bytes of a file; None for a directory, and for what is gone."""
    try:
        return None if os.path.isdir(path) else os.stat(path).st_size
    except OSError:
        return None
