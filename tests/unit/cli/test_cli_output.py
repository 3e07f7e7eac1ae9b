"""What reaches the terminal: harmless, within its width, plain where it is no terminal."""

from __future__ import annotations

import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from orze.cli import output


@given(st.text())
def test_any_text_becomes_one_printable_line(text: str):
    shown = output.safe(text)
    assert shown.isprintable() and "\n" not in shown
    assert output.text(text).plain == shown


def test_text_of_others_is_not_read_as_markup():
    stream = io.StringIO()
    output.console(stream).print(output.text("[red]title[/] :smile: [link=x]"))
    assert stream.getvalue() == "[red]title[/] :smile: [link=x]\n"


def test_a_console_reads_no_markup_even_of_a_string():
    stream = io.StringIO()
    output.console(stream).print("[bold]x[/bold]")
    assert stream.getvalue() == "[bold]x[/bold]\n"


def test_output_into_a_pipe_is_plain_and_80_columns_wide(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    stream = io.StringIO()
    table = Table("a", "b")
    table.add_row(output.text("x" * 200, "red"), "y")
    output.console(stream).print(table)
    assert max(map(len, stream.getvalue().splitlines())) == 80
    assert "\x1b" not in stream.getvalue()


def test_a_result_is_printed_as_json_or_for_people_but_once(capsys):
    output.emit({"a": 1}, json=True, show=lambda value: pytest.fail("not for people"))
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    output.emit({"a": 1}, json=False, show=lambda value: output.text(f"a is {value['a']}"))
    assert capsys.readouterr().out == "a is 1\n"


def test_json_is_ascii_and_holds_no_number_that_json_does_not_know():
    told = output.as_json({"title": "π\x1b", "values": [math.nan, math.inf, 1.5, (2, -math.inf)], 3: None})
    assert told.isascii() and "\x1b" not in told
    assert json.loads(told) == {"title": "π\x1b", "values": [None, None, 1.5, [2, None]], "3": None}


def test_a_fault_is_one_line_on_stderr(capsys):
    output.speak_as("orze")
    output.complain("no\nway \x1b]0;title\x07")
    assert capsys.readouterr() == ("", "orze: no way ␛]0;title␇\n")
