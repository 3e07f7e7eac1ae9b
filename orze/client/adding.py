"""Adding ideas through the inbox."""

from __future__ import annotations

import os

from orze.client.base import BadBase, run_of
from orze.client.project import NoFarm, Project
from orze.client.reader import Reader
from orze.client.sections import check, fingerprint
from orze.core.files import nonce
from orze.ideas.inbox import enqueue, inbox_of
from orze.ideas.merge import renumber
from orze.ideas.model import IdeaError
from orze.report.earlier import same_as

_MICRO = 1e6
_TITLE = 200  # characters of a title that the queue keeps


def check_place(project: Project) -> None:
    """Hold that this is a project, before a directory is made in it.

    Raises:
        NoFarm: neither its settings nor its ideas are there, and no daemon has run.
    """
    settings = project.settings
    known = (settings.project_dir / project.shown_config, settings.ideas_file, project.paths.home)
    if not any(os.path.exists(path) for path in known):
        raise NoFarm(
            f"there is neither {project.shown_config} nor {settings.ideas_file.name} in "
            f"{settings.project_dir}; go to the project's directory, or name its settings with -c"
        )


def leave(project: Project, text: str, *, once: bool) -> str:
    """Leave a section in the inbox.

    Args:
        once: the same content is left once for ever; who comes second gets the first one's entry.

    Returns:
        The name of the entry, under which the journal will tell its id. Otherwise than with `once` it begins
        with the time, so that ids are given out in the order in which sections are left.

    Raises:
        OSError: it could not be left.
    """
    stamp = f"{int(project.clock.wall() * _MICRO):016d}-{nonce()}"
    name = f"same-{fingerprint(text)}" if once else stamp
    return enqueue(project.files, inbox_of(str(project.settings.ideas_file)), text, uuid=name)


def earlier_result(project: Project, reader: Reader, text: str) -> str:
    """The idea that succeeded with the configuration and seed of a section, and how; empty where none did.

    Of a group nothing is told: each of its members is looked at when it is about to start.

    Args:
        reader: one that has followed the journal.
    """
    idea = check(text, path="")
    if idea.rerun or idea.members:
        return ""
    try:
        key, seed = run_of(project.settings, renumber(text, idea.id))
    except (BadBase, IdeaError):
        return ""  # without a configuration nothing is the same
    leaderboard = reader.board.leaderboard
    return same_as(leaderboard, leaderboard.twin(key, seed))


def find_same(reader: Reader, text: str, title: str) -> str:
    """The id of an idea with this very content, whoever added it; empty where there is none.

    Args:
        reader: one that has read.
        title: that of the section.
    """
    mark = fingerprint(text)
    if known := reader.journal.fold.allocated.get(f"same-{mark}"):
        return known
    for idea_id in reader.queue.ids():
        entry = reader.queue.get(idea_id)
        if entry is None or entry.idea is None or entry.idea.title != title[:_TITLE]:
            continue
        section = reader.intake.section(entry.idea)
        if section is not None and fingerprint(section) == mark:
            return idea_id
    return ""
