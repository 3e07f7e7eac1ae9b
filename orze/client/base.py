"""The base configuration of a project, and what an idea makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orze.config.schema import Settings
from orze.core.errors import OrzeError
from orze.core.files import RealFiles
from orze.ideas.parse import IdeaError, deep_merge, load_config
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
        reason = error.strerror or str(error)
        raise BadBase(path, 0, f"{reason}; every idea starts from this configuration") from None


def merged(base: Mapping[str, Any], section: str) -> dict[str, Any]:
    """What would run: an idea's own values on top of the base.

    Raises:
        IdeaError: the section's values cannot be loaded.
    """
    return deep_merge(base, load_config(section, path="", line=1))
