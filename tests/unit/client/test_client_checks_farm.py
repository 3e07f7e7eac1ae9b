"""Checks of a farm by its files: who leads, who is silent, whose clock is off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orze.client import checks_farm as farm
from orze.client.checks import Verdict
from orze.client.checks_farm import DaemonFacts, FarmFacts
from orze.client.project import open_project
from orze.config.lease import Lease
from orze.coord.record import encode
from orze.core.files import RealFiles
from orze.farm.context import make_context
from orze.farm.hosts import Hosts

OK, WARN, FAIL, SKIP = Verdict.OK, Verdict.WARN, Verdict.FAIL, Verdict.SKIP
A, B = DaemonFacts("a", "gpu-a", None, 2.0), DaemonFacts("b", "gpu-b", None, 31.0)


@pytest.fixture
def project(tmp_path: Path):
    """A project in which a farm has begun."""
    (tmp_path / "results/.orze").mkdir(parents=True)
    return open_project(None, cwd=tmp_path, environ={})


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (FarmFacts("", "", ()), SKIP, "no daemon runs"),
        (FarmFacts("a", "gpu-a", (A, B)), OK, "gpu-a leads"),
        (FarmFacts("", "gpu-a", (A,)), WARN, "nobody leads, though 1 daemon is there"),
        (FarmFacts("b", "gpu-b", (A, B)), WARN, "gpu-b led last and gives no sign of life"),
        (FarmFacts("c", "gpu-c", ()), WARN, "gpu-c led last"),
    ],
)
def test_who_leads_is_judged_by_chain_and_heartbeat(facts, verdict, said):
    check = farm.judge_leader(facts, Lease())
    assert check.verdict is verdict
    assert said in check.sentence


@pytest.mark.parametrize(
    ("silent", "verdict", "said"),
    [
        (0.0, OK, "told nothing"),
        (29.0, OK, "signs of life"),
        (31.0, WARN, "silent for"),
        (181.0, WARN, "dead"),
    ],
)
def test_a_daemon_is_judged_by_its_silence(silent, verdict, said):
    (check,) = farm.judge_daemons([DaemonFacts("a", "gpu-a", None, silent)], Lease())
    assert check.name == "host gpu-a"
    assert check.verdict is verdict
    assert said in check.sentence


def test_clock_skew_is_shown_and_never_a_fault():
    check = farm.judge_skews({"gpu-a": 3661.24, "gpu-b": -0.2})
    assert check.verdict is OK
    assert "gpu-a 3661.2 s ahead, gpu-b 0.2 s behind; harmless" in check.sentence
    assert farm.judge_skews({}).verdict is SKIP


def test_the_daemons_are_read_with_what_they_told_and_how_long_they_are_silent(project):
    hosts = Hosts(context := make_context(project.settings, 0.0))
    hosts.begin()
    hosts.tell(cards=(), running=1, free=2)
    beat = f"{project.paths.heartbeats}/daemon.gone"
    RealFiles().write_new(beat, b"1\n")
    os.utime(beat, (0, 0))
    RealFiles().write_new(f"{project.paths.heartbeats}/idea-001.token", b"1\n")
    facts = {daemon.token: daemon for daemon in farm.read_farm(project).daemons}
    assert facts.keys() == {context.token, "gone"}
    assert facts[context.token].host == os.uname().nodename
    assert facts[context.token].silent < 60
    about = facts[context.token].about
    assert about is not None
    assert (about.running, about.free) == (1, 2)
    assert facts["gone"].silent > 1e9
    assert facts["gone"].host == ""
    hosts.end()
    assert not [name for name in os.listdir(project.paths.home) if name.startswith("preflight")]


def claim(project, idea_id: str, host: str, at: object) -> None:
    chain = Path(project.paths.idea(idea_id).chain)
    chain.mkdir(parents=True)
    (chain / "000001.json").write_bytes(encode({"kind": "CLAIM", "host": host, "at": at}))


def test_a_clock_is_compared_with_the_servers_by_what_its_host_claimed(project):
    now = project.clock.wall()
    claim(project, "idea-001", "gpu-a", now + 100)
    claim(project, "idea-002", "gpu-b", now - 100)
    claim(project, "idea-003", "gpu-c", "yesterday")
    claim(project, "idea-004", "gpu-d", now)
    (Path(project.paths.idea("idea-004").chain) / "000001.json").write_bytes(b"{")
    (Path(project.paths.results) / "idea-005").mkdir()
    skews = farm.read_skews(project)
    assert skews == {"gpu-a": pytest.approx(100, abs=10), "gpu-b": pytest.approx(-100, abs=10)}


def test_a_fifo_in_the_place_of_a_record_hangs_nobody(project):
    chain = Path(project.paths.idea("idea-001").chain)
    chain.mkdir(parents=True)
    os.mkfifo(chain / "000001.json")
    assert farm.read_skews(project) == {}
