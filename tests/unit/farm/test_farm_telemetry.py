"""What a daemon counts, and the file that its leader writes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from farm_examples import Played, a_leader, context, follow, lead, section, write_ideas

from orze.core.clock import ManualClock
from orze.farm.assembly import Assembly
from orze.farm.show import Show
from orze.farm.telemetry import SlotClock, cause_of
from orze.report.model import CardRow, HostRow

parser = pytest.importorskip("prometheus_client.parser", reason="prometheus-client is not installed")

FREE, BUSY = CardRow("0", "n", "free"), CardRow("0", "n", "idea-001")


def row(*cards: CardRow) -> HostRow:
    return HostRow("a", alive=True, leader=True, cards=cards, running=0, free=0, seen_s=0.0)


def told(members: Assembly) -> dict[str, float]:
    """metrics.prom as a scrape sees it: `name{label values in order}` without the farm's label."""
    text = (Path(members.context.paths.results) / "metrics.prom").read_text()
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            labels = [value for name, value in sample.labels.items() if name != "farm"]
            found[f"{sample.name}{{{','.join(labels)}}}"] = sample.value
    return found


def farm(home: Path, sections: int = 2, **settings) -> tuple[Assembly, Show]:
    members = a_leader(home, **settings)
    write_ideas(members.context, *(section(number + 1) for number in range(sections)))
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    members.hosts.begin()
    members.attempts.look(judge=False, clones=False)
    return members, Show(members.context, members)


def test_slots_are_in_the_use_that_was_seen_last_until_they_are_looked_at_again():
    clock = SlotClock()
    clock.see(10.0, [row(FREE, BUSY)], work=True)
    clock.see(12.0, [row(BUSY, BUSY)], work=True)
    clock.see(15.0, [row(FREE, FREE)], work=False)
    clock.see(16.0, [], work=False)
    assert clock.seconds == {
        ("a", "free_despite_work"): 2.0,
        ("a", "busy"): 2.0 + 6.0,
        ("a", "free_without_work"): 2.0,
    }


def test_time_in_which_nobody_looked_is_counted_for_nothing():
    clock = SlotClock()
    clock.see(0.0, [row(BUSY)], work=True)
    clock.see(301.0, [row(BUSY)], work=True)
    clock.see(302.0, [row(BUSY)], work=True)
    assert clock.seconds == {("a", "busy"): 1.0}


@pytest.mark.parametrize(
    ("kind", "content", "cause"),
    [
        ("DONE", {}, ""),
        ("FAIL", {"cause": "timeout"}, "timeout"),
        ("FAIL", {"cause": "cuda_oom", "final": False}, "cuda_oom"),
        ("REQUEUE", {"cause": "preempted"}, "preempted"),
    ],
)
def test_the_chain_tells_why_an_attempt_ended(tmp_path: Path, kind, content, cause):
    played = Played(context(tmp_path), "idea-001")
    played.end(kind, **content)
    assert cause_of(played.fold, played.token) == cause


def test_a_new_attempt_does_not_take_the_cause_of_the_one_before(tmp_path: Path):
    made = context(tmp_path)
    Played(made, "idea-001").end("FAIL", cause="timeout", final=False)
    second = Played(made, "idea-001")
    second.end("DONE")
    assert cause_of(second.fold, second.token) == ""


def test_the_leader_writes_the_numbers_of_the_farm_beside_the_report(tmp_path: Path):
    members, show = farm(tmp_path)
    show.after_cycle({})
    found = told(members)
    assert os.readlink(f"{members.context.paths.results}/metrics.prom") == ".orze/out/metrics.prom"
    assert found["orze_queue_depth{}"] == found["orze_ideas{QUEUED}"] == 2
    assert found["orze_slots{gpu-a,free_despite_work}"] == 1
    assert found["orze_told_timestamp_seconds{}"] == members.context.clock.wall()
    assert found["orze_disk_free_bytes{}"] > 0


def test_ends_are_counted_by_cause_and_so_they_are_after_a_restart(tmp_path: Path):
    members, show = farm(tmp_path)
    for number, end in ((1, {"kind": "DONE"}), (2, {"kind": "FAIL", "cause": "timeout"})):
        played = Played(members.context, f"idea-{number:03d}")
        played.end(**end)
        members.settler.settle(played.idea_id, played.fold)
    lead(members)
    show.write()
    ends = {"orze_ideas_finished_total{COMPLETED,none}": 1, "orze_ideas_finished_total{FAILED,timeout}": 1}
    assert ends.items() <= told(members).items()
    read_anew = Assembly(members.context, {"PATH": os.defpath})
    follow(read_anew)
    assert read_anew.board.finished == members.board.finished
    resumed = Assembly(members.context, {"PATH": os.defpath})
    resumed.board.resume(members.board.state())
    assert resumed.board.finished == members.board.finished
    assert resumed.telemetry.of_farm(show.snapshot()).count(b'cause="timeout"') == 1


def test_slots_cycles_and_reads_are_timed(tmp_path: Path):
    members, show = farm(tmp_path, gpus="cpu:2")
    clock: ManualClock = members.context.clock
    with members.telemetry.cycle():
        clock.sleep(0.3)
    with pytest.raises(OSError, match="gone"), members.telemetry.read():
        clock.sleep(2.0)
        raise OSError(5, "gone")
    show.after_cycle({"cpu0": "idea-001"})
    clock.sleep(2.9)
    show.after_cycle({})  # what has changed is told a moment later
    clock.sleep(0.1)
    show.after_cycle({})
    clock.sleep(60.0)
    show.after_cycle({})
    found = told(members)
    assert found["orze_cycle_seconds_count{gpu-a}"] == 1
    assert found["orze_cycle_seconds_sum{gpu-a}"] == pytest.approx(0.3)
    assert found["orze_share_read_seconds_sum{gpu-a}"] == pytest.approx(2.0)
    assert found["orze_slot_seconds_total{gpu-a,busy}"] == pytest.approx(3.0)
    assert found["orze_slot_seconds_total{gpu-a,free_despite_work}"] == pytest.approx(63.0 + 60.0)


def test_an_end_that_is_seen_twice_counts_once(tmp_path: Path):
    members, show = farm(tmp_path)
    members.telemetry.started()
    for token, cause in (("t1", ""), ("t1", ""), ("t2", "timeout")):
        members.telemetry.ended(token, cause)
    show.write()
    found = told(members)
    assert found["orze_attempts_started_total{gpu-a}"] == 1
    assert (
        found["orze_attempts_ended_total{gpu-a,none}"]
        == found["orze_attempts_ended_total{gpu-a,timeout}"]
        == 1
    )
