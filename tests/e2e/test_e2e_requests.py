"""What operators ask for by files: stop, retry, hold, release, withdraw, restore."""

from __future__ import annotations

import os

from farmhouse import idea


def test_stop_lets_an_attempt_save_and_the_idea_is_stopped_until_it_is_retried(make_farm):
    farm = make_farm(poll=1)
    first = "on_term(lambda: save('half')); touch('up'); rest()"
    farm.write(idea(1, f"if attempt.startswith('1-'): {first}\nmetrics()"))
    farm.start()
    farm.wait(lambda: farm.flagged("up"), "the start")
    farm.ask("stop", "idea-001")
    farm.wait_states(STOPPED=1)
    assert farm.last("idea-001")["cause"] == "stopped"
    assert len(farm.events("term")) == 1
    assert not list((farm.results / "idea-001" / ".chain").glob("stop-*"))
    farm.ask("retry", "idea-001")
    farm.wait_states(COMPLETED=1)
    assert farm.kinds("idea-001") == ["CLAIM", "FAIL", "RETRY", "CLAIM", "DONE"]
    assert not list((farm.results / ".orze" / "requests").iterdir())


def test_a_held_idea_waits_until_it_is_released_and_a_withdrawn_one_does_not_run(make_farm):
    farm = make_farm(poll=1)
    blocker = idea(1, "wait('go')\nmetrics()", Priority="high")
    farm.write(blocker, idea(2), idea(3), idea(4))
    farm.start()
    farm.wait(farm.starts, "the start")
    farm.ask("hold", "idea-002")
    farm.ask("withdraw", "idea-003")
    farm.wait_states(TRAINING=1, HELD=1, WITHDRAWN=1, QUEUED=1)
    assert farm.status()["held"][0]["reason"] == "held by test"
    assert "held by test" in farm.report()
    farm.flag("go")
    farm.wait_states(COMPLETED=2, HELD=1, WITHDRAWN=1)
    farm.ask("release", "idea-002")
    farm.wait_states(COMPLETED=3, WITHDRAWN=1)
    farm.ask("release", "idea-003")
    farm.wait_states(COMPLETED=4)


def test_ideas_that_vanish_from_the_file_are_held_and_can_be_restored_or_withdrawn(make_farm):
    farm = make_farm(poll=1)
    blocker = idea(1, "wait('go')\nmetrics()", Priority="high")
    second = idea(2, title="The one that was clobbered")
    farm.write(blocker, second, idea(3))
    farm.start()
    farm.wait(lambda: farm.states() == {"TRAINING": 1, "QUEUED": 2}, "the start")
    farm.write()
    farm.wait_states(TRAINING=1, HELD=2)
    assert "its section vanished from ideas.md" in farm.status()["held"][0]["reason"]
    farm.ask("restore", "idea-002")
    farm.ask("withdraw", "idea-003")
    farm.flag("go")
    farm.wait_states(COMPLETED=2, WITHDRAWN=1)
    assert farm.ideas.read_text().count(second.strip()) == 1


def test_a_vanished_idea_whose_id_was_given_to_another_comes_back_under_a_new_one(make_farm):
    farm = make_farm(poll=1)
    blocker = idea(1, "wait('go')\nmetrics()", Priority="high")
    farm.write(blocker, idea(2, title="First of the name"))
    farm.start()
    farm.wait(lambda: farm.states() == {"TRAINING": 1, "QUEUED": 1}, "the start")
    farm.write(blocker)
    farm.wait_states(TRAINING=1, HELD=1)
    farm.write(blocker, idea(2, title="Second of the name", config="second: 1"))
    farm.wait_states(TRAINING=1, QUEUED=1)
    farm.ask("restore", "idea-002")
    farm.wait(lambda: "## idea-10000: First of the name" in farm.ideas.read_text(), "the new id")
    farm.flag("go")
    farm.wait_states(COMPLETED=3)
    titles = {row["idea_id"]: row["title"] for row in farm.status()["top_results"]}
    assert titles["idea-002"] == "Second of the name"
    assert titles["idea-10000"] == "First of the name"


def test_an_idea_whose_directory_is_removed_runs_again_and_what_still_runs_of_it_is_ended(make_farm):
    farm = make_farm(poll=0.5, grace=0.2, lease={"heartbeat": 0.5, "fence": 2, "kill": 0.5, "steal": 3})
    farm.write(idea(1), idea(2, "on_term(lambda: None)\ntouch('up')\nwait('go')\nmetrics()"))
    farm.start()
    farm.wait(lambda: farm.flagged("up"), "the second")
    farm.remove("idea-001")
    farm.remove("idea-002")
    farm.wait(lambda: len(farm.starts("idea-002")) == 2, "the second start")
    farm.flag("go")
    farm.wait(lambda: farm.kinds("idea-001") == farm.kinds("idea-002") == ["CLAIM", "DONE"], "both again")
    farm.wait_states(COMPLETED=2)
    assert [event["attempt"] for event in farm.events("term")] == [farm.starts("idea-002")[0]["attempt"]]
    assert len(farm.starts("idea-001")) == len(farm.starts("idea-002")) == 2


def test_requests_that_cannot_be_met_or_understood_are_answered_and_taken_away(make_farm):
    farm = make_farm(poll=1)
    farm.write(idea(1))
    farm.start()
    farm.wait_states(COMPLETED=1)
    requests = farm.results / ".orze" / "requests"
    (requests / "broken.json").write_text("{")
    (requests / "unknown.json").write_text('{"kind": "explode", "idea": "idea-001"}')
    (requests / "list.json").write_text("[1]")
    os.mkfifo(requests / "pipe.json")
    farm.ask("stop", "idea-001")
    farm.ask("retry", "idea-077")
    farm.ask("hold", "../../etc")
    farm.wait(lambda: {path.name for path in requests.iterdir()} <= {"pipe.json"}, "the answers")
    answers = {answer for record in farm.journal() for _, answer, _ in record.get("answers", ())}
    assert "idea-001 does not run, it is COMPLETED" in answers
    assert "idea-077 is not known" in answers
    assert any("explode" in answer for answer in answers)
    farm.ask("retry", "idea-001")
    farm.wait_for(idea_001="CLAIM DONE RETRY CLAIM DONE")
