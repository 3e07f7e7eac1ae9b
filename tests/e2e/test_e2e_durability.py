"""Whatever a farm publishes is on stable storage first, and its name is so next (docs/protocol.md)."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from farmhouse import Daemon, Farm, command, idea
from syscalls import TRACED, check_order

from orze.core.files import RealFiles
from orze.ideas.inbox import enqueue, inbox_of

SYNCED = 'write(3</r/a>, "x", 1) = 1\nfsync(3</r/a>) = 0'
PUBLISHED = 'rename("/r/a", "/r/b") = 0'
DURABLE = "fsync(4</r>) = 0"
WAITS = "poll([], 0, 1) = 0"


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([SYNCED, PUBLISHED, DURABLE, WAITS], ""),
        ([SYNCED, PUBLISHED, 'symlink("x", "/r/c") = 0', DURABLE, WAITS], ""),
        (['write(3</r/a>, "x", 1) = 1', PUBLISHED, DURABLE], "/r/b is published before its bytes are synced"),
        ([SYNCED, PUBLISHED], "/r is never synced"),
        ([SYNCED, PUBLISHED, WAITS, DURABLE], "/r is not synced before poll"),
        ([SYNCED, PUBLISHED, 'link("/r/a", "/r/s/d") = 0', DURABLE], "/r is not synced before link"),
        ([SYNCED, 'link("/r/a", "/r/b") = -1 EEXIST (File exists)'], ""),
    ],
)
def test_the_check_of_the_order_finds_each_breach(tmp_path: Path, lines: list[str], fault: str):
    log = tmp_path / "log"
    log.write_text("".join(f"7 {line}\n" for entry in lines for line in entry.splitlines()))
    faults = check_order(log, "/r").faults
    assert bool(faults) == bool(fault)
    assert all(text.startswith(fault) for text in faults[:1])


def test_all_that_is_published_is_synced_before_and_its_directory_after(farm: Farm):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    farm.configure(
        poll=0.5,
        eval_script="train_idea.py",
        eval_args=["evaluate"],
        retry={"exception": 1},
    )
    farm.write(idea(1), idea(2, "raise ValueError"), idea(3, evaluate="write('eval.json', '{}')"))
    enqueue(RealFiles(), inbox_of(str(farm.ideas)), idea(4))
    farm.ask("hold", "idea-8888")
    log = farm.home / "strace.log"
    traced = ["strace", "-f", "-y", "-qq", "-s", "4096", "-e", f"trace={TRACED}", "-o", str(log)]
    daemon = Daemon(farm, [*traced, *command("--gpus", "cpu")], None, None, {})
    farm.daemons.append(daemon)
    farm.wait_states(EVALUATED=3, FAILED=1)
    farm.wait((farm.results / "progress.svg").exists, "the picture")
    tracer = daemon.process.pid
    os.kill(int(Path(f"/proc/{tracer}/task/{tracer}/children").read_text().split()[0]), signal.SIGTERM)
    assert daemon.wait() == 0
    found = check_order(log, str(farm.home))
    elsewhere = str(farm.home / "tmp")  # what libraries try out in the temporary directory
    assert [fault for fault in found.faults if not fault.startswith(elsewhere)] == []
    assert {".chain", "idea-001", "out", "hosts", "results"} <= found.published.keys()
