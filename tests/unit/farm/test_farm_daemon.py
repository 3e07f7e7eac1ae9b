"""The loop itself: what it decides by, and that nothing ends it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from farm_examples import ELSEWHERE, HERE, Played, chain_of, context, kinds, section, write_ideas

from orze.coord.leader import Leadership
from orze.core.clock import SystemClock
from orze.core.errors import OrzeError
from orze.core.states import State
from orze.farm.daemon import Daemon
from orze.farm.preview import preview

TRAIN = """
import json, os, sys
home = os.environ["REVIS_OUTPUT_DIR"]
if os.environ["ORZE_IDEA_ID"] == os.environ.get("RESTS"):
    import signal; signal.pause()
json.dump({"status": "COMPLETED", "val_loss": 0.5}, open(os.path.join(home, "metrics.json"), "w"))
"""


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Makes daemons of one farm; those of another machine have its name."""
    made: list[Daemon] = []
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "base.yaml").write_text("{}\n")
    (tmp_path / "train_idea.py").write_text(TRAIN)

    def make(*sections: str, machine=HERE, once: bool = False, rests: str = "", **settings) -> Daemon:
        settings = {"gpus": "cpu:2", "poll": 0.2, "python": sys.executable, **settings}
        surroundings = context(tmp_path, machine, clock=SystemClock(), **settings)
        if sections:
            write_ideas(surroundings, *sections)
        made.append(Daemon(surroundings, {"PATH": os.environ["PATH"], "RESTS": rests}, once=once))
        return made[-1]

    yield make
    for one in made:
        for attempt in one.members.attempts.here():
            one.members.attempts.tell(attempt, signal.SIGKILL)
        one.leave()


def run_until(daemon: Daemon, happened: Callable[[], object]) -> None:
    """Run the loop until something has happened; a second thread looks for it."""
    ended = threading.Event()

    def look() -> None:
        clock = SystemClock()
        until = clock.steady() + 30
        while not ended.wait(0.01) and not happened():
            if clock.steady() > until:
                break
        daemon.members.events.interrupts += 1
        daemon.members.events.wake()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        daemon.run()
    finally:
        ended.set()
        thread.join()
    daemon.members.events.interrupts = 0
    assert happened()


def states(daemon: Daemon) -> dict[str, str]:
    queue = daemon.members.queue
    return {idea_id: str(queue.get(idea_id).state) for idea_id in sorted(queue.ids())}


def test_a_drained_host_starts_nothing_until_it_is_undrained(farm):
    daemon = farm(section(1), once=True)
    members = daemon.members
    assert members.leadership.campaign()
    term = members.leadership.fold.term
    assert members.journal.write(term, {"drain": [[HERE.host, "drained by ann"]]})
    daemon.begin()
    daemon.run()
    assert (daemon.ended, states(daemon)) == ((0, 0), {"idea-001": "QUEUED"})
    assert members.journal.write(term, {"undrain": [HERE.host]})
    daemon.run()
    assert (daemon.ended, states(daemon)) == ((1, 0), {"idea-001": "COMPLETED"})


def test_once_each_slot_runs_one_idea(farm):
    daemon = farm(section(1), section(2), section(3), once=True)
    daemon.begin()
    daemon.run()
    assert daemon.ended == (2, 0)
    assert states(daemon) == {"idea-001": "COMPLETED", "idea-002": "COMPLETED", "idea-003": "QUEUED"}


def test_once_ends_where_the_next_idea_needs_more_cards_than_are_left(farm):
    daemon = farm(section(1), section(2, GPUs="2"), once=True)
    daemon.begin()
    daemon.run()
    assert daemon.ended == (1, 0)
    assert states(daemon) == {"idea-001": "COMPLETED", "idea-002": "QUEUED"}


def test_once_takes_an_idea_that_becomes_free_while_it_looks(farm):
    daemon = farm(section(1), once=True)
    Played(daemon.members.context, "idea-001")  # its keeper is dead
    daemon.begin()
    daemon.run()
    assert daemon.ended == (1, 0)
    assert kinds(daemon.members.context, "idea-001") == ["CLAIM", "LOST", "CLAIM", "DONE"]


def test_once_with_nothing_to_do_ends(farm):
    daemon = farm(section(1, Hosts="other"), once=True)
    daemon.begin()
    daemon.run()
    assert daemon.ended == (0, 0)


def test_a_full_disk_pauses_launches_and_tells_so(farm):
    daemon = farm(section(1), once=True, min_disk_gb=10**8)
    daemon.begin()
    daemon.run()
    assert daemon.ended == (0, 0)
    (problem,) = daemon.members.problems
    assert problem.text.startswith("launches pause: ")
    assert "min_disk_gb is 1e+08" in problem.text


def test_alone_the_order_is_exact_and_with_others_hosts_begin_elsewhere(farm):
    daemon = farm(section(1))
    daemon.begin()
    daemon.cycle()
    assert daemon._view().turn == 0
    other = farm(machine=ELSEWHERE)
    other.members.hosts.begin()
    daemon.cycle()
    assert len({daemon._view().turn for _ in range(9)}) > 1


