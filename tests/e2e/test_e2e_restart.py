"""The daemon's life and an attempt's life are separate: kills, restarts, signals, logouts."""

from __future__ import annotations

import os
import signal

from farmhouse import idea

WAITING = "wait('go')\nmetrics(val_accuracy=0.5)"


def test_attempts_outlive_a_killed_daemon_and_the_next_one_adopts_them(farm):
    farm.write(idea(1, WAITING))
    daemon = farm.start()
    farm.wait(farm.starts, "the start")
    running = farm.processes("train_idea.py")
    daemon.kill()
    again = farm.start()
    farm.wait(lambda: "idea-001 runs on cpu0 already (attempt 1): adopted" in again.output, "the adoption")
    assert farm.processes("train_idea.py") == running
    assert len(running) == 1
    farm.flag("go")
    farm.wait_states(COMPLETED=1)
    assert len(farm.starts()) == 1


def test_an_attempt_that_ends_while_no_daemon_runs_is_found_done(farm):
    farm.write(idea(1, WAITING))
    daemon = farm.start()
    farm.wait(farm.starts, "the start")
    daemon.kill()
    farm.flag("go")
    farm.wait_for(idea_001="CLAIM DONE")
    farm.start()
    farm.wait_states(COMPLETED=1)
    assert farm.status()["top_results"][0]["value"] == 0.5
    assert len(farm.starts()) == 1


def test_when_daemon_and_keepers_are_killed_the_rest_is_ended_and_the_idea_runs_once_more_at_once(make_farm):
    farm = make_farm(grace=0.2)
    farm.write(idea(1, "leave_children()\nwait('go')\nmetrics()"))
    daemon = farm.start()
    farm.wait(lambda: farm.events("grandchild"), "the grandchild")
    daemon.kill()
    for pid in farm.keepers():
        os.kill(pid, signal.SIGKILL)
    farm.start()
    farm.wait(lambda: len(farm.starts()) == 2, "the rerun")  # long before the lease of 180 s has run out
    assert farm.kinds("idea-001") == ["CLAIM", "LOST", "CLAIM"]
    assert farm.records("idea-001")[1]["seen_gone"]
    farm.flag("go")
    farm.wait_states(COMPLETED=1)
    assert len(farm.starts()) == 2


def test_an_attempt_whose_heartbeat_is_taken_away_ends_itself_and_is_run_again(make_farm):
    farm = make_farm(lease={"heartbeat": 0.2, "fence": 1, "kill": 0.5, "steal": 60}, grace=30)
    farm.write(idea(1, "ignore_term()\nwait('go')\nmetrics()"))
    farm.start()
    farm.wait(farm.starts, "the start")
    (beat,) = (farm.results / ".orze" / "heartbeats").glob("idea-001.*")
    counted = {beat.read_text()}
    farm.wait(lambda: counted.add(beat.read_text()) or len(counted) > 3, "three heartbeats")
    beat.unlink()
    farm.wait(lambda: len(farm.starts()) == 2, "the rerun")
    assert farm.kinds("idea-001") == ["CLAIM", "LOST", "CLAIM"]
    first = farm.starts()[0]
    (told,) = farm.events("deaf")
    assert told["at"] - first["at"] >= 1
    assert farm.records("idea-001")[1]["at"] - told["at"] >= 0.4
    assert first["pid"] not in farm.processes("train_idea.py")
    farm.flag("go")
    farm.wait_states(COMPLETED=1)


def test_a_killed_keeper_is_reaped_at_once_by_its_daemon(farm):
    farm.write(idea(1, WAITING))
    farm.start()
    farm.wait(farm.starts, "the start")
    for pid in {record["pid"] for record in farm.records("idea-001")}:
        os.kill(pid, signal.SIGKILL)
    farm.flag("go")
    farm.wait_for(idea_001="CLAIM LOST CLAIM DONE")
    assert len(farm.starts()) == 2
