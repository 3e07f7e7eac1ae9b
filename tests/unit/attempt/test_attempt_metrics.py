"""What a training script reports, and every way in which it can be no result."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.attempt.metrics import (
    DEPTH_LIMIT,
    LINE_LIMIT,
    PREFERRED,
    SIZE_LIMIT,
    Metrics,
    MetricsError,
    last_progress,
    parse_progress_line,
    read_metrics,
)
from orze.core.states import Cause


def read(
    directory: Path, text: str | bytes, name: str = "metrics.json", primary: str | None = None
) -> Metrics:
    (directory / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_metrics(str(directory), primary=primary)


def refusal(directory: Path, elsewhere: Path | None = None, primary: str | None = None) -> tuple[Cause, str]:
    with pytest.raises(MetricsError) as caught:
        read_metrics(str(directory), primary=primary, elsewhere=str(elsewhere) if elsewhere else None)
    assert str(caught.value) == caught.value.sentence
    assert caught.value.sentence.isprintable()
    return caught.value.cause, caught.value.sentence


GOOD = [
    ('{"status": "COMPLETED", "val_loss": 0.5, "epochs": 3}', {"val_loss": 0.5, "epochs": 3}),
    ('{"status": "COMPLETED"}', {}),
    ('{"a": 1, "status": "FAILED", "status": "COMPLETED", "a": 2}', {"a": 2}),
    ('\ufeff{"status": "COMPLETED", "name": "é\\u0000"}', {"name": "é\0"}),
    (
        '{"status": "COMPLETED", "deep": {"list": [1, true, null, "NaN"]}}',
        {"deep": {"list": [1, True, None, "NaN"]}},
    ),
    ('{"status": "COMPLETED", "n": 123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
    ('{"status": "COMPLETED", "\\ud800": "\\udfff"}', {"?": "?"}),
    ('{"status": "COMPLETED", "metrics": {"val_loss": 1}}', {"metrics": {"val_loss": 1}}),
]


@pytest.mark.parametrize(("text", "values"), GOOD)
def test_the_object_of_a_completed_script_is_kept_whole_without_status(
    tmp_path: Path, text: str, values: object
):
    metrics = read(tmp_path, text)
    assert (metrics.values, metrics.dropped) == (values, [])


REVIS = [
    ('{"val_loss": 0.5, "accuracy": 0.9}', {"val_loss": 0.5, "accuracy": 0.9}),
    ('{"metrics": {"val_loss": 0.5}, "note": "x"}', {"val_loss": 0.5, "note": "x"}),
    ('{"metrics": 3}', {"metrics": 3}),
    ('{"status": "COMPLETED", "val_loss": 0.5}', {"val_loss": 0.5}),
]


@pytest.mark.parametrize(("text", "values"), REVIS)
def test_eval_json_is_taken_in_both_forms_of_revis(tmp_path: Path, text: str, values: object):
    assert read(tmp_path, text, "eval.json").values == values


def test_metrics_json_goes_before_eval_json(tmp_path: Path):
    (tmp_path / "eval.json").write_text('{"a": 1}')
    assert read(tmp_path, '{"status": "COMPLETED", "a": 2}').values == {"a": 2}


def test_what_is_not_finite_is_dropped_and_named(tmp_path: Path):
    text = (
        '{"status": "COMPLETED", "val_loss": 1, "x": NaN, "y": {"z": [1, -Infinity]}, "w": 1e999, "v": -1%s}'
    )
    metrics = read(tmp_path, text % ("0" * 5000))
    assert metrics.values == {"val_loss": 1, "x": None, "y": {"z": [1, None]}, "w": None, "v": None}
    assert metrics.dropped == ["x", "y.z.1", "w", "v"]


def test_a_thousand_dropped_names_are_not_all_listed(tmp_path: Path):
    metrics = read(
        tmp_path, json.dumps({"status": "COMPLETED", "k" * 100_000: {"x" * 1000: [math.nan] * 1000}})
    )
    assert len(metrics.dropped) == 50
    assert max(map(len, metrics.dropped)) <= 200


NOT_FINITE = [
    ("metrics.json", '{"status": "COMPLETED", "f1": NaN}', "f1", "f1 in metrics.json is nan"),
    (
        "metrics.json",
        '{"status": "COMPLETED", "test": {"auc": -Infinity}}',
        "test.auc",
        "test.auc in metrics.json",
    ),
    ("metrics.json", '{"status": "COMPLETED", "test.auc": 1e999}', "test.auc", "is inf"),
    ("metrics.json", '{"status": "COMPLETED", "loss": 1, "val_loss": NaN}', None, "val_loss in"),
    ("metrics.json", '{"status": "COMPLETED", "test_loss": NaN}', None, "test_loss in"),
    ("eval.json", '{"metrics": {"accuracy": NaN}}', None, "accuracy in eval.json"),
]


@pytest.mark.parametrize(("name", "text", "primary", "words"), NOT_FINITE)
def test_a_primary_metric_that_is_not_finite_is_a_failure(
    tmp_path: Path, name: str, text: str, primary: str | None, words: str
):
    (tmp_path / name).write_text(text)
    cause, sentence = refusal(tmp_path, primary=primary)
    assert cause is Cause.METRICS_NOT_FINITE
    assert words in sentence


FINITE = [
    ('{"status": "COMPLETED", "val_loss": NaN, "f1": 0.5}', "f1"),
    ('{"status": "COMPLETED", "val_accuracy": 1, "val_loss": NaN}', None),
    ('{"status": "COMPLETED", "other": NaN}', None),
    ('{"status": "COMPLETED", "test": NaN}', "test.auc"),
]


@pytest.mark.parametrize(("text", "primary"), FINITE)
def test_another_metric_that_is_not_finite_is_no_failure(tmp_path: Path, text: str, primary: str | None):
    assert len(read(tmp_path, text, primary=primary).dropped) == 1


def test_the_preferred_metrics_begin_with_validation():
    assert PREFERRED[0].startswith("val")
    assert PREFERRED.index("test_accuracy") > PREFERRED.index("validation_loss")


NOT_JSON = [
    (b"", "metrics.json:1:1 is not JSON (Expecting value)"),
    (b'{"status": "COMPLETED",\n "val_loss": 0.', "metrics.json:2:"),
    (b"{'status': 'COMPLETED'}", "metrics.json:1:2 is not JSON"),
    (b'{"status": "COMPLETED"}{}', "metrics.json:1:24 is not JSON (Extra data)"),
    (b'{"a": "\xff"}', "metrics.json is not JSON (byte 7 is not UTF-8)"),
    (b"\0" * 100, "metrics.json:1:1 is not JSON"),
    (b"[" * 100_000, f"metrics.json cannot be read (nested more than {DEPTH_LIMIT} deep): make it flatter"),
    (b"[" * 100 + b"]" * 100, f"nested more than {DEPTH_LIMIT} deep"),
    (b'{"a":' * 100_000, "deep"),
]


@pytest.mark.parametrize(("data", "words"), NOT_JSON)
def test_what_is_not_json_is_refused_with_its_place(tmp_path: Path, data: bytes, words: str):
    (tmp_path / "metrics.json").write_bytes(data)
    cause, sentence = refusal(tmp_path)
    assert cause is Cause.METRICS_NOT_JSON
    assert words in sentence
    assert "RULES.md" in sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "holds a list"),
        ('"COMPLETED"', "holds a string"),
        ("3.5", "holds 3.5"),
        ("null", "holds null"),
    ],
)
def test_what_is_no_object_is_refused(tmp_path: Path, text: str, words: str):
    (tmp_path / "metrics.json").write_text(text)
    cause, sentence = refusal(tmp_path)
    assert cause is Cause.METRICS_NOT_OBJECT
    assert words in sentence


BAD_STATUS = [
    ("metrics.json", '{"val_loss": 1}', 'has no "status"'),
    ("metrics.json", '{"status": "completed"}', 'has "status": "completed"'),
    ("metrics.json", '{"status": null}', 'has "status": null'),
    ("metrics.json", '{"status": ["COMPLETED"]}', 'has "status": ["COMPLETED"]'),
    ("metrics.json", '{"status": "%s"}' % ("x" * 1000), "…"),
    ("eval.json", '{"status": "ok", "loss": 1}', 'eval.json has "status": "ok"'),
]


@pytest.mark.parametrize(("name", "text", "words"), BAD_STATUS)
def test_another_status_is_refused_with_those_that_are_allowed(
    tmp_path: Path, name: str, text: str, words: str
):
    (tmp_path / name).write_text(text)
    cause, sentence = refusal(tmp_path)
    assert cause is Cause.METRICS_BAD_STATUS
    assert words in sentence
    assert '"COMPLETED" or "FAILED"' in sentence
    assert len(sentence) < 300


FAILED = [
    ('"error": "the loss diverged"', "the loss diverged"),
    ('"error": "a\\u0000b\\nc\\u001b[31md"', "a b cd"),
    ('"error": {"code": 3}', '{"code": 3}'),
    ('"error": ""', "the script reported FAILED without saying why"),
    ('"val_loss": NaN', "the script reported FAILED without saying why"),
]


@pytest.mark.parametrize(("rest", "error"), FAILED)
@pytest.mark.parametrize("name", ["metrics.json", "eval.json"])
def test_a_script_that_reports_failure_is_believed(tmp_path: Path, name: str, rest: str, error: str):
    (tmp_path / name).write_text(f'{{"status": "FAILED", {rest}}}')
    cause, sentence = refusal(tmp_path)
    assert cause is Cause.SCRIPT
    assert sentence.startswith(error.replace("b c", "b c"))


def test_the_error_of_a_script_is_capped(tmp_path: Path):
    (tmp_path / "metrics.json").write_text(json.dumps({"status": "FAILED", "error": "x" * 9999}))
    assert len(refusal(tmp_path)[1]) == 500


def test_a_metrics_file_of_a_mebibyte_is_read_and_a_larger_one_refused(tmp_path: Path):
    text = '{"status": "COMPLETED", "x": "%s"}'
    assert read(tmp_path, text % ("x" * (SIZE_LIMIT - len(text) + 2))).values["x"]
    (tmp_path / "metrics.json").write_text(text % ("x" * (SIZE_LIMIT - len(text) + 3)))
    cause, sentence = refusal(tmp_path)
    assert cause is Cause.METRICS_TOO_LARGE
    assert "1 MiB" in sentence


def test_a_sparse_file_of_a_tebibyte_is_not_read(tmp_path: Path):
    with open(tmp_path / "metrics.json", "wb") as stream:
        stream.truncate(1 << 40)
    assert refusal(tmp_path)[0] is Cause.METRICS_TOO_LARGE


def make_link(path: Path) -> None:
    (path.parent / "real").write_text('{"status": "COMPLETED"}')
    path.symlink_to("real")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


NOT_FILES = {
    "link": make_link,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to an endless device": lambda path: path.symlink_to("/dev/zero"),
    "pipe": os.mkfifo,
    "directory": os.mkdir,
    "socket": make_socket,
}


@pytest.mark.parametrize("kind", NOT_FILES)
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path, kind: str):
    NOT_FILES[kind](tmp_path / "metrics.json")
    cause, sentence = refusal(tmp_path)
    assert cause is Cause.METRICS_NOT_FILE
    assert "regular file" in sentence


AS_ANOTHER_USER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from orze.attempt.metrics import MetricsError, read_metrics
if os.geteuid() == 0:
    os.setgroups([])
    os.setresuid(65534, 65534, 65534)
try:
    read_metrics(".")
except MetricsError as error:
    print(error.cause, error.sentence)
"""


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path):
    (tmp_path / "metrics.json").touch(mode=0)
    tmp_path.chmod(0o755)
    argv = [sys.executable, "-c", AS_ANOTHER_USER, str(Path(__file__).parents[3])]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.startswith("metrics_not_file metrics.json may not be read by the farm")


