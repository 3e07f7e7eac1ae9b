"""Which configurations wait or run already, from the sections of ideas.md and of the inbox."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from orze.ideas.canonical import config_key, seed_of
from orze.ideas.inbox import inbox_of, read_entry, waiting
from orze.ideas.merge import renumber
from orze.ideas.model import IdeaError, group_of
from orze.ideas.parse import deep_merge, load_block, load_config, parse
from orze.ideas.scan import scan
from orze.ideas.sweep import nested, read_sweep
from orze.research.check import Run

if TYPE_CHECKING:
    from orze.core.files import Files

_LARGEST: Final = 64 << 20  # bytes of ideas.md
_ENTRIES: Final = 1000  # of the inbox
_MEMBERS: Final = 10_000  # of one group
_NOBODY: Final = "idea-0"  # the id of a section that has none yet


def waiting_runs(files: Files, ideas_file: str, ids: Collection[str], base: Mapping[str, Any]) -> set[Run]:
    """The keys of what these ideas, and what is in the inbox, will run.

    Args:
        ids: ideas that wait or run; those that are not in the file are left out.
        base: the base configuration.

    Returns:
        `config_key` and seed of each, and of all members of a group of which one waits. It only spares a
        second run: what it misses is found when that is claimed.
    """
    texts = [*_sections(files, ideas_file, set(map(group_of, ids))), *_entries(files, ideas_file)]
    return {run for text in texts for run in _runs_of(text, base)}


def _sections(files: Files, ideas_file: str, wanted: Collection[str]) -> Iterator[str]:
    if not wanted:
        return
    try:
        data = files.read(ideas_file, _LARGEST)
    except OSError:
        return
    for section in scan(data):
        if section.id in wanted:
            yield data[section.offset :][: section.length].decode("utf-8", "replace")


def _entries(files: Files, ideas_file: str) -> Iterator[str]:
    inbox = inbox_of(ideas_file)
    try:
        names = waiting(files, inbox)
    except OSError:
        return
    for name in names[:_ENTRIES]:
        try:
            yield renumber(read_entry(files, inbox, name), _NOBODY)
        except (OSError, UnicodeDecodeError, IdeaError):
            continue  # taken in meanwhile, or never to be


def _runs_of(section: str, base: Mapping[str, Any]) -> Iterator[Run]:
    try:
        idea = parse(section, path="", line=1, max_members=_MEMBERS)
        sweep = read_sweep(load_block(section, path="", line=1))
        merged = deep_merge(base, load_config(section, path="", line=1))
    except (IdeaError, ValueError):
        return  # it is quarantined
    for number in range(sweep.count):
        config = deep_merge(merged, nested(sweep.values(number)))
        key = config_key(config, commit=idea.commit, command=idea.command)
        seed = seed_of(config) + idea.seed
        yield from ((key, seed + repeat) for repeat in range(idea.repeats))
