"""Holds what a farm left on the server's disk against the promises of docs/protocol.md."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from nfsfarm import Farm

from orze.coord.chain import Chain, Fold
from orze.coord.idea_chain import CLAIM, DONE, IdeaFold
from orze.coord.journal import JournalFold
from orze.coord.leader import LeaderFold
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.core.paths import FarmPaths
from orze.core.states import State


class Run(NamedTuple):
    """One training, as its signs of life tell of it; times are those of the host's clock."""

    idea_id: str
    attempt: str
    host: str
    begun: float
    last: float


def check(farm: Farm, results: Sequence[str], others: Sequence[str] = ()) -> None:
    """Raise AssertionError where a promise is broken.

    Args:
        results: the ideas that must have exactly one result.
        others: those that must have ended without one.
    """
    paths = FarmPaths(str(farm.results))
    assert farm.ids() == sorted([*results, *others]), farm.ids()
    trained = runs(farm)
    done = {}
    for idea_id in results:
        done[idea_id] = _check_idea(farm, paths, idea_id, trained[idea_id])
    journal = JournalFold()
    _read_whole(paths.journal, journal, fanout=1000)
    _read_whole(paths.leader, LeaderFold(), fanout=1000)
    _check_report(farm, journal, done)
    _check_readers(farm)
    for log in farm.logs:
        told = log.read_text(errors="replace")
        assert "Traceback" not in told, told
        assert "please report it" not in told, told


def runs(farm: Farm) -> dict[str, list[Run]]:
    """Every training that began, by idea, in the order in which they began."""
    found: dict[str, list[Run]] = defaultdict(list)
    for start in farm.history.glob("*@start"):
        idea_id, attempt, host, _ = start.name.split("@")
        last = max(sign.stat().st_mtime for sign in farm.history.glob(f"{idea_id}@{attempt}@{host}@*"))
        found[idea_id].append(Run(idea_id, attempt, host, start.stat().st_mtime, last))
    for of_one in found.values():
        of_one.sort(key=lambda run: run.begun)
    return found


def _read_whole(directory: str, fold: Fold, fanout: int = 0) -> None:
    """Read a chain to its end; it raises where a number is missing, or a record is not one."""
    Chain(RealFiles(), directory, fold, SystemClock(), fanout=fanout).refresh()


def _check_idea(farm: Farm, paths: FarmPaths, idea_id: str, trained: list[Run]) -> dict[str, Any]:
    """The DONE of an idea: the only one, its last record, and of an attempt that was claimed and ran."""
    fold = IdeaFold()
    _read_whole(paths.idea(idea_id).chain, fold)
    records, _ = farm.chain(idea_id)
    assert fold.state is State.COMPLETED, f"{idea_id} is {fold.state}"
    assert [record["kind"] for record in records].count(DONE) == 1, f"{idea_id}: {farm.kinds(idea_id)}"
    claims = {f"{r['attempt']}-{r['token']}": r["host"] for r in records if r["kind"] == CLAIM}
    for run in trained:
        assert claims.get(run.attempt) == run.host, f"{idea_id}: {run} without a claim"
    assert len({run.attempt for run in trained}) == len(trained), f"{idea_id}: {trained}"
    end = records[-1]
    assert end["directory"] in {run.attempt for run in trained}, f"{idea_id}: {end} did not train"
    assert end["metrics"]["by"] == end["directory"], f"{idea_id} has the metrics of another: {end}"
    assert "late" not in end["metrics"], f"{idea_id} was ended by its keeper, and committed: {end}"
    shown = json.loads(Path(paths.idea(idea_id).projection("metrics.json")).read_text())
    assert shown["by"] == end["metrics"]["by"], f"{idea_id} shows {shown}, and {end} stands"
    for earlier, later in pairwise(trained):
        apart = earlier.last < later.begun
        assert apart or idea_id in farm.frozen, f"{earlier} and {later} lived at one time"
    return end


def _check_report(farm: Farm, journal: JournalFold, done: dict[str, dict[str, Any]]) -> None:
    """Every result that is told is that of the chain, and none is missing."""
    known = {idea_id for idea_id, idea in journal.ideas.items() if idea.outcome is State.COMPLETED}
    assert known == done.keys(), known ^ done.keys()
    told = {idea_id: facts for idea_id, state, facts in journal.outcomes if state}
    status = farm.status()
    assert status["completed"] == len(done)
    assert len(status["top_results"]) == min(len(done), 50)
    report = (farm.results / "report.md").read_text()
    for idea_id, end in done.items():
        assert told[idea_id]["metrics"] == end["metrics"], f"{idea_id}: {told[idea_id]} is told of {end}"
    for row in status["top_results"]:
        end = done[row["idea_id"]]
        assert row["value"] == end["metrics"]["val_accuracy"], f"{row} is told of {end}"
        assert row["idea_id"] in report


def _check_readers(farm: Farm) -> None:
    """On no host did anybody ever see half a report."""
    readers = farm.readers()
    assert readers
    for host, told in readers.items():
        assert told["reads"] > 0, host
        assert told["faults"] == [], f"{host}: {told['faults']}"
