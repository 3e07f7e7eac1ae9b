"""The commits that ideas name: found in the repository of the code, before anything is claimed.

Every question to git is short and bounded; answers about a commit hold for ever and are kept.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orze.attempt.checkout import git_environment, words_of
from orze.core.errors import OrzeError
from orze.report.text import short_commit

if TYPE_CHECKING:
    from orze.attempt.spec import Checkout

_LIMIT: Final = 10.0  # seconds that one question may take
_REST: Final = 30.0  # seconds for which a repository that did not answer is not asked again
_KEPT: Final = 1000  # commits that are remembered
_REGULAR: Final = frozenset({"100644", "100755"})


class BadCommit(OrzeError):
    """The commit of an idea cannot be run on this host now."""


class Commits:
    """Finds commits, for one daemon.

    Args:
        code_dir: the directory of the code, anywhere in its repository.
        environ: the environment that git gets, less what would lead it elsewhere.
    """

    def __init__(self, code_dir: Path, environ: Mapping[str, str]) -> None:
        self._code_dir = code_dir
        self._environ = git_environment(environ)
        self._place: tuple[str, str, str] | None = None
        self._found: dict[str, Checkout] = {}
        self._inside: dict[str, str] = {}
        self._asked_again = float("-inf")

    def find(self, commit: str) -> Checkout:
        """The commit that 7 or more digits of a hash name.

        Raises:
            BadCommit: it is not there, or there is no telling.
        """
        found = self._found.get(commit)
        if found is None:
            if len(self._found) >= _KEPT:
                self._found.clear()
            found = self._found[commit] = self._look_up(commit)
        return found

    def inside(self, path: str | os.PathLike[str]) -> str:
        """Where in the repository a file of the project is; empty where commits do not hold it.

        That is a file outside of the repository, or one that git ignores.

        Raises:
            BadCommit: git does not answer.
        """
        path = os.fspath(path)
        if path not in self._inside:
            self._inside[path] = self._look_inside(path)
        return self._inside[path]

    def read(self, checkout: Checkout, name: str, limit: int) -> bytes | None:
        """A file as a commit holds it; None where it does not.

        Args:
            name: as `inside` tells it.
            limit: bytes.

        Raises:
            BadCommit: it is no regular file, or larger, or git does not answer.
        """
        repository, commit = f"--git-dir={checkout['repository']}", checkout["commit"]
        listed = self._ask([repository, "ls-tree", "-z", "-l", "--full-tree", commit, "--", name])
        if not listed:
            return None
        mode, _, blob, size = listed.partition("\t")[0].split()
        if mode not in _REGULAR or int(size) > limit:
            place = f"{name} of commit {short_commit(commit)}"
            raise BadCommit(f"{place} must be a file of at most {limit >> 10} KiB")
        return self._run([repository, "cat-file", "blob", blob]).stdout

    def _look_up(self, commit: str) -> Checkout:
        repository, top, prefix = self._where()
        done = self._run([f"--git-dir={repository}", "rev-parse", "--verify", f"{commit}^{{commit}}"])
        sha = done.stdout.decode("ascii", "replace").strip()
        if done.returncode or not sha.startswith(commit):  # a branch may have a name of hexadecimal digits
            why = words_of(done.stderr.decode(errors="replace")) if done.returncode else f"it names {sha}"
            raise BadCommit(f"commit {commit} is not in the repository {top} of this host: {why}")
        return {"repository": repository, "commit": sha, "prefix": prefix}

    def _look_inside(self, path: str) -> str:
        _, top, _ = self._where()
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        name = os.path.relpath(real, top)
        if name == os.pardir or name.startswith(f"{os.pardir}/"):
            return ""
        ignored = self._run(["-C", top, "check-ignore", "--quiet", "--", name]).returncode
        return "" if ignored == 0 else name

    def _where(self) -> tuple[str, str, str]:
        """What all worktrees share, the top of the one that holds the code, and where in it the code is."""
        if self._place is None:
            asked = ["--git-common-dir", "--show-toplevel", "--show-prefix"]
            said = self._ask(["-C", str(self._code_dir), "rev-parse", *asked])
            shared, top, prefix = said.split("\n")[:3]
            repository = os.path.realpath(os.path.join(self._code_dir, shared))
            self._place = (repository, os.path.realpath(top), prefix.rstrip("/"))
        return self._place

    def _ask(self, words: Sequence[str]) -> str:
        """What git prints."""
        done = self._run(words)
        if done.returncode:
            raise BadCommit(f"code_dir {self._code_dir}: {words_of(done.stderr.decode(errors='replace'))}")
        return os.fsdecode(done.stdout)

    def _run(self, words: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        silent = f"git does not answer within {_LIMIT:g} s about {self._code_dir}; it is asked again later"
        if time.monotonic() < self._asked_again:
            raise BadCommit(silent)
        try:
            return subprocess.run(
                ["git", "-c", "core.hooksPath=/dev/null", *words],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self._asked_again = time.monotonic() + _REST
            raise BadCommit(silent) from None
        except OSError as error:
            raise BadCommit(f"git cannot be run: {error.strerror}; an idea with Commit needs it") from None
