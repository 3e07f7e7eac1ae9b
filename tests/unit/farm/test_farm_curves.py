"""Learning curves from progress.jsonl."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.farm.curves import Curve, Progress


def curve(*lines: dict, metric: str = "acc", ascending: bool = False) -> Curve:
    made = Curve(metric, ascending=ascending)
    for line in lines:
        made.add(line)
    return made


def points(made: Curve, *steps: int) -> list[float | None]:
    costs = [made.cost(step) for step in steps]
    return [None if cost is None else made.value(cost) for cost in costs]


RISE = [{"step": step, "acc": value} for step, value in ((10, 0.3), (20, 0.2), (30, 0.5))]


def test_a_curve_holds_the_best_so_far_at_the_latest_step_that_is_not_behind():
    made = curve(*RISE)
    assert (made.axis, made.last) == ("step", 30)
    assert points(made, 9, 10, 15, 20, 29, 30, 31) == [None, 0.3, 0.3, 0.3, 0.3, 0.5, None]
    assert points(curve(*RISE, ascending=True), 10, 20, 30) == [0.3, 0.2, 0.2]


@pytest.mark.parametrize(
    ("lines", "axis", "last"),
    [
        ([{"epoch": 1, "acc": 0.1}, {"epoch": 2, "acc": 0.2}], "epoch", 2),
        ([{"iteration": 5, "epoch": 1, "acc": 0.1}], "iteration", 5),
        ([{"step": 9, "epoch": 1, "acc": 0.1}, {"step": 0, "epoch": 2, "acc": 0.2}], "epoch", 2),
        ([{"step": 9, "acc": 0.1}, {"acc": 0.2}], "line", 2),
        ([{"step": 9, "acc": 0.1}, {"step": 3, "acc": 0.2}], "line", 2),
        ([{"step": -1, "acc": 0.1}], "line", 1),
        ([{"step": 1.5, "acc": 0.1}], "line", 1),
        ([{"step": True, "acc": 0.1}], "line", 1),
        ([{"step": 10**40, "acc": 0.1}], "line", 1),
        ([{"step": 1, "loss": 3}, {"step": 2, "acc": 0.1}], "step", 2),
        ([], "step", -1),
    ],
)
def test_a_step_is_the_first_name_that_counts_in_every_line_with_the_metric(lines, axis, last):
    made = curve(*lines)
    assert (made.axis, made.last) == (axis, last)


@pytest.mark.parametrize("value", [None, "0.5", True, [1], {}, math.nan, math.inf, 10**400])
def test_what_is_no_finite_number_is_no_value(value):
    assert curve({"step": 1, "acc": value}).last == -1


def test_a_nested_metric_is_found_by_its_dotted_name():
    assert points(curve({"step": 1, "val": {"acc": 0.5}}, metric="val.acc"), 1) == [0.5]


def test_a_long_curve_keeps_few_points_and_both_its_ends():
    made = curve(*({"step": step, "acc": step} for step in range(20_000)))
    assert (made.last, made.cost(19_999)) == (19_999, -19_999)
    assert made.cost(0) == 0
    assert 9_900 < points(made, 10_000)[0] <= 10_000
    assert len(made._costs) <= 513


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(-1e6, 1e6)), min_size=1), st.booleans())
def test_the_best_so_far_never_gets_worse(pairs, ascending):
    made = curve(*({"epoch": e, "acc": v} for e, v in sorted(pairs)), ascending=ascending)
    costs = [cost for step in range(made.last + 1) if (cost := made.cost(step)) is not None]
    assert costs == sorted(costs, reverse=True)
    assert made.value(costs[-1]) == (min if ascending else max)(value for _, value in pairs)


# ---- the file


def write(path: Path, *lines: dict, mode: str = "a") -> None:
    with path.open(mode) as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)


def follow(path: Path) -> Progress:
    return Progress(str(path), "acc", ascending=False)


def test_what_is_appended_is_read_once_and_half_a_line_waits(tmp_path: Path):
    path = tmp_path / "progress.jsonl"
    made = follow(path)
    assert not made.read()
    write(path, *RISE[:2])
    with path.open("a") as stream:
        stream.write('{"step": 30, ')
    assert (made.read(), made.behind, made.curve.last) == (True, False, 20)
    assert not made.read()
    with path.open("a") as stream:
        stream.write('"acc": 0.5}\n')
    assert (made.read(), made.curve.last) == (True, 30)


def test_a_long_file_is_read_in_pieces(tmp_path: Path):
    path = tmp_path / "progress.jsonl"
    write(path, *({"step": step, "acc": 0.5, "note": "x" * 1000} for step in range(200)))
    made, looks = follow(path), 0
    while made.behind:
        made.read()
        looks += 1
    assert (made.curve.last, looks > 2) == (199, True)


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path):
    path = tmp_path / "progress.jsonl"
    path.write_text(f'{{"step": 1, "acc": 1, "x": "{"x" * 200_000}"}}\n')
    write(path, {"step": 2, "acc": 0.5})
    made = follow(path)
    while made.behind:
        made.read()
    assert (made.curve.last, points(made.curve, 2)) == (2, [0.5])


def test_a_file_that_became_shorter_is_read_anew(tmp_path: Path):
    path = tmp_path / "progress.jsonl"
    write(path, *RISE)
    made = follow(path)
    made.read()
    write(path, {"step": 1, "acc": 0.1}, mode="w")
    assert made.read()
    assert (made.curve.last, points(made.curve, 1)) == (1, [0.1])


@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "garbage"])
def test_what_is_no_plain_file_of_lines_has_no_curve(tmp_path: Path, kind: str):
    path = tmp_path / "progress.jsonl"
    if kind == "link":
        write(tmp_path / "real", *RISE)
        path.symlink_to(tmp_path / "real")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.write_bytes(b"\xff\x00\n[1]\n{\n" + b'{"acc": NaN}\n' * 3 + b"[" * 5000 + b"\n")
    made = follow(path)
    made.read()
    assert (made.curve.last, made.behind) == (-1, False)
