"""The runs of a session that are in progress: what they print, how far they are, for how long they go on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orze.attempt.spec import LOG
from orze.client.progress import read_curve
from orze.client.project import Project, open_project
from orze.client.whole import story_of
from orze.core.errors import OrzeError
from orze.refine.fold import SessionFold, is_running
from orze.refine.model import Step
from orze.refine.places import Place
from orze.refine.private_farm import CONFIG
from orze.refine.settings import load_revis
from orze.refine.story import doing
from orze.report.text import duration, number

_TOLD: Final = 3  # numbers of a line of progress


@dataclass(frozen=True, slots=True)
class Run:
    """One run in progress.

    Attributes:
        step: whose it is.
        idea_id: in the farm; a member of it where steps are repeated.
        host, gpu: where it takes place.
        began: unix seconds by that host's clock.
        log, progress: its files; they need not be there yet.
    """

    step: int
    idea_id: str
    host: str
    gpu: str
    began: float
    log: str
    progress: str


def farm_of_session(place: Place, project_dir: Path, environ: Mapping[str, str]) -> Project | None:
    """The farm that a session's steps are run by, to read of it; None where it cannot be known now.

    Args:
        place: its files.
        project_dir: whose revis.yaml names the farm, where it is not the session's own.
    """
    try:
        if (place.farm / CONFIG).exists():
            return open_project(place.farm / CONFIG, cwd=place.farm, environ=environ)
        revis = load_revis(None, project_dir, environ)
        if revis.executor.type != "farm":
            return None
        return open_project(revis.executor.config, cwd=project_dir, environ=environ)
    except OrzeError:
        return None


def runs_of(project: Project, fold: SessionFold) -> list[Run]:
    """The runs in progress of a session, by step; OSError where the share does not answer."""
    open_ones = [step for step in fold.open if is_running(step)]
    return [run for step in open_ones for run in _of_step(project, step)]


def _of_step(project: Project, step: Step) -> Iterator[Run]:
    idea_id = step.last.idea_id if step.last else ""
    if not idea_id:
        return
    for one in _claimed(project, idea_id):
        attempt = story_of(project, one).find(None)
        if attempt and attempt.running:
            directory = f"{project.paths.idea(one).attempts}/{attempt.directory}"
            files = f"{directory}/{LOG}", f"{directory}/progress.jsonl"
            yield Run(step.number, one, attempt.host, attempt.gpu, attempt.began, *files)


def _claimed(project: Project, idea_id: str) -> list[str]:
    """The idea, or the members of it, that have a directory, in their order."""
    try:
        names = os.listdir(project.paths.results)
    except FileNotFoundError:
        return []
    members = [
        name for name in names if name.startswith(f"{idea_id}.") and name[len(idea_id) + 1 :].isdigit()
    ]
    own = [idea_id] if idea_id in names and not members else []
    return own + sorted(members, key=lambda name: int(name.rpartition(".")[2]))


def progress_of(run: Run, metric: str, now: float) -> str:
    """How far a run is, in a few words: the last line of its progress, and for how long it goes on.

    Args:
        metric: the primary one.
        now: unix seconds.
    """
    last = read_curve(run.progress, metric).last[:_TOLD]
    told = " ".join(f"{name}={number(int(value) if value == int(value) else value)}" for name, value in last)
    since = duration(max(0.0, now - run.began)) if run.began else ""
    return ", ".join(part for part in (told, since) if part)


def happening(fold: SessionFold, runs: Sequence[Run], now: float) -> list[str]:
    """What each open step is doing, with how far its runs are; nothing once the session has ended.

    Args:
        runs: those in progress.
        now: unix seconds.
    """
    lines = []
    for step in () if fold.end else fold.open:
        far = [progress_of(run, fold.terms.metric, now) for run in runs if run.step == step.number]
        lines.append("; ".join([doing(fold, step), *filter(None, far)]))
    return lines
