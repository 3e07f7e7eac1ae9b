"""Invariant 6: no decision compares the clocks of two hosts."""

import ast
from pathlib import Path

import pytest

import orze.coord
from orze.coord.claims import Claimed, Claims, Taken
from orze.coord.heartbeat import Beat, Watch
from orze.coord.idea_chain import LOST
from orze.coord.journal import Journal
from orze.coord.leader import Leadership
from orze.coord.record import new_record
from orze.core.clock import ManualClock
from orze.core.memory import MemoryFiles
from orze.core.paths import FarmPaths
from tests.fakes.shares import Answers

SOURCES = sorted(Path(orze.coord.__file__).parent.glob("*.py"))
PATHS = FarmPaths("/results")


class NoWall(ManualClock):
    """A host whose wall clock must not be asked; its steady clock began at another time than others'."""

    def wall(self):
        raise AssertionError("the wall clock was asked")


class NoTimes(Answers):
    """A share whose times must not be asked."""

    def __init__(self, inner):
        super().__init__(inner, "stat", self.refuse)

    def refuse(self, *_):
        raise AssertionError("a file's times were asked")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_no_module_has_a_clock_of_its_own(source):
    """The wall clock is only written down, and only in a request; modification times are not looked at."""
    tree = ast.parse(source.read_text())
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"time", "datetime", "calendar", "email.utils"}
    attributes = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert not [
        name for name in attributes if name.startswith("st_") or name in ("getmtime", "utime", "stat")
    ]
    assert attributes.count("wall") == (1 if source.name == "requests.py" else 0)
    compared = [part for node in ast.walk(tree) if isinstance(node, ast.Compare) for part in ast.walk(node)]
    assert not [part for part in compared if isinstance(part, ast.Attribute) and part.attr == "wall"]


@pytest.mark.parametrize("apart", [-7200.0, 0.0, 7200.0, 1e9])
def test_hosts_whose_clocks_are_apart_take_over_from_one_another(apart):
    """One host claims and leads and dies; the other waits the lease by its own clock, and takes over."""
    files = NoTimes(MemoryFiles())
    files.mkdir("/results")
    here, there = NoWall(1e6), NoWall(1e6 + apart)
    first = Claims(files, PATHS, here, quiet=360.0).claim("idea-1", "a", {}, {})
    assert isinstance(first, Claimed)
    Beat(files, PATHS.heartbeat("idea-1", "a"), here).begin()
    office = Leadership(files, PATHS.leader, here, token="a", frame={})
    assert office.campaign()
    assert Journal(files, PATHS.journal, here, frame={}).write(1, {"hold": [["idea-2", "x"]]})

    claims = Claims(files, PATHS, there, quiet=360.0)
    watch = Watch(files, there, steal=180.0, gap=45.0)
    heartbeat = PATHS.heartbeat("idea-1", "a")
    began = there.steady()
    while not watch.look([heartbeat], {heartbeat}):
        assert isinstance(claims.claim("idea-1", "b", {}, {}), Taken)
        there.advance(10.0)
    assert there.steady() - began == 180.0
    chain, fold = claims.open_chain("idea-1")
    chain.append(lambda: new_record(LOST, supersedes=fold.tail, seen_gone=False))
    assert isinstance(claims.claim("idea-1", "b", {}, {}), Claimed)
    successor = Leadership(files, PATHS.leader, there, token="b", frame={})
    successor.depose("a")
    assert successor.campaign()
    journal = Journal(files, PATHS.journal, there, frame={})
    journal.follow()
    assert journal.write(successor.fold.term, {"release": ["idea-2"]})
