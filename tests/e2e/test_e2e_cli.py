"""The commands that ask, against real daemons: each answers what it did, and does it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys

import pytest
from farmhouse import ROOT, Farm, idea

from orze.cli.app import main

HOST = os.uname().nodename


def orze(farm: Farm, *argv: str, status: int = 0, stdin: str = "") -> str:
    """Run `orze` in the farm's project to its end; what it printed on stdout, and on stderr behind it."""
    out, err = io.StringIO(), io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin.encode()))
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(farm.home):
        patch.setattr(sys, "stdin", given)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = main(argv)
    told = out.getvalue() + err.getvalue()
    assert ended == status, f"{argv}: {told}\n{farm.story()}"
    return told


def process(farm: Farm, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run `orze` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "orze.cli.app", *argv],
        cwd=farm.home,
        env=farm.environ(None, {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_idea_is_added_waited_for_and_run_again(make_farm):
    farm = make_farm(poll=1)
    farm.start()
    farm.wait(lambda: farm.status().get("leader"), "a leader")
    config = ["--config", "train=metrics(val_loss=number/10)", "--config", "number=3", "--config", "lr=1e-3"]
    assert orze(farm, "add", "--title", "By [flags]", "--priority", "high", *config) == "idea-001\n"
    section = "## idea-001: By [flags]\n- **Priority**: high\n\n```yaml\n"
    farm.wait(lambda: section in farm.ideas.read_text(), "the section")
    assert orze(farm, "wait", "idea-001") == "idea-001 COMPLETED\n"
    again = orze(farm, "add", "--title", "By [flags]", "--priority", "high", *config, "--if-absent")
    assert again == "idea-001\norze: idea-001 has this content already; nothing is added\n"
    done = process(farm, "retry", "idea-001")
    assert (done.returncode, done.stdout, done.stderr) == (0, "idea-001 is queued again\n", "")
    orze(farm, "wait", "idea-001")
    assert farm.kinds("idea-001") == ["CLAIM", "DONE", "RETRY", "CLAIM", "DONE"]
    assert "is not known" in orze(farm, "retry", "idea-777", status=1)


def test_ideas_from_stdin_and_files_get_ids_once(make_farm):
    farm = make_farm(poll=1)
    farm.start()
    farm.wait(lambda: farm.status().get("leader"), "a leader")
    text = idea(900, "fail()").replace("idea-900", "idea-?") + idea(901, title="Another")
    assert orze(farm, "add", stdin=text) == "idea-001\nidea-002\n"
    (farm.home / "more.md").write_text(text)
    assert orze(farm, "add", "more.md", "--if-absent").startswith("idea-001\nidea-002\n")
    told = json.loads(orze(farm, "add", "more.md", "--json", "--allow-duplicate"))
    assert [(one["id"], one["added"]) for one in told] == [("idea-003", True), ("idea-004", True)]
    (farm.home / "bad.md").write_text("## idea: A\n- **Priority**: no\n")
    assert orze(farm, "add", "bad.md", status=2).startswith("orze: bad.md:2: Priority: ")


def test_the_exit_status_of_wait_tells_how_it_went(make_farm):
    farm = make_farm(poll=1, retry={})
    farm.write(idea(1), idea(2, "raise ValueError('no')"), idea(3, Hosts="elsewhere"), last="# End\n")
    farm.start()
    assert orze(farm, "wait", "idea-001", "--timeout", "20") == "idea-001 COMPLETED\n"
    assert orze(farm, "wait", "idea-002", "--timeout", "20", status=1) == "idea-002 FAILED\n"
    stuck = orze(farm, "wait", "--all", "--timeout", "0", status=3)
    assert "idea-003 QUEUED (for hosts elsewhere)" in stuck
    orze(farm, "withdraw", "idea-003")
    assert orze(farm, "wait", "--all", status=1) == "1 COMPLETED, 1 FAILED\n"
    assert "there is no idea idea-9" in orze(farm, "wait", "idea-9", status=2)
    assert orze(farm, "retry", "--cause", "timeout") == "no idea FAILED by timeout\n"
    assert orze(farm, "retry", "--cause", "exception") == "idea-002 is queued again\n"


def test_what_runs_and_what_waits_is_stopped_held_released_and_put_first(make_farm):
    farm = make_farm(poll=1, grace=0.5)
    farm.write(idea(1, "touch('up')\nrest()", Priority="high"), idea(2), idea(3), idea(4), last="# End\n")
    farm.start()
    farm.wait(lambda: farm.flagged("up"), "the start")
    assert orze(farm, "hold", "idea-002") == "idea-002 is held\n"
    assert "held by" in orze(farm, "hold", "idea-002")
    assert orze(farm, "withdraw", "idea-003") == "idea-003 is withdrawn\n"
    farm.wait_states(TRAINING=1, HELD=1, WITHDRAWN=1, QUEUED=1)
    refused = orze(farm, "hold", "idea-001", "idea-004", status=1)
    assert "TRAINING" in refused and "idea-004 is held" in refused
    orze(farm, "release", "idea-002", "idea-003", "idea-004")
    assert orze(farm, "priority", "idea-004", "critical") == "idea-004 has priority critical\n"
    assert orze(farm, "stop", "idea-001") == "idea-001 is being stopped\n"
    farm.wait_states(STOPPED=1, COMPLETED=3)
    assert [start["idea"] for start in farm.starts()] == ["idea-001", "idea-004", "idea-002", "idea-003"]
    rows = json.loads(orze(farm, "stop", "idea-001", "idea-002", "--json", status=1))
    assert [(row["target"], row["done"]) for row in rows] == [("idea-001", True), ("idea-002", False)]


def test_a_section_that_vanished_is_put_back(make_farm):
    farm = make_farm(poll=1)
    farm.write(idea(1, "wait('go')\nmetrics()", Priority="high"), idea(2))
    farm.start()
    farm.wait(lambda: farm.states() == {"TRAINING": 1, "QUEUED": 1}, "the start")
    farm.write()
    farm.wait_states(TRAINING=1, HELD=1)
    assert orze(farm, "restore", "idea-002") == "idea-002 is back in ideas.md\n"
    farm.flag("go")
    farm.wait_states(COMPLETED=2)
    assert orze(farm, "wait", "idea-002") == "idea-002 COMPLETED\n"


def test_a_host_is_drained_and_its_cards_are_chosen(make_farm):
    farm = make_farm(poll=1)
    farm.start()
    farm.wait(lambda: farm.status().get("leader"), "a leader")
    assert orze(farm, "drain") == f"{HOST} takes no new ideas; what runs there goes on\n"
    assert "already" in orze(farm, "drain", HOST)
    farm.write(idea(1, "wait('go')\nmetrics()"), idea(2, "wait('go')\nmetrics()"))
    farm.wait(lambda: farm.states() == {"QUEUED": 2}, "the queue")
    orze(farm, "wait", "--all", "--timeout", "1", status=3)
    assert not farm.starts()
    orze(farm, "cards", HOST, "cpu:2")
    orze(farm, "undrain")
    farm.wait_states(TRAINING=2)
    assert "nowhere" in orze(farm, "drain", "nowhere", status=1)
    farm.flag("go")
    farm.wait_states(COMPLETED=2)


def test_where_no_daemon_runs_a_request_waits_for_one(make_farm):
    farm = make_farm(poll=1)
    farm.write(idea(1), last="# End\n")
    refused = orze(farm, "hold", "idea-001", status=2)
    assert refused.startswith("orze: no farm has run in") and not farm.results.exists()
    daemon = farm.start("--once")
    daemon.wait()
    unanswered = orze(farm, "retry", "idea-001", "--timeout", "0.2", status=3)
    assert "no daemon runs" in unanswered and "the request stays" in unanswered
    assert orze(farm, "retry", "idea-001", "--no-wait") == "idea-001: retry is asked for\n"
    entry = orze(farm, "add", "--title", "Later", "--no-wait").strip()
    assert (farm.home / entry).exists()
    assert len(list((farm.results / ".orze" / "requests").glob("*.json"))) == 2
    farm.start()
    farm.wait_states(COMPLETED=2)
    assert farm.kinds("idea-001") == ["CLAIM", "DONE", "RETRY", "CLAIM", "DONE"]
    assert not (farm.home / entry).exists()
