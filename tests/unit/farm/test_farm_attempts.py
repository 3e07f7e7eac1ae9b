"""Who is followed, adopted and called dead, by heartbeats, chains and processes."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from farm_examples import ELSEWHERE, HERE, NOBODY, Played, context

from orze.core.identity import Machine, start_time
from orze.core.states import State
from orze.farm.attempts import Attempt, Attempts
from orze.farm.view import Dead

REBOOTED = Machine(HERE.host, "boot-before", HERE.pidns, HERE.machine_id)
CONTAINER = Machine(HERE.host, HERE.boot, "pid:[4026532999]", HERE.machine_id)


@dataclass
class Process:
    """A process of this machine that waits to be told to end."""

    child: subprocess.Popen[bytes]

    @property
    def frame(self) -> dict[str, object]:
        start = start_time(self.child.pid)
        assert start
        return HERE.frame(self.child.pid, start)

    def end(self) -> None:
        self.child.kill()
        self.child.wait()


@pytest.fixture
def process() -> Iterator[Callable[[], Process]]:
    made: list[Process] = []

    def start() -> Process:
        made.append(
            Process(subprocess.Popen([sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]))
        )
        return made[-1]

    yield start
    for one in made:
        one.end()


def one(attempts: Attempts) -> Attempt:
    (found,) = attempts
    return found


def look(
    attempts: Attempts, *, judge: bool = False, clones: bool = False
) -> tuple[list[str], list[str], list[Dead]]:
    changes = attempts.look(judge=judge, clones=clones)
    return [new.idea_id for new in changes.appeared], sorted(changes.ended), attempts.dead


def test_an_attempt_of_this_machine_is_adopted_with_all_that_its_claim_tells(tmp_path: Path, process):
    made, keeper = context(tmp_path), process()
    played = Played(made, "idea-001", frame=keeper.frame, gpu="0,1")
    attempts = Attempts(made)
    assert look(attempts) == (["idea-001"], [], [])
    found = one(attempts)
    assert (found.claimed, found.host, found.slots, found.number) == (True, "gpu-a", ("0", "1"), 1)
    assert (found.pid, found.state, found.directory) == (keeper.child.pid, State.TRAINING, played.name)
    assert attempts.here() == [found]
    assert select.select([found.pidfd], [], [], 0)[0] == []
    keeper.end()
    assert select.select([found.pidfd], [], [], 10)[0] == [found.pidfd]
    assert look(attempts) == ([], [], [Dead("idea-001", played.token, here=True)])
    assert attempts.here() == []
    attempts.forget(played.token)
    assert list(attempts) == []


def test_a_second_look_finds_nothing_new(tmp_path: Path, process):
    made = context(tmp_path)
    Played(made, "idea-001", frame=process().frame)
    attempts = Attempts(made)
    look(attempts)
    assert look(attempts, judge=True) == ([], [], [])


@pytest.mark.parametrize("start", [1, None], ids=["another start time", "no such process"])
def test_a_recycled_pid_is_not_the_keeper(tmp_path: Path, process, start):
    keeper = process()
    made = context(tmp_path)
    pid = keeper.child.pid if start else NOBODY
    played = Played(made, "idea-001", frame=HERE.frame(pid, 1))
    attempts = Attempts(made)
    assert look(attempts) == (["idea-001"], [], [Dead("idea-001", played.token, here=True)])
    assert attempts.here() == []


@pytest.mark.parametrize("machine", [ELSEWHERE, CONTAINER, REBOOTED], ids=["host", "pid namespace", "boot"])
def test_pids_of_another_machine_say_nothing_whatever_process_has_them_here(tmp_path: Path, process, machine):
    made, keeper = context(tmp_path), process()
    pid = keeper.child.pid
    Played(made, "idea-001", machine, frame=machine.frame(pid, start_time(pid) or 0))
    attempts = Attempts(made)
    assert look(attempts, judge=True) == (["idea-001"], [], [])
    keeper.end()
    assert look(attempts, judge=True) == ([], [], [])
    assert attempts.here() == []
    assert one(attempts).pid == 0


def test_the_leader_reads_the_claims_of_other_machines_and_the_others_do_not(tmp_path: Path):
    made = context(tmp_path)
    Played(made, "idea-001", ELSEWHERE, gpu="3")
    follower, leader = Attempts(made), Attempts(made)
    look(follower)
    look(leader, judge=True)
    assert (one(follower).claimed, one(follower).host) == (False, "")
    assert (one(leader).claimed, one(leader).host, one(leader).slots) == (True, "gpu-b", ("3",))


def silence(attempts: Attempts, made, *, seconds: float, steps: int, clones: bool = False) -> list[Dead]:
    for _ in range(steps):
        made.clock.advance(seconds / steps)
        attempts.look(judge=True, clones=clones)
    return attempts.dead


def test_another_machine_s_attempt_is_dead_when_its_counter_stood_still_for_the_lease(tmp_path: Path):
    made = context(tmp_path)  # S is 180 s
    played = Played(made, "idea-001", ELSEWHERE)
    attempts = Attempts(made)
    look(attempts, judge=True)
    assert silence(attempts, made, seconds=170, steps=17) == []
    assert silence(attempts, made, seconds=11, steps=1) == [Dead("idea-001", played.token, here=False)]


def test_one_beat_in_time_is_life(tmp_path: Path):
    made = context(tmp_path)
    played = Played(made, "idea-001", ELSEWHERE)
    attempts = Attempts(made)
    look(attempts, judge=True)
    silence(attempts, made, seconds=170, steps=17)
    played.beat(1)
    assert silence(attempts, made, seconds=170, steps=17) == []


def test_who_does_not_lead_judges_nobody_elsewhere(tmp_path: Path):
    made = context(tmp_path)
    Played(made, "idea-001", ELSEWHERE)
    attempts = Attempts(made)
    for _ in range(40):
        assert look(attempts)[2] == []
        made.clock.advance(10)


@pytest.mark.parametrize(("clones", "seconds"), [(False, 100.0), (True, 190.0)])
def test_an_attempt_of_an_earlier_boot_is_dead_sooner_unless_it_may_be_a_clone_s(
    tmp_path: Path, clones, seconds
):
    made = context(tmp_path)
    played = Played(made, "idea-001", REBOOTED)
    attempts = Attempts(made)
    look(attempts, judge=True, clones=clones)
    steps = int(seconds / 10)
    dead = [Dead("idea-001", played.token, here=False)]
    assert silence(attempts, made, seconds=seconds - 20, steps=steps - 2, clones=clones) == []
    assert silence(attempts, made, seconds=20, steps=2, clones=clones) == dead


def test_the_end_of_another_machine_s_attempt_is_seen_by_its_heartbeat(tmp_path: Path):
    made = context(tmp_path)
    played = Played(made, "idea-001", ELSEWHERE)
    attempts = Attempts(made)
    look(attempts, judge=True)
    played.end()
    assert look(attempts, judge=True) == ([], ["idea-001"], [])
    assert list(attempts) == []


def test_a_heartbeat_without_a_claim_is_somebody_preparing(tmp_path: Path):
    made = context(tmp_path)
    token = HERE.new_token()
    heartbeat = Path(made.paths.heartbeat("idea-001", token))
    heartbeat.write_bytes(b"%020d\n" % 0)
    attempts = Attempts(made)
    assert look(attempts) == (["idea-001"], [], [])
    assert (one(attempts).claimed, attempts.here()) == (False, [])
    heartbeat.unlink()
    assert look(attempts) == ([], ["idea-001"], [])


def test_a_keeper_of_this_machine_that_was_preparing_is_recognised_once_it_claimed(tmp_path: Path, process):
    made = context(tmp_path)
    attempts = Attempts(made)
    played = Played(made, "idea-001", frame=process().frame, heartbeat=False)
    records = Path(made.paths.idea("idea-001").chain)
    hidden = records.rename(tmp_path / "hidden")
    played.beat(0)
    look(attempts)
    assert not one(attempts).claimed
    hidden.rename(records)
    assert look(attempts) == ([], [], [])
    assert one(attempts).claimed
    assert len(attempts.here()) == 1


def test_a_prepared_heartbeat_whose_keeper_died_is_dead_for_the_leader_in_the_end(tmp_path: Path):
    made = context(tmp_path)
    token = HERE.new_token()
    Path(made.paths.heartbeat("idea-001", token)).write_bytes(b"%020d\n" % 0)
    attempts = Attempts(made)
    look(attempts, judge=True)
    assert silence(attempts, made, seconds=190, steps=19) == [Dead("idea-001", token, here=False)]


def test_what_this_daemon_prepares_is_not_judged_by_its_heartbeat(tmp_path: Path, process):
    made = context(tmp_path)
    attempts = Attempts(made)
    played = Played(made, "idea-001", frame=process().frame)
    attempts.preparing(played.token, "idea-001")
    assert look(attempts, judge=True) == ([], [], [])
    assert list(attempts) == []
    began = attempts.began("idea-001", played.fold)
    assert (began.claimed, attempts.here()) == (True, [began])
    assert look(attempts) == ([], [], [])


def test_a_keeper_that_died_before_it_was_followed_is_found_dead(tmp_path: Path, process):
    made, keeper = context(tmp_path), process()
    played = Played(made, "idea-001", frame=keeper.frame)
    keeper.end()
    attempts = Attempts(made)
    attempts.began("idea-001", played.fold)
    assert look(attempts) == ([], [], [Dead("idea-001", played.token, here=True)])


def test_a_keeper_that_was_dropped_is_seen_like_anybody_s(tmp_path: Path):
    made = context(tmp_path)
    attempts = Attempts(made)
    token = HERE.new_token()
    attempts.preparing(token, "idea-001")
    Path(made.paths.heartbeat("idea-001", token)).write_bytes(b"%020d\n" % 0)
    assert look(attempts) == ([], [], [])
    attempts.dropped(token)
    assert look(attempts) == (["idea-001"], [], [])


def test_a_keeper_that_died_behind_its_last_record_is_known_by_its_claim(tmp_path: Path):
    made = context(tmp_path)
    played = Played(made, "idea-001")
    played.append("DONE")
    attempts = Attempts(made)
    assert look(attempts) == (["idea-001"], [], [Dead("idea-001", played.token, here=True)])


def test_a_chain_that_runs_without_a_heartbeat_here_is_dead_at_once(tmp_path: Path):
    made = context(tmp_path)
    played = Played(made, "idea-001", heartbeat=False)
    attempts = Attempts(made)
    assert look(attempts) == ([], [], [])
    attempts.watch_chain("idea-001", played.fold)
    assert look(attempts) == (["idea-001"], [], [Dead("idea-001", played.token, here=True)])


def test_a_chain_that_runs_without_a_heartbeat_elsewhere_is_dead_after_the_lease(tmp_path: Path):
    made = context(tmp_path)
    played = Played(made, "idea-001", ELSEWHERE, heartbeat=False)
    attempts = Attempts(made)
    attempts.watch_chain("idea-001", played.fold)
    assert look(attempts, judge=True) == (["idea-001"], [], [])
    assert silence(attempts, made, seconds=170, steps=17) == []
    assert silence(attempts, made, seconds=20, steps=2) == [Dead("idea-001", played.token, here=False)]


def test_a_heartbeat_that_appears_after_all_is_followed_as_any(tmp_path: Path):
    made = context(tmp_path)
    played = Played(made, "idea-001", ELSEWHERE, heartbeat=False)
    attempts = Attempts(made)
    attempts.watch_chain("idea-001", played.fold)
    look(attempts, judge=True)
    played.beat(1)
    assert look(attempts, judge=True) == ([], [], [])
    played.end()
    assert look(attempts, judge=True) == ([], ["idea-001"], [])


def test_a_chain_that_is_followed_already_is_not_taken_for_an_orphan(tmp_path: Path, process):
    made = context(tmp_path)
    played = Played(made, "idea-001", frame=process().frame)
    attempts = Attempts(made)
    look(attempts)
    attempts.watch_chain("idea-001", played.fold)
    assert look(attempts, judge=True) == ([], [], [])
    assert len(list(attempts)) == 1


def test_daemons_are_told_from_attempts(tmp_path: Path):
    made = context(tmp_path)
    for token in ("one", "two"):
        Path(made.paths.heartbeat("daemon", token)).write_bytes(b"0\n")
    attempts = Attempts(made)
    assert look(attempts, judge=True) == ([], [], [])
    assert attempts.daemons == {"one", "two"}


def test_names_that_are_no_heartbeats_are_passed_over(tmp_path: Path):
    made = context(tmp_path)
    for name in ("idea-001.", ".tmp-1-idea-001.abc", "README", "daemon."):
        Path(made.paths.heartbeats, name).write_bytes(b"0\n")
    attempts = Attempts(made)
    assert look(attempts, judge=True) == ([], [], [])
    assert (list(attempts), attempts.daemons) == ([], set())


def test_a_share_that_does_not_answer_changes_nothing(tmp_path: Path, process):
    made = context(tmp_path)
    Played(made, "idea-001", frame=process().frame)
    attempts = Attempts(made)
    look(attempts)
    heartbeats = Path(made.paths.heartbeats)
    heartbeats.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        attempts.look(judge=True, clones=False)
    assert len(attempts.here()) == 1
    (tmp_path / "away").rename(heartbeats)
    assert look(attempts) == ([], [], [])


def test_the_state_of_an_attempt_is_read_again_when_asked(tmp_path: Path, process):
    made = context(tmp_path)
    played = Played(made, "idea-001", frame=process().frame)
    attempts = Attempts(made)
    look(attempts)
    played.append("TRAINED")
    assert one(attempts).state is State.TRAINING
    attempts.refresh(one(attempts))
    assert one(attempts).state is State.EVALUATING
    played.append("LOST")
    attempts.refresh(one(attempts))
    assert one(attempts).state is State.EVALUATING


@pytest.mark.parametrize("doors", [True, False])
def test_the_last_line_of_progress_is_told(tmp_path: Path, process, doors: bool):
    made = context(tmp_path, doors=doors)
    played = Played(made, "idea-001", frame=process().frame)
    attempts = Attempts(made)
    look(attempts)
    assert attempts.last_metrics(one(attempts)) == ""
    home = played.directory if doors else made.paths.idea("idea-001").home
    lines = '{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.23456, "note": "x", "bad": NaN}\n{"step": 3, "lo'
    Path(home, "progress.jsonl").write_text(lines)
    assert attempts.last_metrics(one(attempts)) == "step=2 loss=1.235"


def test_a_signal_reaches_the_keeper_and_one_that_has_ended_is_no_error(tmp_path: Path, process):
    made, keeper = context(tmp_path), process()
    Played(made, "idea-001", frame=keeper.frame)
    attempts = Attempts(made)
    look(attempts)
    attempts.tell(one(attempts), 15)
    assert keeper.child.wait(timeout=10) == -15
    attempts.tell(one(attempts), 15)


def test_no_descriptor_is_left_behind(tmp_path: Path, process):
    made = context(tmp_path)
    keepers = [process() for _ in range(3)]
    for number, keeper in enumerate(keepers):
        Played(made, f"idea-{number:03d}", frame=keeper.frame)
    attempts = Attempts(made)
    before = os.listdir("/proc/self/fd")
    look(attempts)
    assert len(os.listdir("/proc/self/fd")) == len(before) + 3
    for keeper in keepers:
        keeper.end()
    for dead in look(attempts)[2]:
        attempts.forget(dead.token)
    assert os.listdir("/proc/self/fd") == before
