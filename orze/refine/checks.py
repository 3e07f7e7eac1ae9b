"""What must hold before a session begins; nothing is written to find it out."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orze.client.project import Project, open_project
from orze.config.refine import Budget, Revis
from orze.core.errors import OrzeError
from orze.refine.asking import unpriced
from orze.refine.git import GitError
from orze.refine.history import branch_of, refs_of
from orze.refine.places import place_of
from orze.refine.records import COMMAND
from orze.refine.repository import Repository
from orze.refine.settings import REVIS_NAME
from orze.research.loading import MISSING

_NAMED: Final = 10  # files in a warning


class Refused(OrzeError):
    """A session cannot begin, or not be deleted; every reason is one line."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found before a session begins.

    Attributes:
        base: the commit that it starts from.
        command: the training command.
        warnings: sentences for people.
    """

    base: str
    command: str
    warnings: tuple[str, ...] = ()


def check(revis: Revis, name: str, budget: Budget, environ: Mapping[str, str]) -> Checked:
    """Hold that a session can begin; nothing is written.

    Args:
        budget: in all. Where it is in US dollars, prices may be looked up: seconds.

    Raises:
        Refused: it cannot; all reasons.
        GitError: there is no repository, or no commit.
        ConfigError: the settings of the farm are at fault.
    """
    repository = Repository(revis.project_dir)
    base = repository.head()
    problems = [*_taken(revis.project_dir, name, repository), *_lacking(revis, budget, environ)]
    command = revis.entry.train if revis.entry else ""
    if revis.executor.type == "farm":
        farm = farm_of(revis, environ)
        command, wrong = _of_farm(farm, repository)
        problems += [*wrong, *_for_the_farm(revis, farm)]
    if len(command) > COMMAND:
        problems.append(f"the training command has more than {COMMAND} characters; put it into a script")
    if problems:
        raise Refused("\n".join(problems))
    return Checked(base, command, tuple(_uncommitted(repository)))


def _for_the_farm(revis: Revis, farm: Project) -> list[str]:
    """Keys that only the settings of the farm can make true."""
    told = []
    if revis.smoke:
        told.append("smoke: a farm has a pre_command of its own; put it there")
    if revis.guardrails.stall_minutes:
        told.append("guardrails.stall_minutes: a farm has stall_minutes of its own; put it there")
    if missing := [glob for glob in revis.protected if glob not in farm.settings.protected]:
        told.append(f"protected: {', '.join(missing)} must stand in protected of {farm.shown_config} too")
    return [f"{REVIS_NAME}: {sentence}" for sentence in told]


def farm_of(revis: Revis, environ: Mapping[str, str]) -> Project:
    """The farm of an orze.yaml that a session uses.

    Raises:
        ConfigError: its settings are at fault.
    """
    return open_project(revis.executor.config, cwd=revis.project_dir, environ=environ)


def _taken(project_dir: Path, name: str, repository: Repository) -> list[str]:
    """Why the name cannot be had."""
    place = place_of(project_dir, name)
    if place.home.exists():
        return [f"there is a session {name} already: revis resume {name}, or choose another name"]
    if repository.ref(branch_of(name)) or repository.refs(refs_of(name)):
        return [
            f"the branch or refs of an earlier session {name} are there; choose another name, or remove them"
        ]
    if repository.ref("refs/heads/revis"):
        return ["there is a branch called revis, beside which git has no room for revis/…; rename it"]
    return []


def _lacking(revis: Revis, budget: Budget, environ: Mapping[str, str]) -> list[str]:
    """What is needed to ask for changes and is not there."""
    if revis.agent:
        found = shutil.which(revis.agent[0], path=environ.get("PATH")) or (
            "/" in revis.agent[0] and os.access(revis.project_dir / revis.agent[0], os.X_OK)
        )
        return [] if found else [f"{REVIS_NAME}: agent: there is no program {revis.agent[0]!r}"]
    if importlib.util.find_spec("litellm") is None:
        return [f"{REVIS_NAME}: llm: {MISSING}"]
    key = revis.llm.api_key_env
    missing = [f"{REVIS_NAME}: llm.api_key_env: {key} is not set in the environment"]
    problems = missing if key and not environ.get(key) else []
    return problems + (unpriced(revis.llm) if budget.usd and not problems else [])


def _of_farm(project: Project, repository: Repository) -> tuple[str, list[str]]:
    """The training command of a farm, and why it cannot run the steps."""
    settings = project.settings
    if not settings.train_command:
        return "", [f"{project.shown_config}: the farm has no train_command, which the steps are run by"]
    try:
        theirs = Repository(Path(settings.code_dir))
    except GitError as error:
        return "", [f"{project.shown_config}: code_dir: {error}"]
    if theirs.top != repository.top:
        return "", [
            f"{project.shown_config}: code_dir is in {theirs.top}, and this project in {repository.top}"
        ]
    return settings.train_command, []


def _uncommitted(repository: Repository) -> list[str]:
    """Name the files that the runs will not have as they are."""
    files = [path for path in repository.uncommitted() if path != REVIS_NAME]
    if not files:
        return []
    named = ", ".join(files[:_NAMED]) + (f" and {len(files) - _NAMED} more" if len(files) > _NAMED else "")
    return [f"not committed, and so missing from the runs: {named}"]
