"""progress.svg: whole, small, harmless and right for any history."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_examples import board

from orze.report.leaderboard import Leaderboard
from orze.report.plots import Plot, main, plot_input, read_input, save, y_range

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"


def drawn(plot, directory):
    """Save a plot and return its size in bytes and all of its texts."""
    path = directory / "progress.svg"
    save(plot, str(path))
    root = ElementTree.fromstring(path.read_bytes())
    return path.stat().st_size, [element.text for element in root.iter(f"{SVG}text")]


def history(count):
    """Many trials: noise around a rising mean, every seventh a failure, and many bests."""
    values = [None if i % 7 == 3 else i / count + (i * 7919 % 1000) / 1e6 for i in range(count)]
    bests = []
    for index, value in enumerate(values):
        if value is not None and (not bests or value > values[bests[-1][0]]):
            bests.append((index, f"idea-{index}"))
    return Plot("Many", "val_accuracy", False, values, [i for i in range(count) if i % 7 == 3], bests)


def test_the_input_of_the_picture_is_the_history_of_the_leaderboard():
    assert json.loads(plot_input(board(), "Digits")) == {
        "title": "Digits",
        "metric": "val_accuracy",
        "ascending": False,
        "values": [0.9611, 0.9889, 0.9722, None, None],
        "failed": [4],
        "bests": [[0, "idea-001"], [1, "idea-002"]],
    }
    assert json.loads(plot_input(Leaderboard(), ""))["values"] == []


def test_the_command_draws_the_picture_and_leaves_nothing_else(tmp_path):
    (tmp_path / "in.json").write_bytes(plot_input(board(), "Digits <i> $\\frac{$"))
    os.symlink("/nonexistent", tmp_path / "progress.svg")
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "MPLBACKEND": "nonsense"}
    paths = [str(tmp_path / "in.json"), str(tmp_path / "progress.svg")]
    done = subprocess.run(
        [sys.executable, "-m", "orze.report.plots", *paths],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(os.listdir(tmp_path)) == ["in.json", "progress.svg"]
    texts = [e.text for e in ElementTree.parse(tmp_path / "progress.svg").iter(f"{SVG}text")]
    assert "Digits <i> $\\frac{$" in texts
    assert "val_accuracy (higher is better)" in texts
    assert "best so far, one run: idea-002 with 0.9889 · 5 trials · 1 failed (×)" in texts
    assert {"idea-001", "idea-002"} <= set(texts)


def test_without_matplotlib_one_sentence_tells_how_to_install_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-S", "-m", "orze.report.plots", "in.json", str(tmp_path / "out.svg")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "progress.svg is not drawn: matplotlib is missing; pip install matplotlib\n"
    assert os.listdir(tmp_path) == []


def test_importing_the_report_loads_neither_matplotlib_nor_jinja2():
    imports = "import sys, orze.report.plots, orze.report.render"
    code = f"{imports}; print({{'matplotlib', 'jinja2'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"title": 1}',
        b'{"title":"","metric":"","ascending":true,"values":[null],"failed":[],"bests":[[0,"a"]]}',
        b'{"title":"","metric":"","ascending":true,"values":[],"failed":[],"bests":[[0,"a"]]}',
    ],
)
def test_an_input_that_is_something_else_is_one_sentence(tmp_path, capsys, content):
    (tmp_path / "in.json").write_bytes(content)
    assert main([str(tmp_path / "in.json"), str(tmp_path / "out.svg")]) == 1
    assert capsys.readouterr().err.startswith("progress.svg is not drawn: ")
    assert main([str(tmp_path / "absent.json"), str(tmp_path / "out.svg")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main([]) == 2
    assert os.listdir(tmp_path) == ["in.json"]


def test_the_picture_replaces_the_one_before_it_or_leaves_it_whole(tmp_path):
    out = tmp_path / "progress.svg"
    plot = Plot("One", "loss", True, [0.5], [], [(0, "idea-001")])
    save(plot, str(out))
    first = out.read_bytes()
    save(plot, str(out))
    assert out.read_bytes() == first
    with pytest.raises(OSError, match="absent"):
        save(plot, str(tmp_path / "absent" / "progress.svg"))


@pytest.mark.parametrize(
    ("values", "failed", "told"),
    [
        ([], [], "no result yet"),
        ([None, None], [0, 1], "no result yet"),
        ([0.25], [], "best so far, one run: idea-0 with 0.2500 · 1 trial"),
        ([0.5, 0.5, 0.5], [], "best so far, one run: idea-0 with 0.5000 · 3 trials"),
        ([1e308, -1e308, 5e-324], [], "best so far, one run: idea-0 with 1e+308 · 3 trials"),
        ([1.0, 1.0 - 1e-16], [], "best so far, one run: idea-0 with 1.0000 · 2 trials"),
    ],
)
def test_small_and_strange_histories_are_drawn(tmp_path, values, failed, told):
    bests = [(0, "idea-0")] if values and values[0] is not None else []
    _, texts = drawn(Plot("t", "accuracy", False, values, failed, bests), tmp_path)
    assert told in texts


def test_fifty_thousand_trials_make_less_than_a_mebibyte(tmp_path):
    plot = history(50_000)
    assert len(plot.bests) > 1000
    size, texts = drawn(plot, tmp_path)
    assert size < 1024 * 1024
    assert f"idea-{plot.bests[-1][0]}" in texts
    assert any("50,000 trials · 7,143 failed (×)" in text for text in texts)


def test_a_thousand_of_each_kind_of_mark_make_less_than_a_mebibyte(tmp_path):
    plot = history(1000)
    values = [*plot.values, *[-1e9] * 100]
    size, texts = drawn(Plot("t", "accuracy", False, values, plot.failed, plot.bests), tmp_path)
    assert size < 1024 * 1024
    assert any("143 failed (×) · 100 off the scale, drawn at its edge" in text for text in texts)


@pytest.mark.parametrize(
    ("values", "ascending", "spanned"),
    [
        ([1.0, 2.0, 3.0], True, (1.0, 3.0)),
        ([1.0, 2.0, 3.0], False, (1.0, 3.0)),
        ([*range(1, 20), 10**9], True, (1.0, 29.0)),
        ([*range(1, 20), -(10**9)], False, (-9.0, 19.0)),
        ([0.1] * 99 + [0.9], False, (0.1, 0.9)),
        ([0.1] * 99 + [9e9], True, (0.1, 9e9)),
        ([5.0], True, (4.95, 5.05)),
        ([0.0, 0.0], False, (-0.01, 0.01)),
    ],
)
def test_only_bad_outliers_are_left_out_of_the_scale(values, ascending, spanned):
    assert y_range(values, ascending) == pytest.approx(spanned)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1), st.booleans())
@settings(deadline=None)
def test_the_best_is_always_on_the_scale(values, ascending):
    low, high = y_range(values, ascending)
    assert low < high
    assert low <= (min(values) if ascending else max(values)) <= high


def test_the_input_is_read_back_as_it_was_written(tmp_path):
    (tmp_path / "in.json").write_bytes(plot_input(board(), "Digits"))
    plot = read_input(str(tmp_path / "in.json"))
    assert (plot.title, plot.metric, plot.failed) == ("Digits", "val_accuracy", [4])
