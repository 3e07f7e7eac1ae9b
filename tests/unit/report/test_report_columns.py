"""Extra columns: any JSON file of the idea, and nothing outside its directory."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.report.columns import LARGEST_FILE, format_value, is_format, read_cells
from orze.report.model import Column


def cell(directory, source, fmt=""):
    (text,) = read_cells([Column("key", "label", fmt, source)], {}, str(directory))
    return text


def test_a_value_is_found_in_any_json_file_of_the_idea(tmp_path):
    report = {"metrics": {"auc": 0.91237, "per.class": 0.5}, "folds": [{"f1": 0.25}], "done": True}
    (tmp_path / "eval_report.json").write_text(json.dumps(report))
    assert cell(tmp_path, "eval_report.json:metrics.auc", ".2f") == "0.91"
    assert cell(tmp_path, "eval_report.json:metrics.per.class", ".1%") == "50.0%"
    assert cell(tmp_path, "eval_report.json:folds.0.f1") == "0.2500"
    assert cell(tmp_path, "eval_report.json:done", ".4f") == "true"
    assert cell(tmp_path, "eval_report.json:folds") == '[{"f1": 0.25}]'


def test_a_column_without_a_source_is_a_metric():
    columns = [Column("training_time", fmt=".1f"), Column("val.f1"), Column("absent")]
    metrics = {"training_time": 142.52, "val.f1": 0.5}
    assert read_cells(columns, metrics, "/nowhere") == ("142.5", "0.5000", "–")


@pytest.mark.parametrize(
    "path", ["absent", "metrics.absent", "metrics.auc.deeper", "folds.7", "folds.x", "folds.-1"]
)
def test_a_path_that_leads_nowhere_is_a_dash(tmp_path, path):
    (tmp_path / "a.json").write_text('{"metrics": {"auc": 0.9}, "folds": [1]}')
    assert cell(tmp_path, f"a.json:{path}") == "–"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"a": ' + b"9" * 5000 + b"}", b'{"a": null}', b"[]"]
)
def test_a_file_that_tells_nothing_is_a_dash(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    assert cell(tmp_path, "a.json:a") == "–"


def test_a_file_is_read_up_to_its_bound(tmp_path):
    head = b'{"a": 7}'
    (tmp_path / "fits.json").write_bytes(head.ljust(LARGEST_FILE))
    (tmp_path / "large.json").write_bytes(head.ljust(LARGEST_FILE + 1))
    assert cell(tmp_path, "fits.json:a") == "7"
    assert cell(tmp_path, "large.json:a") == "–"


def test_links_are_followed_inside_the_idea_only(tmp_path):
    idea = tmp_path / "idea-001"
    attempt = idea / "attempts" / "1-abc"
    attempt.mkdir(parents=True)
    (attempt / "eval.json").write_text('{"a": 1}')
    (tmp_path / "secret.json").write_text('{"a": 2}')
    (tmp_path / "idea-0011").mkdir()
    (tmp_path / "idea-0011" / "secret.json").write_text('{"a": 3}')
    (idea / "latest").symlink_to("attempts/1-abc")
    (idea / "inside.json").symlink_to("latest/eval.json")
    (idea / "outside.json").symlink_to("../secret.json")
    (idea / "neighbour.json").symlink_to(tmp_path / "idea-0011" / "secret.json")
    (idea / "loop.json").symlink_to("loop.json")
    assert cell(idea, "inside.json:a") == "1"
    assert cell(idea, "latest/eval.json:a") == "1"
    absolute = str(tmp_path / "secret.json")
    for name in ("outside.json", "neighbour.json", "loop.json", "../secret.json", absolute):
        assert cell(idea, f"{name}:a") == "–"


def test_only_regular_files_are_read_and_a_fifo_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "dir.json").mkdir()
    for name in ("fifo.json", "dir.json", "absent.json", "", "nul\x00.json", "x" * 5000):
        assert cell(tmp_path, f"{name}:a") == "–"


@pytest.mark.parametrize("fmt", ["", ".4f", ",d", "+.2e", ".1%", "8.3g", "06d"])
def test_number_formats_are_accepted(fmt):
    assert is_format(fmt)


@pytest.mark.parametrize("fmt", ["1000000000d", ".999f", "s", "x>9", "{}", ".4f ", "\n"])
def test_other_formats_are_not_and_the_number_is_shown_plainly(fmt):
    assert not is_format(fmt)
    assert format_value(0.5, fmt) == "0.5000"


@pytest.mark.parametrize(
    ("value", "fmt", "text"),
    [
        (0.5, "d", "0.5000"),
        (float("nan"), ".2f", "nan"),
        (10**400, ".2f", "inf"),
        ("0.5", ".2f", "0.5"),
        (None, ".2f", "–"),
        ("two\nlines", "", "two lines"),
        (1e300, ".2f", "1" + "0" * 5),
    ],
)
def test_what_a_format_does_not_fit_is_shown_as_it_is(value, fmt, text):
    shown = format_value(value, fmt)
    assert shown.startswith(text)
    assert len(shown) <= 60


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.text(max_size=6))
@settings(deadline=None)
def test_any_value_and_any_format_give_one_short_line(value, fmt):
    shown = format_value(value, fmt)
    assert shown.isprintable()
    assert len(shown) <= 60
