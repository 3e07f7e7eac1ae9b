"""What a look at a farm makes of files that anybody may have written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orze.client.project import Project, open_project
from orze.client.status import look, plain
from orze.core.clock import ManualClock

NOW = 1_700_000_000.0


def project(home: Path) -> Project:
    (home / "orze.yaml").write_text("{}")
    opened = open_project(None, cwd=home, environ={})
    return Project(opened.settings, opened.paths, opened.files, ManualClock(NOW), opened.shown_config)


def tell(made: Project, status: Any, *, ago: float = 1.0) -> None:
    os.makedirs(made.paths.out, exist_ok=True)
    path = Path(made.paths.output("status.json"))
    path.write_text(status if isinstance(status, str) else json.dumps(status))
    os.utime(path, (NOW - ago, NOW - ago))


def beat(made: Project, token: str, about: Any, *, ago: float = 1.0) -> None:
    os.makedirs(made.paths.hosts, exist_ok=True)
    os.makedirs(made.paths.heartbeats, exist_ok=True)
    Path(made.paths.host(token)).write_text(json.dumps(about))
    path = Path(made.paths.heartbeat("daemon", token))
    path.touch()
    os.utime(path, (NOW - ago, NOW - ago))


HOST = {"name": "gpu-a", "cards": [["0", "H200", "free", 1, 2]], "running": 0, "free": 1}


def test_where_there_is_nothing_nothing_is_told(tmp_path: Path):
    farm = look(project(tmp_path))
    assert (farm.told, farm.told_s, farm.heard_s, farm.attended) == ({}, None, None, False)
    assert list(tmp_path.iterdir()) == [tmp_path / "orze.yaml"]  # a look makes nothing


def test_a_farm_is_attended_for_as_long_as_any_daemon_gives_a_sign_of_life(tmp_path: Path):
    made = project(tmp_path)
    tell(made, {"leader": "gpu-a"}, ago=3600)
    beat(made, "a", HOST, ago=7200)
    farm = look(made)
    assert (farm.attended, farm.heard_s, farm.hosts[0].alive) == (False, 3600, False)
    beat(made, "a", HOST, ago=5)
    farm = look(made)
    assert (farm.attended, farm.heard_s, farm.hosts[0].state) == (True, 5, "alive")
    assert farm.hosts[0].leader


def test_a_daemon_without_a_heartbeat_is_not_shown(tmp_path: Path):
    made = project(tmp_path)
    beat(made, "a", HOST)
    Path(made.paths.heartbeat("daemon", "a")).unlink()
    assert look(made).hosts == ()


def test_a_host_that_was_drained_is_marked_as_the_leader_tells_it(tmp_path: Path):
    made = project(tmp_path)
    beat(made, "a", HOST)
    tell(made, {"hosts": [{"name": "gpu-a", "state": "drained", "cards_asked": "0"}]})
    (host,) = look(made).hosts
    assert (host.state, host.cards_asked) == ("drained", "0")


@pytest.mark.parametrize("doors", [True, False])
def test_the_curve_of_a_running_attempt_is_read_where_it_writes(tmp_path: Path, doors: bool):
    made = project(tmp_path)
    own = Path(made.paths.idea("idea-001").home, *(["attempts", "2-abc"] if doors else []))
    own.mkdir(parents=True)
    (own / "progress.jsonl").write_text('{"loss": 2}\n{"loss": 1}\n')
    if doors:
        Path(made.paths.idea("idea-001").home, "latest").symlink_to("attempts/2-abc")
    tell(made, {"active": [{"idea_id": "idea-001", "elapsed_min": 1.0}]}, ago=6)
    (run,) = look(made).runs
    assert (run.curve.values, run.elapsed_s) == ((2.0, 1.0), 66.0)


@pytest.mark.parametrize(
    "status",
    [
        "",
        "[]",
        '{"active": 3, "hosts": "x", "leader": [], "primary_metric": 4, "states": []}',
        '{"active": [{"idea_id": "../../etc", "elapsed_min": "x", "attempt": -1}, 7, null]}',
        '{"active": [{"idea_id": "idea-001", "title": {}, "attempt": 1e999}], "top_results": [[]]}',
        '{"hosts": [{"name": "gpu-a", "state": 4, "cards_asked": {}}], "disk_free_gb": NaN}',
    ],
)
@pytest.mark.parametrize("about", [HOST, {}, {"name": "a", "cards": 4}, {**HOST, "name": [1]}])
def test_whatever_the_files_hold_there_is_an_answer(tmp_path: Path, status: str, about: Any):
    made = project(tmp_path)
    tell(made, status)
    beat(made, "a", about)
    farm = look(made)
    assert isinstance(plain(farm), dict)


def test_a_link_that_leads_elsewhere_is_not_followed_to_a_curve(tmp_path: Path):
    made = project(tmp_path)
    home = Path(made.paths.idea("idea-001").home)
    (home / "x").mkdir(parents=True)
    (home / "x" / "progress.jsonl").write_text('{"loss": 2}\n')
    (home / "latest").symlink_to("x")
    tell(made, {"active": [{"idea_id": "idea-001"}]})
    assert look(made).runs[0].curve.values == ()
