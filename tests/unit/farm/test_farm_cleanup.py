"""What cleaning removes, and above all what it never removes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from farm_examples import Played, a_leader, follow, lead, section, write_ideas
from hypothesis import given
from hypothesis import strategies as st

from orze.core.clock import ManualClock
from orze.core.states import State
from orze.farm.assembly import Assembly
from orze.farm.cleanup import Cleanup, _matches, fits

PATTERNS = ["*.pt", "checkpoints/*.ckpt", "**/*.tmp"]


def farm(home: Path, results: dict[int, float], patterns=PATTERNS, **settings) -> Assembly:
    """A leader over ideas that ended with these losses; the others are queued."""
    cleanup = {"patterns": patterns, "interval": 60, **settings.pop("cleanup", {})}
    members = a_leader(home, cleanup=cleanup, **settings)
    write_ideas(members.context, *(section(number) for number in range(1, 6)))
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    for number, loss in results.items():
        played = Played(members.context, f"idea-{number:03d}")
        for name in ("weights.pt", "last.ckpt", "notes.txt", "idea.yaml"):
            (Path(played.directory) / name).write_text("x")
        (Path(played.directory) / "checkpoints").mkdir()
        (Path(played.directory) / "checkpoints" / "1.ckpt").write_text("x")
        played.end(metrics={"val_loss": loss})
        played.show()
        members.settler.settle(played.idea_id, played.fold)
    lead(members)
    return members


def round_of(members: Assembly) -> None:
    """Wait for the next round, and do all of it."""
    members.context.clock.advance(61)
    while members.cleanup.step():
        pass


def left(members: Assembly, number: int) -> set[str]:
    """The files of the idea's attempts that are still there."""
    home = Path(members.context.paths.idea(f"idea-{number:03d}").attempts)
    return {path.name for path in home.rglob("*") if path.is_file()}


KEPT = {"last.ckpt", "notes.txt", "idea.yaml"}
ALL = KEPT | {"weights.pt", "1.ckpt"}


def test_what_the_patterns_name_is_removed_of_all_but_the_best(tmp_path: Path):
    members = farm(tmp_path, {1: 0.5, 2: 0.1, 3: 0.9})
    round_of(members)
    assert (left(members, 1), left(members, 2), left(members, 3)) == (KEPT, ALL, KEPT)


def test_nothing_is_removed_before_its_time(tmp_path: Path):
    members = farm(tmp_path, {1: 0.5, 2: 0.1})
    members.context.clock.advance(30)
    assert members.cleanup.step() is False
    assert left(members, 1) == ALL


def test_the_former_best_is_cleaned_once_it_is_beaten(tmp_path: Path):
    members = farm(tmp_path, {1: 0.5, 2: 0.1})
    round_of(members)
    assert left(members, 2) == ALL
    played = Played(members.context, "idea-003")
    played.end(metrics={"val_loss": 0.01})
    members.settler.settle("idea-003", played.fold)
    lead(members)
    round_of(members)
    assert left(members, 2) == KEPT


def test_an_idea_that_does_not_rest_is_not_touched(tmp_path: Path):
    members = farm(tmp_path, {1: 0.5})
    running = Played(members.context, "idea-002")
    (Path(running.directory) / "weights.pt").write_text("x")
    members.queue.set_running("idea-002", State.TRAINING)
    round_of(members)
    assert left(members, 2) == {"weights.pt"}


def test_an_idea_that_ran_again_is_cleaned_again(tmp_path: Path):
    members = farm(tmp_path, {1: 0.5, 2: 0.1})
    round_of(members)
    members.journal.write(members.leadership.fold.term, {"reopen": ["idea-001"]})
    follow(members)
    round_of(members)
    played = Played(members.context, "idea-003")
    (Path(played.directory) / "weights.pt").write_text("x")
    played.end(metrics={"val_loss": 0.9})
    members.settler.settle("idea-003", played.fold)
    members.journal.write(members.leadership.fold.term, {"outcomes": [["idea-001", "FAILED", {}]]})
    follow(members)
    again = Path(members.context.paths.idea("idea-001").attempts, "2-again")
    again.mkdir()
    (again / "weights.pt").write_text("x")
    round_of(members)
    assert (left(members, 1), left(members, 3)) == (KEPT, set())


def test_links_at_the_top_that_lead_nowhere_now_are_removed_and_the_user_s_are_not(tmp_path: Path):
    members = farm(tmp_path, {1: 0.5, 2: 0.1})
    home = Path(members.context.paths.idea("idea-001").home)
    (home / "data").symlink_to("/mnt/not-mounted")
    assert (home / "weights.pt").is_symlink()
    round_of(members)
    assert not (home / "weights.pt").is_symlink()
    assert (home / "data").is_symlink()
    assert (home / "notes.txt").exists()
    assert (home / "metrics.json").exists()


def test_ideas_without_a_directory_are_passed_over(tmp_path: Path):
    members = farm(tmp_path, {1: 0.5, 2: 0.1})
    members.journal.write(members.leadership.fold.term, {"withdraw": ["idea-004"]})
    members.journal.write(members.leadership.fold.term, {"outcomes": [["idea-005", "FAILED", {}]]})
    follow(members)
    round_of(members)
    assert left(members, 1) == KEPT