def test_no_file_is_told_from_a_misplaced_one(tmp_path: Path):
    attempt, elsewhere = tmp_path / "attempt", tmp_path / "metrics.json"
    attempt.mkdir()
    for directory in (attempt, tmp_path / "missing"):
        cause, sentence = refusal(directory, elsewhere)
        assert cause is Cause.NO_METRICS
        assert "--results-dir" in sentence
        assert "RULES.md" in sentence
    elsewhere.write_text("{}")
    cause, sentence = refusal(attempt, elsewhere)
    assert cause is Cause.METRICS_MISPLACED
    assert str(elsewhere) in sentence
    assert "--results-dir" in sentence
    assert "doors: false" in sentence


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def is_clean(value: object) -> bool:
    if isinstance(value, dict):
        return all(is_clean(key) and is_clean(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(is_clean, value))
    return not isinstance(value, float) or math.isfinite(value)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=5))
def test_whatever_a_line_holds_what_is_read_of_it_is_finite_and_can_be_written(values: dict[str, object]):
    found = parse_progress_line(json.dumps(values).encode())
    assert found is not None
    assert is_clean(found)
    assert json.loads(json.dumps(found, allow_nan=False, ensure_ascii=False).encode()) == found


@given(st.binary(max_size=200))
def test_any_bytes_are_a_progress_line_or_none(line: bytes):
    assert isinstance(parse_progress_line(line), dict | None)


