"""How values are written, and that no text of others gets through as anything but text."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.report.text import Markdown, clean, duration, interval, md, minute, number, plain, width


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (17, "17"),
        (-3, "-3"),
        (10**400, "inf"),
        (-(10**400), "-inf"),
        (10**15, "1e+15"),
        (0.0, "0.0000"),
        (0.97512345, "0.9751"),
        (-12.5, "-12.5000"),
        (0.00012346, "0.0001235"),
        (123456.789, "1.235e+05"),
        (math.nan, "NaN"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_take_little_room(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (185, "3m05s"),
        (7620, "2h07m"),
        (3 * 86400 + 4 * 3600 + 59, "3d04h"),
        (-1, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_durations_have_two_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("unix", "text"), [(1763762645.9, "2025-11-21 22:04"), (1e300, "–"), (math.nan, "–")]
)
def test_times_are_in_utc_and_nonsense_is_a_dash(unix, text):
    assert minute(unix) == text


@pytest.mark.parametrize(
    ("dirty", "line"),
    [
        ("a\nb\r\n\tc\x0b\u2028d\u00a0e", "a b c d e"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("nul\x00del\x7fcsi\x9b", "nul␀del␡csi�"),
        ("\u202etxt.exe\u2066", "�txt.exe�"),
        ("zero\u200bwidth", "zero�width"),
        ("half \ud800 pair", "half � pair"),
        ("卷积 é ok", "卷积 é ok"),
        ("   ", ""),
    ],
)
def test_control_characters_become_spaces_or_visible(dirty, line):
    assert clean(dirty) == line


@given(st.text(), st.integers(1, 30))
@settings(deadline=None)
def test_clean_text_is_one_printable_line_within_its_limit(text, limit):
    line = clean(text, limit)
    assert line.isprintable()
    assert len(line) <= limit
    assert line == " ".join(line.split())
    line.encode("utf-8")


def test_a_cut_is_marked_also_in_a_very_long_text():
    assert clean("x" * 10, 5) == "xxxx…"
    assert clean(" " * 10_000_000 + "late", 5) == "…"
    assert clean("x" * 5, 5) == "xxxxx"


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("`code`", r"\`code\`"),
        ("<b>&amp;", r"\<b\>\&amp;"),
        ("*x* [y](z) #1", r"\*x\* \[y\](z) \#1"),
        ("back\\slash", r"back\\slash"),
        ("val_loss", "val_loss"),
        ("_emphasis_", r"\_emphasis\_"),
        ("a__b", r"a\_\_b"),
        ("~gone~ $math$", r"\~gone\~ \$math\$"),
        (None, "–"),
        (True, "true"),
        (3, "3"),
        (0.5, "0.5000"),
        (Markdown("*mine*"), "*mine*"),
    ],
)
def test_markdown_is_escaped_once_and_only_where_it_means_something(value, escaped):
    assert md(value) == escaped
    assert md(md(value)) == escaped


def test_text_and_truth_are_not_numbers():
    assert plain("0.5") == "0.5"
    assert plain(False) == "false"


@pytest.mark.parametrize(("text", "cells"), [("abc", 3), ("卷积", 4), ("e\u0301", 1), ("🚀", 2), ("–", 1)])
def test_width_counts_the_cells_of_a_terminal(text, cells):
    assert width(text) == cells


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (0.975, 0.0031, "0.9750 ± 0.0031"),
        (0.975, 0.0, "0.9750 ± 0"),
        (1234.5, 56.7, "1234 ± 57"),
        (0.5, 12.7, "0 ± 13"),
        (5e20, 1e3, "5e+20 ± 1e+03"),
        (0.5, 1e-12, "0.5000 ± 1e-12"),
        (3.0, 1e12, "3.0000 ± 1e+12"),
    ],
)
def test_an_interval_has_two_figures(mean, half, text):
    assert interval(mean, half) == text
