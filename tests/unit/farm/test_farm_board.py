"""What people see: the snapshot, the files that show it, the picture."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from farm_examples import ELSEWHERE, Played, a_leader, follow, lead, section, write_ideas

from orze.core.states import State
from orze.farm.assembly import Assembly
from orze.farm.board import disk_free
from orze.report.model import HostRow, Problem, Snapshot
from orze.report.status import status_json

METRICS = {"val_loss": 0.5, "val_accuracy": 0.9, "note": "x", "ok": True, "lr": 0.1, "a": 1, "b": 2, "c": 3}


def farm(home: Path, *sections: str, **settings) -> Assembly:
    members = a_leader(home, **settings)
    write_ideas(members.context, *(sections or (section(1), section(2), section(3))))
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    return members


def outcome(members: Assembly, number: int, kind: str = "DONE", **content) -> None:
    played = Played(members.context, f"idea-{number:03d}")
    played.end(kind, **content)
    members.settler.settle(played.idea_id, played.fold)
    lead(members)


def snapshot(members: Assembly, **other) -> Snapshot:
    made = {
        "iteration": 3,
        "hosts": [HostRow("gpu-a", alive=True, leader=True, cards=(), running=0, free=1, seen_s=0.0)],
        "leader": "gpu-a",
        "problems": [Problem("disk low", 1.0)],
        "free": ["cpu0"],
        "notices": ["a notice"],
    }
    return members.board.snapshot(**{**made, **other})


def test_a_snapshot_tells_what_it_was_given_and_what_it_found(tmp_path: Path):
    members = farm(tmp_path, report={"title": "Digits"})
    found = snapshot(members)
    assert (found.title, found.iteration, found.leader) == ("Digits", 3, "gpu-a")
    assert (found.problems, found.free_gpus, found.notices) == (
        [Problem("disk low", 1.0)],
        ["cpu0"],
        ["a notice"],
    )
    assert (found.queue_depth, found.counts[State.QUEUED]) == (3, 3)
    assert found.generated_at == members.context.clock.wall()
    assert (found.unfenced, found.picture, found.primary) == (False, "", None)
    free = found.disk_free_gb
    assert free is not None
    assert abs(free - disk_free(str(tmp_path)) / 1e9) < 1


def test_a_farm_without_doors_is_marked(tmp_path: Path):
    assert snapshot(farm(tmp_path, doors=False)).unfenced


def test_results_are_ranked_and_failures_listed(tmp_path: Path):
    members = farm(tmp_path)
    outcome(members, 1, metrics={"val_loss": 0.5})
    outcome(members, 2, metrics={"val_loss": 0.25})
    outcome(members, 3, "FAIL", cause="timeout", error="too long")
    found = snapshot(members)
    assert [(one.rank, one.result.idea_id, one.value) for one in found.top] == [
        (1, "idea-002", 0.25),
        (2, "idea-001", 0.5),
    ]
    assert found.primary
    assert (found.primary.name, found.primary.ascending) == ("val_loss", True)
    assert [(one.idea_id, one.cause, one.error) for one in found.failed] == [
        ("idea-003", "timeout", "too long")
    ]
    assert found.failed[0].metrics == {}
    assert members.board.best_id() == "idea-002"


def test_the_best_is_that_of_all_results_and_not_of_the_latest(tmp_path: Path):
    members = farm(tmp_path)
    outcomes = [
        [f"idea-{n:04d}", "COMPLETED", {"metrics": {"val_loss": 1.0 + n}, "at": float(n)}]
        for n in range(1, 400)
    ]
    members.journal.write(members.leadership.fold.term, {"outcomes": outcomes})
    follow(members)
    assert members.board.best_id() == "idea-0001"
    assert len(snapshot(members).top) == 50


def test_an_outcome_that_holds_no_more_is_off_the_board(tmp_path: Path):
    members = farm(tmp_path)
    outcome(members, 1)
    members.journal.write(members.leadership.fold.term, {"reopen": ["idea-001"]})
    follow(members)
    assert (members.board.best_id(), snapshot(members).top) == ("", [])


def test_without_columns_the_numbers_of_the_best_are_shown(tmp_path: Path):
    members = farm(tmp_path)
    assert snapshot(members).columns == []
    outcome(members, 1, metrics=METRICS)
    found = snapshot(members)
    assert found.primary
    assert found.primary.name == "val_accuracy"
    assert [column.key for column in found.columns] == ["val_loss", "a", "b", "c"]
    assert found.top[0].cells == ("0.5000", "1", "2", "3")


def test_columns_of_the_settings_may_read_files_of_the_idea(tmp_path: Path):
    columns = [
        {"key": "lr", "label": "LR", "fmt": ".2e"},
        {"key": "auc", "source": "eval_report.json:metrics.auc"},
    ]
    members = farm(tmp_path, report={"columns": columns, "primary_metric": "val_loss"})
    played = Played(members.context, "idea-001")
    for name, text in (("idea.yaml", "{}"), ("eval_report.json", '{"metrics": {"auc": 0.75}}')):
        (Path(played.directory) / name).write_text(text)
    played.end(metrics=METRICS)
    played.show()
    members.settler.settle("idea-001", played.fold)
    lead(members)
    (one,) = snapshot(members).top
    assert one.cells == ("1.00e-01", "0.7500")


def test_what_waits_is_told_with_its_reason_and_place(tmp_path: Path):
    broken = "## idea-004: Broken\n\n```yaml\na: [\n```\n\n"
    members = farm(tmp_path, section(1), section(2, After="idea-001"), section(3, Hosts="other"), broken)
    members.journal.write(members.leadership.fold.term, {"hold": [["idea-001", "held by ann"]]})
    follow(members)
    found = snapshot(members)
    assert [(one.idea_id, one.reason, one.where) for one in found.held] == [
        ("idea-001", "held by ann", "ideas.md:1")
    ]
    assert [(one.idea_id, one.reason, one.where) for one in found.waiting] == [
        ("idea-002", "waits for idea-001", "ideas.md:7"),
        ("idea-003", "for hosts other", "ideas.md:14"),
    ]
    (bad,) = found.quarantined
    assert (bad.idea_id, bad.where) == ("idea-004", "ideas.md:25")
    assert "YAML" in bad.reason


def test_an_idea_that_was_skipped_for_another_is_among_the_skipped(tmp_path: Path):
    members = farm(tmp_path, section(1), section(2, After="idea-001"))
    outcome(members, 1, "FAIL")
    (one,) = snapshot(members).skipped
    assert (one.idea_id, one.state, one.title) == ("idea-002", State.SKIPPED, "An idea")
    assert "idea-001" in str(one.error)


def test_lists_are_cut_and_counts_are_not(tmp_path: Path):
    members = farm(tmp_path, *(section(n, Hosts="other") for n in range(1, 80)))
    found = snapshot(members)
    assert (len(found.waiting), found.counts[State.QUEUED]) == (50, 79)


def test_every_attempt_of_the_farm_is_shown_the_longest_first(tmp_path: Path):
    members = farm(tmp_path)
    Played(members.context, "idea-002", ELSEWHERE, gpu="3")
    members.context.clock.advance(60)
    Played(members.context, "idea-001", ELSEWHERE, gpu="0,1")
    members.context.clock.advance(60)
    members.attempts.look(judge=True, clones=False)
    found = snapshot(members)
    assert [(one.idea_id, one.host, one.gpu, round(one.elapsed_s)) for one in found.running] == [
        ("idea-002", "gpu-b", "3", 120),
        ("idea-001", "gpu-b", "0,1", 60),
    ]
    assert found.running[0].title == "An idea"


def test_a_clock_that_was_set_back_shows_no_negative_time(tmp_path: Path):
    members = farm(tmp_path)
    members.context.clock.advance(1000)
    Played(members.context, "idea-001", ELSEWHERE)
    members.context.clock.advance(-500)
    members.attempts.look(judge=True, clones=False)
    assert snapshot(members).running[0].elapsed_s == 0.0


def test_a_result_whose_section_was_edited_afterwards_is_marked(tmp_path: Path):
    members = farm(tmp_path)
    played = Played(members.context, "idea-001")
    played.fold.claim["sha"] = members.journal.fold.ideas["idea-001"].sha
    played.append("DONE")
    played.fold.claim["sha"] = members.journal.fold.ideas["idea-001"].sha
    members.settler.settle("idea-001", played.fold)
    lead(members)
    assert snapshot(members).top[0].result.title == "An idea"
    write_ideas(members.context, section(1, Priority="low"), section(2), section(3))
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    assert snapshot(members).top[0].result.title == "An idea (edited since it ran)"


# ---- the files


def test_the_report_is_written_behind_links_at_the_top(tmp_path: Path):
    members = farm(tmp_path)
    outcome(members, 1)
    members.board.publish(snapshot(members), b"metrics")
    results = tmp_path / "results"
    assert os.readlink(results / "report.md") == ".orze/out/report.md"
    assert os.readlink(results / "status.json") == ".orze/out/status.json"
    assert "idea-001" in (results / "report.md").read_text()
    status = json.loads((results / "status.json").read_text())
    assert (status["completed"], status["queue_depth"]) == (1, 2)


def test_writing_again_does_not_change_the_directory_of_the_results(tmp_path: Path):
    members = farm(tmp_path)
    members.board.publish(snapshot(members), b"metrics")
    before = (tmp_path / "results").stat().st_mtime_ns
    members.board.publish(snapshot(members, iteration=4), b"metrics")
    assert (tmp_path / "results").stat().st_mtime_ns == before


@pytest.mark.parametrize("kind", ["file", "foreign link", "directory"])
def test_what_a_plain_farm_wrote_is_kept_aside(tmp_path: Path, kind: str):
    members = farm(tmp_path)
    path = tmp_path / "results" / "report.md"
    if kind == "file":
        path.write_text("# The old report\n")
    elif kind == "directory":
        path.mkdir()
        (path / "inside").touch()
    else:
        path.symlink_to("/somewhere/else.md")
    members.board.publish(snapshot(members), b"metrics")
    assert os.readlink(path) == ".orze/out/report.md"
    aside = tmp_path / "results" / "report.md.before-orze"
    if kind == "file":
        assert aside.read_text() == "# The old report\n"
    elif kind == "directory":
        assert (aside / "inside").exists()


# ---- the picture


def draw(members: Assembly) -> bool:
    members.board.plot()
    if not members.board.plotting:
        return False
    pid, status = os.waitpid(members.board._plotter, 0)
    return members.board.child_ended(pid, status)


def test_the_picture_is_drawn_when_there_is_something_new(tmp_path: Path):
    pytest.importorskip("matplotlib")
    members = farm(tmp_path)
    assert draw(members) is False  # nothing to show yet
    outcome(members, 1)
    assert draw(members) is True
    picture = tmp_path / "results" / "progress.svg"
    assert os.readlink(picture) == ".orze/out/progress.svg"
    assert picture.read_text().lstrip().startswith("<?xml")
    assert snapshot(members).picture == "progress.svg"
    assert draw(members) is False  # nothing new


def test_a_drawing_that_fails_shows_no_picture_and_other_children_are_not_it(tmp_path: Path):
    members = farm(tmp_path)
    outcome(members, 1)
    (tmp_path / "results" / ".orze" / "out" / "progress.svg").mkdir(parents=True)
    assert members.board.child_ended(12345, 0) is False
    assert draw(members) is False
    assert not members.board.plotting
    assert not (tmp_path / "results" / "progress.svg").exists()


def test_modules_of_the_user_s_project_are_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("matplotlib")
    for name in ("orze.py", "json.py", "matplotlib.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    members = farm(tmp_path)
    outcome(members, 1)
    assert draw(members) is True


def test_the_latest_results_of_any_kind_are_told_latest_first(tmp_path: Path):
    members = farm(tmp_path, *(section(number) for number in range(1, 14)))
    for number in range(1, 12):
        outcome(members, number, metrics={"val_loss": float(number)})
    outcome(members, 12, "FAIL", cause="timeout", error="too long")
    recent = snapshot(members).recent
    assert [result.idea_id for result in recent] == [f"idea-{number:03d}" for number in range(12, 2, -1)]
    told = json.loads(status_json(snapshot(members)))["recent_results"]
    assert [(one["state"], one["value"], one["cause"]) for one in told[:2]] == [
        ("FAILED", None, "timeout"),
        ("COMPLETED", 11.0, None),
    ]
