"""What the records of an idea tell of its attempts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.client.story import Story
from orze.core.states import State


def told(*records: dict[str, Any]) -> Story:
    """The story after records, each linked to the one before."""
    story = Story()
    for number, record in enumerate(records):
        full = {"at": 100.0 * number, "prev": story.tail, **record}
        if full["kind"] == "LOST":
            full["supersedes"] = story.tail
        if full["kind"] == "RETRY":
            full["reopens"] = story.tail
        assert story.apply(full, f"sha{number}"), full
    return story


def claim(number: int) -> dict[str, Any]:
    return {"kind": "CLAIM", "attempt": number, "token": f"t{number}", "host": "a", "gpu": "0"}


def ending(kind: str, number: int, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "attempt": number, "token": f"t{number}", "seconds": 5.0, **more}


def test_each_attempt_has_its_own_end():
    story = told(
        claim(1),
        ending("FAIL", 1, cause="cuda_oom", error="too large", final=False),
        claim(2),
        ending("DONE", 2, metrics={"loss": 1.0}, evaluated=True),
        {"kind": "RETRY"},
        claim(3),
    )
    first, second, third = story.attempts
    assert (first.cause, first.error, first.state, first.ended) == (
        "cuda_oom", "too large", State.QUEUED, 100.0,
    )  # fmt: skip
    assert (second.state, second.metrics, second.seconds, second.retried) == (
        State.EVALUATED, {"loss": 1.0}, 5.0, True,
    )  # fmt: skip
    assert (third.running, third.ended, third.name) == (True, None, "3-t3")
    assert story.find(None) is third
    assert story.find(2) is second
    assert story.find(9) is None


def test_an_attempt_that_only_evaluates_has_its_files_where_they_were_trained():
    trained = ending("TRAINED", 1, metrics={}, directory="1-t1")
    story = told(claim(1), trained, {"kind": "LOST", "seen_gone": True}, claim(2))
    first, second = story.attempts
    assert (first.cause, first.state) == ("host_lost", State.QUEUED)
    assert (second.directory, second.name, second.state) == ("1-t1", "2-t2", State.EVALUATING)


@pytest.mark.parametrize(
    ("record", "state", "cause"),
    [
        (ending("FAIL", 1, cause="timeout", error="", final=True, skip=True), State.SKIPPED, "timeout"),
        (ending("FAIL", 1, cause="stopped", error="", final=True, skip=False), State.STOPPED, "stopped"),
        (ending("REQUEUE", 1, cause="preempted"), State.QUEUED, "preempted"),
    ],
)
def test_the_last_record_says_how_an_attempt_left_the_idea(record: dict[str, Any], state: State, cause: str):
    (attempt,) = told(claim(1), record).attempts
    assert (attempt.state, attempt.cause) == (state, cause)


def test_what_went_wrong_after_the_training_stands_beside_the_result():
    done = ending("DONE", 1, metrics={}, evaluation_error="no output", post_errors=["plot: it broke"])
    (attempt,) = told(claim(1), done).attempts
    assert (attempt.state, attempt.error) == (State.COMPLETED, "no output; plot: it broke")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


NAMES = ("cause", "error", "final", "skip", "metrics", "seconds", "at", "directory", "post_errors")


@given(
    st.sampled_from(["TRAINED", "DONE", "FAIL", "REQUEUE"]),
    st.dictionaries(st.sampled_from(NAMES), JSON),
)
def test_whatever_a_record_holds_the_story_goes_on(kind: str, content: dict[str, Any]):
    story = told(claim(1))
    story.apply({"prev": story.tail, **ending(kind, 1), **content}, "next")
    assert len(story.attempts) == 1
