"""`orze export`, `lint`, `clean` and `report`: their output, their files and their exit status."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from orze.cli.app import main
from orze.report.text import size
from tests.unit.farm.farm_examples import Played, a_leader, lead, section, write_ideas


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a farm with two results, the second the best; the first took two attempts."""
    members = a_leader(tmp_path)
    (tmp_path / "train_idea.py").write_text("")
    (tmp_path / "orze.yaml").write_text("poll: 5\n")
    write_ideas(members.context, section(1, title="a\x1b[2Jb"), section(2), section(3))
    lead(members)
    members.context.clock.sleep(1.1)
    lead(members)
    for number, kinds in ((1, ("REQUEUE", "DONE")), (2, ("DONE",))):
        for kind in kinds:
            played = Played(members.context, f"idea-{number:03d}")
            Path(played.directory, "weights.pt").write_text("x" * 9000)
            content = {"metrics": {"val_loss": 1 / number}} if kind == "DONE" else {"cause": "preempted"}
            played.end(kind, **content)
        played.show()
        members.settler.settle(played.idea_id, played.fold)
    lead(members)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_export_writes_to_stdout_or_to_a_file_whose_name_says_the_format(home: Path, capfd):
    assert main(["export"]) == 0
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out, newline="")))
    assert [(row["id"], row["rank"]) for row in rows] == [("idea-001", "2"), ("idea-002", "1")]
    assert rows[0]["title"] == "a\ufffd[2Jb"
    assert main(["export", "-o", "out.json", "--all"]) == 0
    out, err = capfd.readouterr()
    assert (out, err) == ("", "orze: 3 rows are in out.json\n")
    assert [row["id"] for row in json.loads(Path("out.json").read_text())] == [
        "idea-001",
        "idea-002",
        "idea-003",
    ]
    assert main(["export", "--json"]) == 0
    assert len(json.loads(capfd.readouterr().out)) == 2


def test_a_format_that_is_none_is_one_sentence(home: Path, capfd):
    assert main(["export", "--format", "xlsx"]) == 2
    assert capfd.readouterr().err == "orze: 'xlsx' is no format: --format is one of csv, json, parquet\n"


def test_a_file_that_cannot_be_written_is_one_sentence(home: Path, capfd):
    assert main(["export", "-o", "no/such/out.csv"]) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_lint_says_what_is_wrong_and_its_exit_status_says_whether_anything_is(home: Path, capfd):
    assert main(["lint"]) == 0
    assert capfd.readouterr().out == "no problems\n"
    (home / "bad.md").write_text("## idea-1: A\n- **GPUs**: \x1b[2J\n- **After**: idea-77\n")
    assert main(["lint", "bad.md"]) == 1
    out = capfd.readouterr().out
    assert out.splitlines()[0].startswith("bad.md:2: error: GPUs: '")
    assert out.splitlines()[-1] == "1 error, 0 warnings"
    assert "\x1b" not in out
    assert main(["lint", "bad.md", "--json"]) == 1
    (found,) = json.loads(capfd.readouterr().out)
    assert (found["path"], found["line"], found["kind"]) == ("bad.md", 2, "error")


def test_warnings_fail_only_where_that_is_asked_for(home: Path, capfd):
    (home / "odd.md").write_text("## idea-1: A\n- **After**: idea-77\n")
    assert main(["lint", "odd.md"]) == 0
    assert main(["lint", "odd.md", "--strict"]) == 1
    assert "0 errors, 1 warning" in capfd.readouterr().out


def test_a_file_that_is_not_there_is_wrong_usage(home: Path, capfd):
    assert main(["lint", "none.md"]) == 2
    assert capfd.readouterr().err.startswith("orze: none.md: no such file")


def test_clean_shows_and_removes_only_with_yes(home: Path, capfd):
    attempts = home / "results" / "idea-001" / "attempts"
    assert main(["clean"]) == 0
    out = capfd.readouterr().out
    assert "idea-001/attempts/1-" in out
    assert out.endswith("could go; nothing was removed: add --yes\n")
    assert len(os.listdir(attempts)) == 2
    assert main(["clean", "--yes", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["removed"], len(told["items"]), told["items"][0]["removed"]) == (True, 1, True)
    assert len(os.listdir(attempts)) == 1
    assert main(["clean", "--yes"]) == 0
    assert capfd.readouterr().out == "nothing was removed\n"


def test_clean_takes_patterns_and_ages(home: Path, capfd):
    assert main(["clean", "--pattern", "*.pt", "--older-than", "x"]) == 2
    assert "is not a duration" in capfd.readouterr().err
    assert main(["clean", "--pattern", "*.pt", "--pattern", "*.ckpt", "--yes"]) == 0
    assert "removed: 2 things" in capfd.readouterr().out
    left = [path.parts[-4] for path in (home / "results").glob("*/attempts/*/weights.pt")]
    assert left == ["idea-002"]


def test_report_writes_the_report(home: Path, capfd):
    assert main(["report"]) == 0
    assert "report.md is written" in capfd.readouterr().out
    assert "idea-002" in (home / "results" / "report.md").read_text()


def test_where_no_farm_has_run_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd):
    monkeypatch.chdir(tmp_path)
    for command in ("export", "clean"):
        assert main([command]) == 2
        assert "no farm has run in" in capfd.readouterr().err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 30, "3.0 GiB"), (5 << 42, "20.0 TiB")],
)
def test_sizes_are_told_as_people_read_them(count: int, told: str):
    assert size(count) == told
