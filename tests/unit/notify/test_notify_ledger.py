"""The ledger: nothing is lost, nothing is told twice, and it stays small."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.config.values import News
from orze.core.files import RealFiles
from orze.notify.ledger import Ledger, LedgerFile
from orze.notify.news import Best, Event, Told

TOLD = Told(
    outcomes=3,
    best=Best(idea_id="idea-001", metric="loss", value=0.5, ascending=True),
    empty=False,
    disk_low=True,
)


def event(number: int) -> Event:
    return Event(kind=News.FAILED, head=f"number {number}", more="ä ＠")


def ledger(count: int, *targets: str) -> Ledger:
    return Ledger(told=TOLD).with_targets(targets).with_events(TOLD, map(event, range(1, count + 1)))


def test_each_target_waits_for_what_it_was_not_told() -> None:
    made = ledger(3, "slack", "mailto").delivered("slack", 2)
    assert made.waiting("slack") == ([event(3)], 0)
    assert made.waiting("mailto") == ([event(1), event(2), event(3)], 0)
    assert made.delivered("slack", 3).delivered("mailto", 3).events == ()
    assert made.delivered("slack", 1) == made, "an answer that comes late takes nothing back"


def test_a_new_target_is_told_of_what_happens_from_then_on_and_one_that_went_holds_nothing_up() -> None:
    made = ledger(3, "slack").with_targets(["mailto"])
    assert made.waiting("mailto") == ([], 0)
    assert made.waiting("slack") == ([], 0)
    assert made.events == ()


def test_what_a_target_does_not_take_for_long_is_counted_and_the_latest_kept() -> None:
    events, more = ledger(1234, "slack").waiting("slack")
    assert (len(events), more, events[-1]) == (200, 1034, event(1234))


def test_without_targets_nothing_is_kept() -> None:
    assert ledger(5).events == ()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 7)), max_size=40))
def test_every_target_is_told_of_every_event_once_in_order(steps: list[tuple[str, int]]) -> None:
    made = Ledger(told=TOLD).with_targets("ab")
    heard: dict[str, list[Event]] = {"a": [], "b": []}
    for name, new in [*steps, ("a", 0), ("b", 0)]:
        made = made.with_events(TOLD, map(event, range(made.count + 1, made.count + 1 + new)))
        events, more = made.waiting(name)
        assert more == max(0, made.count - made.sent[name] - 200)
        heard[name] += events
        made = made.delivered(name, made.count)
        assert len(made.events) <= 200
    for events in heard.values():
        numbers = [int(one.head.split()[1]) for one in events]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == made.count or made.count > 200


def test_a_ledger_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    file = LedgerFile(RealFiles(), str(tmp_path / "results" / "notify"))
    assert file.load() is None
    made = ledger(300, "slack", "json 2").delivered("slack", 250)
    file.save(7, made)
    assert file.load() == (7, made)


def test_the_newest_term_is_read_and_who_was_followed_disturbs_nobody(tmp_path: Path) -> None:
    file = LedgerFile(RealFiles(), str(tmp_path))
    old, new = ledger(1, "slack"), ledger(2, "slack")
    file.save(9, old)
    file.save(10, new)
    file.forget(but=10)
    file.save(9, old)  # the daemon of term 9 was frozen meanwhile
    assert file.load() == (10, new)
    (tmp_path / "notes.json").write_text("mine")
    (tmp_path / ".tmp-1-000000000011.json").write_text("half")
    file.forget(but=10)
    names = {".tmp-1-000000000011.json", "000000000010.json", "notes.json"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[1]", "\0", '{"told": 1}', '{"told":{"outcomes":1,"best":null,"empty":"no","disk_low":1}}'],
)
def test_what_is_no_ledger_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "000000000001.json").write_text(content)
    assert LedgerFile(RealFiles(), str(tmp_path)).load() is None


def test_a_ledger_that_cannot_be_read_is_an_error_and_not_a_beginning(tmp_path: Path) -> None:
    (tmp_path / "000000000001.json").mkdir()
    with pytest.raises(OSError, match=r"directory|regular"):
        LedgerFile(RealFiles(), str(tmp_path)).load()
