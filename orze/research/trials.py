"""The configurations of ideas that ended, read from results/ once each and kept in a cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from orze.attempt.spec import CONFIG
from orze.core.files import make_dirs
from orze.ideas.canonical import config_key, seed_of
from orze.ideas.model import IdeaError
from orze.ideas.values import load_values
from orze.research.study import Trial

if TYPE_CHECKING:
    from orze.core.files import Files
    from orze.core.paths import FarmPaths

MOST: Final = 10_000
CACHE: Final = "trials.json"
_FORM: Final = 1  # of the cache
_CACHE_LIMIT: Final = 256 << 20  # bytes
_LARGEST: Final = 256 << 10  # bytes of one idea.yaml
_ALL: Final = 64 << 20  # bytes of all of them together


def read_trials(
    files: Files, paths: FarmPaths, ended: Sequence[tuple[str, float | None, str]]
) -> tuple[tuple[Trial, ...], int]:
    """Read the configurations of what ended: of the latest 10,000, as far as they fit into 64 MiB.

    What was read before comes from the cache, unless the idea has another value or end now: it ran again.

    Args:
        ended: id, value and `ok` or `failed`, oldest first.

    Returns:
        The trials in that order, and of how many ideas the configuration could not be read.

    Raises:
        OSError: the cache cannot be written.
    """
    place = paths.research_file(CACHE)
    cache = _read_cache(files, place)
    found: list[tuple[int, Trial]] = []
    room = _ALL
    for idea_id, value, how in reversed(ended[-MOST:]):
        size, trial = cache.get(idea_id, (0, None))
        if trial is None or (trial.value, trial.failed) != (value, how != "ok"):
            size, trial = _read(files, paths.idea(idea_id).projection(CONFIG), idea_id, value, how)
        room -= size
        if trial is not None and room >= 0:
            found.append((size, trial))
    if [trial for _, trial in found] != [trial for _, trial in reversed(cache.values())]:
        _write_cache(files, paths, found[::-1])
    return tuple(trial for _, trial in reversed(found)), len(ended) - len(found)


def _read(files: Files, path: str, idea_id: str, value: float | None, how: str) -> tuple[int, Trial | None]:
    try:
        text = files.read(path, _LARGEST).decode()
        config = load_values(text, path=path, line=1)
    except (OSError, UnicodeDecodeError, IdeaError):
        return 0, None  # what cannot be read teaches nothing; it is counted
    return len(text), Trial(idea_id, config, value, how != "ok", config_key(config), seed_of(config))


def _read_cache(files: Files, place: str) -> dict[str, tuple[int, Trial]]:
    """What was read in earlier rounds; nothing where the cache is missing or damaged: it is made anew."""
    try:
        content = json.loads(files.read(place, _CACHE_LIMIT))
        if content["form"] != _FORM:
            return {}
        cached = [(entry.pop("size"), Trial(**entry)) for entry in content["trials"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return {trial.idea_id: (size, trial) for size, trial in cached} if all(map(_is_sound, cached)) else {}


def _is_sound(cached: tuple[Any, Trial]) -> bool:
    size, trial = cached
    texts = isinstance(trial.idea_id, str) and isinstance(trial.key, str)
    whole = type(size) is int and type(trial.seed) is int and type(trial.failed) is bool
    number = trial.value is None or type(trial.value) in (int, float)
    return texts and whole and number and isinstance(trial.config, dict)


def _write_cache(files: Files, paths: FarmPaths, found: Sequence[tuple[int, Trial]]) -> None:
    make_dirs(files, paths.research)
    entries = [
        {"size": size} | {name: getattr(trial, name) for name in Trial.__slots__} for size, trial in found
    ]
    files.replace(paths.research_file(CACHE), json.dumps({"form": _FORM, "trials": entries}).encode())
