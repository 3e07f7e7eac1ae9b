"""Reading a farm from outside: it sees what the daemons see, and leaves no trace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orze.client.project import Project, open_project
from orze.client.reader import Reader
from orze.core.states import State
from orze.farm.assembly import Assembly
from tests.unit.farm.farm_examples import (
    ELSEWHERE,
    HERE,
    Played,
    a_leader,
    follow,
    lead,
    section,
    standing,
    write_ideas,
)


def project_in(home: Path) -> Project:
    return open_project(None, cwd=home, environ={})


def read(home: Path) -> Reader:
    reader = Reader(project_in(home), {"XDG_CACHE_HOME": str(home / "cache")})
    reader.read()
    return reader


def states(reader: Reader) -> dict[str, str]:
    return {idea_id: str(reader.queue.get(idea_id).state) for idea_id in sorted(reader.queue.ids())}


def everything_below(home: Path) -> dict[str, tuple[int, int]]:
    """Every file and directory, with what changes when it is written to."""
    found = {}
    for folder, _, files in os.walk(home):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:
            status = os.lstat(path)
            found[path] = status.st_mtime_ns, status.st_size
    return found


@pytest.fixture
def leader(tmp_path: Path) -> Assembly:
    """A daemon that leads a farm of four ideas."""
    members = a_leader(tmp_path)
    write_ideas(members.context, *(section(number, title=f"Idea {number}") for number in range(1, 5)))
    lead(members)
    members.context.clock.sleep(1.1)  # the file has settled
    lead(members)
    return members


def test_it_sees_what_the_leader_sees(leader: Assembly, tmp_path: Path):
    assert states(read(tmp_path)) == standing(leader) == dict.fromkeys(sorted(leader.queue.ids()), "QUEUED")


def test_nothing_is_written_and_nothing_is_made(tmp_path: Path):
    Path(tmp_path / "ideas.md").write_text(section(1))
    before = everything_below(tmp_path)
    reader = read(tmp_path)
    reader.read()
    assert everything_below(tmp_path) == before
    assert states(reader) == {"idea-001": "QUEUED"}


def test_nothing_is_written_where_a_farm_runs(leader: Assembly, tmp_path: Path):
    Played(leader.context, "idea-001")
    before = everything_below(tmp_path)
    read(tmp_path)
    assert everything_below(tmp_path) == before


def test_a_farm_that_begins_while_it_reads_is_seen(tmp_path: Path):
    reader = read(tmp_path)
    members = a_leader(tmp_path)
    write_ideas(members.context, section(1))
    lead(members)
    reader.read()
    assert reader.leadership.fold.token == members.context.token
    assert states(reader) == {"idea-001": "QUEUED"}


def test_the_last_section_counts_at_once(tmp_path: Path):
    Path(tmp_path / "ideas.md").write_text(section(1) + section(2).rstrip())
    assert states(read(tmp_path)) == {"idea-001": "QUEUED", "idea-002": "QUEUED"}


def test_a_section_at_fault_is_quarantined_with_its_line(tmp_path: Path):
    Path(tmp_path / "ideas.md").write_text(section(1, GPUs="many"))
    reader = read(tmp_path)
    assert states(reader) == {"idea-001": "QUARANTINED"}
    assert [bad.line for bad in reader.intake.quarantined] == [2]


@pytest.mark.parametrize("machine", [HERE, ELSEWHERE], ids=["here", "elsewhere"])
def test_attempts_of_all_machines_are_seen_with_their_slots(leader: Assembly, tmp_path: Path, machine):
    Played(leader.context, "idea-002", machine, gpu="3")
    reader = read(tmp_path)
    assert [(one.idea_id, one.gpu, one.host) for one in reader.attempts] == [("idea-002", "3", machine.host)]
    assert states(reader)["idea-002"] == "TRAINING"


def test_an_end_that_the_journal_does_not_tell_yet_is_seen(leader: Assembly, tmp_path: Path):
    attempt = Played(leader.context, "idea-001")
    attempt.end("DONE", metrics={"val_loss": 0.25})
    attempt.show()
    reader = read(tmp_path)
    assert states(reader)["idea-001"] == "COMPLETED"
    best = reader.board.leaderboard.best()
    assert best and (best.result.idea_id, best.result.title) == ("idea-001", "Idea 1")


def test_an_end_is_seen_by_who_has_read_before(leader: Assembly, tmp_path: Path):
    attempt = Played(leader.context, "idea-001", ELSEWHERE)
    reader = read(tmp_path)
    assert states(reader)["idea-001"] == "TRAINING"
    attempt.end("FAIL")
    reader.read()
    assert states(reader)["idea-001"] == "FAILED"


def test_an_attempt_whose_keeper_vanished_still_owns_its_idea(leader: Assembly, tmp_path: Path):
    Played(leader.context, "idea-001", heartbeat=False)
    assert states(read(tmp_path))["idea-001"] == "TRAINING"


def test_what_runs_again_has_no_result(leader: Assembly, tmp_path: Path):
    first = Played(leader.context, "idea-001")
    first.end("FAIL")
    leader.settler.settle("idea-001", first.fold)
    lead(leader)
    assert states(read(tmp_path))["idea-001"] == "FAILED"
    chain, fold = leader.attempts.chain("idea-001")
    assert chain.append(
        lambda: {"kind": "RETRY", "nonce": "ab" * 8, "reopens": fold.tail, "at": 1.0, **leader.context.frame}
    )
    Played(leader.context, "idea-001")
    reader = read(tmp_path)
    assert states(reader)["idea-001"] == "TRAINING"
    assert not len(reader.board.leaderboard)


def test_results_of_a_plain_farm_are_seen(tmp_path: Path):
    Path(tmp_path / "ideas.md").write_text(section(1) + section(2))
    home = tmp_path / "results" / "idea-001"
    home.mkdir(parents=True)
    (home / "metrics.json").write_text('{"status": "COMPLETED", "val_loss": 0.5}')
    (tmp_path / "results" / ".orze" / "heartbeats").mkdir(parents=True)
    assert states(read(tmp_path)) == {"idea-001": "COMPLETED", "idea-002": "QUEUED"}


def test_an_idea_without_records_has_an_empty_chain(leader: Assembly, tmp_path: Path):
    assert read(tmp_path).chain("idea-004").attempt == 0


def test_answers_are_followed_without_reading_the_rest(leader: Assembly, tmp_path: Path):
    reader = read(tmp_path)
    assert leader.journal.write(1, {"hold": [["idea-003", "held by ada"]]})
    follow(leader)
    reader.follow()
    assert reader.queue.get("idea-003").state is State.HELD


def test_a_large_farm_is_kept_for_the_next_command(tmp_path: Path):
    sections = "".join(f"## idea-{number}: T\n\n" for number in range(1, 2101))
    Path(tmp_path / "ideas.md").write_text(sections)
    assert len(read(tmp_path).queue) == 2100
    kept = list((tmp_path / "cache").rglob("*"))
    assert [path.is_file() for path in kept if path.name != "orze"] == [True]
    assert len(read(tmp_path).queue) == 2100
