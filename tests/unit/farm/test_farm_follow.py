"""Attempts are followed to their ends, and what they leave behind is tidied up."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from farm_examples import (
    ELSEWHERE,
    HERE,
    Played,
    a_leader,
    chain_of,
    follow,
    kinds,
    lead,
    section,
    standing,
    write_ideas,
)

from orze.core.identity import start_time
from orze.core.states import State
from orze.farm.assembly import Assembly
from orze.farm.follow import Follower
from orze.farm.show import Show


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    made: list[subprocess.Popen[bytes]] = []

    def start(**environ: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]
        made.append(subprocess.Popen(argv, env=environ))
        return made[-1]

    yield start
    for one in made:
        one.kill()
        one.wait()


def frame(process: subprocess.Popen[bytes]) -> dict[str, object]:
    return HERE.frame(process.pid, start_time(process.pid) or 0)


def look(follower: Follower) -> None:
    follower.look()
    follower.take_in()


def farm(home: Path) -> tuple[Assembly, Follower]:
    members = a_leader(home)
    write_ideas(members.context, section(1), section(2))
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    return members, Follower(members, Show(members.context, members))


def told_to_have_ended(members: Assembly) -> Played:
    """An attempt of another host that the journal tells to have ended."""
    played = Played(members.context, "idea-001", ELSEWHERE)
    played.end()
    members.settler.sweep()
    lead(members)
    return played


def test_a_running_attempt_is_adopted_and_told(tmp_path: Path, process, caplog):
    members, follower = farm(tmp_path)
    Played(members.context, "idea-001", frame=frame(process()), gpu="cpu0")
    with caplog.at_level(logging.INFO, "orze"):
        look(follower)
        look(follower)
    assert caplog.messages == ["idea-001 runs on cpu0 already (attempt 1): adopted"]
    assert standing(members)["idea-001"] == "CLAIMED"


def test_an_attempt_that_this_daemon_started_is_not_called_adopted(tmp_path: Path, process, caplog):
    members, follower = farm(tmp_path)
    played = Played(members.context, "idea-001", frame=frame(process()))
    follower.started.add(played.token)
    with caplog.at_level(logging.INFO, "orze"):
        look(follower)
    assert caplog.messages == []


@pytest.mark.parametrize(("kind", "succeeded", "failed"), [("DONE", 1, 0), ("FAIL", 0, 1), ("REQUEUE", 0, 0)])
def test_the_ends_of_what_was_started_here_are_counted(tmp_path: Path, process, kind, succeeded, failed):
    members, follower = farm(tmp_path)
    keeper = process()
    played = Played(members.context, "idea-001", frame=frame(keeper))
    follower.started.add(played.token)
    look(follower)
    played.end(kind)
    keeper.kill()
    keeper.wait()
    look(follower)
    assert (follower.succeeded, follower.failed, follower.started) == (succeeded, failed, set())
    assert list(members.attempts) == []


def test_a_keeper_that_died_behind_its_last_record_is_tidied_up_and_its_result_stands(tmp_path: Path):
    members, follower = farm(tmp_path)
    played = Played(members.context, "idea-001")
    door = Path(members.context.paths.door(played.token))
    door.mkdir(parents=True)
    played.append("DONE")  # heartbeat and door stay
    members.settler.sweep()
    lead(members)
    look(follower)
    lead(members)
    assert standing(members)["idea-001"] == "COMPLETED"
    assert (door.exists(), Path(played.heartbeat).exists()) == (False, False)
    assert members.board.best_id() == "idea-001"
    look(follower)
    assert members.attempts.dead == []


def test_a_heartbeat_that_comes_back_behind_the_end_opens_nothing_again(tmp_path: Path):
    members, follower = farm(tmp_path)
    played = told_to_have_ended(members)
    written = members.journal.fold.records
    played.beat(7)  # as the server's disk had it before the power failed
    look(follower)
    lead(members)
    assert members.journal.fold.records == written
    assert standing(members)["idea-001"] == "COMPLETED"
    assert members.board.best_id() == "idea-001"


def test_one_chain_that_cannot_be_read_hides_no_other_and_is_read_again(tmp_path: Path):
    members, follower = farm(tmp_path)
    both = [Played(members.context, idea, ELSEWHERE) for idea in ("idea-001", "idea-002")]
    look(follower)
    for played in both:
        played.end()
    record = next(Path(members.context.paths.idea("idea-001").chain).rglob("000002.json"))
    whole = record.read_bytes()
    record.write_bytes(whole[:20])
    look(follower)
    (told,) = members.problems.of("reading the chains of attempts")
    assert "not a record" in told
    assert standing(members) == {"idea-001": "CLAIMED", "idea-002": "COMPLETED"}
    record.write_bytes(whole)
    look(follower)
    assert standing(members)["idea-001"] == "COMPLETED"
    assert members.problems.of("reading the chains of attempts") == []


def test_a_heartbeat_left_behind_by_a_claim_that_failed_opens_nothing_while_the_chain_cannot_be_read(
    tmp_path: Path,
):
    members, follower = farm(tmp_path)
    told_to_have_ended(members)
    written = members.journal.fold.records
    record = next(Path(members.context.paths.idea("idea-001").chain).rglob("000002.json"))
    whole = record.read_bytes()
    record.write_bytes(whole[:20])
    Path(members.context.paths.heartbeat("idea-001", "another")).write_bytes(b"0\n")
    for _ in range(2):
        look(follower)
        lead(members)
    assert members.problems.of("reading the chains of attempts") != []
    record.write_bytes(whole)
    look(follower)
    lead(members)
    assert members.journal.fold.records == written
    assert members.journal.fold.ideas["idea-001"].outcome == State.COMPLETED
    assert members.board.best_id() == "idea-001"


def test_a_heartbeat_without_a_chain_opens_nothing_that_has_ended_until_there_is_one(tmp_path: Path):
    members, follower = farm(tmp_path)
    told_to_have_ended(members)
    subprocess.run(["rm", "-r", members.context.paths.idea("idea-001").home], check=True)
    Path(members.context.paths.heartbeat("idea-001", "let-go")).write_bytes(b"0\n")
    for _ in range(2):
        look(follower)
        assert members.journal.fold.ideas["idea-001"].outcome == State.COMPLETED
    Played(members.context, "idea-001", ELSEWHERE)
    look(follower)
    assert members.journal.fold.ideas["idea-001"].outcome is None
    assert standing(members)["idea-001"] == "CLAIMED"


def test_a_keeper_that_died_at_work_is_reaped_and_its_idea_queued(tmp_path: Path, process, caplog):
    members, follower = farm(tmp_path)
    keeper = process()
    played = Played(members.context, "idea-001", frame=frame(keeper))
    look(follower)
    keeper.kill()
    keeper.wait()
    look(follower)
    (dead,) = members.attempts.dead
    assert follower.reap(dead) is True
    assert kinds(members.context, "idea-001") == ["CLAIM", "LOST"]
    assert standing(members)["idea-001"] == "QUEUED"
    assert caplog.messages[-1] == "idea-001: attempt 1 on gpu-a is lost; queued again"
    look(follower)
    assert (members.attempts.dead, list(members.attempts)) == ([], [])
    assert not Path(played.heartbeat).exists()


def test_a_descriptor_of_a_dead_keeper_is_not_mistaken_for_what_got_its_number(tmp_path: Path, process):
    """The keeper is dead, its script is not yet: until it is reaped another pipe gets the number."""
    members, follower = farm(tmp_path)
    keeper = process()
    played = Played(members.context, "idea-001", frame=frame(keeper))
    look(follower)
    (attempt,) = members.attempts.here()
    number = attempt.pidfd
    script = process(ORZE_ATTEMPT=f"1-{played.token}")
    keeper.kill()
    keeper.wait()
    look(follower)
    (dead,) = members.attempts.dead
    assert follower.reap(dead) is False  # killed, and to be seen gone
    said: list[bytes] = []
    reader, writer = [fcntl.fcntl(end, fcntl.F_DUPFD, 200) for end in os.pipe()]
    os.dup2(reader, number)
    members.events.on_readable(number, lambda: said.append(os.read(number, 1)))
    script.wait()
    look(follower)
    assert follower.reap(members.attempts.dead[0]) is True
    look(follower)
    os.write(writer, b"x")
    members.events.wait(5)
    assert said == [b"x"]


def test_an_attempt_of_another_host_is_settled_when_its_heartbeat_goes(tmp_path: Path):
    members, follower = farm(tmp_path)
    played = Played(members.context, "idea-001", ELSEWHERE)
    look(follower)
    assert standing(members)["idea-001"] == "CLAIMED"
    played.end()
    look(follower)
    lead(members)
    assert standing(members)["idea-001"] == "COMPLETED"


def test_a_heartbeat_that_goes_while_the_chain_runs_is_an_orphan(tmp_path: Path):
    members, follower = farm(tmp_path)
    played = Played(members.context, "idea-001", ELSEWHERE)
    look(follower)
    Path(played.heartbeat).unlink()
    look(follower)
    for _ in range(20):
        members.context.clock.advance(10)
        look(follower)
    assert [dead.token for dead in members.attempts.dead] == [played.token]
    assert follower.reap(members.attempts.dead[0])
    assert standing(members)["idea-001"] == "QUEUED"


def test_an_outcome_in_the_journal_falls_when_the_idea_is_seen_to_run(tmp_path: Path):
    members, follower = farm(tmp_path)
    first = Played(members.context, "idea-001")
    first.end("FAIL")
    members.settler.settle("idea-001", first.fold)
    lead(members)
    assert len(members.board.leaderboard) == 1
    chain_of(members.context, "idea-001", append=retry(first))
    Played(members.context, "idea-001", ELSEWHERE)
    look(follower)
    assert len(members.board.leaderboard) == 0
    members.steward.step()
    follow(members)
    assert members.journal.fold.ideas["idea-001"].outcome is None
    assert standing(members)["idea-001"] == "CLAIMED"


def retry(played: Played) -> dict[str, object]:
    return {"kind": "RETRY", "nonce": "n" * 16, "reopens": played.fold.tail}


@pytest.mark.parametrize("here", [True, False])
def test_a_directory_that_is_removed_under_an_attempt_leaves_the_idea_queued(tmp_path: Path, process, here):
    members, follower = farm(tmp_path)
    keeper = process()
    machine = HERE if here else ELSEWHERE
    played = Played(members.context, "idea-001", machine, frame=frame(keeper) if here else None)
    look(follower)
    subprocess.run(["rm", "-r", members.context.paths.idea("idea-001").home], check=True)
    keeper.kill()
    keeper.wait()
    Path(played.heartbeat).unlink()
    look(follower)
    assert standing(members)["idea-001"] == "QUEUED"
    assert (members.attempts.dead, list(members.attempts)) == ([], [])


def test_an_attempt_of_an_idea_that_nobody_knows_leaves_no_entry(tmp_path: Path):
    members, follower = farm(tmp_path)
    heartbeat = Path(members.context.paths.heartbeat("idea-777", "token"))
    heartbeat.write_bytes(b"0\n")
    look(follower)
    assert standing(members)["idea-777"] == "CLAIMED"
    heartbeat.unlink()
    look(follower)
    assert "idea-777" not in members.queue
    assert members.queue.counts[State.HELD] == 0
