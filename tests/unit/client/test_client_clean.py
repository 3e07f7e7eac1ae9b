"""What `orze clean` finds and removes, and above all what it leaves alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from orze.client.clean import Cleaner, Item, Wanted
from orze.client.project import open_project
from orze.client.reader import Reader
from orze.coord.idea_chain import RETRY
from orze.coord.record import new_record
from orze.farm.assembly import Assembly
from tests.unit.farm.farm_examples import Played, a_leader, chain_of, lead, section, write_ideas

ATTEMPTS = Wanted(attempts=True)
DEAD = Wanted(dead=True)


def pattern(*patterns: str, **more: Any) -> Wanted:
    return Wanted(patterns=patterns, **more)


@pytest.fixture
def leader(tmp_path: Path) -> Assembly:
    """A daemon that leads a farm of eight ideas; idea-008 is the best."""
    members = a_leader(tmp_path)
    write_ideas(members.context, *(section(number) for number in range(1, 9)))
    lead(members)
    members.context.clock.sleep(1.1)
    lead(members)
    ended(members, 8, val_loss=0.01)
    return members


def attempt(members: Assembly, number: int, kind: str, **content: Any) -> Played:
    """An attempt with files that ended so."""
    played = Played(members.context, f"idea-{number:03d}")
    folder = Path(played.directory)
    (folder / "checkpoints").mkdir()
    for name in ("weights.pt", "idea.yaml", "metrics.json", "checkpoints/1.pt"):
        (folder / name).write_text("x" * 5000)
    played.end(kind, **content)
    return played


def ended(members: Assembly, number: int, *, earlier: int = 0, val_loss: float = 0.5) -> list[str]:
    """An idea that ended after so many attempts in vain; the names of its attempts."""
    again = [attempt(members, number, "REQUEUE", cause="preempted").name for _ in range(earlier)]
    last = attempt(members, number, "DONE", metrics={"val_loss": val_loss})
    last.show()
    members.settler.settle(last.idea_id, last.fold)
    lead(members)
    return [*again, last.name]


def cleaner(home: Path, wanted: Wanted) -> Cleaner:
    project = open_project(None, cwd=home, environ={})
    reader = Reader(project, {"XDG_CACHE_HOME": str(home / "cache")})
    reader.read()
    return Cleaner(project, reader, wanted)


def clean(home: Path, wanted: Wanted) -> list[Item]:
    """Remove everything that is found; all of it goes."""
    made = cleaner(home, wanted)
    found = list(made.find())
    assert [made.remove(item) for item in found] == [""] * len(found)
    return found


def retry(members: Assembly, idea_id: str) -> None:
    """What the leader appends when somebody asks for it."""
    _, fold = chain_of(members.context, idea_id)
    chain_of(members.context, idea_id, append=new_record(RETRY, reopens=fold.tail, at=0.0))


def attempts_of(home: Path, number: int) -> list[str]:
    return sorted(os.listdir(home / "results" / f"idea-{number:03d}" / "attempts"))


def test_earlier_attempts_go_and_the_last_stays(leader: Assembly, tmp_path: Path):
    names = ended(leader, 1, earlier=2)
    found = clean(tmp_path, ATTEMPTS)
    assert [item.path for item in found] == [f"idea-001/attempts/{name}" for name in names[:2]]
    assert all(item.files == 4 and item.bytes >= 4 * 5000 for item in found)
    assert attempts_of(tmp_path, 1) == names[2:]
    assert (tmp_path / "results" / "idea-001" / "weights.pt").read_text().startswith("x")


def test_finding_removes_nothing(leader: Assembly, tmp_path: Path):
    names = ended(leader, 1, earlier=1)
    assert len(list(cleaner(tmp_path, Wanted(attempts=True, patterns=("**",), dead=True)).find())) == 2
    assert attempts_of(tmp_path, 1) == names


def test_patterns_take_files_at_every_depth_and_no_record(leader: Assembly, tmp_path: Path):
    (name,) = ended(leader, 1)
    home = tmp_path / "results" / "idea-001"
    before = sorted(os.listdir(home / ".chain"))
    (found,) = clean(tmp_path, pattern("*.pt"))
    assert (found.kind, found.files) == ("files", 2)
    clean(tmp_path, pattern("*", "**/*", ".*"))
    assert sorted(path.name for path in (home / "attempts" / name).rglob("*")) == [
        "checkpoints", "idea.yaml", "metrics.json",
    ]  # fmt: skip
    assert sorted(os.listdir(home / ".chain")) == before
    assert {"claim.json", "metrics.json", "idea.yaml"} <= set(os.listdir(home))
    assert not (home / "weights.pt").is_symlink()  # what was shown is gone with what it led to


def test_a_pattern_with_a_slash_is_as_in_orze_yaml(leader: Assembly, tmp_path: Path):
    ended(leader, 1)
    (found,) = clean(tmp_path, pattern("checkpoints/*.pt"))
    assert found.files == 1


def test_the_best_idea_is_left_alone(leader: Assembly, tmp_path: Path):
    names = ended(leader, 1, earlier=1, val_loss=0.001)
    assert [item.idea_id for item in cleaner(tmp_path, pattern("*.pt", attempts=True)).find()] == ["idea-008"]
    assert attempts_of(tmp_path, 1) == names


def test_an_idea_that_runs_and_one_that_will_run_again_are_left_alone(leader: Assembly, tmp_path: Path):
    attempt(leader, 1, "REQUEUE", cause="preempted")
    Played(leader.context, "idea-001")
    attempt(leader, 2, "REQUEUE", cause="preempted")
    attempt(leader, 3, "FAIL", final=False)
    ended(leader, 4, earlier=1)
    retry(leader, "idea-004")
    assert list(cleaner(tmp_path, pattern("*.pt", attempts=True)).find()) == []


@pytest.mark.parametrize("field", ["After", "Parent"])
def test_what_an_idea_that_has_not_ended_builds_on_is_left_alone(
    leader: Assembly, tmp_path: Path, field: str
):
    ended(leader, 1, earlier=1)
    text = (tmp_path / "ideas.md").read_text()
    more = section(9, **{field: "idea-001"}) + "# End\n"
    (tmp_path / "ideas.md").write_text(text.replace("# End\n", more))
    assert list(cleaner(tmp_path, pattern("*.pt", attempts=True)).find()) == []


def test_what_a_running_attempt_reaches_through_its_door_is_left_alone(leader: Assembly, tmp_path: Path):
    ended(leader, 1, earlier=1)
    door = tmp_path / "results" / ".orze" / "doors" / "abc"
    door.mkdir(parents=True)
    (door / "idea-001").symlink_to("../../../idea-001/attempts/x")
    assert list(cleaner(tmp_path, pattern("*.pt", attempts=True)).find()) == []


def test_an_idea_that_is_retried_between_the_look_and_the_removal_keeps_everything(
    leader: Assembly, tmp_path
):
    names = ended(leader, 1, earlier=1)
    made = cleaner(tmp_path, pattern("*.pt", attempts=True))
    found = list(made.find())
    retry(leader, "idea-001")
    assert [made.remove(item) for item in found] == ["its idea was asked to run again"] * 2
    assert attempts_of(tmp_path, 1) == names
    assert (tmp_path / "results" / "idea-001" / "attempts" / names[0] / "weights.pt").exists()


def test_an_idea_that_becomes_the_best_between_the_look_and_the_removal_keeps_everything(
    leader: Assembly, tmp_path
):
    names = ended(leader, 1, earlier=1, val_loss=0.4)
    made = cleaner(tmp_path, ATTEMPTS)
    (item,) = made.find()
    leader.journal.write(leader.leadership.fold.term, {"reopen": ["idea-008"]})  # its directory was removed
    lead(leader)
    made._looked = float("-inf")
    assert "the best now" in made.remove(item)
    assert attempts_of(tmp_path, 1) == names


def test_what_somebody_else_removed_meanwhile_is_gone(leader: Assembly, tmp_path: Path):
    names = ended(leader, 1, earlier=1)
    made = cleaner(tmp_path, ATTEMPTS)
    (item,) = made.find()
    assert made.remove(item) == ""
    assert made.remove(item) == ""
    assert attempts_of(tmp_path, 1) == names[1:]


def test_the_checkpoints_that_a_retry_would_go_on_from_stay(leader: Assembly, tmp_path: Path):
    first = attempt(leader, 1, "FAIL", final=False)
    second = attempt(leader, 1, "FAIL", final=False)
    third = attempt(leader, 1, "FAIL")
    Path(third.directory, "checkpoints", "1.pt").unlink()
    third.show()
    leader.settler.settle("idea-001", third.fold)
    lead(leader)
    clean(tmp_path, ATTEMPTS)
    assert attempts_of(tmp_path, 1) == [second.name, third.name]
    assert first.name != second.name


def test_only_what_ended_long_enough_ago_goes(
    leader: Assembly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ended(leader, 1, earlier=1)
    at = leader.context.clock.wall()
    for age, count in ((3599.0, 0), (3601.0, 1)):
        made = cleaner(tmp_path, Wanted(attempts=True, older_than=3600.0))
        monkeypatch.setattr(made._clock, "wall", lambda age=age: at + age)
        assert len(list(made.find())) == count


def test_links_lead_nowhere(leader: Assembly, tmp_path: Path):
    """A script, or whoever may write there, plants links to places that are none of the farm's."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "weights.pt").write_text("mine")
    (name,) = ended(leader, 1)
    folder = tmp_path / "results" / "idea-001" / "attempts"
    (folder / name / "dir").symlink_to(outside)
    (folder / name / "file.pt").symlink_to(outside / "weights.pt")
    (folder / "0001-x").mkdir()
    (folder / "1-linked").symlink_to(outside)
    for idea in ("idea-002", "idea-003"):
        ended(leader, int(idea[5:]), earlier=1)
    os.rename(tmp_path / "results" / "idea-002", tmp_path / "moved")
    (tmp_path / "results" / "idea-002").symlink_to(tmp_path / "moved")
    os.rename(tmp_path / "results" / "idea-003" / "attempts", tmp_path / "moved-attempts")
    (tmp_path / "results" / "idea-003" / "attempts").symlink_to(tmp_path / "moved-attempts")
    made = cleaner(tmp_path, pattern("*", "**/*", attempts=True))
    for item in made.find():
        made.remove(item)
    assert (outside / "weights.pt").read_text() == "mine"
    assert (folder / "0001-x").is_dir()
    assert list(tmp_path.glob("moved*/**/weights.pt"))
    assert (folder / name / "file.pt").is_symlink()


