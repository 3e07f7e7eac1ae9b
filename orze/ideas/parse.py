"""Reads one section of ideas.md: its fields as an `Idea`, its yaml block as values."""

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from orze.core.units import DURATION_FORMS, parse_duration
from orze.ideas.blocks import Blocks, Kind
from orze.ideas.model import Idea, IdeaError, Priority
from orze.ideas.plain import is_plain
from orze.ideas.scan import Section, scan
from orze.ideas.values import load_values

__all__ = ["IdeaError", "deep_merge", "load_config", "one_section", "parse"]

_MAX_TITLE: Final = 200  # characters that are kept; the file has the rest
_MAX_PROSE: Final = 1000
_MAX_FIELDS: Final = 100
_MAX_NAMES: Final = 100  # ideas in After, patterns in Hosts
_MAX_GPUS: Final = 1024

_REFUSED: Final = {
    "sweep": "this version cannot expand a sweep yet: write one idea for each combination of values",
}
_REPEATS = "this version cannot repeat an idea yet: write one idea for each seed, and remove Repeats"
_COMMIT = (
    "this version cannot run an idea at a commit of its own yet: "
    "start the farm in a checkout of that commit, and remove Commit"
)

_FIELD_NAME = r"(?:[-*+][ \t]+)?\*\*([^*\n]{1,60})(?::\*\*|\*\*[ \t]*:)"
_FIELD = re.compile(
    rf"^ {{0,3}}{_FIELD_NAME}[ \t]*(.*(?:\n(?![ \t]*{_FIELD_NAME.replace('(', '(?:', 2)})[ \t]+\S.*)*)", re.M
)
