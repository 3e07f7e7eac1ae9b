"""What an agent changed in a worktree is read file by file; odd things are faults, no link is followed."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from userrepo import git, make, write

from orze.refine.repository import OddChange, Repository

FILES: dict[str, str | bytes] = {
    "proj/train.py": "x = 1\n",
    "proj/old.py": "1\n",
    "proj/pack/m.py": "1\n",
    "proj/.gitignore": "*.log\n",
    "top.py": "1\n",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(make(tmp_path_factory.mktemp("user") / "repo", FILES) / "proj")


@pytest.fixture
def away(repository: Repository, tmp_path: Path) -> Iterator[Path]:
    repository.worktree(repository.head(), tmp_path / "away")
    yield tmp_path / "away"
    repository.remove_worktree(tmp_path / "away")
    assert git(repository.top, "worktree", "list").count("\n") == 0


def test_changed_new_and_deleted_files_of_the_project_are_told_even_if_the_agent_committed(
    repository: Repository, away: Path
) -> None:
    assert repository.changed_in(away, repository.head()) == {}
    write(away / "proj", {"train.py": "x = 2\n", "n/a b\n.py": b"\xff", "run.log": "no\n"})
    write(away, {"top.py": "2\n", "elsewhere.py": "1\n"})
    (away / "proj/old.py").unlink()
    (away / "proj/pack/m.py").chmod(0o755)
    found = {"train.py": b"x = 2\n", "n/a b\n.py": b"\xff", "old.py": None}
    assert repository.changed_in(away, repository.head()) == found
    git(away, "add", "-A")
    git(away, "commit", "-q", "-m", "agent")
    assert repository.changed_in(away, repository.head()) == found


def test_a_directory_in_place_of_a_file_is_told_as_both(repository: Repository, away: Path) -> None:
    (away / "proj/old.py").unlink()
    write(away, {"proj/old.py/new.py": "1\n"})
    found = repository.changed_in(away, repository.head())
    assert found == {"old.py": None, "old.py/new.py": b"1\n"}
    assert repository.read(repository.commit(repository.head(), found, "m", at=1), "old.py/new.py") == b"1\n"


def test_links_repositories_pipes_and_large_files_are_faults_and_are_not_followed(
    repository: Repository, away: Path, tmp_path: Path
) -> None:
    write(tmp_path, {"secret/m.py": "secret\n"})
    project = away / "proj"
    (project / "train.py").unlink()
    (project / "train.py").symlink_to("/etc/passwd")
    (project / "pack/m.py").unlink()
    (project / "pack").rmdir()
    (project / "pack").symlink_to(tmp_path / "secret")
    (project / "old.py").unlink()
    os.mkfifo(project / "old.py")
    git(project, "init", "-q", "inner")
    write(project, {"inner/x.py": "1\n"})
    with (project / "large.bin").open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(OddChange) as told:
        repository.changed_in(away, repository.head())
    assert {fault.split()[0]: " ".join(fault.split()[1:4]) for fault in told.value.faults} == {
        "train.py": "is a symbolic",
        "pack": "is a symbolic",
        "pack/m.py": "lies behind a",
        "old.py": "is no ordinary",
        "inner/": "is a repository",
        "large.bin": "has 16777217 bytes;",
    }


def test_more_files_than_are_looked_at_are_one_fault(repository: Repository, away: Path) -> None:
    write(away / "proj", {f"many/{number}": "" for number in range(1001)})
    with pytest.raises(OddChange, match="1001 files"):
        repository.changed_in(away, repository.head())


def test_an_agent_that_broke_git_in_its_worktree_is_still_read(repository: Repository, away: Path) -> None:
    write(away, {".git": "gitdir: /nowhere\n", "proj/train.py": "x = 5\n"})
    assert repository.changed_in(away, repository.head()) == {"train.py": b"x = 5\n"}


def test_a_worktree_is_removed_however_little_is_left_of_it(repository: Repository, tmp_path: Path) -> None:
    for spoil in ("nothing", "locked", ".git", "all"):
        where = tmp_path / spoil
        repository.worktree(repository.head(), where)
        if spoil == "locked":  # so git leaves one that it was killed over
            git(repository.top, "worktree", "lock", str(where))
        elif spoil == ".git":
            (where / ".git").unlink()
        elif spoil == "all":
            shutil.rmtree(where)
        repository.remove_worktree(where)
        repository.remove_worktree(where)
        assert not where.exists()
    assert git(repository.top, "worktree", "list").count("\n") == 0
