"""Why an idea stands where it stands: each case as a row."""

from __future__ import annotations

from typing import Any

import pytest

from orze.client.explain import Facts, explain, obstacle
from orze.client.story import Attempt
from orze.core.states import Cause, State
from orze.ideas.model import Idea
from orze.ideas.parse import parse
from orze.report.model import CardRow, HostRow


def idea(**fields: str) -> Idea:
    lines = "".join(f"- **{name}**: {value}\n" for name, value in fields.items())
    return parse(f"## idea-001: A title\n{lines}", path="ideas.md", line=1)


def host(name: str = "gpu-a", *cards: str, drained: bool = False) -> HostRow:
    """A host whose slots have these states."""
    rows = tuple(CardRow(str(number), "H200", state) for number, state in enumerate(cards))
    return HostRow(name, True, False, rows, 0, 0, 1.0, drained=drained)


def attempt(number: int = 1, **more: Any) -> Attempt:
    return Attempt(number, "t", f"{number}-t", "gpu-a", "0", 0.0, **more)


@pytest.mark.parametrize(
    ("there", "wanted", "why"),
    [
        (host("gpu-a", "free"), {}, ""),
        (host("gpu-a", "free", drained=True), {}, "drained"),
        (host("gpu-a", "free"), {"Hosts": "gpu-b, cpu-*"}, "its Hosts are gpu-b, cpu-*"),
        (host("gpu-a", "free"), {"Hosts": "gpu-*"}, ""),
        (host("gpu-a", "free"), {"GPUs": "2"}, "1 card, and it needs 2"),
        (host("gpu-a", "idea-002"), {}, "no slot is free"),
        (host("gpu-a", "foreign process 7"), {}, "no slot is free (0: foreign process 7)"),
        (host("gpu-a", "free", "idea-002"), {"GPUs": "2"}, "1 of 2 cards are free, and it needs 2"),
        (host("gpu-a", "free", "free"), {"GPUs": "2"}, ""),
    ],
)
def test_what_keeps_an_idea_from_a_host(there: HostRow, wanted: dict[str, str], why: str):
    assert obstacle(there, idea(**wanted)) == why


def test_two_slots_on_one_card_are_one_card():
    slots = (CardRow("0", "H200", "free"), CardRow("0#1", "H200", "free"))
    assert obstacle(HostRow("a", True, False, slots, 0, 2, 1.0), idea(GPUs="2")) == "1 card, and it needs 2"


PRUNED = attempt(cause="pruned", error="pruned at step 40: acc 0.71, the median of 12 others there is 0.83")
HAS = {"idea": idea(), "hosts": [host("gpu-a", "free")]}
CASES = [
    ("QUEUED", HAS, "is queued, the next in order", "gpu-a has room", ""),
    ("QUEUED", {**HAS, "ahead": 2}, "behind 2 others", "", ""),
    ("QUEUED", {"idea": idea()}, "", "no daemon runs", "start a daemon: orze run"),
    ("QUEUED", {"idea": idea(), "silent": {"b": 7200.0}}, "", "b is silent for 2h00m", "start a daemon"),
    ("QUEUED", {**HAS, "registered": False}, "", "has not taken its section in yet", ""),
    ("QUEUED", {**HAS, "disk": "1 GB are free"}, "", "1 GB are free", "make room"),
    ("QUEUED", {**HAS, "problems": ["no base"]}, "", "problem: no base", ""),
    ("QUEUED", {**HAS, "asked": ["hold"]}, "", "a request to hold it waits for the leader", ""),
    (
        "QUEUED",
        {**HAS, "after": [("idea-002", State.TRAINING)]},
        "waits for idea-002",
        "is training",
        "orze explain",
    ),
    ("QUEUED", {**HAS, "same": "idea-002"}, "is queued", "idea-002 runs with the same", "**Rerun**: yes"),
    ("QUEUED", {**HAS, "after": [("idea-002", None)]}, "", "is not in ideas.md", "add idea-002"),
    (
        "QUEUED",
        {"idea": idea(), "hosts": [host("a", "free", drained=True)]},
        "",
        "a: drained",
        "orze undrain a",
    ),
    ("QUEUED", {"idea": idea(GPUs="4"), "hosts": [host("a", "free")]}, "", "needs 4", "change Hosts or GPUs"),
    (
        "QUEUED",
        {"idea": idea(), "hosts": [host("a", "idea-2")]},
        "",
        "no slot is free",
        "orze priority idea-001 high",
    ),
    ("HELD", {"idea": idea(), "held": "held by ada"}, "is held", "held by ada", "orze release idea-001"),
    ("HELD", {"reason": "its section vanished"}, "is held", "vanished", "orze restore idea-001"),
    ("HELD", {"idea": idea(), "reason": "waits for it in turn"}, "", "in turn", "change After"),
    ("QUARANTINED", {"reason": "ideas.md:3: no"}, "cannot be accepted", "ideas.md:3: no", "orze lint"),
    ("CLAIMED", {}, "just being claimed", "", ""),
    ("TRAINING", {"attempts": [attempt()]}, "is training on gpu-a:0, attempt 1", "", "orze stop idea-001"),
    (
        "TRAINING",
        {"attempts": [attempt()], "silent": {"gpu-a": 99.0}},
        "",
        "silent for 1m39s",
        "start a daemon",
    ),
    ("COMPLETED", {"attempts": [attempt(state=State.COMPLETED)]}, "is completed", "", ""),
    ("COMPLETED", {"attempts": [attempt(error="no output")]}, "", "no output", "orze logs idea-001 --eval"),
    ("COMPLETED", {"edited": True}, "", "was edited after it ran", "orze retry idea-001"),
    (
        "FAILED",
        {"attempts": [attempt(cause="timeout", error="slow")]},
        "attempt 1",
        "timeout: slow",
        "Timeout",
    ),
    (
        "FAILED",
        {"attempts": [attempt(cause="signal")], "retry": {"signal": 1}, "failures": {"signal": 2}},
        "",
        "gives signal 1 more try; it failed so twice",
        "orze retry",
    ),
    ("FAILED", {}, "failed", "another program", ""),
    (
        "SKIPPED",
        {"after": [("idea-002", State.FAILED)]},
        "comes after idea-002",
        "is failed",
        "orze retry idea-002",
    ),
    (
        "SKIPPED",
        {"attempts": [attempt(cause="script")], "limit": 1},
        "failed once",
        "attempt 1: script",
        "now 1",
    ),
    ("STOPPED", {}, "was stopped", "operator", "orze retry"),
    ("PRUNED", {"attempts": [PRUNED]}, "stopped early", "the median of 12", "runs it again, and to its end"),
    ("WITHDRAWN", {}, "is withdrawn", "operator", "orze release"),
]


@pytest.mark.parametrize(("state", "facts", "headline", "because", "change"), CASES)
def test_each_case_is_told(state: str, facts: dict[str, Any], headline: str, because: str, change: str):
    told = explain(Facts("idea-001", State(state), **facts))
    assert headline in told.headline
    assert because in "\n".join(told.because)
    assert change in "\n".join(told.change)


@pytest.mark.parametrize("state", State)
def test_every_state_has_an_answer_even_when_nothing_else_is_known(state: State):
    assert explain(Facts("idea-001", state)).headline.startswith("idea-001 ")


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_of_failure_comes_with_something_to_do(cause: Cause):
    told = explain(Facts("idea-001", State.FAILED, attempts=[attempt(cause=str(cause))]))
    assert told.change
