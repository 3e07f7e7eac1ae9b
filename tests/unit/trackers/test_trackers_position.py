"""Nothing of the journal is mirrored twice, nothing is left out, whoever goes on and whatever was cut off."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tracker_examples import Ended

from orze.core.clock import ManualClock
from orze.core.files import RealFiles
from orze.trackers.position import Position


class Reader:
    """Mirrors by noting what it is given, up to a failure."""

    def __init__(self, farm: Ended) -> None:
        self.farm = farm
        self.path = farm.paths.mirror("x")
        self.noted: list[str] = []
        self.clock = ManualClock()

    def run(self, limit: int = 1000) -> list[str]:
        """Go on where the last one was; fail after so many. What this run noted."""
        before = len(self.noted)
        pending = Position(RealFiles(), self.farm.paths, self.clock, self.path).pending()
        for number, (idea_id, _, facts) in enumerate(pending):
            if number == limit:
                pending.close()
                break
            self.noted.append(f"{idea_id}/{facts['attempt']}")
        return self.noted[before:]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    farm = Ended(tmp_path)
    for number in (1, 2, 3):
        farm.ends(number)
    return Reader(farm)


def test_everything_is_told_once_in_the_order_of_the_journal(reader: Reader):
    assert reader.run() == ["idea-001/1", "idea-002/1", "idea-003/1"]
    assert reader.run() == []
    reader.farm.ends(4)
    assert reader.run() == ["idea-004/1"]


def test_what_is_told_meanwhile_is_mirrored_as_well(reader: Reader):
    pending = Position(RealFiles(), reader.farm.paths, reader.clock, reader.path).pending()
    told = [next(pending)[0]]
    reader.farm.ends(4)
    assert told + [idea_id for idea_id, _, _ in pending] == [f"idea-{n:03d}" for n in (1, 2, 3, 4)]
    assert reader.run() == []


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
def test_who_was_cut_off_is_followed_where_it_was(reader: Reader, limit):
    assert len(reader.run(limit)) == limit
    reader.farm.ends(4)
    reader.run()
    assert reader.noted == [f"idea-{number:03d}/1" for number in (1, 2, 3, 4)]


def test_an_idea_that_ran_again_is_told_again_and_its_reopening_is_not(reader: Reader):
    reader.run()
    reader.farm.journal.write(1, {"reopen": ["idea-001"]})
    reader.farm.ends(1, attempt=2)
    assert reader.run() == ["idea-001/2"]


def test_many_outcomes_in_one_record_are_not_told_from_the_start_again(tmp_path: Path):
    farm = Ended(tmp_path)
    farm.journal.write(1, {"outcomes": [[f"idea-{n:03d}", "FAILED", {"attempt": 1}] for n in range(50)]})
    reader = Reader(farm)
    for _ in range(8):
        reader.run(7)
    assert reader.noted == [f"idea-{n:03d}/1" for n in range(50)]


def test_a_long_run_keeps_its_place_in_between(reader: Reader):
    position = Position(RealFiles(), reader.farm.paths, reader.clock, reader.path)
    pending = position.pending()
    next(pending)
    reader.clock.sleep(6.0)
    next(pending)
    assert json.loads(Path(reader.path).read_text())["done"] == 1
    assert reader.run()[0] == "idea-002/1"


def test_a_journal_that_was_begun_anew_is_told_from_its_beginning(reader: Reader):
    reader.run()
    shutil.rmtree(reader.farm.paths.journal)
    reader.farm.journal.__init__(RealFiles(), reader.farm.paths.journal, ManualClock(), frame={})
    reader.farm.ends(9)
    assert reader.run() == ["idea-009/1"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"seen": [], "done": 1}', '{"seen": [[1]]}', "null"])
def test_a_place_that_cannot_be_read_means_everything_again(reader: Reader, text):
    reader.run()
    Path(reader.path).write_text(text)
    assert len(reader.run()) == 3
    assert reader.run() == []


def test_a_record_of_a_leader_that_was_followed_is_void_also_behind_the_place(reader: Reader):
    reader.farm.journal.write(5, {"hold": [["idea-007", "x"]]})
    reader.run()
    chain = reader.farm.journal._chain
    forged = {"kind": "ENTRY", "term": 4, "nonce": "n", "outcomes": [["idea-008", "FAILED", {"attempt": 1}]]}
    chain._put(json.dumps({**forged, "prev": reader.farm.journal.fold.tail}).encode(), "other")
    assert reader.run() == []
