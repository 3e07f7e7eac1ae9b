"""The end of a log, what follows it, and what is made harmless in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.client.logs import Lines, log_file, read_end, read_on, shown
from orze.client.story import Attempt
from orze.core.paths import IdeaPaths


@pytest.mark.parametrize(
    ("content", "lines", "end"),
    [
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\n", 5, b"a\nb\n"),
        (b"a\nb\n", 0, b""),
        (b"", 3, b""),
        (b"\n\n\n", 1, b"\n"),
        (b"x" * 200_000 + b"\n" + b"y\n" * 70_000, 70_001, b"x" * 200_000 + b"\n" + b"y\n" * 70_000),
    ],
)
def test_the_end_of_a_log_is_its_last_lines(tmp_path: Path, content: bytes, lines: int, end: bytes):
    path = tmp_path / "log"
    path.write_bytes(content)
    assert read_end(str(path), lines) == (end, len(content))


def test_of_a_huge_log_only_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "log"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # sparse
        stream.seek(0, os.SEEK_END)
        stream.write(b"\nlast\n")
    read = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: read.append(n) or pread(fd, n, at))
    assert read_end(str(path), 1)[0] == b"last\n"
    assert sum(read) <= 1 << 17
    read.clear()
    assert read_end(str(path), 100)[0].endswith(b"last\n")
    assert sum(read) <= 32 << 20


@pytest.mark.parametrize("kind", ["fifo", "link", "directory"])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: str):
    path = tmp_path / "log"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        path.mkdir()
    with pytest.raises(OSError):
        read_end(str(path), 5)


def test_what_is_appended_is_read_on_and_a_shorter_log_from_its_beginning(tmp_path: Path):
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    _, offset = read_end(str(path), 5)
    with path.open("ab") as stream:
        stream.write(b"two\n")
    data, offset = read_on(str(path), offset)
    assert (data, offset) == (b"two\n", 8)
    assert read_on(str(path), offset) == (b"", 8)
    path.write_bytes(b"new\n")
    assert read_on(str(path), offset) == (b"new\n", 4)


@pytest.mark.parametrize(
    ("raw", "harmless"),
    [
        (b"\x1b[31;1mred\x1b[0m plain", "red plain"),
        (b"\x1b]0;a title\x07text", "text"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b" 10%\r 50%\r100%", "100%"),
        (b"windows\r", "windows"),
        (b"50%\r\r", "50%"),
        (b"a\x07b\x00c\x9bd", "abc\N{REPLACEMENT CHARACTER}d"),
        (b"tab\tkept", "tab\tkept"),
        ("\u202eright to left".encode(), "\N{REPLACEMENT CHARACTER}right to left"),
        (b"cut off \x1b[3", "cut off "),
        ("größe 文".encode(), "größe 文"),
    ],
)
def test_a_terminal_gets_only_text(raw: bytes, harmless: str):
    assert list(shown(raw + b"\n")) == [harmless]


@given(st.binary(max_size=200), st.integers(0, 200))
def test_lines_are_the_same_however_they_arrive(data: bytes, cut: int):
    whole, parts = Lines(), Lines()
    expected = whole.feed(data)
    assert parts.feed(data[:cut]) + parts.feed(data[cut:]) == expected
    assert parts.partial == whole.partial
    for line in [*expected, whole.partial]:
        assert all(char.isprintable() or char == "\t" for char in line)


def test_a_line_without_an_end_is_kept_within_bounds():
    lines = Lines()
    for _ in range(100):
        lines.feed(b"x" * 10_000)
    assert len(lines.partial) <= 65_536


def test_the_log_of_an_attempt_is_in_its_directory_and_without_doors_at_the_top(tmp_path: Path):
    idea = IdeaPaths(str(tmp_path))
    attempt = Attempt(1, "t", "1-t", "a", "0", 0.0)
    assert log_file(idea, attempt, evaluation=False) == f"{tmp_path}/train_output.log"
    own = tmp_path / "attempts" / "1-t"
    own.mkdir(parents=True)
    (own / "idea.yaml").touch()
    assert log_file(idea, attempt, evaluation=True) == f"{own}/eval_output.log"
    assert log_file(idea, None, evaluation=False) == f"{tmp_path}/train_output.log"
