"""Curves, differences, ids: the pure parts of what is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.client.differ import ABSENT, changed, differing, flatten, same
from orze.client.ids import UnknownIdea, check_known, nearest
from orze.client.progress import curve_of, read_curve, sparkline
from orze.client.told import count_of, number_of, objects_of, read_object, text_of


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=60), st.integers(0, 30))
def test_a_sparkline_has_a_bar_for_each_cell_and_no_more(values: list[float], cells: int):
    line = sparkline(values, cells)
    assert len(line) == min(len(values), cells)
    assert set(line) <= set("▁▂▃▄▅▆▇█")


@pytest.mark.parametrize(
    ("values", "cells", "line"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        ([7, 0], 8, "█▁"),
        ([5, 5, 5], 8, "▄▄▄"),
        ([0, 0, 7, 7], 2, "▁█"),
        ([-1e308, 1e308], 2, "▁█"),
    ],
)
def test_a_sparkline_rises_with_its_values(values: list[float], cells: int, line: str):
    assert sparkline(values, cells) == line


def test_the_curve_is_of_the_metric_that_ranks_or_of_one_that_tells_of_merit(tmp_path: Path):
    path = tmp_path / "progress.jsonl"
    lines: list[Any] = [{"epoch": n, "loss": 1 / (n + 1), "f1": n} for n in range(3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, [1], {"loss": "x"}]) + "{broken")
    assert read_curve(str(path), "f1").values == (0.0, 1.0, 2.0)
    curve = read_curve(str(path))
    assert (curve.metric, curve.values) == ("loss", (1.0, 0.5, 1 / 3))
    assert curve.last[0] == ("loss", 1 / 3)
    assert read_curve(str(tmp_path / "none")).values == ()
    assert curve_of([{"epoch": 1.0}]).metric == ""


def test_of_a_long_progress_only_the_end_is_read(tmp_path: Path):
    path = tmp_path / "progress.jsonl"
    path.write_text("".join(f'{{"loss": {n}}}\n' for n in range(100_000)))
    values = read_curve(str(path)).values
    assert values[-1] == 99_999
    assert len(values) <= 1000


def test_nested_values_become_dotted_names():
    values = {"model": {"type": "mlp", "layers": [1, 2]}, "empty": {}, "lr": 0.1}
    assert flatten(values) == {"model.type": "mlp", "model.layers": [1, 2], "empty": {}, "lr": 0.1}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        (1, True, False),
        ("1", 1, False),
        (None, None, True),
        ([1], [1], True),
        ({}, [], False),
    ],
)
def test_values_are_the_same_as_a_reader_sees_them(one: object, other: object, expected: bool):
    assert same(one, other) is expected


def test_only_what_differs_is_a_row():
    rows = differing([{"a": 1, "b": 2}, {"a": 1, "b": 3, "c": None}, {"a": 1.0, "b": 2}])
    assert [(row.name, row.values) for row in rows] == [("b", (2, 3, 2)), ("c", (ABSENT, None, ABSENT))]
    assert [row.name for row in changed({"a": 1}, {"a": 1})] == []


@given(
    st.dictionaries(st.text(max_size=3), st.integers()), st.dictionaries(st.text(max_size=3), st.integers())
)
def test_a_change_turned_round_has_the_same_rows(before: dict[str, int], after: dict[str, int]):
    there = {row.name: row.values for row in changed(before, after)}
    back = {row.name: row.values[::-1] for row in changed(after, before)}
    assert there == back
    assert set(there) == {n for n in {*before, *after} if before.get(n) != after.get(n)}


@pytest.mark.parametrize(
    ("typed", "first"),
    [("idea-7", "idea-007"), ("7", "idea-007"), ("idea-0012", "idea-012"), ("idae-012", "idea-012")],
)
def test_the_nearest_id_is_what_was_meant(typed: str, first: str):
    assert nearest(typed, [f"idea-{number:03d}" for number in range(1, 40)])[0] == first


def test_an_unknown_idea_is_a_sentence_with_the_nearest():
    check_known(["idea-001"], ["idea-001"])
    with pytest.raises(UnknownIdea, match="no idea idea-1; the nearest are idea-001"):
        check_known(["idea-1"], ["idea-001"])
    with pytest.raises(UnknownIdea, match="no idea has been seen here yet"):
        check_known(["x\x1b[31m"], [])


@given(st.text(max_size=30))
def test_whatever_is_typed_has_an_answer(typed: str):
    assert len(nearest(typed, ["idea-001", "idea-002"])) == 2


@pytest.mark.parametrize("value", [None, "x", [1], {"a": 1}, True, float("nan"), 10**400, -1])
def test_what_is_no_number_or_text_or_list_is_nothing(value: object):
    assert number_of(value) is None or value == -1
    assert count_of(value) == 0
    assert text_of(value) == (value if isinstance(value, str) else "")
    assert objects_of([value]) == ([value] if isinstance(value, dict) else [])


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000])
def test_a_file_that_holds_no_object_reads_as_an_empty_one(tmp_path: Path, content: bytes):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    assert read_object(str(path)) == {}
    assert read_object(str(tmp_path / "none")) == {}
