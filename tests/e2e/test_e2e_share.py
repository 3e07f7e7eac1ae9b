"""The results directory under the farm's feet: vanished, foreign, full, group-writable, cleaned up."""

from __future__ import annotations

import json
import os
import shutil

from farmhouse import SHORT_LEASE, idea


def test_the_loop_survives_a_vanished_results_directory_and_runs_everything_again(make_farm):
    farm = make_farm(poll=0.5, grace=0.2, lease=SHORT_LEASE, min_disk_gb=0.001)
    farm.write(idea(1), idea(2, "touch('up')\nwait('go')\nmetrics()"))
    farm.start()
    farm.wait(lambda: farm.flagged("up"), "the second")
    farm.removed |= {"idea-001", "idea-002"}
    while farm.results.exists():
        shutil.rmtree(farm.results, ignore_errors=True)
    farm.flag("go")
    farm.wait_states(COMPLETED=2)
    assert farm.kinds("idea-001") == farm.kinds("idea-002") == ["CLAIM", "DONE"]
    farm.append(idea(3))
    farm.wait_states(COMPLETED=3)


def test_what_hosts_tell_one_another_may_be_removed_and_the_ideas_stay_what_they_are(make_farm):
    farm = make_farm(poll=0.5, grace=0.2, lease=SHORT_LEASE)
    farm.write(idea(1), idea(2, "raise ValueError"), idea(3, "wait('go')\nmetrics()"))
    farm.start()
    farm.wait_states(COMPLETED=1, FAILED=1, TRAINING=1)
    while (farm.results / ".orze").exists():
        shutil.rmtree(farm.results / ".orze", ignore_errors=True)
    farm.wait(lambda: len(farm.starts("idea-003")) == 2, "the rerun of what lost its heartbeat")
    farm.flag("go")
    farm.wait_states(COMPLETED=2, FAILED=1)
    assert len(farm.starts("idea-001")) == len(farm.starts("idea-002")) == 1
    assert "idea-001" in farm.report()


def test_results_of_a_plain_farm_count_as_they_are_and_a_directory_of_a_person_is_never_claimed(farm):
    plain = {
        1: {"metrics.json": {"status": "COMPLETED", "val_accuracy": 0.875, "training_time": 3}},
        2: {"metrics.json": {"status": "FAILED", "error": "diverged"}},
        3: {"claim.json": {"claimed_by": "other"}},
    }
    for number, files in plain.items():
        home = farm.results / f"idea-{number:03d}"
        home.mkdir(parents=True)
        for name, content in files.items():
            (home / name).write_text(json.dumps({"claimed_by": "old", **content}))
    farm.write(*[idea(n) for n in (1, 2, 3, 4)], idea(5, After="idea-001"))
    farm.start()
    farm.wait_states(COMPLETED=3, FAILED=1, QUEUED=1)
    assert {event["idea"] for event in farm.starts()} == {"idea-004", "idea-005"}
    assert farm.status()["top_results"][0]["idea_id"] == "idea-001"
    assert farm.status()["recent_failures"][0]["error"] == "diverged"
    waiting = {row["idea_id"]: row["reason"] for row in farm.status()["waiting"]}
    assert "plain farm or a person" in waiting["idea-003"]
    farm.remove("idea-003")


def test_a_low_disk_pauses_launches_and_nothing_else(make_farm):
    farm = make_farm(poll=0.5)
    farm.write(idea(1, "wait('go')\nmetrics()"), idea(2))
    daemon = farm.start()
    farm.wait(farm.starts, "the start")
    daemon.kill()
    farm.configure(poll=0.5, min_disk_gb=900_000_000)
    farm.start()
    farm.wait(lambda: "launches pause: " in farm.problems(), "the notice")
    farm.flag("go")
    farm.wait_states(COMPLETED=1, QUEUED=1)
    assert "min_disk_gb is 9e+08" in farm.report()
    assert len(farm.starts()) == 1


def test_the_umask_is_honoured_so_that_a_group_can_share_a_farm(farm):
    farm.write(idea(1), idea(2, "raise ValueError"))
    before = os.umask(0o002)
    try:
        farm.start(gpus="cpu:2")
        farm.wait_states(COMPLETED=1, FAILED=1)
    finally:
        os.umask(before)
    for path in [farm.results, *farm.results.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode & 0o777
            assert mode == (0o775 if path.is_dir() else 0o664), f"{path} {mode:o}"


def test_cleanup_removes_the_patterns_from_ended_ideas_but_for_the_best_and_runs_its_script(make_farm):
    patterns = ["*.bin", "deep/**/*.tmp"]
    farm = make_farm(
        poll=0.2,
        report={"primary_metric": "val_accuracy"},
        cleanup={"patterns": patterns, "interval": 0.3, "script": "tidy.py", "timeout": 0.5},
    )
    (farm.home / "tidy.py").write_text(
        "import os, signal\nopen(os.environ['ORZE_RESULTS_DIR'] + '/../flags/tidied', 'w')\nsignal.pause()\n"
    )
    big = (
        "os.makedirs(out + '/deep')\nfor name in ('model.bin', 'deep/a.tmp', 'kept.txt'): write(name, 'x')\n"
    )
    farm.write(
        idea(1, big + "metrics(val_accuracy=0.5)"),
        idea(2, big + "metrics(val_accuracy=0.9)"),
        idea(3, big + "raise ValueError"),
        idea(4, big + "touch('up')\nwait('go')\nmetrics(val_accuracy=0.1)"),
    )
    daemon = farm.start(gpus="cpu:2")

    def bins() -> set[str]:
        return {path.parts[-4] for path in farm.results.glob("idea-*/attempts/*/model.bin")}

    farm.wait(lambda: farm.flagged("up") and bins() == {"idea-002", "idea-004"}, "the cleaning")
    farm.wait(lambda: farm.flagged("tidied"), "the script")
    assert not list(farm.results.glob("idea-001/attempts/*/deep/a.tmp"))
    assert not (farm.results / "idea-001" / "model.bin").is_symlink()
    assert (farm.results / "idea-001" / "kept.txt").read_text() == "x"
    assert (farm.results / "idea-002" / "model.bin").read_text() == "x"
    farm.flag("go")
    farm.wait(lambda: bins() == {"idea-002"}, "the last cleaning")
    farm.wait(lambda: "the cleanup script took longer than 0.5 s and was ended" in daemon.output, "its end")


def test_two_daemons_on_one_host_share_its_slots_and_one_leads_on_at_once_when_the_other_is_killed(farm):
    farm.write(*[idea(n, "pause(0.1)\nmetrics()") for n in range(1, 5)])
    daemons = [farm.start(), farm.start()]
    farm.wait_states(COMPLETED=4)
    leader = next(daemon for daemon in daemons if "this host leads" in daemon.output)
    other = next(daemon for daemon in daemons if daemon is not leader)
    leader.kill()
    farm.append(idea(5))
    farm.wait_states(COMPLETED=5)
    assert "this host leads" in other.output
