"""What a change may touch, whoever proposed it; and which paths a glob means."""

import hashlib
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from userrepo import commit_all, make

from orze.core.globs import any_matches, matches
from orze.refine.gate import Gate
from orze.refine.git import GitError
from orze.refine.paths import path_fault
from orze.refine.repository import Blob, Repository


def blob(content: bytes = b"old\n", mode: str = "100644") -> Blob:
    sha = hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()
    return Blob(mode, sha, len(content))


LISTING = {
    **dict.fromkeys(
        ("train.py", "src/model.py", "src/eval/score.py", "configs/a.yaml", "revis.yaml"), blob()
    ),
    "link.py": blob(b"train.py", "120000"),
    "away": blob(b"/etc", "120000"),
    "mod": Blob("160000", "0" * 40, 0),
}


def faults(path: str, content: bytes | None = b"new\n", **globs: tuple[str, ...]) -> list[str]:
    known = {"allow": (), "deny": (), "protected": (), **globs}
    return Gate(known["allow"], known["deny"], known["protected"], LISTING).faults({path: content})


@pytest.mark.parametrize(
    "path", ["train.py", "src/model.py", "new.py", "new/deep/er.py", "a b/ü.txt", "...", "git/x"]
)
def test_files_of_the_project_may_change(path: str) -> None:
    assert faults(path) == []


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("", "is empty"),
        ("/etc/passwd", "is absolute"),
        ("../x", "leads out"),
        ("src/../../x", "leads out"),
        ("src/../train.py", "leads out"),
        ("./train.py", "plainly"),
        ("src//model.py", "plainly"),
        ("src/", "plainly"),
        ("a\nb", "cannot be shown"),
        ("a\0b", "cannot be shown"),
        ("a\x1b[31m", "cannot be shown"),
        ("a\ud800", "cannot be shown"),
        ("a\udcff", "cannot be shown"),
        ("x" * 2000, "longer than 1024"),
        (".git/hooks/pre-commit", "belongs to git"),
        ("src/.GIT/config", "belongs to git"),
        (".gitattributes", "belongs to git"),
        ("src/.gitignore", "belongs to git"),
        (".gitmodules", "belongs to git"),
        (".github/workflows/x.yml", "belongs to git"),
        (".revis/x/chain", "belongs to revis"),
        ("revis.yaml", "settings of the experiment"),
        ("orze.yaml", "settings of the experiment"),
        ("link.py", "it is a symbolic link"),
        ("away/passwd", "away is a symbolic link, no directory"),
        ("mod", "it is a submodule"),
        ("mod/x.py", "mod is a submodule, no directory"),
        ("train.py/x", "train.py is a file, no directory"),
        ("src", "it is a directory"),
    ],
)
def test_a_path_that_may_not_change_is_told_why(path: str, fault: str) -> None:
    for content in (b"new\n", None):
        told = faults(path, content)
        assert len(told) == 1 and fault in told[0] and told[0].isprintable()


@pytest.mark.parametrize(
    ("path", "globs", "fault"),
    [
        ("src/model.py", {"allow": ("src/*.py", "configs")}, ""),
        ("configs/a.yaml", {"allow": ("src/*.py", "configs")}, ""),
        ("train.py", {"allow": ("src/*.py", "configs")}, "allowed are src/*.py, configs"),
        ("train.py", {"allow": ("**",), "deny": ("*.py",)}, "deny: *.py"),
        (
            "src/eval/score.py",
            {"allow": ("src/**",), "protected": ("**/score.py",)},
            "protected (**/score.py)",
        ),
        ("src/eval/new.py", {"protected": ("src/eval",)}, "protected (src/eval)"),
        ("revis.yaml", {"allow": ("revis.yaml",)}, "settings"),
    ],
)
def test_what_is_allowed_denied_and_protected(
    path: str, globs: dict[str, tuple[str, ...]], fault: str
) -> None:
    told = faults(path, **globs)
    assert (fault in told[0]) if fault else told == []


@pytest.mark.parametrize(
    ("path", "content", "fault"),
    [
        ("train.py", b"old\n", "changes nothing"),
        ("train.py", b"a\0b", "no text in UTF-8"),
        ("new.bin", b"\xff\xfe", "no text in UTF-8"),
        ("new.py", None, "no such file"),
        ("train.py", None, ""),
        ("new.py", b"", ""),
        ("train.py", b"x" * ((1 << 20) + 1), "1048577 bytes together; 1048576 are the most"),
    ],
)
def test_contents_that_may_not_be_written(path: str, content: bytes | None, fault: str) -> None:
    told = faults(path, content)
    assert (fault in told[0]) if fault else told == []


def test_all_faults_are_told_at_once_and_too_many_files_are_one() -> None:
    gate = Gate((), (), (), LISTING)
    told = gate.faults({"train.py": b"old\n", "../x": b"", "link.py": b"x", "ok.py": b"1\n"})
    assert [fault.split(":")[0] for fault in told] == ["../x", "link.py", "train.py"]
    assert gate.faults({f"n{number}": b"" for number in range(51)}) == [
        "the change touches 51 files; 50 are the most"
    ]
    assert gate.faults({}) == []


