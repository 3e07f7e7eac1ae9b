"""Refines the code of a farm: `python -P -m orze.refine.main --config-file orze.yaml`, kept by its leader.

The session is in results/.orze/refine/<name>/. Where two such processes meet, after a change of the leader,
the later one takes the session over and the other one goes. Exit status 0 says that there is nothing to do.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orze.client.project import Project, open_project
from orze.config.refine import Refine
from orze.core.clock import SystemClock
from orze.core.errors import ConfigError, OrzeError
from orze.core.files import RealFiles
from orze.core.identity import start_time, this_machine
from orze.refine.control import last_line, make_loop, take
from orze.refine.model import Reason
from orze.refine.places import Place
from orze.refine.repository import Repository
from orze.refine.session import Session, Superseded, settings_of
from orze.refine.settings import model_for, terms_of
from orze.refine.terms import Terms
from orze.refine.wishes import DaemonWishes
from orze.report.primary import is_ascending

# These ends are final; behind the others it is tried again when a daemon starts.
_FINAL: Final = frozenset({Reason.TARGET, Reason.BUDGET, Reason.PLATEAU, Reason.DIVERGENCE})


def main() -> int:
    """Work on the session of a farm; the arguments are those of the process."""
    parser = argparse.ArgumentParser(prog="orze.refine.main")
    parser.add_argument("--config-file", type=Path, required=True)
    file: Path = parser.parse_args().config_file.absolute()
    try:
        project = open_project(file, cwd=file.parent, environ=os.environ)
        refine = project.settings.refine
        return refine_farm(project, _with_model(refine, os.environ), os.environ) if refine else 0
    except Superseded as gone:
        _say(f"refine: {gone}")
        return 0
    except (OrzeError, OSError) as error:
        for line in str(error).splitlines():
            print(f"refine: {line}", file=sys.stderr, flush=True)
        return 2


def refine_farm(project: Project, refine: Refine, environ: Mapping[str, str]) -> int:
    """Work on the session until it ends, or this process is told to go.

    Returns:
        0: it has ended, or another process goes on with it.

    Raises:
        ConfigError: the settings lack something.
        GitError: there is no repository, or no commit.
        Superseded: another process has taken it over.
    """
    terms, command = _terms(project, refine), project.settings.train_command
    if not command:
        raise ConfigError(["refine needs the key train_command, which the steps are run by"])
    if refine.smoke and project.settings.pre_script:
        raise ConfigError(["refine.smoke cannot go with pre_script; make a pre_command of that"])
    place = Place(Path(project.paths.refine) / refine.name, refine.name)
    repository = Repository(Path(project.settings.code_dir))
    told = settings_of(terms, executor="farm", model=refine.llm.model)
    session = _session(place)
    session.refresh()
    if not session.fold.begun:
        session.begin(
            refine.name, base=repository.head(), command=command, settings=told, budget=refine.budget
        )
    if _is_over(session, refine, place):
        return 0
    take(session, terms, told)
    if session.fold.budget != refine.budget:
        session.extend(refine.budget)
    wishes = DaemonWishes(place)
    loop = make_loop(
        refine,
        place,
        session,
        repository=repository,
        project=project,
        daemon=None,
        environ=environ,
        wishes=wishes,
        say=_say,
    )
    with wishes.signals():
        end = loop.run()
    _say(last_line(session) if end else "another process goes on with it")
    return 0


def _session(place: Place) -> Session:
    machine = this_machine()
    frame = machine.frame(os.getpid(), start_time(os.getpid()) or 0)
    return Session(RealFiles(), place.chain, SystemClock(), frame=frame)


def _is_over(session: Session, refine: Refine, place: Place) -> bool:
    """Whether there is nothing to do: it has ended, and is not to go on with another budget."""
    end = session.fold.end
    if end is None:
        return False
    if end.reason in _FINAL:
        return session.fold.budget == refine.budget
    return place.is_asked(now=False) or place.is_asked(now=True)


def _terms(project: Project, refine: Refine) -> Terms:
    report = project.settings.report
    if not report.primary_metric:
        raise ConfigError(["refine needs the key report.primary_metric, which the steps are judged by"])
    ascending = is_ascending(report.primary_metric, report.sort)
    return terms_of(refine, metric=report.primary_metric, ascending=ascending, target=refine.target)


def _with_model(refine: Refine, environ: Mapping[str, str]) -> Refine:
    if refine.agent or refine.llm.model:
        return refine
    model = model_for(environ)
    if model is None:
        raise ConfigError(["refine.llm.model is not set, and no key of a provider is in the environment"])
    return refine.model_copy(update={"llm": refine.llm.model_copy(update={"model": model})})


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
