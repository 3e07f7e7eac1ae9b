"""The checker of the nemesis sees what must not be: each promise broken by hand, on a farm that never ran."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checker import Checker, Violation
from farmhouse import Farm

from orze.coord.chain import Chain
from orze.coord.idea_chain import IdeaFold
from orze.coord.record import new_record
from orze.core.clock import SystemClock
from orze.core.files import RealFiles

FENCE = 2.0


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    """A project in which nothing runs."""
    made = Farm(tmp_path / "farm")
    (made.results / ".orze" / "heartbeats").mkdir(parents=True)
    (made.results / ".orze" / "doors").mkdir()
    return made


def checker(farm: Farm, *, stops: Any = (), removals: Any = ()) -> Checker:
    """With one host, alpha."""
    (farm.results / ".orze" / "heartbeats" / "daemon.a").touch()
    host: Any = SimpleNamespace(name="alpha", stops=list(stops), slots=2)
    return Checker(farm, [host], list(removals), fence=FENCE)


def write_chain(farm: Farm, *kinds: str, by: str = "1-aa") -> None:
    """A chain of idea-001 whose first attempt has the token aa, the second bb."""
    fold = IdeaFold()
    directory = farm.results / "idea-001" / ".chain"
    directory.mkdir(parents=True)
    chain = Chain(RealFiles(), str(directory), fold, SystemClock())
    frame = {"host": "alpha", "boot": "b", "pidns": "p", "machine": "m", "pid": 1, "start": 1, "at": 1.0}
    for kind in kinds:
        token = ("aa", "bb")[fold.attempt - (kind != "CLAIM")]
        content = {
            "CLAIM": {"section": "## idea-001: x\n", "sha": "00", "gpu": "cpu0", "cards": []},
            "DONE": {
                "metrics": {"by": by, "val_accuracy": 0.5},
                "evaluated": False,
                "evaluation_error": "",
                "post_errors": [],
            },
            "LOST": {"supersedes": fold.tail, "seen_gone": False, "by": "d"},
            "FAIL": {"cause": "start", "error": "the keeper failed: KeyError", "final": True, "skip": False},
        }[kind]
        attempt = fold.attempt + (kind == "CLAIM")
        where = {"directory": f"{attempt}-{token}", "seconds": 1.0}
        record = new_record(kind, token=token, attempt=attempt, **frame, **where, **content)
        assert chain.append(lambda record=record: record)
    for attempt in ("1-aa", "2-bb"):
        (farm.results / "idea-001" / "attempts" / attempt / "input").mkdir(parents=True)
        (farm.results / "idea-001" / "attempts" / attempt / "input" / "ideas.md").write_text(
            "## idea-001: x\n"
        )


def history(farm: Farm, *events: dict[str, Any]) -> None:
    """What the scripts have noted."""
    told = {"idea": "idea-001", "host": "alpha", "role": "train", "at": 0.0}
    (farm.home / "history.jsonl").write_text(
        "".join(json.dumps({**told, **event}) + "\n" for event in events)
    )


def show(farm: Farm, **changes: Any) -> None:
    """A status.json of one host with two free slots."""
    hosts = [{"name": "alpha", "free": 2}]
    status = {"states": {"COMPLETED": 1}, "active": [], "top_results": [], "hosts": hosts, **changes}
    (farm.results / "status.json").write_text(json.dumps(status))
    (farm.results / "report.md").write_text("# Report\n")


START = {"what": "start", "attempt": "1-aa", "steady": 10.0}
OVERLAP = {"what": "overlap", "attempt": "2-bb", "steady": 20.0, "lock": "idea-001"}


def test_a_farm_at_rest_that_kept_every_promise_is_left_in_peace(farm):
    write_chain(farm, "CLAIM", "DONE")
    history(farm, START)
    show(farm)
    found = checker(farm)
    found.look()
    assert found.unrest([1]) == ""
    found.check_all([1])


@pytest.mark.parametrize("kinds", [("CLAIM",), ("CLAIM", "LOST")])
def test_an_idea_that_has_not_ended_is_no_rest(farm, kinds):
    write_chain(farm, *kinds)
    show(farm)
    assert checker(farm).unrest([1]).startswith("idea-001 is ")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"states": {}}, "are not all 1 ideas"),
        ({"states": {"QUEUED": 1}}, "1 ideas are QUEUED"),
        ({"active": [{"idea_id": "idea-001"}]}, "is shown at work"),
        ({"hosts": [{"name": "alpha", "free": 1}]}, "free slots are"),
        (
            {"top_results": [{"idea_id": "idea-001", "attempt": 2, "metrics": {"val_accuracy": 9}}]},
            "the leaderboard shows",
        ),
    ],
)
def test_a_status_that_tells_otherwise_than_the_chains_is_seen(farm, changes, told):
    write_chain(farm, "CLAIM", "DONE")
    show(farm, **changes)
    assert told in checker(farm).unrest([1])


@pytest.mark.parametrize("left", ["heartbeats/idea-001.aa", "heartbeats/daemon.b", "doors/aa"])
def test_what_is_left_behind_is_seen(farm, left):
    write_chain(farm, "CLAIM", "DONE")
    show(farm)
    (farm.results / ".orze" / left).touch()
    assert checker(farm).unrest([1])


@pytest.mark.parametrize(
    ("stops", "removals", "excused"),
    [
        ([], [], False),
        ([[12.0, 13.0]], [], False),
        ([[1.0, 9.0], [21.0, 30.0]], [], False),
        ([[11.0, 15.0]], [], False),
        ([], [(15.0, "idea-001")], False),
        ([[11.0, 17.0]], [], True),
        ([[12.0, float("inf")]], [], True),
        ([], [(17.0, "idea-001")], True),
        ([], [(16.0, "idea-002"), (21.0, "idea-001")], False),
    ],
)
def test_two_attempts_at_once_are_excused_only_by_a_stop_past_the_fence_or_a_removal_just_before(
    farm, stops, removals, excused
):
    write_chain(farm, "CLAIM", "LOST", "CLAIM", "DONE", by="2-bb")
    history(farm, START, {**START, "attempt": "2-bb", "steady": 20.0}, OVERLAP)
    found = checker(farm, stops=stops, removals=removals)
    if excused:
        found.check_all([1])
    else:
        with pytest.raises(Violation, match="overlap"):
            found.check_all([1])


def test_an_attempt_that_goes_on_long_after_another_began_is_seen_unless_it_was_thawed_only_then(farm):
    write_chain(farm, "CLAIM", "LOST", "CLAIM", "DONE", by="2-bb")
    late = {**START, "what": "alive", "steady": 30.0}
    history(farm, START, {**START, "attempt": "2-bb", "steady": 20.0}, late)
    with pytest.raises(Violation, match="though another attempt began"):
        checker(farm).check_all([1])
    checker(farm, stops=[[12.0, 29.0]]).check_all([1])


def test_two_attempts_on_one_slot_are_never_excused(farm):
    write_chain(farm, "CLAIM", "DONE")
    history(farm, START, {**OVERLAP, "lock": "pid:[1].cpu0"})
    with pytest.raises(Violation, match="one slot"):
        checker(farm, stops=[[0.0, 30.0]]).check_all([1])


def test_metrics_of_another_attempt_are_seen(farm):
    write_chain(farm, "CLAIM", "DONE", by="9-zz")
    with pytest.raises(Violation, match="its metrics are of 9-zz"):
        checker(farm).check_all([1])


def test_a_run_of_other_text_than_was_claimed_is_seen(farm):
    write_chain(farm, "CLAIM", "DONE")
    (farm.results / "idea-001" / "attempts" / "1-aa" / "input" / "ideas.md").write_text("## idea-001: y\n")
    with pytest.raises(Violation, match="not what was claimed"):
        checker(farm).check_all([1])


def test_a_fault_of_the_keeper_itself_is_seen(farm):
    write_chain(farm, "CLAIM", "FAIL")
    with pytest.raises(Violation, match="the keeper failed"):
        checker(farm).check_all([1])


def test_a_training_without_a_claim_and_one_that_ran_twice_are_seen(farm):
    write_chain(farm, "CLAIM", "DONE")
    history(farm, START, {**START, "attempt": "2-bb"})
    with pytest.raises(AssertionError, match="without a claim"):
        checker(farm).check_all([1])
    history(farm, START, START)
    with pytest.raises(AssertionError, match="trained twice"):
        checker(farm).check_all([1])


@pytest.mark.parametrize(("name", "half"), [("status.json", '{"states":'), ("report.md", "# Rep")])
def test_half_a_report_is_seen_and_so_is_one_that_is_gone(farm, name, half):
    show(farm)
    found = checker(farm)
    found.look()
    (farm.results / name).write_text(half)
    with pytest.raises(Violation, match="not whole"):
        found.look()
    (farm.results / name).unlink()
    with pytest.raises(Violation, match="was gone"):
        found.look()
