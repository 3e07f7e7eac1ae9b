"""The user's repository: what is read from it, and that nothing of the user's is ever touched."""

import os
import select
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from userrepo import commit_all, git, make, snapshot, write

from orze.refine.git import GitError, shown
from orze.refine.git import git as run_git
from orze.refine.repository import CheckedOut, NotARepository, RefMoved, Repository

ODD = [
    "a b.txt",
    "q\"uo'te.txt",
    "ünï/cødé.txt",
    "new\nline.txt",
    "-dash",
    "*star?[x]",
    "back\\slash",
    ":(top)x",
]


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that holds one of each: link, script, submodule, odd names, a project below the top."""
    parent = tmp_path_factory.mktemp("user")
    other = make(parent / "other", {"lib.py": "y = 1\n"})
    top = make(
        parent / "repo",
        {"train.py": "x = 1\n", "proj/app/cfg.yaml": "lr: 1\n", "proj/app/sub/m.py": "m = 1\n"},
    )
    write(top, {"run.sh": "#!/bin/sh\n", "binary": b"\0\1", **{f"odd/{name}": "odd\n" for name in ODD}})
    (top / "run.sh").chmod(0o755)
    (top / "link.py").symlink_to("train.py")
    (top / "linked").symlink_to("proj")
    git(top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "mod")
    return commit_all(top, {".gitignore": "ignored/\n"})


@pytest.fixture(scope="module")
def repository(top: Path) -> Repository:
    return Repository(top)


def test_everything_of_a_commit_is_listed_with_its_mode(repository: Repository) -> None:
    found = repository.listing(repository.head())
    assert {f"odd/{name}" for name in ODD} <= found.keys()
    modes = {name: found[name].mode for name in ("train.py", "run.sh", "link.py", "mod")}
    assert modes == {"train.py": "100644", "run.sh": "100755", "link.py": "120000", "mod": "160000"}
    assert found["train.py"].size == 6 and found["mod"].size == 0
    assert [found[name].regular for name in ("train.py", "run.sh", "link.py", "mod")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_file_is_read_and_a_link_a_directory_a_submodule_and_what_is_not_there_are_none(
    repository: Repository,
) -> None:
    head = repository.head()
    for name in ODD:
        assert repository.read(head, f"odd/{name}") == b"odd\n"
    for name in (
        "link.py",
        "linked/app/cfg.yaml",
        "odd",
        "odd/",
        "mod",
        "mod/lib.py",
        "",
        "/train.py",
        "../x",
    ):
        assert repository.read(head, name) is None, name


def test_a_project_below_the_top_has_paths_of_its_own(top: Path) -> None:
    below = Repository(top / "proj" / "app")
    head = below.head()
    assert (below.prefix, below.top) == ("proj/app/", top)
    assert set(below.listing(head)) == {"cfg.yaml", "sub/m.py"}
    made = below.commit(head, {"cfg.yaml": b"lr: 2\n", "new.py": b""}, "two", at=5)
    assert below.read(made, "cfg.yaml") == b"lr: 2\n"
    assert Repository(top).read(made, "proj/app/new.py") == b""
    assert "a/cfg.yaml b/cfg.yaml" in below.diff(head, made)
    assert Repository(top / "linked" / "app").prefix == "proj/app/"


def test_the_same_arguments_make_the_same_commit_and_its_author_and_date_are_fixed(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = repository.head()
    first = repository.commit(head, {"train.py": b"x = 2\n"}, "subject\n\nRevis-Step: 1", at=1700000000.9)
    monkeypatch.setenv("GIT_AUTHOR_NAME", "somebody")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert (
        repository.commit(head, {"train.py": b"x = 2\n"}, "subject\n\nRevis-Step: 1", at=1700000000.1)
        == first
    )
    assert repository.commit(head, {"train.py": b"x = 2\n"}, "subject", at=1700000001) != first
    told = git(repository.top, "show", "-s", "--format=%an|%ae|%cn|%ce|%ad|%P|%B", "--date=raw", first)
    assert told.rstrip() == (
        f"revis|revis@localhost|revis|revis@localhost|1700000000 +0000|{head}|subject\n\nRevis-Step: 1"
    )


def test_a_commit_changes_what_it_names_and_keeps_modes(repository: Repository) -> None:
    head = repository.head()
    changes = {
        "run.sh": b"#!/bin/sh\nexit\n",
        "train.py": None,
        "odd/a b.txt": b"\xff\r\n",
        "new/tool": b"#!x",
        "new/y": b"",
    }
    made = repository.commit(head, changes, "m", at=1)
    before, after = repository.listing(head), repository.listing(made)
    assert before.keys() - after.keys() == {"train.py"}
    assert after.keys() - before.keys() == {"new/tool", "new/y"}
    assert {name for name in before.keys() & after.keys() if before[name] != after[name]} == {
        "run.sh",
        "odd/a b.txt",
    }
    assert [after[name].mode for name in ("run.sh", "new/tool", "new/y")] == ["100755", "100755", "100644"]
    assert repository.read(made, "odd/a b.txt") == b"\xff\r\n"
    assert git(repository.top, "rev-parse", f"{made}^") == head


def test_a_commit_of_nothing_has_the_tree_of_its_parent_and_again_gives_it_another_message(
    repository: Repository,
) -> None:
    head = repository.head()
    made = repository.commit(head, {}, "baseline", at=1)
    assert made != head and repository.tree(made) == repository.tree(head)
    again = repository.again(made, "baseline\n\nRevis-Metric: 1", parent=head, at=1)
    assert repository.tree(again) == repository.tree(head) and again != made
    assert repository.diff(made, again) == ""


def test_a_message_is_cleaned(repository: Repository) -> None:
    made = repository.commit(repository.head(), {}, "a\0b\x1b[31m \udcff\r\n#kept\t\n\n", at=1)
    assert git(repository.top, "show", "-s", "--format=%B", made).rstrip("\n") == "a b [31m\n#kept"


NO_PATHS = ["", "../x", "/etc/x", "a//b", "./a", ".git/config", "a/.git/x", "proj"]
BEHIND = ["linked/app/x.py", "link.py", "mod", "mod/x.py", "train.py/x"]


@pytest.mark.parametrize("path", [*NO_PATHS, *BEHIND])
def test_nothing_is_committed_through_a_link_a_submodule_or_out_of_the_project(
    repository: Repository, path: str
) -> None:
    with pytest.raises(GitError):
        repository.commit(repository.head(), {path: b"x"}, "m", at=1)


def test_a_file_may_become_a_directory_but_not_be_both(repository: Repository) -> None:
    head = repository.head()
    made = repository.commit(head, {"train.py": None, "train.py/x.py": b"1"}, "m", at=1)
    assert repository.read(made, "train.py/x.py") == b"1"
    with pytest.raises(GitError, match="no directory"):
        repository.commit(head, {"both": b"", "both/x": b""}, "m", at=1)


def test_a_ref_is_set_only_from_what_it_was_and_again_is_fine(repository: Repository) -> None:
    head = repository.head()
    one, two = (repository.commit(head, {}, message, at=1) for message in ("one", "two"))
    name = "refs/revis/cas/1"
    assert repository.ref(name) == ""
    for _ in range(2):
        repository.set_ref(name, one, None)
    with pytest.raises(RefMoved, match=r"points to .* not to nothing"):
        repository.set_ref(name, two, None)
    for _ in range(2):
        repository.set_ref(name, two, one)
    with pytest.raises(RefMoved):
        repository.set_ref(name, head, one)
    with pytest.raises(RefMoved, match="is not there"):
        repository.set_ref("refs/revis/cas/2", two, one)
    assert repository.refs("refs/revis/cas/") == {name: two} and repository.ref(name) == two
    for _ in range(2):
        repository.delete_ref(name)
    assert repository.refs("refs/revis/cas/") == {}


@pytest.mark.parametrize("name", ["main", "--help", "refs/revis/a..b", "refs/revis/a b", "refs/revis/x.lock"])
def test_a_bad_name_of_a_ref_is_a_sentence(repository: Repository, name: str) -> None:
    with pytest.raises(GitError):
        repository.set_ref(name, repository.head(), None)


def test_a_branch_that_somebody_has_checked_out_is_not_moved(repository: Repository, tmp_path: Path) -> None:
    made = repository.commit(repository.head(), {}, "m", at=1)
    with pytest.raises(CheckedOut, match="is checked out in"):
        repository.set_ref("refs/heads/main", made, repository.head())
    with pytest.raises(CheckedOut, match="is checked out in"):
        repository.delete_ref("refs/heads/main")
    assert repository.ref("refs/heads/main") == repository.head()


@pytest.mark.parametrize("name", ["--all", "nothing", "HEAD:train.py", "", "HEAD^9", "-h"])
def test_what_is_no_commit_is_told(repository: Repository, name: str) -> None:
    with pytest.raises(GitError, match="is no"):
        repository.resolve(name)
    with pytest.raises(GitError):
        repository.tree(name)


def test_where_there_is_no_repository_no_checkout_or_no_commit_a_sentence_says_what_to_do(
    tmp_path: Path,
) -> None:
    with pytest.raises(NotARepository, match="git init"):
        Repository(tmp_path)
    with pytest.raises(NotARepository):
        Repository(tmp_path / "missing")
    git(tmp_path, "init", "-q", "--bare", "bare")
    with pytest.raises(NotARepository, match="go to a checkout"):
        Repository(tmp_path / "bare")
    git(tmp_path, "init", "-q", "empty")
    with pytest.raises(NotARepository, match="go to a checkout"):
        Repository(tmp_path / "empty" / ".git")
    with pytest.raises(GitError, match="no commit yet"):
        Repository(tmp_path / "empty").head()
    write(tmp_path, {"empty/x": "1"})
    assert Repository(tmp_path / "empty").uncommitted() == ["x"]


def _everything(repository: Repository, away: Path) -> None:
    """Use all that writes."""
    head = repository.head()
    made = repository.commit(head, {"train.py": b"x = 3\n", "n/new.py": b""}, "m", at=1)
    final = repository.again(made, "m 2", parent=head, at=1)
    repository.set_ref("refs/revis/s/1", made, None)
    repository.set_ref("refs/revis/s/1", final, made)
    repository.set_ref("refs/heads/revis/s", final, None)
    repository.worktree(final, away)
    assert (away / "train.py").read_bytes() == b"x = 3\n"
    write(away, {"train.py": "x = 4\n", "n/other.py": "1\n"})
    assert repository.changed_in(away, final) == {"train.py": b"x = 4\n", "n/other.py": b"1\n"}
    repository.remove_worktree(away)
    repository.diff(head, final), repository.listing(final), repository.read(final, "train.py")
    repository.uncommitted(), repository.remotes(), repository.refs("refs/revis/")
    repository.delete_ref("refs/heads/revis/s")
    repository.delete_ref("refs/revis/s/1")


HOOKS = (
    "pre-commit",
    "commit-msg",
    "post-commit",
    "post-checkout",
    "reference-transaction",
    "post-index-change",
)


@pytest.mark.parametrize("state", ["dirty", "merge", "rebase"])
def test_nothing_of_the_user_is_touched(tmp_path: Path, state: str) -> None:
    top = make(tmp_path / "repo", {"train.py": "x = 1\n", "other.py": "1\n", ".gitattributes": "*.py text\n"})
    git(top, "branch", "side")
    commit_all(top, {"other.py": "2\n"})
    for key, value in (("core.autocrlf", "false"), ("commit.gpgSign", "true"), ("user.signingKey", "none")):
        git(top, "config", key, value)
    if state != "dirty":
        git(top, "config", "commit.gpgSign", "false")
        git(top, "checkout", "-q", "side")
        commit_all(top, {"other.py": "3\n"})
        git(top, *(("merge", "main") if state == "merge" else ("rebase", "main")), fails=True)
    else:
        write(top, {"other.py": "stashed\n"})
        git(top, "config", "commit.gpgSign", "false")
        git(top, "stash")
        write(top, {"train.py": "uncommitted\n", "untracked.py": "u\n", "staged.py": "s\n"})
        git(top, "add", "staged.py")
    for hook in HOOKS:
        write(top, {f".git/hooks/{hook}": f"#!/bin/sh\ntouch {tmp_path}/hook-ran\nexit 1\n"})
        (top / ".git/hooks" / hook).chmod(0o755)
    os.utime(top / ".gitattributes", (1, 1))  # git would like to write this into the index
    before = snapshot(top)
    _everything(Repository(top), tmp_path / "away dir")
    assert snapshot(top) == before
    assert not (tmp_path / "hook-ran").exists()
    assert not (tmp_path / "away dir").exists() and git(top, "worktree", "list").count("\n") == 0


def test_uncommitted_work_is_named(tmp_path: Path) -> None:
    files = {"a.py": "1\n", "b c.py": "1\n", "gone.py": "1\n", "p/x.py": "1\n", ".gitignore": "*.log\n"}
    top = make(tmp_path / "repo", files)
    write(
        top, {"a.py": "2\n", "b c.py": "2\n", "new\nline.py": "1\n", "p/deep/ü.py": "1\n", "run.log": "1\n"}
    )
    (top / "gone.py").unlink()
    git(top, "mv", "p/x.py", "p/y.py")
    found = ["a.py", "b c.py", "gone.py", "new\nline.py", "p/deep/ü.py", "p/x.py", "p/y.py"]
    assert Repository(top).uncommitted() == found
    assert Repository(top / "p").uncommitted() == ["deep/ü.py", "x.py", "y.py"]


def test_contents_are_stored_as_given_whatever_the_user_converts(tmp_path: Path) -> None:
    top = make(tmp_path / "repo", {"train.py": "x = 1\n", "dos.txt": b"1\r\n"})
    git(top, "config", "core.autocrlf", "true")
    repository = Repository(top)
    made = repository.commit(repository.head(), {"train.py": b"a\r\nb\n"}, "m", at=1)
    assert repository.read(made, "train.py") == b"a\r\nb\n"
    made = repository.commit(repository.head(), {"train.py": b"a\nb\n"}, "m", at=1)
    repository.worktree(made, tmp_path / "w")
    assert (tmp_path / "w/train.py").read_bytes() == b"a\r\nb\r\n"
    assert repository.changed_in(tmp_path / "w", made) == {}
    write(tmp_path / "w", {"train.py": b"a\r\nc\r\n"})
    assert repository.changed_in(tmp_path / "w", made) == {"train.py": b"a\nc\n"}


def test_refs_are_pushed_to_a_bare_repository_or_a_sentence_says_why_not(tmp_path: Path) -> None:
    top = make(tmp_path / "repo", {"train.py": "x = 1\n"})
    git(tmp_path, "init", "-q", "--bare", "far")
    git(top, "remote", "add", "origin", str(tmp_path / "far"))
    git(top, "remote", "add", "gone", "https://user:secret@127.0.0.1:9/x.git")
    write(top, {".git/hooks/pre-push": "#!/bin/sh\nexit 1\n"})
    (top / ".git/hooks/pre-push").chmod(0o755)
    repository = Repository(top)
    assert repository.remotes()["origin"] == str(tmp_path / "far") and len(repository.remotes()) == 2
    made = repository.commit(repository.head(), {}, "m", at=1)
    repository.set_ref("refs/revis/s/1", made, None)
    repository.push("origin", ["refs/revis/s/1:refs/tags/revis/s/1", f"{made}:refs/heads/revis/s"])
    assert (
        git(tmp_path / "far", "rev-parse", "refs/tags/revis/s/1", "refs/heads/revis/s") == f"{made}\n{made}"
    )
    with pytest.raises(GitError, match="push failed"):
        repository.push("origin", [f"{repository.head()}:refs/heads/revis/s", f"{made}:refs/heads/new"])
    assert git(tmp_path / "far", "for-each-ref", "refs/heads/new") == ""
    with pytest.raises(GitError, match="push failed"):
        repository.push("gone", ["refs/revis/s/1"], seconds=20)
    assert shown(b"hint: x\nfatal: no 'https://user:secret@host/x' \x1b[31m\n") == "no 'https://host/x' [31m"


def test_of_several_who_make_a_ref_one_wins(repository: Repository) -> None:
    made = [repository.commit(repository.head(), {}, f"m {number}", at=1) for number in range(4)]

    def won(commit: str) -> bool:
        try:
            repository.set_ref("refs/revis/race/1", commit, None)
        except GitError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        wins = list(pool.map(won, made))
    assert [commit for commit, win in zip(made, wins, strict=True) if win] == [
        repository.ref("refs/revis/race/1")
    ]


def test_git_that_takes_too_long_or_says_too_much_is_ended_with_all_it_started(
    top: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "held")
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(GitError, match="took more than 0 seconds"):
        run_git(
            top,
            "-c",
            f"alias.hang=!exec 3>'{tmp_path}/held'; (trap '' TERM; exec sleep 60) & exec sleep 60",
            "hang",
            seconds=0.4,
        )
    waiting = select.poll()
    waiting.register(held, select.POLLHUP)
    assert waiting.poll(10_000), "somebody still holds the other end"
    os.close(held)
    with pytest.raises(GitError, match="answered with more than 10 bytes"):
        run_git(top, "log", most=10)
    assert run_git(top, "log", most=10, cut=True)[1] == run_git(top, "log")[1][:10]
    with pytest.raises(GitError, match="git cannot be run"):
        run_git(tmp_path / "missing", "log")
