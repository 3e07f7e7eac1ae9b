"""Research with a model, through a server of this machine: what it is told, what it costs, when it stops."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from farmhouse import ACTOR, Farm, idea

from bench.scripted import answer
from tests.fakes.chat import Chat, says, serving
from tests.needs import needs

KEY = "sk-e2e-0123456789abcdef0123456789"

pytestmark = needs("litellm")


@pytest.fixture
def chat() -> Iterator[Chat]:
    """A server whose model is the scripted researcher."""

    def scripted(handler: Any) -> None:
        text = "\n".join(message["content"] for message in server.asked[-1]["messages"])
        says(answer(text), usage=(5000, 500))(handler)

    with serving() as server:
        server.will(scripted)
        yield server


def ledger(farm: Farm) -> list[dict[str, Any]]:
    text = (farm.results / ".orze/research/ledger.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_model_proposes_within_its_budgets_and_its_key_is_in_no_file(make_farm, chat: Chat):
    farm = make_farm(
        poll=1,
        research={
            "mode": "llm",
            "model": "openai/scripted",
            "fallbacks": ["openai/another"],
            "api_base": chat.address,
            "price": {"input": 1.0, "output": 2.0},
            "reply_tokens": 900,
            "ideas_per_round": 2,
            "budget": {"usd": 5, "tokens": 10_000_000, "rounds": 1, "gpu_hours": 10},
            "goal": "AIM.md",
            "steer": "word.md",
        },
    )
    (farm.home / "AIM.md").write_text("Find what is good for owls.\n")
    (farm.home / "word.md").write_text("Look at small values first.\n")
    farm.write(idea(1))
    farm.run("--once", gpus="cpu")
    printed = farm.run("--research-only", OPENAI_API_KEY=KEY)
    assert "round 1: llm (openai/scripted) proposes 2 ideas" in printed
    (asked,) = chat.asked
    told = "\n".join(message["content"] for message in asked["messages"])
    assert "good for owls" in told
    assert "small values first" in told
    assert asked.get("max_completion_tokens", asked.get("max_tokens")) == 900
    (one,) = ledger(farm)
    assert (one["new"], one["tokens"], one["usd"]) == (2, 5500, pytest.approx(0.006))
    assert "budget.rounds of 1 is used up" in farm.run("--research-only", status=1, OPENAI_API_KEY=KEY)
    farm.start(OPENAI_API_KEY=KEY)
    farm.wait_states(COMPLETED=3)
    assert farm.status()["research"]["state"] == "stopped"
    kept = [path.read_bytes() for path in Path(farm.home).rglob("*") if path.is_file()]
    assert len(chat.asked) == 1
    assert not any(KEY.encode() in data for data in kept)


SCORE = """ "metrics(score=int(open(env['ORZE_IDEA_CONFIG']).read().split('from_base: ')[1].split()[0]))" """
PROPOSER = """
import json, sys
told = sys.stdin.read()
ideas = [{"title": f"Try {n}", "family": "numbers", "parent": None, "hypothesis": "Larger may be better.",
          "evidence": [], "overrides": {"from_base": n}, "space": None, "expected_change": None,
          "minutes": None, "memory_gb": None} for n in range(2, 8) if f'"from_base": {n}' not in told]
print(json.dumps({"ideas": ideas[:2]}))
"""


def test_a_program_proposes_until_the_target_is_reached_and_the_control_has_its_share(make_farm):
    farm = make_farm(
        poll=1,
        report={"primary_metric": "score", "sort": "descending"},
        research={
            "mode": "command",
            "command": [sys.executable, "propose.py"],
            "ideas_per_round": 1,
            "min_queue": 1,
            "cooldown": 0,
            "control": 0.5,
            "target": 5,
            "space": {"from_base": [1, 2, 3, 4, 5, 6, 7]},
        },
    )
    (farm.home / "propose.py").write_text(PROPOSER)
    (farm.home / "train_idea.py").write_text(ACTOR.read_text().replace('"metrics(val_accuracy=0.5)"', SCORE))
    farm.write(idea(1), last="# End\n")
    farm.start()
    farm.wait(lambda: farm.status().get("research", {}).get("state") == "stopped", "the target")
    told = farm.status()["research"]
    assert "target" in told["why"]
    arms = {(arm["name"], arm["control"]) for arm in told["arms"]}
    assert ("hillclimb", True) in arms
