"""What is news: a table of cases, and what holds for every course of a farm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.config.values import News
from orze.core.states import State
from orze.notify.message import compose
from orze.notify.news import Best, Event, Now, Told, begin, host_lost, lost_hosts, mute, news
from orze.report.model import Result


def result(number: int, order: int, state: State = State.FAILED, **more: Any) -> Result:
    values = {"title": "A title", "cause": "exception", "error": "ValueError: x", **more}
    return Result(
        idea_id=f"idea-{number:03d}",
        state=state,
        host="gpu-a",
        gpu="0",
        attempt=1,
        finished_at=0.0,
        seconds=1.0,
        metrics={},
        order=order,
        **values,
    )


def best(number: int, value: float, metric: str = "val_loss", *, ascending: bool = True) -> Best:
    return Best(idea_id=f"idea-{number:03d}", metric=metric, value=value, ascending=ascending)


def now(outcomes: int = 0, of: Best | None = None, **more: Any) -> Now:
    found = result(1, more.pop("order", outcomes), State.COMPLETED, cause=None, error=None) if of else None
    values = {"failed": (), "queued": 1, "running": 0, "disk_gb": 0.0, "min_disk_gb": 0.0, **more}
    return Now(outcomes=outcomes, best=of, best_result=found, **values)


def told(outcomes: int = 0, of: Best | None = None, *, empty: bool = False, low: bool = False) -> Told:
    return Told(outcomes=outcomes, best=of, empty=empty, disk_low=low)


A, B = best(1, 0.5), best(2, 0.25)


@pytest.mark.parametrize(
    ("before", "seen", "heads"),
    [
        pytest.param(told(), now(), [], id="nothing"),
        pytest.param(told(), now(1, A), ["new best idea-001 val_loss 0.5000 (the first result)"], id="first"),
        pytest.param(told(1, A), now(2, B), ["new best idea-002 val_loss 0.2500 (was 0.5000)"], id="better"),
        pytest.param(told(2, B), now(3, A), [], id="the best was removed"),
        pytest.param(told(2, A), now(3, A), [], id="another result that is no better"),
        pytest.param(told(2, A), now(2, B, order=1), [], id="an old result ranks first after a removal"),
        pytest.param(told(2, None), now(2, A, order=1), [], id="an old result can be ranked now"),
        pytest.param(told(1, best(1, 0.5, "acc")), now(2, B), [], id="another metric ranks"),
        pytest.param(told(1, best(1, 0.5, ascending=False)), now(2, B), [], id="it ranks the other way"),
        pytest.param(
            told(1, best(1, 0.5, "acc", ascending=False)),
            now(2, best(2, 0.75, "acc", ascending=False)),
            ["new best idea-002 acc 0.7500 (was 0.5000)"],
            id="larger is better",
        ),
        pytest.param(
            told(3),
            now(5, failed=[result(1, 2), result(2, 4), result(3, 5, State.SKIPPED)]),
            [
                "idea-002 failed for good: exception",
                "idea-003 is skipped after too many failures, the last: exception",
            ],
            id="failures since",
        ),
        pytest.param(told(9), now(5, failed=[result(1, 2)]), [], id="the journal was begun anew"),
        pytest.param(told(), now(queued=0), ["the queue is empty"], id="empty"),
        pytest.param(told(empty=True), now(queued=0), [], id="still empty"),
        pytest.param(
            told(),
            now(disk_gb=4.96, min_disk_gb=10.0),
            ["disk low: 5.0 GB free in results, min_disk_gb is 10"],
            id="low",
        ),
        pytest.param(told(low=True), now(disk_gb=4.96, min_disk_gb=10.0), [], id="still low"),
        pytest.param(told(low=True), now(disk_gb=0.0), [], id="no limit any more"),
    ],
)
def test_news_is_what_nobody_was_told_before(before: Told, seen: Now, heads: list[str]) -> None:
    after, events = news(before, seen)
    assert [event.head for event in events] == heads
    assert news(after, seen) == (after, []), "the second look finds nothing"


def test_a_disk_at_its_limit_is_news_once() -> None:
    heard = []
    state = begin(now(disk_gb=11, min_disk_gb=10.0))
    for free in (9.9, 10.1, 9.9, 10.9, 9.0, 11.1, 9.9):
        state, events = news(state, now(disk_gb=free, min_disk_gb=10.0))
        heard.append(len(events))
    assert heard == [1, 0, 0, 0, 0, 0, 1]


def test_what_is_there_when_telling_begins_is_no_news() -> None:
    old = now(10_000, A, failed=[result(n, n) for n in range(5000)], queued=0, disk_gb=1, min_disk_gb=2.0)
    assert news(begin(old), old) == (begin(old), [])


@given(st.data())
def test_every_failure_is_told_once_however_often_one_looks_and_from_whatever_record(data: Any) -> None:
    """Looks that were not recorded (nothing but successes) may be lost without a failure told twice."""
    outcomes = data.draw(st.lists(st.sampled_from([State.FAILED, State.SKIPPED, State.COMPLETED])))
    results = [result(n, n, state) for n, state in enumerate(outcomes, 1)]
    kept = state = begin(now())
    heard: list[str] = []
    for end in [*sorted(data.draw(st.lists(st.integers(0, len(results))))), len(results)]:
        failed = [one for one in results[:end] if one.state is not State.COMPLETED]
        state, events = news(state, now(end, failed=failed))
        heard += [event.head.split()[0] for event in events]
        if events:
            kept = state
        elif data.draw(st.booleans()):
            state = kept  # another leader begins at what was recorded
    assert heard == [one.idea_id for one in results if one.state is not State.COMPLETED]


@pytest.mark.parametrize(
    ("dead", "living", "lost"),
    [
        (["a"], ["b"], ["a"]),
        (["a", "a"], [], ["a"]),
        (["a"], ["a", "b"], []),
        (["b", "", "a"], ["c"], ["a", "b"]),
    ],
)
def test_a_host_is_lost_when_no_daemon_of_its_name_lives(dead, living, lost) -> None:
    assert lost_hosts(dead, living) == lost


NASTY = "<!channel> @everyone\x1b[2J\u202e<@123> " + "x" * 500


def test_texts_of_others_are_short_harmless_and_call_nobody() -> None:
    failed = result(1, 1, title=NASTY, error=NASTY, cause=NASTY)
    nasty = best(1, 0.5, NASTY)
    _, events = news(told(), now(1, nasty, failed=[failed]))
    for title, body in (compose(NASTY, [*events, host_lost(NASTY)]), compose(NASTY, events[:1])):
        assert len(title) < 250
        assert len(body) < 1000
        for line in [title, *body.splitlines()]:
            assert line.isprintable()
            assert not set("@<>") & set(line)


@given(st.text(), st.integers(1, 200))
def test_a_muted_text_is_printable_and_bounded(text: str, limit: int) -> None:
    assert len(mute(text, limit)) <= limit
    assert mute(text, limit).isprintable()


def test_one_event_is_the_title_and_many_are_counted_in_it() -> None:
    one = Event(kind=News.NEW_BEST, head="new best idea-001 acc 0.9 (was 0.8)", more="A title")
    assert compose("mnist", [one]) == (f"farm mnist: {one.head}", "A title")
    assert compose("mnist", [host_lost("gpu-a")])[0] == "farm mnist: host gpu-a is lost"
    bare = Event(kind=News.FAILED, head="idea-002 failed for good: signal")
    assert compose("mnist", [bare]) == (f"farm mnist: {bare.head}", bare.head)
    title, body = compose("mnist", [one, bare, bare])
    assert title == "farm mnist: a new best, 2 ideas failed"
    assert body.splitlines() == [f"{one.head} — A title", bare.head, bare.head]
    title, body = compose("mnist", [bare] * 30, 12)
    assert title == "farm mnist: 30 ideas failed"
    assert body.splitlines() == ["32 earlier ones are left out", *[bare.head] * 10]


def test_every_kind_of_news_has_its_words() -> None:
    for kind in News:
        event = Event(kind=kind, head="x")
        assert compose("f", [event, event])[0] != "farm f: "
        assert compose("f", [event], 1)[0] != "farm f: "


def test_a_dead_researcher_is_news_once_and_again_only_when_it_had_come_back() -> None:
    why = "llm (m) left no valid new idea in its last 3 rounds: @here"
    after, events = news(told(), now(queued=1, research_dead=why))
    assert [(event.kind, event.head) for event in events] == [(News.RESEARCH_DEAD, "research is dead")]
    assert "＠here" in events[0].more
    assert news(after, now(queued=1, research_dead=why))[1] == []
    back, _ = news(after, now(queued=1))
    assert len(news(back, now(queued=1, research_dead=why))[1]) == 1
