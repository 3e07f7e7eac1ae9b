"""Gathers what `explain` needs to know of one idea."""

from __future__ import annotations

from dataclasses import replace

from orze.client.base import BadBase, run_of
from orze.client.explain import Facts
from orze.client.project import Project
from orze.client.reader import Reader
from orze.client.status import look
from orze.client.told import objects_of, text_of
from orze.client.whole import story_of
from orze.coord import requests
from orze.core.states import SUCCEEDED, State
from orze.farm.board import disk_free
from orze.farm.queue import Entry
from orze.ideas.canonical import run_mark
from orze.ideas.model import IdeaError, group_of

_GB = 1e9
_PROBLEMS = 3


def facts_of(project: Project, reader: Reader, idea_id: str, *, start: str) -> Facts:
    """Gather the facts about an idea that the reader knows.

    Args:
        start: the command that starts a daemon.

    Raises:
        OSError: the share did not answer.
    """
    entry = reader.queue.get(idea_id) or Entry()
    registered = reader.queue.get(group_of(idea_id))
    state = entry.state or State.QUEUED
    story = story_of(project, idea_id)
    farm = look(project)
    drained = reader.journal.fold.drained
    settings = project.settings
    return Facts(
        idea_id=idea_id,
        state=state,
        reason=entry.reason,
        idea=entry.idea,
        registered=bool(registered and registered.known and registered.known.sha),
        held=entry.known.held or entry.known.duplicate if entry.known else "",
        edited=entry.edited,
        attempts=story.attempts,
        after=_after(reader, entry),
        ahead=_ahead(reader, idea_id) if state is State.QUEUED else 0,
        same=_same(project, reader, entry) if state is State.QUEUED else "",
        asked=[
            request.kind
            for request in requests.pending(project.files, project.paths.requests)
            if request.target in (idea_id, group_of(idea_id))
        ],
        hosts=[replace(host, drained=host.name in drained) for host in farm.hosts if host.alive],
        silent={host.name: host.seen_s for host in farm.hosts if not host.alive},
        disk=_disk(project),
        problems=[text_of(problem.get("text")) for problem in objects_of(farm.told.get("problems"))][
            :_PROBLEMS
        ]
        if farm.attended
        else [],
        retry={str(cause): times for cause, times in settings.retry.items()},
        failures=story.by_cause,
        limit=settings.max_idea_failures,
        start=start,
    )


def _after(reader: Reader, entry: Entry) -> list[tuple[str, State | None]]:
    """The ideas that it comes after and that have not succeeded."""
    found = []
    named = entry.idea.after if entry.idea else ()
    for other in (one for group in named for one in reader.queue.meant(group)):
        known = reader.queue.get(other)
        state = known.state if known else None
        if state not in SUCCEEDED:
            found.append((other, state))
    return found


def _same(project: Project, reader: Reader, entry: Entry) -> str:
    """Another idea that runs with its configuration and seed, for which it waits; empty where none does."""
    idea = entry.idea
    section = reader.intake.section(idea) if idea else None
    if idea is None or section is None or idea.rerun or (entry.known and entry.known.judged == idea.sha):
        return ""
    try:
        return reader.attempts.twin(run_mark(*run_of(project.settings, section)), idea.id)
    except (BadBase, IdeaError):
        return ""


def _ahead(reader: Reader, idea_id: str) -> int:
    """How many ready ideas stand before it; of one that is not ready, how many are ready."""
    count = 0
    for idea in reader.queue.ready(len(reader.queue)):
        if idea.id == idea_id:
            break
        count += 1
    return count


def _disk(project: Project) -> str:
    least = project.settings.min_disk_gb
    free = disk_free(project.paths.results) / _GB if least else 0.0
    if free >= least:
        return ""
    return f"{free:.1f} GB are free in {project.paths.results}, and hosts start nothing below {least:g} GB"
