"""The executor that the settings name; only that one is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orze.attempt.executors.base import Executor
from orze.attempt.executors.local import Local
from orze.config.executor import session_of
from orze.config.schema import Settings


def make_executor(settings: Settings, *, python: Sequence[str], environ: Mapping[str, str]) -> Executor:
    """Make it; nothing is started, and whether it can work here is for its `check` to say.

    Args:
        python: the words of the interpreter that runs scripts here.
        environ: the environment of the daemon.
    """
    chosen, project_dir = settings.executor, settings.project_dir
    if chosen.type == "local":
        return Local()
    if chosen.type == "tmux":
        from orze.attempt.executors.tmux import Tmux

        session = session_of(chosen, project_dir)
        return Tmux(session, project_dir=project_dir, doors=settings.doors, environ=environ)
    from orze.attempt.executors.ssh import Ssh

    return Ssh(
        chosen,
        project_dir=project_dir,
        environ=environ,
        names=settings.train_extra_env,
        python=python,
        threshold=settings.gpu_mem_threshold,
    )
