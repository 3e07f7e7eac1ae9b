"""The project that a command works on: its settings and its directory. Nothing is written or tried here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orze.config.load import CONFIG_NAME, load_settings
from orze.config.schema import Settings
from orze.core.clock import SystemClock
from orze.core.errors import OrzeError
from orze.core.files import RealFiles
from orze.core.paths import FarmPaths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orze.core.clock import Clock
    from orze.core.files import Files


class NoFarm(OrzeError):
    """There is no farm where the command was told to look."""


@dataclass(frozen=True)
class Project:
    """One project, as seen from this host.

    Attributes:
        settings: in force on this host.
        paths: below its results directory.
        shown_config: how messages name the settings file, which need not exist.
    """

    settings: Settings
    paths: FarmPaths
    files: Files
    clock: Clock
    shown_config: str

    def check_begun(self) -> None:
        """Hold that daemons have run here, before anything is left for them.

        Raises:
            NoFarm: none has.
        """
        if not os.path.isdir(self.paths.home):
            raise NoFarm(
                f"no farm has run in {self.settings.results_dir}; go to the project's directory, or name its "
                "settings with -c"
            )


def open_project(config_file: Path | None, *, cwd: Path, environ: Mapping[str, str]) -> Project:
    """Find the project as farm.py does.

    Args:
        config_file: what -c named; None takes orze.yaml in `cwd` if there is one.
        cwd: absolute working directory.
        environ: what `${VAR}` stands for in the file.

    Raises:
        ConfigError: with every fault of the settings.
    """
    settings = load_settings(config_file, {}, cwd, environ).for_host(os.uname().nodename)
    return Project(
        settings=settings,
        paths=FarmPaths(str(settings.results_dir)),
        files=RealFiles(),
        clock=SystemClock(),
        shown_config=str(config_file or CONFIG_NAME),
    )
