"""The user's git repository: read, and added to without touching checkout, index or HEAD."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orze.refine.git import GitError, git
from orze.refine.paths import directories_of, is_plain
from orze.refine.worktree import MOST_READ, OddChange, changes_in

__all__ = ["Blob", "CheckedOut", "GitError", "NotARepository", "OddChange", "RefMoved", "Repository"]

WHO: Final = ("revis", "revis@localhost")
_LINK, _SUBMODULE = "120000", "160000"
_FILES: Final = ("100644", "100755")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)
_MOST_DIFF: Final = 1 << 20
_MOST_MESSAGE: Final = 64 << 10


class NotARepository(GitError):
    """The directory is in no git repository with a checkout."""


class RefMoved(GitError):
    """Somebody else set a ref in between."""


class CheckedOut(GitError):
    """A branch is checked out somewhere: to move it would make that checkout look changed."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file as a commit holds it.

    Attributes:
        mode: as git writes it: 100644, 100755 (executable), 120000 (symbolic link), 160000 (submodule).
        sha: of its content; of a submodule its commit.
        size: in bytes; 0 for a submodule.
    """

    mode: str
    sha: str
    size: int

    @property
    def regular(self) -> bool:
        """Whether it is a file, not a link or a submodule."""
        return self.mode in _FILES


class Repository:
    """The git repository around a project.

    All paths are relative to the project's directory, which may lie below the repository's top. Nothing here
    changes the user's checkout, index, HEAD, stash or configuration, and no hook is run.

    Args:
        directory: the project's directory.

    Raises:
        NotARepository: it is in no repository, or in one without a checkout.

    Attributes:
        top: the repository's top directory.
        prefix: the project's directory below it, such as `a/b/`; "" where it is the top.
    """

    def __init__(self, directory: Path) -> None:
        where = Path(directory).resolve()
        try:
            _, answer = git(where, "rev-parse", "--is-inside-work-tree", "--show-prefix")
        except GitError as error:
            raise NotARepository(f"{error}; go to a git repository, or make one: git init") from None
        inside, _, prefix = answer.partition(b"\n")
        if inside != b"true":
            raise NotARepository(f"{where} belongs to git itself or to a bare repository; go to a checkout")
        self.prefix = os.fsdecode(prefix.removesuffix(b"\n"))
        self.top = Path(*where.parts[: len(where.parts) - self.prefix.count("/")])
        self._project = where
        self._git_dir = self.top / os.fsdecode(
            self._git("rev-parse", "--git-common-dir")[1].removesuffix(b"\n")
        )

    # What is there

    def resolve(self, name: str) -> str:
        """The full sha of the commit that a name means (a sha, a branch, a tag).

        Raises:
            GitError: it means none.
        """
        if not name.startswith("-"):
            status, answer = self._git(
                "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", good=(0, 1, 128)
            )
            if status == 0:
                return answer.decode().strip()
        raise GitError(f"{self.top}: {name!r} is no commit of this repository")

    def head(self) -> str:
        """The sha of the user's commit.

        Raises:
            GitError: there is none yet.
        """
        try:
            return self.resolve("HEAD")
        except GitError:
            raise GitError(f"{self.top}: there is no commit yet; commit your code first") from None

    def tree(self, commit: str) -> str:
        """The sha of a commit's tree."""
        _, answer = self._git("rev-parse", "--verify", f"{_sha(commit)}^{{tree}}")
        return answer.decode().strip()

    def uncommitted(self) -> list[str]:
        """Files of the project that differ from the user's commit or are new and not ignored, sorted."""
        words = ("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", ".")
        _, answer = git(self._project, *words)
        found = (os.fsdecode(entry[3:]) for entry in answer.split(b"\0") if entry)
        return sorted(path.removeprefix(self.prefix) for path in found if path.startswith(self.prefix))

    def listing(self, commit: str) -> dict[str, Blob]:
        """Every file of the project in a commit, by path."""
        return self._entries("-r", commit, [self.prefix] if self.prefix else [])

    def read(self, commit: str, path: str) -> bytes | None:
        """Read a file of a commit.

        Returns:
            Its bytes; None where the commit has no such file, or a link or a submodule there.

        Raises:
            GitError: it is larger than 16 MiB.
        """
        blob = self._entries("", commit, [self.prefix + path]).get(path) if is_plain(path) else None
        if blob is None or not blob.regular:
            return None
        if blob.size > MOST_READ:
            raise GitError(f"{path} has {blob.size} bytes, more than {MOST_READ}")
        return self._git("cat-file", "blob", blob.sha)[1]

    def diff(self, a: str, b: str) -> str:
        """What changed in the project from one commit to another, as `git diff` shows it; 1 MiB at most."""
        words = ["diff-tree", "-p", "-r", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"]
        if self.prefix:
            words.append(f"--relative={self.prefix}")
        _, answer = git(self.top, *words, _sha(a), _sha(b), most=_MOST_DIFF, cut=True)
        text = answer.decode("utf-8", "replace")
        return text if len(answer) < _MOST_DIFF else f"{text}\n… the rest of the diff is not shown\n"

    # New commits

    def commit(self, parent: str, changes: Mapping[str, bytes | None], message: str, *, at: float) -> str:
        """Make a commit beside the user's checkout.

        The same arguments make the same commit, so doing it again after a crash is fine. A file keeps its
        mode; a new one is executable if it begins with `#!`.

        Args:
            parent: its parent.
            changes: what differs from the parent: content by path; None deletes.
            message: its message; control characters are left out.
            at: its date, Unix seconds.

        Returns:
            Its sha. No ref points to it yet.

        Raises:
            GitError: a path is no plain path of the project, or leads to or through a link or a submodule.
        """
        modes = self._modes(parent, changes)
        lines = []
        for path, content in sorted(changes.items()):
            name = os.fsencode(self.prefix + path)
            if content is None:
                lines.append(b"0 %s\t%s\0" % (b"0" * len(parent), name))
                continue
            sha = self._git("hash-object", "-w", "--stdin", data=content)[1].strip()
            lines.append(b"%s %s\t%s\0" % (modes[path].encode(), sha, name))
        with _index() as variables:
            self._git("read-tree", _sha(parent), variables=variables)
            self._git("update-index", "-z", "--index-info", data=b"".join(lines), variables=variables)
            tree = self._git("write-tree", variables=variables)[1].decode().strip()
        return self._commit_tree(tree, parent, message, at)

    def again(self, commit: str, message: str, *, parent: str, at: float) -> str:
        """Make a commit with the tree of another and another message (see `commit`)."""
        return self._commit_tree(self.tree(commit), parent, message, at)

    def _commit_tree(self, tree: str, parent: str, message: str, at: float) -> str:
        name, address = WHO
        date = f"@{int(at)} +0000"
        variables = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", name), ("EMAIL", address), ("DATE", date))
        }
        words = ("commit-tree", tree, "-p", _sha(parent), "-F", "-")
        return self._git(*words, data=clean_message(message), variables=variables)[1].decode().strip()

    def _modes(self, parent: str, changes: Mapping[str, bytes | None]) -> dict[str, str]:
        """The mode of each changed file; GitError where one cannot be written."""
        odd = next((path for path in changes if not is_plain(path)), None)
        if odd is not None:
            raise GitError(f"{odd!r} is no path of the project")
        wanted = {part for path in changes for part in (*directories_of(path), path)}
        there = self._entries("-t", parent, sorted(self.prefix + path for path in wanted)) if wanted else {}
        modes = {}
        for path, content in changes.items():
            for part in directories_of(path):
                kept = part in there and part not in changes
                if changes.get(part) is not None or (kept and there[part].mode != "040000"):
                    raise GitError(f"{path}: {part} is no directory")
            old = there.get(path)
            if old is not None and not old.regular:
                raise GitError(f"{path} is no file but a link, a directory or a submodule")
            modes[path] = old.mode if old else _FILES[(content or b"").startswith(b"#!")]
        return modes

    # Refs

    def ref(self, name: str) -> str:
        """The sha that a ref points to; "" where there is no such ref."""
        status, answer = self._git("show-ref", "--verify", "--hash", "--", _ref(name), good=(0, 1, 128))
        return answer.decode().strip() if status == 0 else ""

    def refs(self, prefix: str) -> dict[str, str]:
        """All refs whose full names begin with a prefix, such as `refs/revis/lr/`, and what they point to."""
        _, answer = self._git("for-each-ref", "--format=%(objectname) %(refname)", _ref(prefix))
        pairs = (line.split(" ", 1) for line in os.fsdecode(answer).splitlines())
        return {name: sha for sha, name in pairs if name.startswith(prefix)}

    def set_ref(self, name: str, new: str, old: str | None) -> None:
        """Set a ref if it is what it was thought to be; doing it again is fine.

        Args:
            name: in full, such as `refs/heads/revis/lr`.
            new: what it shall point to.
            old: what it points to now; None where there shall be none yet.

        Raises:
            RefMoved: it points to something else.
            CheckedOut: it is a branch that is checked out somewhere.
            GitError: the name is no good.
        """
        if self.ref(name) == _sha(new):
            return
        self._not_checked_out(name)
        before = old or "0" * len(new)
        try:
            self._git("update-ref", "--no-deref", "-m", "revis", _ref(name), new, before)
        except GitError as error:
            now = self.ref(name)
            if now == new:
                return
            if now != (old or ""):
                told = f"points to {now[:12]}" if now else "is not there"
                raise RefMoved(
                    f"{name} {told}, not to {(old or 'nothing')[:12]}: something else set it"
                ) from None
            raise GitError(f"{name} cannot be set: {error}") from None

    def delete_ref(self, name: str) -> None:
        """Remove a ref; where there is none nothing happens.

        Raises:
            CheckedOut: it is a branch that is checked out somewhere.
        """
        now = self.ref(name)
        if now:
            self._not_checked_out(name)
            self._git("update-ref", "--no-deref", "-d", _ref(name), now)

    def _not_checked_out(self, name: str) -> None:
        if name.startswith("refs/heads/"):
            _, where = self._git("for-each-ref", "--format=%(worktreepath)", name)
            if where.strip():
                shown = os.fsdecode(where.strip())
                raise CheckedOut(f"{name} is checked out in {shown}; check out another branch there first")

    # Worktrees

    def worktree(self, commit: str, directory: Path) -> None:
        """Check a commit out in a directory of its own, which must not be there or be empty."""
        self._git("worktree", "add", "--force", "--detach", "--", str(directory), _sha(commit))

    def remove_worktree(self, directory: Path) -> None:
        """Remove a worktree and everything in it; one that is half gone, or gone, too."""
        words = ("worktree", "remove", "--force", "--force", "--", str(directory))
        status, _ = self._git(*words, good=(0, 128))
        if status:
            shutil.rmtree(directory, ignore_errors=True)
            self._git(*words, good=(0, 128))

    def changed_in(self, directory: Path, commit: str) -> dict[str, bytes | None]:
        """Read what somebody changed in a worktree, whatever was added or committed there.

        Args:
            directory: the worktree's top.
            commit: what was checked out there.

        Returns:
            By path: the content that git would store; None for a file that is gone. New files are told
            unless they are ignored; files outside of the project's directory are not.

        Raises:
            OddChange: something there cannot be a change: a link, a repository, a file of more than 16 MiB,
                more than 1000 files.
        """
        return changes_in(self._git_dir, directory, _sha(commit), self.prefix)

    # Remotes

    def remotes(self) -> dict[str, str]:
        """The address of each remote, by its name."""
        _, answer = self._git("remote")
        names = os.fsdecode(answer).splitlines()
        return {name: os.fsdecode(self._git("remote", "get-url", "--", name)[1]).strip() for name in names}

    def push(self, remote: str, refspecs: Sequence[str], *, seconds: float = 600.0) -> None:
        """Push refs, all or none.

        Args:
            remote: the name of a remote, or an address.
            refspecs: such as `refs/heads/revis/lr:refs/heads/revis/lr`; a leading `+` overwrites.
            seconds: how long it may take.

        Raises:
            GitError: it was refused, or took too long; with what git said.
        """
        words = ("push", "--quiet", "--no-verify", "--atomic", "--", remote, *refspecs)
        git(self.top, *words, seconds=seconds)

    # Plumbing

    def _git(
        self,
        *words: str,
        data: bytes = b"",
        variables: Mapping[str, str] | None = None,
        good: Sequence[int] = (0,),
    ) -> tuple[int, bytes]:
        return git(self.top, *words, data=data, variables=variables, good=good)

    def _entries(self, option: str, commit: str, paths: Sequence[str]) -> dict[str, Blob]:
        """Entries of a commit by path; of all of it, or at exactly these paths of the repository."""
        words = ["ls-tree", "-z", "-l", "--full-tree", *([option] if option else []), _sha(commit)]
        _, answer = self._git(*words, "--", *paths)
        found = {}
        for entry in answer.split(b"\0"):
            facts, _, name = entry.partition(b"\t")
            path = os.fsdecode(name)
            if name and path.startswith(self.prefix):
                mode, _, sha, size = facts.decode().split()
                found[path.removeprefix(self.prefix)] = Blob(mode, sha, int(size) if size.isdecimal() else 0)
        return found


def clean_message(message: str) -> bytes:
    """A message of a commit as it is stored: UTF-8, no control characters, one newline at its end."""
    lines = message.replace("\r\n", "\n").replace("\t", "    ").split("\n")
    kept = ("".join(char if char.isprintable() else " " for char in line).rstrip() for line in lines)
    return "\n".join(kept).strip("\n").encode("utf-8", "replace")[:_MOST_MESSAGE] + b"\n"


@contextmanager
def _index() -> Iterator[dict[str, str]]:
    """An index that is nobody's."""
    with tempfile.TemporaryDirectory(prefix="revis-") as directory:
        yield {"GIT_INDEX_FILE": f"{directory}/index"}


def _sha(commit: str) -> str:
    if not _COMMIT.fullmatch(commit):
        raise GitError(f"{commit!r} is no full sha of a commit")
    return commit


def _ref(name: str) -> str:
    if not name.startswith("refs/"):
        raise GitError(f"{name!r} is no full name of a ref, such as refs/heads/main")
    return name
