"""The groups of a report: members of one section, and ideas that ran one configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from orze.ideas.model import group_of, is_member
from orze.report.leaderboard import Leaderboard
from orze.report.merit import Config
from orze.report.model import Group

_LOOKED_AT = 512  # results, best first, whose groups are shown


def groups(board: Leaderboard, count: int, total: Callable[[str], int]) -> list[Group]:
    """Find the groups of the best results.

    A configuration that ideas of several sections ran is a group too, and what of a section belongs to it is
    told there.

    Args:
        count: the longest list.
        total: how many members a section has, ended or not; 0 where that is not known.

    Returns:
        Each group once, those with the better results first.
    """
    found: dict[str, Group] = {}
    seen: set[str] = set()
    for idea_id in islice(board.ranking(), _LOOKED_AT):
        member, section = is_member(idea_id), group_of(idea_id)
        if idea_id in seen or not (member or board.is_repeated(idea_id)):
            continue
        if len(found) == count:
            break
        config = board.config(idea_id)
        if config is None:
            continue
        if not member or {group_of(one) for one in config.ids} != {section}:
            found[config.name] = _of_config(board, config)
            seen.update(config.ids)
        else:
            found[section] = _of_section(board, section, config, total(section))
            seen.update(board.members(section))
    return list(found.values())


def _of_config(board: Leaderboard, config: Config) -> Group:
    return Group(config.name, _title(board, config.name), len(config.ids), len(config.ids), 1, config)


def _of_section(board: Leaderboard, section: str, config: Config, total: int) -> Group:
    """A section; `config` is that of its best result."""
    members = board.members(section)
    configs = _configs(board, members)
    best = min(configs, key=board.place, default=config)
    title = _title(board, config.best)
    return Group(section, title, len(members), max(len(members), total), len(configs), best)


def _configs(board: Leaderboard, ids: Iterable[str]) -> list[Config]:
    """The configurations of ideas, each once."""
    found = (board.config(idea_id) for idea_id in ids)
    return list({config.key or config.name: config for config in found if config}.values())


def _title(board: Leaderboard, idea_id: str) -> str:
    result = board.get(idea_id)
    return result.title if result else ""