def test_a_directory_that_becomes_a_link_before_its_removal_is_not_followed(leader: Assembly, tmp_path: Path):
    names = ended(leader, 1, earlier=1)
    made = cleaner(tmp_path, pattern("*.pt", attempts=True))
    found = list(made.find())
    moved = tmp_path / "moved"
    for name in names:
        path = tmp_path / "results" / "idea-001" / "attempts" / name
        os.rename(path, moved := tmp_path / f"moved-{name}")
        path.symlink_to(moved)
    assert all(made.remove(item) for item in found)
    assert len(list(tmp_path.glob("moved-*/weights.pt"))) == 2


def test_plain_results_without_records_are_left_alone(leader: Assembly, tmp_path: Path):
    home = tmp_path / "results" / "idea-002"
    (home / "attempts" / "1-old").mkdir(parents=True)
    (home / "metrics.json").write_text('{"status": "COMPLETED", "val_loss": 1}')
    (home / "weights.pt").write_text("x")
    leader.journal.write(leader.leadership.fold.term, {"outcomes": [["idea-002", "COMPLETED", {}]]})
    assert list(cleaner(tmp_path, pattern("*.pt", attempts=True)).find()) == []


def test_without_doors_the_idea_s_own_directory_is_looked_through(leader: Assembly, tmp_path: Path):
    (tmp_path / "orze.yaml").write_text("doors: false\n")
    ended(leader, 1)
    home = tmp_path / "results" / "idea-001"
    (home / "late.pt").write_text("x")
    found = clean(tmp_path, pattern("late.*", "*.json"))
    assert [(item.path, item.files) for item in found] == [("idea-001", 1)]
    assert (home / "metrics.json").exists()
    assert not (home / "late.pt").exists()


