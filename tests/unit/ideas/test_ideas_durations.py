"""Durations as people write them."""

import pytest

from orze.core.units import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3600", 3600.0),
        ("0", 0.0),
        ("0.5", 0.5),
        ("45s", 45.0),
        ("90m", 5400.0),
        ("90 min", 5400.0),
        ("2h", 7200.0),
        ("2H", 7200.0),
        ("1h30m", 5400.0),
        (" 1h 30m ", 5400.0),
        ("1d", 86400.0),
        ("1d2h3m4s", 93784.0),
    ],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "-1", "+1", "inf", "nan", "1e3", "2 h 1 d", "1 2 h", "1m1h", "h", "٣", "1.5h"),
        *("9" * 5000, "1d" + " " * 90_000 + "x"),
    ],
)
def test_anything_else_is_refused_with_the_forms_that_are_understood(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write seconds such as 3600, or 90m, 2h"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3651d", "999999999999", "999999999h"])
def test_more_than_ten_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="more than ten years"):
        parse_duration(text)