def test_a_fault_while_a_keeper_is_answered_does_not_end_the_loop(farm, caplog):
    daemon = farm(section(1))
    facts, calls = daemon._starter._facts, []

    def fail_once() -> dict[str, object]:
        calls.append(1)
        if len(calls) == 1:
            raise OrzeError("configs/base.yaml: changed just now")
        return facts()

    daemon._starter._facts = fail_once
    daemon.begin()
    run_until(daemon, lambda: kinds_or_none(daemon)[-1:] == ["DONE"])
    assert kinds_or_none(daemon) == ["CLAIM", "LOST", "CLAIM", "DONE"]
    assert "answering keepers: configs/base.yaml: changed just now" in caplog.messages


def kinds_or_none(daemon: Daemon) -> list[str]:
    try:
        return kinds(daemon.members.context, "idea-001")
    except FileNotFoundError:
        return []


def test_a_share_that_goes_away_and_comes_back_does_not_end_the_loop(farm, tmp_path: Path):
    daemon = farm(section(1))
    daemon.begin()
    daemon.cycle()
    (tmp_path / "results").rename(tmp_path / "away")
    for _ in range(3):
        daemon.cycle()
    assert any("tried again" in problem.text for problem in daemon.members.problems)
    shutil.rmtree(tmp_path / "results", ignore_errors=True)
    (tmp_path / "away").rename(tmp_path / "results")
    run_until(daemon, lambda: kinds_or_none(daemon)[-1:] == ["DONE"])


def test_a_second_daemon_adopts_what_the_first_left_running(farm, caplog):
    first = farm(section(1), rests="idea-001")
    first.begin()
    run_until(first, first.members.attempts.here)
    first.leave()
    second = farm()
    with caplog.at_level(logging.INFO, "orze"):
        second.begin()
    assert "idea-001 runs on cpu0 already (attempt 1): adopted" in caplog.messages
    second.cycle()
    assert second._taken() == {"cpu0": "idea-001"}
    assert states(second) == {"idea-001": "TRAINING"}
    assert second.stop_attempts() == ["idea-001"]
    second.wait_for_attempts()
    _, fold = chain_of(second.members.context, "idea-001")
    assert fold.state is State.QUEUED


def test_a_leader_of_this_machine_that_died_is_followed_at_once(farm):
    daemon = farm(section(1))
    made = daemon.members.context
    dead = Leadership(
        made.files, made.paths.leader, made.clock, token=HERE.new_token(), frame=HERE.frame(2**22 + 1, 1)
    )
    assert dead.campaign()
    daemon.begin()
    daemon.cycle()
    assert daemon.members.leadership.mine


def test_a_leader_of_another_machine_is_left_its_lease(farm):
    other = farm(section(1), machine=ELSEWHERE)
    other.begin()
    other.cycle()
    assert other.members.leadership.mine
    daemon = farm()
    daemon.begin()
    daemon.cycle()
    assert not daemon.members.leadership.mine
    other.leave()
    daemon.cycle()
    assert daemon.members.leadership.mine


def test_only_the_leader_writes_the_report(farm, tmp_path: Path):
    other = farm(section(1, Hosts="nowhere"), machine=ELSEWHERE)
    other.begin()
    other.cycle()
    report = tmp_path / "results" / ".orze" / "out" / "report.md"
    assert report.exists()
    report.unlink()
    daemon = farm()
    daemon.begin()
    daemon.cycle()
    assert not report.exists()


def test_a_preview_tells_what_would_start_and_what_could_not(farm, tmp_path: Path):
    daemon = farm(section(1, GPUs="2"), section(2, Hosts="other"), section(3, title="Third"))
    daemon.read(whole=True)
    lines = list(preview(daemon.members))
    assert [line for line in lines if not line.startswith(" ")] == ["idea-001: An idea", "idea-003: Third"]
    assert "  slots cpu0,cpu1: CUDA_VISIBLE_DEVICES= CUDA_DEVICE_ORDER=PCI_BUS_ID" in lines
    assert any("--idea-id idea-003" in line for line in lines)
    (tmp_path / "configs" / "base.yaml").write_text("- no\n")
    cannot = [line for line in preview(daemon.members) if line.startswith("  cannot start: ")]
    assert len(cannot) == 2
    assert not (tmp_path / "results" / "idea-001").exists()


def test_an_outcome_that_was_seen_late_does_not_come_back_behind_a_retry(farm, tmp_path: Path):
    leading, late = farm(section(1)), farm()
    leading.begin()
    assert leading.members.leadership.campaign()
    leading.cycle()
    facts = {"attempt": 1, "metrics": {"val_loss": 0.5}, "at": 1.0}
    leading.members.steward.note("idea-001", State.COMPLETED, facts)
    leading.members.steward.step()
    late.read()
    late.members.steward.note("idea-001", State.COMPLETED, facts)  # its listing of the heartbeats was old
    leading.members.journal.follow()
    leading.members.steward.reopen("idea-001")
    leading.members.steward.step()
    leading.members.leadership.resign()
    late.read()
    assert late.members.leadership.campaign()
    late.members.steward.step()
    late.members.journal.follow()
    assert late.members.journal.fold.ideas["idea-001"].outcome is None