# ---- doors and heartbeats


def door_of(members: Assembly, played: Played) -> Path:
    door = Path(members.context.paths.door(played.token))
    door.mkdir(parents=True)
    (door / played.idea_id).symlink_to(f"../../../{played.idea_id}/attempts/{played.name}")
    return door


def test_door_and_heartbeat_of_an_attempt_that_is_over_go(leader: Assembly, tmp_path: Path):
    over = Played(leader.context, "idea-001")
    door = door_of(leader, over)
    over.append("LOST")
    found = clean(tmp_path, DEAD)
    assert [item.kind for item in found] == ["heartbeat", "door"]
    assert not door.exists()
    assert not Path(over.heartbeat).exists()
    assert Path(over.directory).is_dir()


def test_a_door_is_known_by_its_link_where_the_heartbeat_is_gone(leader: Assembly, tmp_path: Path):
    over = Played(leader.context, "idea-001")
    door = door_of(leader, over)
    over.end("DONE")
    assert [item.kind for item in clean(tmp_path, DEAD)] == ["door"]
    assert not door.exists()


def test_who_runs_or_prepares_keeps_door_and_heartbeat(leader: Assembly, tmp_path: Path):
    door_of(leader, Played(leader.context, "idea-001"))
    preparing = Path(leader.context.paths.heartbeat("idea-002", "abcdef0123"))
    preparing.write_text("0\n")
    over = Played(leader.context, "idea-003")
    over.append("LOST")
    Path(over.heartbeat).unlink()
    door_of(leader, Played(leader.context, "idea-003"))
    assert list(cleaner(tmp_path, DEAD).find()) == []


