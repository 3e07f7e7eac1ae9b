"""Stopping: Ctrl-C or SIGTERM leaves attempts running, a second Ctrl-C or --stop-attempts requeues them."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import subprocess

import pytest
from farmhouse import command, idea

SAVING = """
touch('up')
if resumed() == '':
    on_term(lambda: save('half'))
    rest()
metrics(val_accuracy=0.5, resumed=resumed())
"""


def test_one_sigterm_leaves_the_attempts_running_and_says_so(farm):
    farm.write(idea(1, "wait('go')\nmetrics()"))
    daemon = farm.start()
    farm.wait(farm.starts, "the start")
    assert daemon.end(signal.SIGTERM) == 0
    assert "idea-001 run on without this daemon; farm.py adopts them when it starts again" in daemon.output
    assert "farm.py --stop-attempts stops and requeues them" in daemon.output
    assert len(farm.processes("train_idea.py")) == 1
    farm.flag("go")
    farm.wait_for(idea_001="CLAIM DONE")
    assert not farm.events("term")


def test_a_second_ctrl_c_lets_the_attempts_save_and_the_next_daemon_goes_on_from_there(farm):
    farm.write(idea(1, SAVING))
    daemon = farm.start()
    farm.wait(lambda: farm.flagged("up"), "the start")
    daemon.may_end = {None, 0}
    daemon.send(signal.SIGINT)
    asked = "leaving idea-001 running; Ctrl-C again within 3 s stops and requeues them"
    farm.wait(lambda: asked in daemon.output, "the question")
    assert not farm.events("term")
    assert daemon.end(signal.SIGINT) == 0
    assert farm.kinds("idea-001") == ["CLAIM", "REQUEUE"]
    assert len(farm.events("term")) == 1
    assert not farm.processes()
    farm.start()
    farm.wait_states(COMPLETED=1)
    assert farm.last("idea-001")["metrics"]["resumed"] == "half"
    assert farm.status()["top_results"][0]["attempt"] == 2


def test_one_ctrl_c_leaves_the_attempts_running_when_no_second_follows(farm):
    farm.write(idea(1, "wait('go')\nmetrics()"))
    daemon = farm.start()
    farm.wait(farm.starts, "the start")
    assert daemon.end(signal.SIGINT) == 0
    assert len(farm.processes("train_idea.py")) == 1
    assert farm.kinds("idea-001") == ["CLAIM"]


def test_stop_attempts_stops_and_requeues_what_runs_on_this_host_without_a_daemon(farm):
    assert "no attempt runs on this host" in farm.run("--stop-attempts")
    farm.write(idea(1, SAVING), idea(2, SAVING))
    daemon = farm.start(gpus="cpu:2")
    farm.wait(lambda: len(farm.processes("train_idea.py")) == 2 and farm.flagged("up"), "two starts")
    farm.wait(lambda: len(farm.starts()) == 2, "two starts")
    daemon.kill()
    said = farm.run("--stop-attempts", gpus="cpu:2")
    assert "stopping" in said
    assert "idea-001" in said
    assert "idea-002" in said
    assert farm.kinds("idea-001") == farm.kinds("idea-002") == ["CLAIM", "REQUEUE"]
    farm.wait(lambda: not farm.processes(), "the end of all")


def test_stop_attempts_ends_though_a_daemon_of_this_host_starts_them_again_and_says_that_it_will(farm):
    farm.write(idea(1, "touch('up' + attempt[0])\nwait('go')\nmetrics()"))
    farm.start()
    farm.wait(lambda: farm.flagged("up1"), "the start")
    assert "a farm.py that still runs on this host starts them again" in farm.run("--stop-attempts")
    farm.wait(lambda: farm.flagged("up2"), "the second start")
    assert farm.kinds("idea-001") == ["CLAIM", "REQUEUE", "CLAIM"]


def test_a_hangup_of_its_terminal_ends_the_daemon_and_leaves_the_attempts_running(farm):
    farm.write(idea(1, "wait('go')\nmetrics()"))
    master, slave = pty.openpty()
    daemon = farm.start(terminal=slave)
    os.close(slave)
    farm.wait(farm.starts, "the start")
    daemon.may_end = {None, -signal.SIGHUP}
    os.close(master)  # the kernel sends SIGHUP to the session's leader and its foreground group (setsid(2))
    daemon.wait()
    assert len(farm.processes("train_idea.py")) == 1
    farm.wait(lambda: len(farm.keepers()) == 1, "the end of the keeper in reserve")
    farm.flag("go")
    farm.wait_for(idea_001="CLAIM DONE")


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is missing")
def test_attempts_outlive_the_tmux_session_in_which_their_daemon_was_started(farm):
    farm.write(idea(1, "wait('go')\nmetrics()"))
    tmux = ["tmux", "-L", "orze-test", "-f", "/dev/null"]
    environment = farm.environ(None, {"TMUX_TMPDIR": str(farm.home)})
    daemon = command("--gpus", "cpu")
    subprocess.run([*tmux, "new-session", "-d", "-c", str(farm.home), *daemon], env=environment, check=True)
    try:
        farm.wait(farm.starts, "the start")
        subprocess.run([*tmux, "kill-session"], env=environment, check=True)
        farm.wait(lambda: not farm.processes("farm.py"), "the end of the daemon")
        assert len(farm.processes("train_idea.py")) == 1
    finally:
        subprocess.run([*tmux, "kill-server"], env=environment, check=False, capture_output=True)
    farm.flag("go")
    farm.wait_for(idea_001="CLAIM DONE")


def test_on_a_terminal_one_live_line_tells_what_runs_where_with_its_last_metrics_and_the_queue(farm):
    farm.write(idea(1, "progress(step=1, loss=0.25)\nwait('go')\nmetrics()"), idea(2))
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    shown = bytearray()

    def read() -> bool:
        with contextlib.suppress(BlockingIOError):
            shown.extend(os.read(master, 1 << 16))
        return b"loss=0.25 | 2 queued" in shown  # the last section counts a second after the others

    farm.start(terminal=slave)
    farm.wait(read, "the live line")
    line = shown.decode().rpartition("\r")[2]
    assert "cpu0 idea-001" in line
    assert line.endswith("step=1 loss=0.25 | 2 queued")
    os.close(slave)
    os.close(master)
