"""The configuration of an idea: as its last attempt ran it, or as it would run now."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from orze.attempt.spec import BASE, INPUT, SECTION
from orze.client.differ import Flat, flatten
from orze.client.project import Project
from orze.client.story import Attempt
from orze.core.errors import OrzeError
from orze.core.files import RealFiles
from orze.ideas.canonical import add_seed
from orze.ideas.parse import deep_merge, load_config, seed_in
from orze.ideas.values import MAX_BYTES, load_values

_SECTION_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration.

    Attributes:
        base, merged: the base configuration, and with the idea's own values on it, flat.
        ran: whether an attempt ran it; else it is what would run now.
        fault: why it cannot be told; empty where it can.
    """

    base: Flat = field(default_factory=dict)
    merged: Flat = field(default_factory=dict)
    ran: bool = False
    fault: str = ""


def config_of(project: Project, idea_id: str, attempt: Attempt | None, section: str | None) -> Config:
    """The configuration of an idea.

    Args:
        attempt: the one whose snapshots are read; None for an idea that never ran.
        section: its text in ideas.md, taken where there is no snapshot; None where it has none.
    """
    base, ran = str(project.settings.base_config), False
    if attempt and (snapshot := input_directory(project, idea_id, attempt)):
        base, section, ran = f"{snapshot}/{BASE}", _read(f"{snapshot}/{SECTION}", _SECTION_LIMIT), True
    if section is None:
        return Config(fault="its section is not in ideas.md, and no attempt kept a copy")
    try:
        values = _base_values(base)
        own = load_config(section, path=project.settings.ideas_file.name, line=1)
        merged = add_seed(deep_merge(values, own), seed_in(section))
    except (OrzeError, OSError) as error:
        return Config(fault=str(error))
    return Config(flatten(values), flatten(merged), ran)


def input_directory(project: Project, idea_id: str, attempt: Attempt) -> str:
    """Where an attempt keeps the copies that it was given; empty where they are gone."""
    idea = project.paths.idea(idea_id)
    places = (f"{idea.attempts}/{attempt.name}/{INPUT}", idea.projection(INPUT))
    return next((place for place in places if os.path.isfile(f"{place}/{SECTION}")), "")


def _base_values(path: str) -> dict[str, Any]:
    try:
        text = RealFiles().read(os.path.realpath(path), MAX_BYTES).decode()
    except UnicodeDecodeError:
        raise OrzeError(f"{path}: not UTF-8 text; save the file as UTF-8") from None
    return load_values(text, path=path, line=1)


def _read(path: str, limit: int) -> str | None:
    try:
        return RealFiles().read(path, limit).decode("utf-8", "replace")
    except OSError:
        return None