def test_daemons_are_left_to_whoever_leads(leader: Assembly, tmp_path: Path):
    beat = Path(leader.context.paths.heartbeat("daemon", "feed0123"))
    beat.write_text("0\n")
    made = cleaner(tmp_path, DEAD)
    assert list(made.find()) == []
    assert made.daemons == 1
    assert beat.exists()


def test_a_door_that_is_a_link_or_holds_more_than_links_is_left(leader: Assembly, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "idea-001").write_text("mine")
    over = Played(leader.context, "idea-001")
    over.append("LOST")
    Path(leader.context.paths.doors).mkdir(parents=True)
    Path(leader.context.paths.door(over.token)).symlink_to(outside)
    made = cleaner(tmp_path, DEAD)
    assert [bool(made.remove(item)) for item in made.find()] == [False, True]
    assert (outside / "idea-001").exists()


def test_garbage_among_heartbeats_and_doors_is_passed_over(leader: Assembly, tmp_path: Path):
    paths = leader.context.paths
    for name in (".tmp-x", "idea-001.", "../x".replace("/", ":"), "no", "idea-001.a b"):
        Path(paths.heartbeats, name).write_text("x")
    Path(paths.doors).mkdir(parents=True)
    Path(paths.doors, "file").write_text("x")
    Path(paths.doors, "empty").mkdir()
    assert list(cleaner(tmp_path, DEAD).find()) == []
