"""The base configuration of a project, and what an idea makes of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from orze.config.schema import Settings
from orze.core.errors import OrzeError
from orze.core.files import RealFiles
from orze.farm.base import BaseConfig
from orze.farm.commits import Commits
from orze.ideas.canonical import add_seed, config_key, seed_of
from orze.ideas.parse import IdeaError, code_in, deep_merge, load_config, seed_in
from orze.ideas.values import MAX_BYTES, load_values


class BadBase(OrzeError):
    """The base configuration cannot be read.

    Attributes:
        path: the file.
        line: the line at fault; 0 where none is.
        reason: what is wrong and what to do.
    """

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(f"{path}:{line}: {reason}" if line else f"{path}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason


def read_base(settings: Settings) -> dict[str, Any]:
    """The values of the base configuration.

    Raises:
        BadBase: there is none, or it is not one.
    """
    path = str(settings.base_config.resolve())  # people may link it; what it leads to must be a plain file
    try:
        text = RealFiles().read(path, MAX_BYTES).decode()
        return load_values(text, path=path, line=1)
    except IdeaError as error:
        raise BadBase(path, error.line, error.reason) from None
    except UnicodeDecodeError:
        raise BadBase(path, 0, "not UTF-8 text; save the file as UTF-8") from None
    except OSError as error:
        if isinstance(error, FileNotFoundError) and settings.train_command:
            return {}
        reason = error.strerror or str(error)
        raise BadBase(path, 0, f"{reason}; every idea starts from this configuration") from None


def merged(base: Mapping[str, Any], section: str) -> dict[str, Any]:
    """What would run: an idea's own values on top of the base, with what it adds to the seed.

    Raises:
        IdeaError: the section's values cannot be loaded.
    """
    own = load_config(section, path="", line=1)
    return dict(add_seed(deep_merge(base, own), seed_in(section)))


def run_of(settings: Settings, section: str) -> tuple[str, int]:
    """The key of the configuration that a section would run with, and the ORZE_SEED that it would get.

    Raises:
        BadBase: as `read_base`, or the commit that it names is not there.
        IdeaError: the section's values cannot be loaded.
    """
    commit, command = code_in(section)
    base, commit = _of_commit(settings, commit) if commit else (read_base(settings), "")
    config = deep_merge(base, load_config(section, path="", line=1))
    return config_key(config, commit=commit, command=command), seed_of(config) + seed_in(section)


def _of_commit(settings: Settings, commit: str) -> tuple[dict[str, Any], str]:
    """The base configuration with a commit, and its whole hash."""
    commits = Commits(settings.code_dir, os.environ)
    try:
        checkout = commits.find(commit)
        base = BaseConfig(settings.base_config, commits, optional=settings.train_command is not None)
        return base.read(checkout).values, checkout["commit"]
    except OrzeError as error:
        raise BadBase(str(settings.base_config), 0, str(error)) from None
