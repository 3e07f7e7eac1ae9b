"""Begins sessions, works on them, stops and deletes them: what the commands of `revis` come down to."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from orze.client.project import Project
from orze.config.refine import Budget, Revis
from orze.config.refine import Loop as LoopSettings
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.core.identity import start_time, this_machine
from orze.refine.boot import command_of
from orze.refine.budget import extended, merged
from orze.refine.checks import Checked, Refused, check, farm_of
from orze.refine.farm_link import FarmLink
from orze.refine.git import GitError
from orze.refine.history import History, branch_of, refs_of
from orze.refine.loop import Loop, Wishes
from orze.refine.making import Maker, Rules
from orze.refine.model import End, Reason
from orze.refine.places import Listed, Place, find, make_home, place_of
from orze.refine.private_farm import CONFIG, PrivateFarm
from orze.refine.proposing import Proposer
from orze.refine.repository import Repository
from orze.refine.session import Session, Superseded, settings_of
from orze.refine.settings import terms_of_revis
from orze.refine.terms import Terms
from orze.refine.wishes import FileWishes
from orze.refine.worktree import worktrees_below
from orze.report.text import number

Say = Callable[[str], None]

# The exit status of a loop; 1 is an error, 2 wrong usage or settings.
EXIT: Final[Mapping[Reason, int]] = {
    Reason.TARGET: 0,
    Reason.BUDGET: 4,
    Reason.PLATEAU: 5,
    Reason.STOPPED: 6,
    Reason.FAILED: 7,
    Reason.DIVERGENCE: 8,
}
_ASKED_AGAIN: Final = 1.0  # seconds
_LOOK: Final = 0.05
_STOPPING: Final = 120.0  # seconds that runs have to end in when nobody else ends them


def begin(revis: Revis, name: str, given: Budget, environ: Mapping[str, str]) -> Checked:
    """Begin a session: check, then record it. `work` goes on from there.

    Args:
        given: the budget of the command line, which wins over that of the settings kind by kind.

    Raises:
        as `check`; OSError: it cannot be recorded.
    """
    budget = merged(revis.budget, given)
    checked = check(revis, name, budget, environ)
    make_home(revis.project_dir)
    place = place_of(revis.project_dir, name)
    session = Session(RealFiles(), place.chain, SystemClock())
    told = _settings(revis)
    if not session.begin(name, base=checked.base, command=checked.command, settings=told, budget=budget):
        raise Refused(f"there is a session {name} already; resume it, or choose another name")
    return checked


def work(
    revis: Revis,
    name: str,
    *,
    environ: Mapping[str, str],
    say: Say,
    more: Budget | None = None,
    ready: Callable[[], None] | None = None,
) -> End:
    """Work on a session until it ends; one that has ended goes on.

    SIGINT and SIGTERM ask it to stop, a second one to stop what runs too, a third one to go at once.

    Args:
        say: called with each line for people, which also goes into the session's log.
        more: what is added to its budget.
        ready: called when the session is taken.

    Raises:
        NoSession, AtWork: there is none, or another loop is at work on it.
        Superseded: another process takes it over meanwhile.
        GitError, ConfigError, OSError: what it needs is not there.
    """
    listed = find(revis.project_dir, name)
    place = listed.place
    with place.locked(), place.log.open("a", encoding="utf-8") as log:

        def told(text: str) -> None:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
            log.flush()
            say(text)

        place.forget_requests()
        repository = Repository(revis.project_dir)
        session = _take(revis, place, more)
        if ready:
            ready()
        end = _run(revis, place, session, repository, environ=environ, say=told)
        told(last_line(session))
        place.forget_requests()
        return end


def _run(
    revis: Revis,
    place: Place,
    session: Session,
    repository: Repository,
    *,
    environ: Mapping[str, str],
    say: Say,
) -> End:
    project, daemon, where = _runs_of(revis, place, session, environ)
    say(where)
    wishes = FileWishes(place)
    loop = make_loop(
        revis,
        place,
        session,
        repository=repository,
        project=project,
        daemon=daemon,
        environ=environ,
        wishes=wishes,
        say=say,
    )
    with wishes.signals():
        end = loop.run()
    if end is None:
        raise Superseded(f"the session {session.fold.name} goes on elsewhere")
    return end


def stop(project_dir: Path, name: str, *, now: bool, seconds: float) -> bool:
    """Ask the loop of a session to stop, and wait until it has.

    Args:
        now: what runs ends, too; also where no loop is at work on the session any more.
        seconds: how long to wait.

    Returns:
        Whether no loop is at work on it any more.

    Raises:
        NoSession: there is none.
        OSError: it cannot be asked.
    """
    place = find(project_dir, name).place
    until, ask_at = time.monotonic() + seconds, 0.0
    while place.at_work:
        if time.monotonic() >= until:
            return False
        if time.monotonic() >= ask_at:
            place.ask_to_stop(now=now)
            ask_at = time.monotonic() + _ASKED_AGAIN
        time.sleep(_LOOK)
    if now:
        stop_runs(place)
    return True


def stop_runs(place: Place) -> None:
    """End the runs that a loop which is gone has left on this machine; they are to run again."""
    config = place.farm / CONFIG
    if not config.exists() or not runs_of(place):
        return
    words = ("-c", str(config), "--stop-attempts", "--gpus", "cpu")
    subprocess.run(
        command_of("orze.cli.farm", *words),
        cwd=place.farm,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_STOPPING,
        check=False,
    )


def runs_of(place: Place) -> list[str]:
    """The ideas of its own farm that have a keeper, as far as heartbeats tell."""
    try:
        names = os.listdir(place.farm / "results" / ".orze" / "heartbeats")
    except FileNotFoundError:
        return []
    return sorted({name.rpartition(".")[0] for name in names if name.startswith("idea-")})


def delete(project_dir: Path, name: str, *, branch: bool) -> Listed:
    """Remove a session: its records, logs and runs.

    Args:
        branch: also its branch and refs, and so what it found.

    Returns:
        What it was.

    Raises:
        AtWork: a loop is at work on it.
        NoSession: there is none.
        GitError: the branch is checked out.
    """
    listed = find(project_dir, name)
    place = listed.place
    with place.locked():
        stop_runs(place)
        repository = _repository(project_dir)
        if repository and branch:
            repository.delete_ref(branch_of(name))
            for ref in repository.refs(refs_of(name)):
                repository.delete_ref(ref)
        for directory in worktrees_below(repository.top, place.home) if repository else ():
            Repository(project_dir).remove_worktree(directory)
        shutil.rmtree(place.home)
    return listed


def last_line(session: Session) -> str:
    """What came of a session, and where it is."""
    fold = session.fold
    best = fold.steps.get(fold.best) if fold.best is not None else None
    where = f"; see: revis show {fold.name}"
    if best is None or fold.best_value is None:
        return f"there is no result yet{where}"
    found = f"step {best.number} with {fold.terms.metric} {number(fold.best_value)}"
    return f"the best is {found}: branch revis/{fold.name}, commit {best.commit[:10]}{where}"


def take(session: Session, terms: Terms, settings: Mapping[str, object]) -> None:
    """Become the owner of a session that has begun.

    Raises:
        Refused: its results and those of these terms cannot be compared.
        OSError: the share did not answer.
    """
    session.refresh()
    before = session.fold.terms
    if (before.metric, before.ascending) != (terms.metric, terms.ascending):
        way = "smaller" if before.ascending else "larger"
        raise Refused(
            f"the session {session.fold.name} goes by {before.metric}, {way} is better: "
            "begin another one to go by something else"
        )
    session.take(settings)


def _take(revis: Revis, place: Place, more: Budget | None) -> Session:
    machine = this_machine()
    frame = machine.frame(os.getpid(), start_time(os.getpid()) or 0)
    session = Session(RealFiles(), place.chain, SystemClock(), frame=frame)
    take(session, terms_of_revis(revis), _settings(revis))
    if more:
        fold = session.fold
        use = {"time": fold.active, "runs": fold.runs, "usd": fold.usd, "tokens": fold.tokens}
        session.extend(extended(fold.budget, more, **use))  # type: ignore[arg-type] # int and float by name
    return session


def make_loop(
    loop: LoopSettings,
    place: Place,
    session: Session,
    *,
    repository: Repository,
    project: Project,
    daemon: PrivateFarm | None,
    environ: Mapping[str, str],
    wishes: Wishes,
    say: Say,
) -> Loop:
    """Put a loop together.

    Args:
        loop: what it obeys.
        session: taken by this process.
        project: of the farm that runs the steps.
        daemon: that of the farm, where it is the session's own.
    """
    history = History(repository, session.fold.name)
    told = "max_run_duration" in loop.guardrails.model_fields_set
    maker = Maker(history, Rules(loop.allow, loop.deny, (*loop.protected, *project.settings.protected)))
    return Loop(
        session,
        history=history,
        maker=maker,
        proposer=Proposer(loop, maker, repository, tries=place.tries, environ=environ),
        farm=FarmLink(project, session.fold.terms.metric),
        daemon=daemon,
        command=project.settings.train_command or "",
        seconds=None if daemon or not told else loop.guardrails.max_run_duration,
        wishes=wishes,
        clock=SystemClock(),
        say=say,
    )


def _runs_of(
    revis: Revis, place: Place, session: Session, environ: Mapping[str, str]
) -> tuple[Project, PrivateFarm | None, str]:
    """The farm that runs the steps, its daemon where it is the session's own, and what to tell of it."""
    if revis.executor.type == "farm":
        project = farm_of(revis, environ)
        return project, None, f"the farm of {project.settings.results_dir} runs the steps"
    name, command = session.fold.name, session.fold.command
    daemon = PrivateFarm(place.farm, revis, name=name, command=command, environ=environ)
    return daemon.project, daemon, f"runs take place {daemon.words}"


def _settings(revis: Revis) -> dict[str, object]:
    """What the records tell of the settings."""
    who = {"agent": revis.agent[0]} if revis.agent else {"model": revis.llm.model}
    return settings_of(terms_of_revis(revis), executor=revis.executor.type, **who)


def _repository(project_dir: Path) -> Repository | None:
    """That of the project, if it still is in one."""
    try:
        return Repository(project_dir)
    except GitError:
        return None
