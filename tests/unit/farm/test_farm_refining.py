"""The process that refines the code: there while this host leads, and started again where it fails."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path

import pytest
from farm_examples import a_leader

from orze.core.errors import ConfigError
from orze.farm import refining
from orze.farm.assembly import Assembly

REST = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"


def farm(home: Path, monkeypatch: pytest.MonkeyPatch, code: str, **settings) -> Assembly:
    """A leader whose process runs this code in place of the refiner."""
    monkeypatch.setattr(refining, "_BOOT", code)
    members = a_leader(home, **{"refine": {"agent": ["true"]}, **settings})
    members.refining.begin()
    return members


def wait(members: Assembly) -> int:
    """Wait for the process and tell of it, as the daemon does; its exit status."""
    pid, status = os.waitpid(members.refining.pid, 0)
    members.refining.child_ended(pid, status)
    return os.waitstatus_to_exitcode(status)


def problems(members: Assembly) -> list[str]:
    return members.problems.of("refining")


def test_without_the_key_or_before_the_farm_serves_nothing_is_started(tmp_path: Path, monkeypatch) -> None:
    silent = farm(tmp_path / "a", monkeypatch, REST, refine=None)
    assert silent.refining.step() == float("inf")
    waiting = a_leader(tmp_path / "b", refine={"agent": ["true"]})
    assert waiting.refining.step() == float("inf")
    assert (silent.refining.pid, waiting.refining.pid) == (0, 0)


def test_one_that_fails_is_started_again_after_a_pause_that_grows(tmp_path: Path, monkeypatch) -> None:
    members = farm(tmp_path, monkeypatch, "print('why'); raise SystemExit(2)")
    clock, pauses = members.context.clock, []
    for _ in range(3):
        assert members.refining.step() == float("inf")
        wait(members)
        pauses.append(members.refining.step() - clock.steady())
        clock.sleep(pauses[-1])
    assert pauses == [5.0, 10.0, 20.0]
    (said,) = problems(members)
    assert said.startswith(
        "refine: its process ended with status 2 and is started again; results/.orze/refine"
    )
    assert (Path(members.context.paths.refine) / "loop.log").read_text() == "why\n" * 3


def test_one_that_has_nothing_to_do_is_started_again_only_when_this_host_leads_anew(
    tmp_path: Path, monkeypatch
) -> None:
    members = farm(tmp_path, monkeypatch, "raise SystemExit(0)")
    members.refining.step()
    wait(members)
    members.context.clock.sleep(10_000.0)
    assert members.refining.step() == float("inf")
    assert problems(members) == []
    members.leadership.resign()
    assert members.leadership.campaign()
    members.refining.step()
    assert wait(members) == 0


def test_where_the_lead_is_lost_it_is_told_to_end(tmp_path: Path, monkeypatch) -> None:
    members = farm(tmp_path, monkeypatch, REST)
    members.refining.step()
    members.leadership.resign()
    assert members.refining.step() == members.context.clock.steady() + 10.0
    assert wait(members) == -signal.SIGTERM
    assert members.refining.step() == float("inf")
    assert problems(members) == []


def test_one_that_does_not_end_is_killed(tmp_path: Path, monkeypatch) -> None:
    members = farm(tmp_path, monkeypatch, DEAF)
    members.refining.step()
    log = Path(members.context.paths.refine) / "loop.log"
    until = time.monotonic() + 30.0
    while log.read_text() != "deaf\n":
        assert time.monotonic() < until
        select.select([], [], [], 0.01)
    members.leadership.resign()
    members.context.clock.sleep(members.refining.step() - members.context.clock.steady())
    members.refining.step()
    assert wait(members) == -signal.SIGKILL


def test_a_process_that_would_not_see_this_very_farm_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "orze.yaml"
    file.write_text("refine: {agent: [x]}\nresults_dir: there\n")
    members = a_leader(tmp_path, refine={"agent": ["x"]}, config_file=file)
    with pytest.raises(ConfigError, match=r"results_dir must be that of .*orze\.yaml, not of a flag"):
        members.refining.check()
    file.write_text("refine: {agent: [x]}\n")
    members.refining.check()
