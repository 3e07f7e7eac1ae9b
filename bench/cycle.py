"""What a cycle costs, and a start, with 50,000 ideas of which half are done.

Launches are paused, as they are on a host whose slots are all busy. The system calls of an idle cycle are
counted by strace in a process of its own, between two marks.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from big_farm import fill, name_of, settle_half
from common import DEADLINE, Farm, scratch_farm, tell, timed

from orze.config.load import load_settings
from orze.farm.context import make_context
from orze.farm.daemon import Daemon

IDLE_BAR, APPEND_BAR = 5.0, 10.0  # milliseconds
CALLS_BAR = 60
CYCLES = 100
APPENDS = 7
MARK = "/orze-bench-mark"


def settled_daemon(home: Path) -> Daemon:
    """A daemon that leads, has read everything and has nothing to do any more."""
    logging.getLogger("orze").setLevel(logging.CRITICAL)
    os.environ["XDG_CACHE_HOME"] = str(home / "cache")
    settings = load_settings(home / "orze.yaml", {"gpus": "cpu:1"}, home, os.environ)
    daemon = Daemon(make_context(settings, 0.0), os.environ)
    daemon.begin()
    until = time.monotonic() + DEADLINE
    while daemon.members.intake.due() is not None or daemon.members.intake.behind or _reap(daemon):
        if time.monotonic() > until:
            raise SystemExit("given up: the daemon does not come to rest")
        daemon.cycle()
        time.sleep(0.1)
    for _ in range(3):
        daemon.cycle()
    return daemon


def _reap(daemon: Daemon) -> bool:
    """Whether something that the daemon started is still at work, such as the picture of the results."""
    if not daemon.members.leadership.mine:
        return True
    try:
        ended = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    if ended[0]:
        daemon.show.child_ended(*ended)
    return True


def idle(daemon: Daemon) -> None:
    """Cycles in which nothing has changed."""
    times = sorted(1e3 * timed(daemon.cycle) for _ in range(CYCLES))
    tell("cycle: idle, 50,000 ideas: median", median(times), "ms", IDLE_BAR)
    print(f"cycle: idle: best {times[0]:.2f} ms, worst {times[-1]:.2f} ms of {CYCLES}")


def after_append(daemon: Daemon, farm: Farm) -> None:
    """Cycles that take in one new idea, and those that tell of it."""
    intake, report = [], []
    for _ in range(APPENDS):
        farm.append(1)
        daemon.cycle()
        settled = daemon.members.intake.due() or 0.0
        cycle_until(daemon, settled)
        intake.append(1e3 * timed(daemon.cycle))
        if name_of(farm.written) not in daemon.members.journal.fold.ideas:
            raise SystemExit("the idea was not taken in by the cycle that was timed")
        report.append(max(cycle_until(daemon, settled + 2.0)))
    tell("cycle: one settled idea appended: median", median(intake), "ms", APPEND_BAR)
    print(f"cycle: the one behind it that writes the report: median {median(report):.1f} ms")


def cycle_until(daemon: Daemon, end: float) -> list[float]:
    """Milliseconds of the cycles, twenty a second, up to a steady time."""
    clock = daemon.members.context.clock
    times = []
    while (left := end - clock.steady()) > 0:
        time.sleep(min(0.05, left + 0.001))
        if clock.steady() < end:
            times.append(1e3 * timed(daemon.cycle))
    return times


def system_calls(home: Path) -> None:
    """System calls of one idle cycle of a real process, all its threads together."""
    if shutil.which("strace") is None:
        print("cycle: system calls of an idle cycle: not counted, strace is missing")
        return
    log = home / "strace.log"
    argv = ["strace", "-f", "-qq", "-o", str(log), sys.executable, __file__, "one-cycle", str(home)]
    subprocess.run(argv, check=True)
    lines = log.read_text(errors="replace").splitlines()
    first, last = (number for number, line in enumerate(lines) if MARK in line)
    names = [line.split()[1].partition("(")[0] for line in lines[first + 1 : last] if "resumed>" not in line]
    tell("cycle: system calls of an idle one:", len(names), "calls", CALLS_BAR)
    counted = sorted({name: names.count(name) for name in names}.items(), key=lambda item: -item[1])
    print("cycle: they are " + ", ".join(f"{count} {name}" for name, count in counted))


def one_cycle(home: Path) -> None:
    """One idle cycle between two marks that strace sees."""
    daemon = settled_daemon(home)
    daemon.cycle()
    os.path.exists(MARK)
    daemon.cycle()
    os.path.exists(MARK)
    daemon.leave()


def main() -> None:
    """Make the farm and measure it."""
    with scratch_farm(0) as farm:
        fill(farm)
        settle_half(farm)
        daemon = settled_daemon(farm.home)
        idle(daemon)
        after_append(daemon, farm)
        daemon.leave()
        system_calls(farm.home)


if __name__ == "__main__":
    if sys.argv[1:2] == ["one-cycle"]:
        one_cycle(Path(sys.argv[2]))
    else:
        main()
