"""A session in a real repository, and remotes of it."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

from refine_examples import completed, fold, one_try
from userrepo import git, make

from orze.refine.fold import SessionFold
from orze.refine.model import Step, Verdict
from orze.refine.repository import Repository

NO_GH = {"PATH": "/nowhere", "HOME": "/nowhere"}


def session_in(top: Path) -> tuple[Repository, SessionFold]:
    """A repository with a baseline, a step that was kept, and one that was discarded."""
    repository = Repository(make(top, {"train.py": "lr = 0.1\n"}))
    base = repository.head()
    first = repository.commit(base, {}, "Baseline\n", at=1e9)
    kept = repository.commit(first, {"train.py": b"lr = 0.01\n"}, "Smaller rate\n\nRevis-Step: 1\n", at=1e9)
    worse = repository.commit(kept, {"train.py": b"lr = 9\n"}, "Larger rate\n", at=1e9)
    told = (
        Step(0, base, (one_try("", completed(0.52), files=()),), Verdict.BASELINE, "", first),
        Step(1, first, (one_try("Smaller is better", completed(0.41, 0.43)),), Verdict.KEPT, "better", kept),
        Step(2, kept, (one_try("Larger", completed(0.9)),), Verdict.DISCARDED, "worse", worse),
        Step(3, kept, (one_try("Open", None, commit=worse),)),
    )
    repository.set_ref("refs/heads/revis/lr", kept, None)
    return repository, fold(told, base=base)


def copied(made: tuple[Path, SessionFold], directory: Path) -> tuple[Repository, SessionFold]:
    """A session that was made once, in a copy of its repository."""
    top, told = made
    shutil.copytree(top, directory / "repo")
    return Repository(directory / "repo"), copy.copy(told)


def with_remote(repository: Repository, address: str = "") -> Path:
    """A bare repository as its remote; with an address, one that is pushed to in that place."""
    bare = repository.top.parent / "bare.git"
    git(repository.top.parent, "init", "-q", "--bare", str(bare))
    git(repository.top, "remote", "add", "origin", address or str(bare))
    if address:
        git(repository.top, "config", f"url.{bare}.pushInsteadOf", address)
    return bare


def refs(bare: Path) -> dict[str, str]:
    lines = git(bare, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ") for line in lines)  # type: ignore[misc] # two words each
