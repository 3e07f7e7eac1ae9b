"""Of a log the lines that tell why it ended are left, within a size."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.refine.logtail import LIMIT, read_useful, useful

TRACE = 'Traceback (most recent call last):\n  File "t.py", line 1, in <module>\n    f()\nValueError: bad\n'
BAR = "epoch 1:  {0}0%|█   | {0}/10 [00:01]"
CAUSE = "\nDuring handling of the above exception, another exception occurred:\n\n"


def lines(count: int) -> str:
    return "".join(f"line {number}\n" for number in range(count))


def test_the_last_traceback_and_the_lines_before_it_are_told():
    told = useful(f"{lines(100)}{TRACE}".encode())
    assert told.splitlines() == [*(f"line {n}" for n in range(88, 100)), *TRACE.strip().splitlines()]


def test_a_traceback_is_told_with_those_that_it_was_raised_from():
    assert useful(f"{TRACE}{CAUSE}{TRACE}".encode()).count("Traceback") == 2
    assert useful(f"{TRACE}went on\n{TRACE}".encode()).startswith("Traceback")
    assert useful(f"{lines(9)}{TRACE}{CAUSE}{TRACE}".encode()).startswith("line 0")


def test_behind_a_traceback_that_was_handled_only_the_last_lines_count():
    told = useful(f"{TRACE}{lines(100)}".encode())
    assert told.splitlines() == [f"line {number}" for number in range(60, 100)]


def test_a_traceback_of_a_rank_ends_where_its_own_lines_do():
    ranked = "".join(f"[rank0]: {line}\n" for line in TRACE.splitlines())
    assert useful(f"a\n{ranked}bye\n".encode()).splitlines() == ["a", *ranked.splitlines(), "bye"]


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("", ""),
        ("a\r\nb\r\n", "a\nb"),
        ("10%\r20%\rdone\n", "done"),
        ("10%\r20%\r", "20%"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07text\x08\x00", "red text"),
        ("\x1b]8;;http://x\x1b\\link\x1b(B", "link"),
        ("a\n\n\n\nb\n", "a\n\nb"),
        ("  indented\n\tby a tab\n", "  indented\n\tby a tab"),
        (f"{BAR.format(1)}\n{BAR.format(2)}\nloss 1\n", f"{BAR.format(2)}\nloss 1"),
        ("\u202eevil\u200b", "evil"),
    ],
    ids=["none", "crlf", "bar", "bar at the end", "colours", "links", "blank", "tabs", "bars", "unseen"],
)  # fmt: skip
def test_what_a_terminal_would_not_show_at_last_is_left_out(log: str, told: str):
    assert useful(log.encode()) == told


def test_a_long_traceback_keeps_its_head_and_its_end():
    deep = TRACE.replace(
        "    f()\n", "".join(f'  File "t.py", line {n}, in f\n    f({n})\n' for n in range(900))
    )
    told = useful(f"before\n{deep}".encode())
    assert len(told.encode()) <= LIMIT
    head, cut, *rest = told.splitlines()
    assert (head, cut, rest[-1]) == ("Traceback (most recent call last):", "[…]", "ValueError: bad")


@given(st.binary(max_size=3000), st.integers(40, 600))
def test_whatever_a_log_holds_its_useful_lines_are_harmless_and_few(log: bytes, limit: int):
    told = useful(log * 5, limit)
    assert len(told.encode()) <= limit
    assert all(char.isprintable() or char in "\n\t" for char in told)


def test_a_file_is_read_from_its_end_and_a_missing_one_is_empty(tmp_path: Path):
    (tmp_path / "log").write_text("x" * 300_000 + f"\n{TRACE}")
    (tmp_path / "link").symlink_to("log")
    assert read_useful(str(tmp_path / "log")).endswith("ValueError: bad")
    assert read_useful(str(tmp_path / "link")) == read_useful(str(tmp_path / "none")) == ""