def test_without_doors_the_idea_s_own_directory_is_cleaned_and_records_are_kept(tmp_path: Path):
    members = farm(tmp_path, {1: 0.5, 2: 0.1}, patterns=["**", "*.json"], doors=False)
    home = Path(members.context.paths.idea("idea-001").home)
    for name in ("weights.pt", "metrics.json", "claim.json", "idea.yaml"):
        (home / name).write_text("x")
    before = sorted(os.listdir(home / ".chain"))
    round_of(members)
    assert sorted(os.listdir(home / ".chain")) == before
    assert {"metrics.json", "claim.json", "idea.yaml"} <= set(os.listdir(home))
    assert "weights.pt" not in os.listdir(home)
    assert left(members, 1) == {"idea.yaml"}


def test_links_lead_cleaning_nowhere(tmp_path: Path):
    """A script may plant links: to the best idea, to a home directory, to itself."""
    members = farm(tmp_path, {1: 0.5, 2: 0.1}, patterns=["**/*.pt", "*/*.pt", "*.pt"])
    attempts = Path(members.context.paths.idea("idea-001").attempts)
    (own,) = attempts.iterdir()
    best = Path(members.context.paths.idea("idea-002").home)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.pt").write_text("x")
    (own / "best").symlink_to(best)
    (own / "outside").symlink_to(outside)
    (own / "link.pt").symlink_to(outside / "precious.pt")
    (own / "a").symlink_to(".")
    (own / "b").symlink_to(".")  # two of them: a walk that follows links would take 2**40 steps
    (attempts / "9-planted").symlink_to(outside)
    round_of(members)
    assert left(members, 2) == ALL
    assert (outside / "precious.pt").exists()
    assert (own / "link.pt").is_symlink()
    assert not (own / "weights.pt").exists()


def test_an_idea_whose_name_begins_like_another_s_keeps_its_files(tmp_path: Path):
    inner, sibling = tmp_path / "idea-1", tmp_path / "idea-10"
    inner.mkdir()
    sibling.mkdir()
    (sibling / "w.pt").touch()
    (inner / "x").symlink_to(sibling)
    assert _matches(str(inner), ["x/*.pt", "**/*.pt"]) == []


class Slow(ManualClock):
    """A clock on which every look takes a tenth of a second."""

    def steady(self) -> float:
        self.advance(0.1)
        return super().steady()


def test_a_long_round_is_done_in_the_budget_of_several_cycles(tmp_path: Path):
    members = farm(tmp_path, {1: 0.5, 2: 0.1, 3: 0.3, 4: 0.4, 5: 0.6})
    object.__setattr__(members.context, "clock", Slow())
    made = Cleanup(members.context, queue=members.queue, best=members.board.best_id, python=[sys.executable])
    members.context.clock.advance(61)
    steps = 1
    while made.step():
        steps += 1
    assert steps > 2
    assert [left(members, n) == ALL for n in (1, 2, 3, 4, 5)] == [False, True, False, False, False]


def test_the_script_is_run_each_round_and_told_where(tmp_path: Path):
    script = tmp_path / "clean.py"
    script.write_text("import os; open('ran', 'a').write(os.environ['ORZE_RESULTS_DIR'])")
    members = farm(tmp_path, {}, cleanup={"script": str(script)}, patterns=[])
    here = os.open(".", os.O_RDONLY)
    os.chdir(tmp_path)
    try:
        round_of(members)
    finally:
        os.fchdir(here)
        os.close(here)
    pid, status = os.waitpid(members.cleanup._script, 0)
    members.cleanup.child_ended(pid, status)
    assert (tmp_path / "ran").read_text() == str(tmp_path / "results")


def test_a_script_that_takes_too_long_is_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    script = tmp_path / "clean.py"
    script.write_text("import signal; signal.pause()")
    members = farm(tmp_path, {}, cleanup={"script": str(script), "timeout": 5}, patterns=[])
    round_of(members)
    members.context.clock.advance(6)
    members.cleanup.step()
    pid, status = os.waitpid(members.cleanup._script, 0)
    members.cleanup.child_ended(pid, status)
    assert status == 9
    assert [record.getMessage() for record in caplog.records] == [
        "the cleanup script took longer than 5 s and was ended",
        "the cleanup script failed (wait status 9)",
    ]


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a.pt", "*.pt", True),
        ("d/a.pt", "*.pt", False),
        ("d/a.pt", "*/*.pt", True),
        ("a.pt", "**/*.pt", True),
        ("d/e/a.pt", "**/*.pt", True),
        ("d/e/a.pt", "d/**", True),
        ("d/e/a.pt", "d/**/a.pt", True),
        ("d/a.pt", "d/**/a.pt", True),
        ("e/a.pt", "d/**/a.pt", False),
        ("a.pt", "**", True),
        (".hidden.pt", "*.pt", False),
        (".hidden.pt", ".*.pt", True),
        (".git/a.pt", "**/*.pt", False),
        ("a[1].pt", "a[[]1].pt", True),
        ("A.PT", "*.pt", False),
    ],
)
def test_patterns_fit_as_in_a_shell(path: str, pattern: str, expected: bool):
    assert fits(path.split("/"), pattern.split("/")) is expected


@given(
    st.lists(st.sampled_from(["a", "b.pt", ".c"]), max_size=5), st.lists(st.sampled_from(["**", "*", "a"]))
)
def test_only_stars_fit_what_is_not_named(parts, pattern):
    if fits(parts, pattern):
        named = [word for word in pattern if word != "**"]
        assert len(named) <= len(parts)
        assert "**" in pattern or len(named) == len(parts)