def test_a_new_file_may_not_be_above_another_but_may_take_the_place_of_one_that_goes() -> None:
    gate = Gate((), (), (), LISTING)
    assert gate.faults({"a": b"1", "a/b": b"1"}) == ["a/b: a is a file, no directory"]
    assert gate.faults({"train.py": None, "train.py/x.py": b"1"}) == []


def test_files_of_a_repository_with_longer_names_of_contents_are_known_too() -> None:
    sha = hashlib.sha256(b"blob 4\0old\n").hexdigest()
    assert "changes nothing" in Gate((), (), (), {"a": Blob("100644", sha, 4)}).faults({"a": b"old\n"})[0]


@pytest.mark.parametrize(
    ("pattern", "meant", "not_meant"),
    [
        ("train.py", ["train.py", "train.py/x"], ["src/train.py", "train.pyc", "TRAIN.py"]),
        ("src", ["src/a.py", "src/b/c.py"], ["lib/src/a.py", "srcs/a.py"]),
        ("src/", ["src/a.py", "src/b/c.py"], ["lib/src/a.py"]),
        ("./src/a.py", ["src/a.py"], ["a.py"]),
        ("*.py", ["a.py", ".py"], ["src/a.py", "a.pyc"]),
        ("**/*.py", ["a.py", "src/a.py", "a/b/c.py"], ["a.txt", "a.py/b"]),
        ("src/*", ["src/a", "src/b.py"], ["src/a/b", "src", "a"]),
        ("src/**", ["src/a", "src/a/b"], ["src", "lib/src/a"]),
        ("src/**/test_*.py", ["src/test_a.py", "src/a/b/test_c.py"], ["test_a.py", "src/a.py"]),
        ("**", ["a", "a/b"], []),
        ("**/data/**", ["data/a", "x/data/a/b"], ["data", "x/data"]),
        ("a?[0-9].txt", ["ab1.txt"], ["a1.txt", "ab/1.txt", "abc.txt"]),
        ("a/**/b/**/c", ["a/b/c", "a/x/b/y/z/c"], ["a/c", "a/b", "a/b/c/d"]),
        ("", [], ["a", ""]),
        ("/", [], ["a"]),
        ("**a", ["xa"], ["x/a"]),
    ],
)
def test_what_a_glob_means(pattern: str, meant: list[str], not_meant: list[str]) -> None:
    assert [path for path in meant if not matches(pattern, path)] == []
    assert [path for path in not_meant if matches(pattern, path)] == []


def test_the_first_glob_that_means_a_path_is_told() -> None:
    assert any_matches(("a", "*.py", "b.*"), "b.py") == "*.py"
    assert any_matches((), "b.py") == ""


def test_a_glob_made_to_take_long_does_not() -> None:
    began = time.process_time()
    assert not matches("/".join(["**", "a*a*a*b"] * 30), "/".join(["a" * 30] * 30))
    assert time.process_time() - began < 1


PARTS = st.lists(st.sampled_from(["a", "b", "ab", "src"]), min_size=1, max_size=4).map("/".join)


@given(PARTS, PARTS)
@settings(max_examples=100, deadline=1000)
def test_a_plain_glob_means_itself_and_what_is_below(pattern: str, path: str) -> None:
    assert matches(pattern, path) == f"{path}/".startswith(f"{pattern}/")
    assert matches(f"**/{path}", f"x/y/{path}") and matches(f"{path}/**", f"{path}/z")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    top = make(tmp_path_factory.mktemp("user") / "repo", {"a/b.py": "1\n", "c.py": "1\n"})
    (top / "link").symlink_to("a")
    return Repository(commit_all(top, {"d/e/f.py": "1\n"}))


@pytest.mark.parametrize(
    "path",
    [
        f"{first}{second}"
        for first in ("", "a", "a/b.py", "c.py", "link", "d/e", ".", "..", "/", ".git", "new")
        for second in ("", "/b.py", "/x", "//x", "/../x", "/.")
    ],
)
def test_what_passes_the_gate_can_be_committed_and_changes_that_file_alone(
    repository: Repository, path: str
) -> None:
    head = repository.head()
    changes = {path: b"new\n"}
    if Gate((), (), (), repository.listing(head)).faults(changes):
        return
    made = repository.commit(head, changes, "m", at=1)
    assert repository.listing(made) == {**repository.listing(head), path: blob(b"new\n")}


@given(st.text(st.sampled_from("a./\\ \n\0-é~$"), max_size=8))
@settings(max_examples=100, deadline=1000)
def test_a_path_without_a_fault_stays_below_any_directory(path: str) -> None:
    if not path_fault(path):
        base = Path("/base/project")
        assert base in (base / path).parents and str(base / path) == f"/base/project/{path}"


def test_a_refused_path_never_reaches_git(repository: Repository) -> None:
    with pytest.raises(GitError):
        repository.commit(repository.head(), {"link/b.py": b"x"}, "m", at=1)
