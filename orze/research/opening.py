"""Reads what a study is made of: base configuration, trials, goal and the person's word."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from orze.core.paths import FarmPaths
from orze.ideas.axes import Axis, parse_axis
from orze.ideas.model import IdeaError
from orze.ideas.values import MAX_BYTES, load_values
from orze.research.keys import above, flatten
from orze.research.kinds import misfit
from orze.research.proposers import ProposerError
from orze.research.space import learn_space
from orze.research.study import Study
from orze.research.trials import read_trials

if TYPE_CHECKING:
    from orze.core.files import Files
    from orze.research.brief import Brief

_TEXT: Final = 8192  # bytes of GOAL.md and of steer.md that are read
_LARGEST_TEXT: Final = 1 << 20


def open_study(brief: Brief, files: Files) -> Study:
    """Read all that a proposer may know besides the brief.

    Raises:
        ProposerError: the base configuration or `research.space` cannot be read; the sentence says why.
        OSError: the cache of trials cannot be written.
    """
    base = _read_base(files, brief.base_config)
    declared = declared_space(brief.research.get("space") or {}, base)
    trials, unread = read_trials(files, FarmPaths(brief.results), brief.ended)
    return Study(
        brief=brief,
        base=base,
        space=declared or learn_space(base, (trial.config for trial in trials if not trial.failed)),
        declared=frozenset(declared),
        trials=trials,
        unread=unread,
        goal=_read_text(files, brief.research.get("goal")),
        steer=_read_text(files, brief.research.get("steer")),
        rng=random.Random(brief.round),  # noqa: S311 - no secret is drawn
    )


def declared_space(written: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Axis]:
    """Read `research.space`.

    Raises:
        ProposerError: an axis is none, or has values of another kind than the base configuration.
    """
    known = flatten(base)
    space = {}
    for key, value in written.items():
        try:
            axis = parse_axis(_plain(value), continuous=True)
        except ValueError as error:
            raise ProposerError(f"research.space: {key}: {error}") from None
        for point in axis.values or (axis.low,):
            if key in known and (fault := misfit(known[key], point)):
                raise ProposerError(f"research.space: {key}: {fault}")
        space[key] = axis
    _check_places(space, known)
    return space


def _check_places(space: Mapping[str, Axis], known: Mapping[str, Any]) -> None:
    """Make sure that no key of the space is, or lies below, what another key needs to be."""
    blocks = {block: key for key in (*known, *space) for block in above(key)}
    if block := next((key for key in space if key in blocks), ""):
        raise ProposerError(f"research.space: {block} is a block, in which {blocks[block]} lies; name that")
    values = [key for key, value in known.items() if value not in (None, {})]
    for key in space:
        if single := next((block for block in above(key) if block in values), ""):
            raise ProposerError(f"research.space: {key} lies below {single}, which has a value of its own")


def _plain(value: Any) -> Any:
    """A value with lists in place of the tuples that settings hold."""
    if isinstance(value, Mapping):
        return {key: _plain(below) for key, below in value.items()}
    return [_plain(below) for below in value] if isinstance(value, list | tuple) else value


def _read_base(files: Files, path: str) -> dict[str, Any]:
    try:
        text = files.read(os.path.realpath(path), MAX_BYTES).decode()  # people may link it
        return load_values(text, path=path, line=1)
    except IdeaError as error:
        raise ProposerError(str(error)) from None
    except UnicodeDecodeError:
        raise ProposerError(f"{path}: not UTF-8 text; save the file as UTF-8") from None
    except OSError as error:
        raise ProposerError(f"{path}: {error.strerror or error}; every proposal starts from it") from None


def _read_text(files: Files, path: str | None) -> str:
    """The beginning of a file that need not be there."""
    if not path:
        return ""
    try:
        data = files.read(os.path.realpath(path), _LARGEST_TEXT)
    except OSError:
        return ""
    return data[:_TEXT].decode("utf-8", "replace")
