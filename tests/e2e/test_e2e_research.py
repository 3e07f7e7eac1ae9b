"""Research on two hosts: the queue never runs dry, and the death of the leader doubles nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from farmhouse import SHORT_LEASE, Farm, idea
from machines import two_machines

pytestmark = pytest.mark.skipif(bool(two_machines()), reason=two_machines() or "two machines can be had")

RESEARCH = {"mode": "random", "ideas_per_round": 6, "min_queue": 10, "cooldown": 0.2, "round_timeout": 60}
SPACE = {"from_base": {"range": [0, 10_000_000]}}


def rounds(farm: Farm) -> list[dict[str, Any]]:
    """The lines of the ledger."""
    try:
        text = (farm.results / ".orze/research/ledger.jsonl").read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines()]


def allocated(farm: Farm) -> dict[str, str]:
    """The id that each entry of research was given; none twice."""
    given = [tuple(item) for record in farm.journal() for item in record.get("alloc", ())]
    assert len({uuid for uuid, _ in given}) == len({idea_id for _, idea_id in given}) == len(given)
    return dict(given)


def test_a_killed_leader_leaves_a_queue_that_its_successor_keeps_full_and_books_that_are_right(make_farm):
    farm = make_farm(poll=1, lease=SHORT_LEASE, research={**RESEARCH, "space": SPACE})
    script = farm.home / "train_idea.py"
    script.write_text(script.read_text().replace('"metrics(val', '"pause(1); metrics(val'))
    farm.write(idea(1), last="# End\n")
    alpha = farm.start(on=farm.machine("alpha"))
    farm.wait(lambda: farm.status().get("queue_depth", 0) >= 10, "a full queue")
    farm.start(on=farm.machine("beta", up=7200))
    seen: list[int] = []

    def another(count: int) -> bool:
        seen.append(farm.status()["queue_depth"])
        return len(rounds(farm)) >= count

    before = len(rounds(farm))
    farm.wait(lambda: another(before + 1), "one more round")
    alpha.kill()
    farm.wait(lambda: farm.status()["leader"] == "beta", "a successor")
    before = len(rounds(farm))
    farm.wait(lambda: another(before + 1), "a round of the successor")
    assert min(seen) >= 1
    books = rounds(farm)
    assert [one["round"] for one in books] == list(range(1, len(books) + 1))
    assert {one["state"] for one in books} <= {"ended", "lost"}
    left = [entry["uuid"] for one in books for entry in one["ideas"]]
    assert len(set(left)) == len(left) >= 12
    farm.wait(lambda: set(left) <= allocated(farm).keys(), "an id for each of them")
    headings = re.findall(r"^## (idea-\d+)", farm.ideas.read_text(), re.MULTILINE)
    assert len(set(headings)) == len(headings)
    told = farm.status()["research"]
    assert (told["mode"], told["usd"], told["dead"]) == ("random", 0.0, "")
    assert told["new"] >= told["run"] >= 1
    assert "## Research" in farm.report()


def test_a_round_in_the_foreground_is_run_once_beside_a_daemon_that_leads(make_farm):
    farm = make_farm(poll=1, lease=SHORT_LEASE, research={**RESEARCH, "min_queue": 1})
    farm.write(idea(1, "wait('go')"), idea(2))
    farm.start(on=farm.machine("alpha"))
    farm.wait(farm.starts, "a training")
    printed = farm.run("--research-only")
    assert re.search(r"^round 1: random proposes 6 ideas$", printed, re.MULTILINE), printed
    new = len(re.findall(r"^  new: ", printed, re.MULTILINE))
    assert new >= 1
    farm.wait(lambda: len(allocated(farm)) == new, "the daemon to take them in")
    assert [one["state"] for one in rounds(farm)] == ["ended"]
