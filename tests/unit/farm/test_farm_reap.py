"""What a dead attempt left behind is ended before the chain says that it is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from farm_examples import ELSEWHERE, HERE, Played, chain_of, context, kinds

from orze.farm.reap import Reaper, belongs, kill_attempt
from orze.farm.view import Dead

# A script that ignores TERM, with a child in a session of its own whose environment is empty.
SCRIPT = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c",
        "import os, signal; os.write(1, b'.'); signal.pause()"], {})
os.write(1, b".")
signal.pause()
"""


def script(token: str) -> tuple[subprocess.Popen[bytes], psutil.Process]:
    """The script, and its child, once both run.

    What follows really kills: nothing that runs here already may be taken for a part of it.
    """
    strangers = [{}, os.environ, {"ORZE_ATTEMPT": ""}, {"ORZE_ATTEMPT": "3-"}, {"ORZE_ATTEMPT": "3-other"}]
    assert token
    assert not any(belongs(environ, token) for environ in strangers)
    argv = [sys.executable, "-I", "-S", "-c", SCRIPT]
    parent = subprocess.Popen(argv, env={"ORZE_ATTEMPT": f"3-{token}"}, stdout=subprocess.PIPE)
    assert parent.stdout
    said = os.read(parent.stdout.fileno(), 2)
    while len(said) < 2:
        said += os.read(parent.stdout.fileno(), 2)
    (child,) = psutil.Process(parent.pid).children()
    return parent, child


def reap(made, played: Played, *, here: bool) -> bool:
    assert played.token
    assert not belongs({}, played.token)
    chain, fold = chain_of(made, played.idea_id)
    return Reaper(made).reap(Dead(played.idea_id, played.token, here=here), chain, fold)


def test_every_process_of_a_dead_attempt_is_killed_before_it_is_called_lost(tmp_path: Path):
    made = context(tmp_path)
    played = Played(made, "idea-001")
    parent, child = script(played.token)
    assert reap(made, played, here=True) is False
    assert kinds(made, "idea-001") == ["CLAIM"]
    assert parent.wait(timeout=10) == -9
    child.wait(timeout=10)
    parent.communicate()
    assert reap(made, played, here=True) is True
    assert kinds(made, "idea-001") == ["CLAIM", "LOST"]


def test_processes_of_other_attempts_are_left_alone():
    parent, child = script(HERE.new_token())
    try:
        assert kill_attempt(HERE.new_token()) == 0
        assert (parent.poll(), child.is_running()) == (None, True)
    finally:
        child.kill()
        parent.kill()
        parent.communicate()


@pytest.mark.parametrize(
    ("variable", "token", "expected"),
    [
        ("1-abc", "abc", True),
        ("12-abc", "abc", True),
        ("1-xabc", "abc", False),
        ("1-abcx", "abc", False),
        ("abc", "abc", False),
        ("-abc", "abc", False),
        ("x-abc", "abc", False),
        ("1-", "", False),
        ("1", "", False),
        ("", "", False),
        (None, "", False),
        (None, "abc", False),
    ],
)
def test_a_process_belongs_to_an_attempt_by_its_whole_token(variable, token: str, expected: bool):
    assert belongs({} if variable is None else {"ORZE_ATTEMPT": variable}, token) is expected


@pytest.mark.parametrize("here", [True, False])
def test_a_lost_record_names_what_it_supersedes_and_how_sure_it_is(tmp_path: Path, here: bool):
    made = context(tmp_path)
    played = Played(made, "idea-001", HERE if here else ELSEWHERE)
    tail = played.fold.tail
    assert reap(made, played, here=here)
    chain, fold = chain_of(made, "idea-001")
    lost = chain.record(2)[0]
    assert (lost["supersedes"], lost["seen_gone"], lost["by"]) == (tail, here, made.token)
    assert (fold.phase, fold.lost_elsewhere, fold.token) == ("open", not here, "")


def test_door_and_heartbeat_are_removed_behind_the_record(tmp_path: Path):
    made = context(tmp_path)
    played = Played(made, "idea-001")
    door = Path(made.paths.door(played.token))
    door.mkdir(parents=True)
    (door / "idea-001").symlink_to("../../../idea-001")
    assert reap(made, played, here=True)
    assert (door.exists(), Path(played.heartbeat).exists()) == (False, False)
    assert Path(made.paths.idea("idea-001").home).is_dir()


@pytest.mark.parametrize("end", ["DONE", "FAIL", "REQUEUE"])
def test_an_attempt_that_has_its_last_record_is_only_tidied_up(tmp_path: Path, end: str):
    made = context(tmp_path)
    played = Played(made, "idea-001")
    played.append(end, cause="script")
    assert reap(made, played, here=True)
    assert kinds(made, "idea-001") == ["CLAIM", end]
    assert not Path(played.heartbeat).exists()


def test_an_attempt_that_was_superseded_is_not_lost_twice(tmp_path: Path):
    made = context(tmp_path)
    first = Played(made, "idea-001")
    first.append("LOST")
    Played(made, "idea-001")
    assert reap(made, first, here=True)
    assert kinds(made, "idea-001") == ["CLAIM", "LOST", "CLAIM"]


def test_a_record_that_came_first_stands(tmp_path: Path):
    """The keeper's DONE and this LOST want one slot: the chain was read before the DONE."""
    made = context(tmp_path)
    played = Played(made, "idea-001")
    chain, fold = chain_of(made, "idea-001")
    played.append("DONE")
    assert Reaper(made).reap(Dead("idea-001", played.token, here=False), chain, fold)
    assert kinds(made, "idea-001") == ["CLAIM", "DONE"]
    assert fold.end
