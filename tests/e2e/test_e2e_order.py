"""What runs when: priorities, After, retries, cards and hosts."""

from __future__ import annotations

from farmhouse import idea


def test_on_one_slot_ideas_run_by_priority_and_then_by_number(farm):
    priorities = ["low", "medium", "critical", "high", "medium", "critical"]
    farm.write(*[idea(n, Priority=p) for n, p in enumerate(priorities, 1)])
    farm.start()
    farm.wait_states(COMPLETED=6)
    order = [event["idea"] for event in farm.starts()]
    assert order == ["idea-003", "idea-006", "idea-004", "idea-002", "idea-005", "idea-001"]


def test_failures_are_retried_by_cause_and_who_fails_too_often_is_skipped_with_its_waiters(
    make_farm,
):
    farm = make_farm(retry={"exception": 3, "exit_code": 1}, max_idea_failures=3)
    farm.write(
        idea(1, "if not attempt.startswith('3-'): raise ValueError\nmetrics(val_accuracy=0.5)"),
        idea(2, "raise ValueError"),
        idea(3, "os._exit(3)"),
        idea(4, "os.kill(os.getpid(), 9)"),
        idea(5, "metrics(seen=os.listdir(os.path.dirname(out)))", After="idea-001", Parent="idea-001"),
        idea(6, After="idea-001, idea-002"),
        idea(7, After="idea-006"),
        idea(8, After="idea-009"),
    )
    farm.start(gpus="cpu:2")
    farm.wait_states(COMPLETED=2, FAILED=2, SKIPPED=3, QUEUED=1)
    assert farm.kinds("idea-001") == ["CLAIM", "FAIL", "CLAIM", "FAIL", "CLAIM", "DONE"]
    assert farm.kinds("idea-002") == ["CLAIM", "FAIL"] * 3
    assert farm.last("idea-002")["skip"]
    assert farm.kinds("idea-003") == ["CLAIM", "FAIL"] * 2
    assert farm.kinds("idea-004") == ["CLAIM", "FAIL"]
    assert farm.starts("idea-005")[0]["at"] > farm.events("end", "idea-001")[0]["at"]
    assert sorted(farm.last("idea-005")["metrics"]["seen"]) == ["idea-001", "idea-005"]
    assert not farm.starts("idea-006")
    report = farm.report()
    assert "its After idea-002 is SKIPPED" in report
    assert "its After idea-006 is SKIPPED" in report
    waiting = {row["idea_id"]: row["reason"] for row in farm.status()["waiting"]}
    assert waiting["idea-008"] == "waits for idea-009, which is not in ideas.md"


def test_an_idea_with_its_own_time_limit_ignores_that_of_the_farm(make_farm):
    farm = make_farm(timeout=0.3, grace=0.1)
    farm.write(idea(1, "rest()"), idea(2, "pause(0.5)\nmetrics()", Timeout="1m"))
    farm.start()
    farm.wait_states(COMPLETED=1, FAILED=1)
    assert "time limit of 0.3 s" in farm.last("idea-001")["error"]


def test_ideas_for_other_hosts_or_more_cards_than_there_are_wait_and_the_report_says_for_what(farm):
    farm.write(idea(1, GPUs="2"), idea(2, Hosts="gpu-a*, gpu-b*"), idea(3, Hosts="*"))
    farm.start()
    farm.wait_states(COMPLETED=1, QUEUED=2)
    reasons = {w["idea_id"]: w["reason"] for w in farm.status()["waiting"]}
    assert reasons["idea-001"].startswith("needs 2 cards; ")
    assert reasons["idea-002"] == "for hosts gpu-a*, gpu-b*"
    assert "needs 2 cards" in farm.report()


def test_two_ideas_that_wait_for_each_other_are_held_and_told(farm):
    farm.write(idea(1, After="idea-002"), idea(2, After="idea-001"), idea(3))
    farm.start()
    farm.wait(lambda: farm.states().get("COMPLETED") == 1, "the third")
    held = {h["idea_id"]: h["reason"] for h in farm.status()["held"]}
    assert "waits for it in turn; change one of them" in held["idea-001"] + held.get("idea-002", "")
    assert not farm.starts("idea-001") + farm.starts("idea-002")
