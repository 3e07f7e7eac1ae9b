"""How long a daemon needs from its start to its first report with 50,000 ideas, and its memory's peak.

Three starts: of a new farm, where every idea is still to be registered; of one whose journal knows all ideas
and 25,000 results, without a cache; and of the same again, with the cache that a daemon keeps. The report is
the last thing that a starting daemon does: launches, which are paused here, come before it.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from statistics import median

from big_farm import IDEAS, environment, fill, settle_half
from common import DEADLINE, Farm, bare_starts, memory_of, scratch_farm, tell

COLD_BAR, WARM_BAR = 8.0, 1.5  # seconds
MEMORY_BAR = 150.0  # MB


def start(farm: Farm, what: str, bar: float, queued: int) -> None:
    """Start a daemon, wait for a report that tells of all ideas, and stop it.

    Args:
        queued: how many of the ideas the report must show as queued.
    """
    shutil.rmtree(farm.results / ".orze" / "out", ignore_errors=True)
    status = farm.results / ".orze" / "out" / "status.json"
    begun = time.monotonic()
    with farm.daemon("--gpus", "cpu:1", environment=environment(farm.home)) as daemon:
        while not status.exists() or json.loads(status.read_bytes())["queue_depth"] < queued:
            if daemon.poll() is not None or time.monotonic() > begun + DEADLINE:
                raise SystemExit(f"given up: {(farm.home / 'daemon.log').read_text()}")
            time.sleep(0.01)
        seconds = time.monotonic() - begun
        used, peak = processor_time(daemon.pid), memory_of(daemon.pid, "VmHWM")
    tell(f"start: {what}:", seconds, "s", bar)
    print(
        f"start: {what}: {used:.2f} s of it at work, {used / median(bare_starts(9)):.0f} x a bare interpreter"
    )
    tell(f"start: {what}: peak memory", peak, "MB", MEMORY_BAR)


def processor_time(pid: int) -> float:
    """Seconds that a process has worked, its own and the kernel's for it (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Make two farms and start daemons on them."""
    with scratch_farm(0) as farm:
        fill(farm)
        start(farm, "50,000 new ideas", COLD_BAR, IDEAS - 1)
    with scratch_farm(0) as farm:
        fill(farm)
        settle_half(farm)
        start(farm, "25,000 of 50,000 done, no cache", COLD_BAR, IDEAS // 2 - 1)
        for _ in range(3):
            start(farm, "25,000 of 50,000 done, warm", WARM_BAR, IDEAS // 2 - 1)


if __name__ == "__main__":
    main()
