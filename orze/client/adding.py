"""Adding ideas through the inbox."""

from __future__ import annotations

import os

from orze.client.project import NoFarm, Project
from orze.client.reader import Reader
from orze.client.sections import fingerprint
from orze.core.files import nonce
from orze.ideas.inbox import enqueue, inbox_of

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
