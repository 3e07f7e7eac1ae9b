"""What an agent changed in a worktree: read file by file, following no link, whatever it did to git there."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from orze.refine.git import GitError, git

MOST_READ: Final = 16 << 20
_MOST_FILES: Final = 1000


class OddChange(GitError):
    """A worktree holds what cannot be committed: links, repositories, files too large or too many.

    Args:
        faults: one sentence each, beginning with the path.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def changes_in(git_dir: Path, directory: Path, commit: str, prefix: str) -> dict[str, bytes | None]:
    """Read what differs from a commit in a directory that it was checked out to.

    The directory's own index and HEAD are not asked: an agent may have added or committed there.

    Args:
        git_dir: the repository's own directory.
        directory: the worktree's top.
        commit: what was checked out there.
        prefix: the project's directory within it; "" for all of it.

    Returns:
        By path within the project: the content as git would store it, or None for a file that is gone.

    Raises:
        OddChange: something there cannot be a change; all such things at once.
    """
    with tempfile.TemporaryDirectory(prefix="revis-") as scratch:
        variables = {
            "GIT_DIR": str(git_dir),
            "GIT_WORK_TREE": str(directory),
            "GIT_INDEX_FILE": f"{scratch}/index",
            "GIT_CONFIG_COUNT": "1",  # a commit is made of contents: a change of mode alone is none
            "GIT_CONFIG_KEY_0": "core.fileMode",
            "GIT_CONFIG_VALUE_0": "false",
        }
        changed = _changed(directory, commit, prefix, variables)
        if len(changed) > _MOST_FILES:
            raise OddChange(
                [f"{len(changed)} files were changed; {_MOST_FILES} are the most that are looked at"]
            )
        faults, found = [], {}
        for path in changed:
            fault = _odd(directory, path)
            if fault:
                faults.append(f"{path.removeprefix(prefix)} {fault}")
            else:
                found[path.removeprefix(prefix)] = _content(directory, path, variables)
        if faults:
            raise OddChange(faults)
        return found


def _changed(directory: Path, commit: str, prefix: str, variables: dict[str, str]) -> list[str]:
    """Paths below the prefix that differ from the commit, or are new and not ignored."""
    git(directory, "read-tree", commit, variables=variables)
    git(directory, "update-index", "-q", "--refresh", variables=variables, good=(0, 1))
    where = ("--", prefix or ".")
    _, differing = git(directory, "diff-files", "-z", "--name-only", *where, variables=variables)
    words = ("ls-files", "-z", "--others", "--exclude-standard")
    _, new = git(directory, *words, *where, variables=variables)
    return sorted({os.fsdecode(name) for name in (differing + new).split(b"\0") if name})


def _odd(directory: Path, path: str) -> str:
    """Why what lies at a path is no file to be committed; "" where it is one, or nothing."""
    if path.endswith("/"):
        return "is a repository of its own"
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        try:
            found = os.lstat(directory.joinpath(*parts[:count]))
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        if stat.S_ISLNK(found.st_mode):
            return "is a symbolic link" if count == len(parts) else "lies behind a symbolic link"
    if stat.S_ISDIR(found.st_mode):  # what was a file has become a directory: the file is gone
        return ""
    if not stat.S_ISREG(found.st_mode):
        return "is no ordinary file"
    if found.st_size > MOST_READ:
        return f"has {found.st_size} bytes; {MOST_READ} are the most that a change may hold"
    return ""


def _content(directory: Path, path: str, variables: dict[str, str]) -> bytes | None:
    """What git would store of a file, by the filters for its path; None where it is gone."""
    if not os.path.isfile(directory / path):
        return None
    _, sha = git(directory, "hash-object", "-w", "--", path, variables=variables)
    return git(directory, "cat-file", "blob", sha.decode().strip(), variables=variables)[1]


def worktrees_below(top: Path, directory: Path) -> list[Path]:
    """The worktrees of a repository that lie in a directory, or did before it was removed.

    Args:
        top: of the repository.
    """
    _, listed = git(top, "worktree", "list", "--porcelain", "-z")
    paths = (Path(os.fsdecode(line[9:])) for line in listed.split(b"\0") if line.startswith(b"worktree "))
    return [path for path in paths if path.is_relative_to(directory.resolve())]
