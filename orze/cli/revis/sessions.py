"""The sessions that the commands of `revis` know: those of the project, and those that its farm keeps."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import typer

from orze.cli.common import config_file
from orze.cli.revis.common import home_of
from orze.client.project import Project, open_project
from orze.config.load import CONFIG_NAME
from orze.core.errors import ConfigError
from orze.farm.refining import LOG
from orze.refine.fold import SessionFold
from orze.refine.places import Listed, NoSession, Place, find, sessions
from orze.refine.running import farm_of_session
from orze.refine.settings import REVIS_NAME

_HEARD = 180.0  # seconds behind the last record in which the loop of a farm counts as at work


@dataclass(frozen=True, slots=True)
class Found:
    """One session.

    Attributes:
        listed: its files, what its records say, and whether a loop works on it.
        code: the project's directory, in whose repository its commits are.
        keeper: the farm whose leader works on it by itself; None for a session of `revis loop`.
    """

    listed: Listed
    code: Path
    keeper: Project | None = None

    @property
    def fold(self) -> SessionFold:
        """What its records say."""
        return self.listed.fold

    @property
    def log(self) -> Path:
        """What its loop tells."""
        return Path(self.keeper.paths.refine, LOG) if self.keeper else self.listed.place.log

    def at_work(self) -> bool:
        """Whether a loop works on it now; OSError where the share did not answer."""
        place = self.listed.place
        return _is_at_work(place.session().fold) if self.keeper else place.at_work

    def farm(self) -> Project | None:
        """The farm that runs its steps, to read of it; None where it cannot be known now."""
        return self.keeper or farm_of_session(self.listed.place, self.code, os.environ)


def found(context: typer.Context, name: str) -> Found:
    """One session by its name.

    Raises:
        NoSession: there is none of that name; the sentence names those there are.
        OSError: the share did not answer.
    """
    home = home_of(context)
    try:
        return Found(find(home, name), home)
    except NoSession:
        kept = next((one for one in _of_farm(context, home) if one.fold.name == name), None)
        if kept is None:
            raise
        return kept


def all_found(context: typer.Context) -> list[Found]:
    """All sessions, the earliest first; OSError where the share did not answer."""
    home = home_of(context)
    return [*(Found(one, home) for one in sessions(home)), *_of_farm(context, home)]


def _of_farm(context: typer.Context, home: Path) -> list[Found]:
    """Those that the leader of a farm works on, where the settings are a farm's."""
    named = config_file(context)
    if (named and named.name == REVIS_NAME) or not (named or home / CONFIG_NAME).is_file():
        return []
    try:
        project = open_project(named, cwd=Path.cwd(), environ=os.environ)
        names = sorted(os.listdir(project.paths.refine))
    except (ConfigError, FileNotFoundError):
        return []
    places = [Place(Path(project.paths.refine, name), name) for name in names]
    places = [place for place in places if os.path.isdir(place.chain)]
    folds = [(place, place.session().fold) for place in places]
    return [
        Found(Listed(place, fold, _is_at_work(fold)), Path(project.settings.code_dir), project)
        for place, fold in folds
        if fold.begun
    ]


def _is_at_work(fold: SessionFold) -> bool:
    """Whether some host was at work on it lately: nobody can see the locks of another machine."""
    return fold.end is None and time.time() - fold.at[1] < _HEARD