LINES = [
    (b'{"step": 3, "loss": NaN}\n', {"step": 3, "loss": None}),
    (b"[1]", None),
    (b"", None),
    (b'{"step": 3', None),
    (b"[" * 5000, None),
    (b'{"a":' * 70 + b"1" + b"}" * 70, None),
    (b'{"x": "%s"}' % (b"x" * LINE_LIMIT), None),
]


@pytest.mark.parametrize(("line", "found"), LINES)
def test_a_progress_line_is_a_bounded_object(line: bytes, found: object):
    assert parse_progress_line(line) == found


TAILS = [
    (b'{"step": 1}\n{"step": 2}\n', 2),
    (b'{"step": 1}\n{"step": 2}', 2),
    (b'{"step": 1}\n{"step": 2, "lo', 1),
    (b'{"step": 1}\nnoise\n\n[]\n', 1),
    (b'{"step": 1}\n' * 5000 + b'{"step": 2}\n', 2),
    (b"x" * 9000 + b'\n{"step": 2}\n', 2),
    (b"x" * (LINE_LIMIT - 20) + b'{"step": 2}' + b" " * 9 + b"\n", None),
    (b'{"outer": "' + b"x" * LINE_LIMIT + b'", "in": {"step": 2}}\n', None),
    (b"", None),
]


@pytest.mark.parametrize(("data", "step"), TAILS)
def test_the_last_whole_object_of_the_progress_is_read_from_its_end(
    tmp_path: Path, data: bytes, step: int | None
):
    path = tmp_path / "progress.jsonl"
    path.write_bytes(data)
    found = last_progress(str(path))
    assert (found and found["step"]) == step


def test_a_line_whose_beginning_is_cut_off_is_not_read(tmp_path: Path):
    (tmp_path / "progress.jsonl").write_bytes(b'{"a": {"step": 1}\n')
    assert last_progress(str(tmp_path / "progress.jsonl"), max_bytes=12) is None


def test_progress_that_is_no_regular_file_is_none(tmp_path: Path):
    os.mkfifo(tmp_path / "progress.jsonl")
    assert last_progress(str(tmp_path / "progress.jsonl")) is None
    assert last_progress(str(tmp_path / "missing")) is None
