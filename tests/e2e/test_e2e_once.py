"""`--once`: each slot runs one idea, and the exit status tells how it went."""

from __future__ import annotations

from farmhouse import idea


def test_once_runs_one_idea_on_each_slot_and_ends_with_0(farm):
    farm.write(idea(1), idea(2), last=idea(3))
    said = farm.run("--once", "--gpus", "cpu:2")
    assert farm.kinds("idea-001") == farm.kinds("idea-002") == ["CLAIM", "DONE"]
    assert not (farm.results / "idea-003").exists()
    assert "2 ended well, 0 failed" in said
    assert farm.states() == {"QUEUED": 1, "COMPLETED": 2}
    assert "idea-001" in farm.report()
