"""Which files a pattern protects, and what is told of a change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orze.attempt import fingerprint
from orze.attempt.guard import sentence


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "a.py",
        "eval/b.py",
        "eval/deep/c.py",
        "eval/.hidden",
        "data/d.csv",
        "results/e.py",
        ".git/f.py",
    ):
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a.py", ["a.py"]),
        ("./a.py", ["a.py"]),
        ("*.py", ["a.py"]),
        ("**/*.py", ["a.py", "eval/b.py", "eval/deep/c.py"]),
        ("eval/**", ["eval/.hidden", "eval/b.py", "eval/deep/c.py"]),
        ("eval/**/*.py", ["eval/b.py", "eval/deep/c.py"]),
        ("eval/*", ["eval/.hidden", "eval/b.py"]),
        ("eval", ["eval/.hidden", "eval/b.py", "eval/deep/c.py"]),
        ("eval/deep/../b.py", ["eval/deep/../b.py"]),
        ("[de]*/?.csv", ["data/d.csv"]),
        ("none/**", []),
        ("none.py", []),
        ("a.py/b", []),
    ],
)
def test_a_pattern_means_what_a_shell_would_take_it_for(tree: Path, pattern: str, found: list[str]) -> None:
    assert sorted(fingerprint.Finder(str(tree / "results")).digests(str(tree), [pattern])) == found


def test_an_absolute_pattern_names_files_anywhere(tree: Path, tmp_path: Path) -> None:
    found = fingerprint.Finder("").digests(str(tmp_path), [f"{tree}/data/*"])
    assert list(found) == [f"{tree}/data/d.csv"]


def test_a_link_is_told_by_where_it_leads_and_by_what_is_there(tree: Path, tmp_path: Path) -> None:
    def digest() -> str:
        return fingerprint.Finder("").digests(str(tree), ["link"])["link"]

    link, target = tree / "link", tmp_path / "target"
    target.write_text("1")
    link.symlink_to(target)
    seen = [digest()]
    target.write_text("2")
    seen.append(digest())
    link.unlink()
    link.symlink_to(tree / "a.py")
    seen.append(digest())
    target.unlink()
    link.unlink()
    link.symlink_to(target)
    seen.append(digest())
    assert len(set(seen)) == 4


@pytest.mark.parametrize("bound", ["MOST_FILES", "MOST_SEEN", "MOST_BYTES"])
def test_too_much_is_refused_in_one_sentence(
    tree: Path, tmp_path: Path, bound: str, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(fingerprint, bound, 2)
    output = tmp_path / "out"
    assert fingerprint.main(str(output), "", str(tree), "", "eval/**") == 1
    assert capsys.readouterr().out.startswith("protected: more than ")
    assert not output.exists()


def test_the_program_needs_nothing_of_the_farm_and_follows_no_link_to_its_output(
    tree: Path, tmp_path: Path
) -> None:
    program = [sys.executable, "-I", "-S", fingerprint.__file__]
    output, other = tmp_path / "out", tmp_path / "other"
    subprocess.run([*program, output, "", tree, tree, "*.py", "**/b.py"], check=True)
    told = json.loads(output.read_text())
    assert list(told["run"]) == ["a.py", "eval/b.py"]
    assert list(told["elsewhere"]) == ["a.py"]  # what ** would find in a whole project is not looked for
    assert told["run"]["a.py"] == told["elsewhere"]["a.py"]
    output.unlink()
    output.symlink_to(other)
    done = subprocess.run([*program, output, "", tree, "", "*.py"], capture_output=True, check=False)
    assert done.returncode != 0
    assert not other.exists()


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (({"a": "1"}, {}), ({"a": "1"}, {}), ""),
        (({"a": "1"}, {}), ({"a": "2"}, {}), "a (changed)"),
        (({"a": "1"}, {}), ({}, {}), "a (removed)"),
        (({}, {}), ({"a": "1"}, {}), "a (added)"),
        (({"a": "1"}, {"a": "1"}), ({}, {"a": "1"}), "a (removed)"),  # the user's own copy does not stand in
        (({"a": "1"}, {"a": "1"}), ({"a": "1"}, {"a": "2"}), ""),  # the user may edit what the commit holds
        (({}, {"d": "1"}), ({}, {"d": "2"}), "d (changed)"),
        (({}, {"d": "1"}), ({}, {}), "d (removed)"),
        (({}, {}), ({}, {"d": "1"}), ""),  # new files elsewhere may be anybody's
        (({}, {}), ({"a\x1b[1m\n": "1"}, {}), "a?[1m? (added)"),
        (
            ({}, {}),
            ({str(k): "" for k in range(7)}, {}),
            "0 (added), 1 (added), 2 (added), 3 (added), 4 (added) and 2 more",
        ),
    ],
)
def test_the_sentence_names_what_was_touched(before, after, named: str) -> None:
    keys = ("run", "elsewhere")
    said = sentence(dict(zip(keys, before, strict=True)), dict(zip(keys, after, strict=True)))
    assert said.rpartition("counts: ")[2] == named
    assert os.linesep not in said
