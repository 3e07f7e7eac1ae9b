"""What programs append to ideas.md, and the id that an entry of the inbox gets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from orze.ideas import merge
from orze.ideas.merge import MergeBlocked, append_sections, renumber
from orze.ideas.parse import IdeaError, load_config
from orze.ideas.scan import scan

ONE = "## idea-1: one\ntext\n"
TWO = "## idea-2: two\n\n```yaml\na: 1\n```\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ideas.md"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{ONE}\n{TWO}"),
        ("intro", f"intro\n\n{ONE}\n{TWO}"),
        ("intro\n", f"intro\n\n{ONE}\n{TWO}"),
        ("intro\n\n", f"intro\n\n{ONE}\n{TWO}"),
        ("intro\r\n", f"intro\r\n\n{ONE}\n{TWO}"),
        ("<div>\n", f"<div>\n\n{ONE}\n{TWO}"),
        ("- a\n  ## idea-1: no idea", f"- a\n  ## idea-1: no idea\n\n{ONE}\n{TWO}"),
    ],
)
def test_sections_are_appended_behind_what_is_there(path: Path, before: str, after: str) -> None:
    path.write_bytes(before.encode())
    assert append_sections(path, [("idea-1", ONE), ("idea-2", TWO + "\n\n")]) == ["idea-1", "idea-2"]
    assert path.read_bytes() == after.encode()
    assert [(found.id, found.problem) for found in scan(path.read_bytes())] == [
        ("idea-1", None),
        ("idea-2", None),
    ]


def test_a_missing_file_is_made(path: Path) -> None:
    assert append_sections(path, [("idea-1", ONE)]) == ["idea-1"]
    assert path.read_text() == ONE
    assert sorted(os.listdir(path.parent)) == [".ideas.md.lock", "ideas.md"]


def test_only_ids_that_are_not_there_are_appended(path: Path) -> None:
    path.write_text("## idea-1: mine, other content\n\n## idea-3: \0\n")
    before = path.read_bytes()
    sections = [("idea-1", ONE), ("idea-2", TWO), ("idea-3", "## idea-3: x\n")]
    assert append_sections(str(path), sections) == ["idea-2"]
    assert path.read_bytes() == before + b"\n" + TWO.encode()
    assert append_sections(path, sections) == []
    assert path.read_bytes() == before + b"\n" + TWO.encode()


def test_the_revision_of_what_was_there_last_stays(path: Path) -> None:
    path.write_text("## idea-9: x\ntext")
    before = scan(path.read_bytes())[0].sha
    append_sections(path, [("idea-1", ONE)])
    assert scan(path.read_bytes())[0].sha == before


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("```yaml\nlr: 1\n", "ideas.md:3: the fence opened on line 3 is never closed and hides what follows"),
        ("\n<!-- later\n", "ideas.md:4: the HTML block opened on line 4 is never closed"),
    ],
)
def test_a_file_that_ends_inside_a_block_is_left_alone(path: Path, end: str, reason: str) -> None:
    path.write_text(f"## idea-9: x\n\n{end}")
    before = path.read_bytes()
    with pytest.raises(MergeBlocked) as caught:
        append_sections(path, [("idea-1", ONE)])
    assert reason in str(caught.value)
    assert path.read_bytes() == before


def test_a_lock_that_another_program_holds_blocks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "_PATIENCE", 0.0)
    with FileLock(path.parent / ".ideas.md.lock"), pytest.raises(MergeBlocked, match=r"ideas\.md is locked"):
        append_sections(path, [("idea-1", ONE)])
    assert not path.exists()


def test_a_pipe_is_no_file_of_ideas(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(MergeBlocked, match="not a regular file"):
        append_sections(path, [("idea-1", ONE)])


@pytest.mark.parametrize(
    ("idea_id", "text"),
    [
        ("idea-2", ONE),
        ("idea-1", ONE + TWO),
        ("idea-1", "text\n" + ONE),
        ("idea-1", ONE + "```\n"),
        ("idea-1", "x"),
    ],
)
def test_a_text_that_is_not_that_section_is_refused(path: Path, idea_id: str, text: str) -> None:
    with pytest.raises(IdeaError):
        append_sections(path, [(idea_id, text)])
    assert not path.exists()


def test_a_write_that_the_system_cuts_short_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
    append_sections(path, [("idea-1", ONE)])
    assert path.read_text() == ONE


APPEND = """
import sys
from orze.ideas.merge import append_sections
for number in range(30):
    idea_id = f"idea-{number}"
    append_sections(sys.argv[1], [(idea_id, f"## {idea_id}: by {sys.argv[2]}\\ntext\\n")])
"""


def test_programs_that_append_at_once_lose_and_double_nothing(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", APPEND, path, str(n)]) for n in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    found = scan(path.read_bytes())
    assert sorted(section.id for section in found) == sorted(f"idea-{number}" for number in range(30))
    assert all(section.problem is None for section in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## idea-?: A title\ntext\n\n\n", "## idea-042: A title\ntext\n"),
        ("## idea: A title", "## idea-042: A title\n"),
        ("\n \n  ##  idea-7 :  A: title  \ntext", "## idea-042: A: title\ntext\n"),
        ("## idea-1.2: x\n", "## idea-042: x\n"),
        ("## idea-next: x\n", "## idea-042: x\n"),
        ("## idea\n\ntext", "## idea-042\n\ntext\n"),
        ("## idea:\n", "## idea-042\n"),
        ("## idea-?: x\r\n- **Priority**: low\r\n", "## idea-042: x\n- **Priority**: low\n"),
        (
            "## idea-?: x\n```\n## idea-5: in a fence\n```",
            "## idea-042: x\n```\n## idea-5: in a fence\n```\n",
        ),
    ],
)
def test_an_entry_gets_its_id(text: str, expected: str) -> None:
    assert renumber(text, "idea-042") == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("text", 1),
        ("# idea-1: x", 1),
        ("### idea-1: x", 1),
        ("## ideas: x", 1),
        ("text\n## idea-1: x", 1),
        ("```\n## idea-1: x\n```", 1),
        ("    ## idea-1: x", 1),
        ("\n## idea-1: x\n## idea-2: y", 2),
        ("## idea-1: x\n# Notes", 1),
        ("\n\n## idea-1: x\n\n```yaml\na: 1\n", 5),
        ("## idea-1: x\0", 1),
        ("## idea-1: x\ud800", 1),
    ],
)
def test_an_entry_that_is_not_one_whole_section_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(IdeaError) as caught:
        renumber(text, "idea-042")
    assert caught.value.line == line


def test_a_word_that_is_no_id_is_refused() -> None:
    with pytest.raises(IdeaError):
        renumber(ONE, "idea-x")


@given(st.text(max_size=60), st.text(alphabet="#`~- \n>a", max_size=60))
def test_an_entry_is_made_one_idea_or_refused(title: str, body: str) -> None:
    try:
        section = renumber(f"## idea-?: {title}\n{body}", "idea-5")
    except IdeaError:
        return
    (found,) = scan(section.encode())
    assert (found.id, found.problem) == ("idea-5", None)
    load_config(section, path="", line=1)
