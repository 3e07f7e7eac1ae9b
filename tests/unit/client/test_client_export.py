"""Exported tables: what they hold, and that other programs read the same out of them."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.client import export
from orze.client.export import FIXED, replaced, rows, write
from orze.client.flat import Row
from orze.client.project import open_project
from orze.client.reader import Reader
from orze.core.errors import OrzeError
from orze.farm.assembly import Assembly
from tests.unit.farm.farm_examples import Played, a_leader, lead, section, write_ideas


@pytest.fixture
def leader(tmp_path: Path) -> Assembly:
    """A farm of five ideas: two with results, one that failed, one that runs, one that is queued."""
    members = a_leader(tmp_path)
    (tmp_path / "configs" / "base.yaml").write_text("model: {type: mlp}\nlr: 0.5\n")
    titles = ["=cmd()", "Second", "Third", "Fourth", "Fifth"]
    write_ideas(
        members.context,
        *(section(n, title=title, yaml=f"lr: {n}.5\nlayers: [1, {n}]") for n, title in enumerate(titles, 1)),
    )
    lead(members)
    members.context.clock.sleep(1.1)
    lead(members)
    ended(members, 1, metrics={"val_loss": 0.5, "deep": {"auc": 0.75}})
    ended(
        members, 2, metrics={"val_loss": 0.25, "note": 'a, "b"\nc'}, config="lr: 9.5\nmodel:\n  type: cnn\n"
    )
    ended(members, 3, "FAIL", cause="cuda_oom", error="-1 byte")
    Played(members.context, "idea-004")
    lead(members)
    return members


def ended(members: Assembly, number: int, kind: str = "DONE", config: str = "", **content: Any) -> None:
    played = Played(members.context, f"idea-{number:03d}")
    if config:
        Path(played.directory, "idea.yaml").write_text(config)
    played.end(kind, **content)
    played.show()
    members.settler.settle(played.idea_id, played.fold)


def table(home: Path, **how: bool) -> list[Row]:
    project = open_project(None, cwd=home, environ={})
    reader = Reader(project, {"XDG_CACHE_HOME": str(home / "cache")})
    reader.read()
    return list(rows(project, reader, **how))


def data(found: list[Row], form: str) -> bytes:
    stream = io.BytesIO()
    count, _ = write(found, stream, form)
    assert count == len(found)
    return stream.getvalue()


def test_each_result_is_a_row_with_rank_metrics_and_the_configuration_that_ran(
    leader: Assembly, tmp_path: Path
):
    first, second, third = table(tmp_path)
    assert first["id"] == "idea-001"
    assert (first["rank"], second["rank"], third["rank"]) == (2, 1, None)
    assert (first["primary"], first["metric.deep.auc"]) == (0.5, 0.75)
    assert (second["config_from"], second["config.lr"], second["config.model.type"]) == ("ran", 9.5, "cnn")
    assert (first["config_from"], first["config.lr"], first["config.layers"]) == ("section", 1.5, "[1, 1]")
    assert (third["state"], third["cause"], third["error"]) == ("FAILED", "cuda_oom", "-1 byte")
    assert (first["host"], first["gpu"], first["attempt"], first["seconds"]) == ("gpu-a", "0", 1, 2.0)
    assert list(first)[: len(FIXED)] == list(FIXED)


def test_with_all_ideas_those_without_a_result_are_rows_too(leader: Assembly, tmp_path: Path):
    found = {str(row["id"]): row for row in table(tmp_path, every=True)}
    assert [row["state"] for row in found.values()] == [
        "COMPLETED",
        "COMPLETED",
        "FAILED",
        "TRAINING",
        "QUEUED",
    ]
    assert found["idea-005"]["config.lr"] == 5.5
    assert found["idea-005"]["rank"] is None


def test_a_broken_base_hides_no_result(leader: Assembly, tmp_path: Path):
    (tmp_path / "configs" / "base.yaml").write_text("- no\n")
    first, second, _ = table(tmp_path)
    assert (first["config_from"], second["config.lr"]) == (None, 9.5)


def test_csv_reads_back_as_it_was_but_for_what_a_spreadsheet_would_run(leader: Assembly, tmp_path: Path):
    found = table(tmp_path)
    first, second, third = csv.DictReader(io.StringIO(data(found, "csv").decode(), newline=""))
    assert first["title"] == "'=cmd()"
    assert third["error"] == "'-1 byte"
    assert (second["metric.note"], second["cause"], second["rank"]) == ('a, "b"\nc', "", "1")
    assert float(first["config.lr"]) == 1.5
    assert first["metric.note"] == third["metric.val_loss"] == ""


def test_json_is_one_array_with_every_text_as_it_is(leader: Assembly, tmp_path: Path):
    found = table(tmp_path)
    assert json.loads(data(found, "json")) == found
    assert data(found, "json").count(b"\n") == len(found) + 2


def test_no_result_makes_an_empty_table():
    assert data([], "csv").decode().split(",")[:2] == ["id", "title"]
    assert json.loads(data([], "json")) == []


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("-rm", "'-rm"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("-0.5", "-0.5"),
        ("-1e-3", "-1e-3"),
        ("a=b", "a=b"),
        ("\x1b[2J\r\x9b", "\ufffd[2J\ufffd\ufffd"),
        ("\r=1", "\ufffd=1"),
        (-0.5, "-0.5"),
        (True, "True"),
        (None, ""),
        (10**30, str(10**30)),
        (math.inf, "inf"),
    ],
)
def test_no_cell_is_a_formula_or_moves_a_terminal(value: Any, cell: str):
    (row,) = csv.DictReader(
        io.StringIO(data([{**dict.fromkeys(FIXED), "title": value}], "csv").decode(), newline="")
    )
    assert row["title"] == cell


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from([*FIXED, "metric.a", "config.b", 'config.","', "metric.é"]),
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        ),
        max_size=5,
    )
)
def test_any_row_comes_back_from_csv_and_json(found: list[Row]):
    found = [{name: export._portable(value) for name, value in row.items()} for row in found]
    back = list(csv.DictReader(io.StringIO(data(found, "csv").decode(), newline="")))
    for row, read in zip(found, back, strict=True):
        for name, value in row.items():
            expected = export._safe(value) if isinstance(value, str) else "" if value is None else str(value)
            assert read[name] == expected
    finite = [{n: None if v in (math.inf, -math.inf) else v for n, v in row.items()} for row in found]
    assert json.loads(data(found, "json")) == finite


def test_too_many_columns_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(export, "MOST_COLUMNS", len(FIXED) + 1)
    stream = io.BytesIO()
    assert write([{"id": "a", "metric.a": 1, "config.a": 1, "config.b": 2}], stream, "csv") == (1, 2)
    assert stream.getvalue().splitlines()[0].endswith(b"config_from,metric.a")


def test_parquet_keeps_kinds_and_texts():
    pyarrow = pytest.importorskip("pyarrow.parquet")
    found: list[Row] = [
        {
            "id": "idea-001",
            "title": "=1",
            "rank": 1,
            "finished_at": "2025-11-21T22:04:05+00:00",
            "metric.a": 1,
        },
        {"id": "idea-002", "metric.a": 0.5, "config.b": True, "config.c": 1, "config.d": str(10**20)},
        {"id": "idea-003", "config.c": "x", "config.d": 1},
    ]
    back = pyarrow.read_table(io.BytesIO(data(found, "parquet"))).to_pylist()
    assert back[0]["title"] == "=1"
    assert back[0]["finished_at"].isoformat() == "2025-11-21T22:04:05+00:00"
    assert [row["metric.a"] for row in back] == [1.0, 0.5, None]
    assert [row["config.c"] for row in back] == [None, "1", "x"]
    assert [row["config.d"] for row in back] == [None, str(10**20), "1"]
    assert back[1]["config.b"] is True


def test_pandas_reads_what_was_written(leader: Assembly, tmp_path: Path):
    pandas = pytest.importorskip("pandas")
    found = table(tmp_path)
    frame = pandas.read_csv(io.BytesIO(data(found, "csv")), parse_dates=["finished_at"])
    assert list(frame["rank"].dropna()) == [2, 1]
    assert frame["config.lr"].tolist() == [1.5, 9.5, 3.5]
    assert pandas.read_json(io.BytesIO(data(found, "json")))["metric.val_loss"].dropna().tolist() == [
        0.5,
        0.25,
    ]


def test_without_pyarrow_parquet_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(export, "import_module", missing)
    with pytest.raises(OrzeError, match=r"pip install 'orze\[parquet\]'"):
        write([], io.BytesIO(), "parquet")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(OrzeError), replaced(str(path)) as stream:
        stream.write(b"half")
        raise OrzeError("a fault")
    assert path.read_text() == "old"
    with replaced(str(path)) as stream:
        stream.write(b"new")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.csv"]
