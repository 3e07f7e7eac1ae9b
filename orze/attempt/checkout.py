"""The worktree of an attempt that runs a commit: how git makes it, and how it goes again.

What git keeps of a worktree is `worktrees/<name>/` in the repository; its file `gitdir` names the file `.git`
in the worktree (gitrepository-layout(5)). It is removed without git: at the end of an attempt nothing of it
may run any more, and what a training did to the worktree must not lead anybody astray.
"""

from __future__ import annotations

import os

from orze.attempt.spec import CODE
from orze.core.files import RealFiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orze.attempt.spec import Checkout
    from orze.core.paths import FarmPaths

LIMIT = 1800.0  # seconds that git may take
PAUSES = (0.1, 0.2, 0.4, 0.8, 0.0)  # seconds behind each try: another git may have the repository's locks
_WORDS = ("fatal: ", "error: ")
_LONGEST = 300  # characters of what git says
_PATH = 4096  # bytes


def add_command(checkout: Checkout, code: str) -> list[str]:
    """The command that makes the worktree, without hooks."""
    git = ["git", f"--git-dir={checkout['repository']}", "-c", "core.hooksPath=/dev/null"]
    return [*git, "worktree", "add", "--quiet", "--detach", code, checkout["commit"]]


def git_environment(env: Mapping[str, str]) -> dict[str, str]:
    """An environment for git that leads it nowhere else, and in which it asks nobody anything."""
    kept = {name: value for name, value in env.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def words_of(log: str) -> str:
    """What git says of a failure, at the end of a log."""
    said = [line.strip() for line in log.splitlines() if line.strip()]
    last = [line for line in said if line.startswith(_WORDS)] or said or ["it says nothing"]
    return last[-1][:_LONGEST]


def remove(repository: str, code: str) -> None:
    """Remove a worktree, and what git keeps of it; what is gone already is fine.

    Raises:
        OSError: it cannot be removed, or not whole.
    """
    code = _real(code)
    _remove_tree(code)
    for name, place in _worktrees(repository):
        if place == code:
            _remove_tree(f"{repository}/worktrees/{name}")


def remove_left(repository: str, farm: FarmPaths) -> None:
    """Remove the worktrees of this farm's attempts that are over: those that have no heartbeat.

    A keeper makes its heartbeat before its worktree, and removes the worktree before the heartbeat.

    Raises:
        OSError: one cannot be removed, or not whole.
    """
    root = os.path.realpath(farm.results)
    for name, code in _worktrees(repository):
        idea, token = _attempt_of(code, root)
        if token and _is_gone(farm.heartbeat(idea, token)):
            _remove_tree(code)
            _remove_tree(f"{repository}/worktrees/{name}")


def _attempt_of(code: str, root: str) -> tuple[str, str]:
    """The idea and the token of the attempt whose worktree it is; empty for one that is not below a root."""
    parts = code.removeprefix(f"{root}/").split("/")
    if code == f"{root}/{'/'.join(parts)}" and len(parts) == 4 and (parts[1], parts[3]) == ("attempts", CODE):
        return parts[0], parts[2].partition("-")[2]
    return "", ""


def _worktrees(repository: str) -> Iterator[tuple[str, str]]:
    """The name that git has for each worktree, and its directory."""
    try:
        names = os.listdir(f"{repository}/worktrees")
    except FileNotFoundError:
        return
    for name in names:
        try:
            told = RealFiles().read(f"{repository}/worktrees/{name}/gitdir", _PATH)
        except OSError:
            continue  # it is being made or removed
        yield name, os.path.dirname(os.fsdecode(told).rstrip("\n"))


def _real(code: str) -> str:
    """As git names it; its last part is not followed."""
    return f"{os.path.realpath(os.path.dirname(code))}/{os.path.basename(code)}"


def _is_gone(path: str) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    return False


def _remove_tree(path: str) -> None:
    """Remove a directory with all that is in it; links are not followed."""
    if os.path.islink(path):
        os.unlink(path)
    waiting, folders = [path] if os.path.isdir(path) else [], []
    while waiting:
        folder = waiting.pop()
        folders.append(folder)
        os.chmod(folder, 0o700)  # a training may have made it read-only
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    os.unlink(entry.path)
    for folder in reversed(folders):
        os.rmdir(folder)
