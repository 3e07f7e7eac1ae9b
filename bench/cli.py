"""How long commands of `orze` take: help, and what one sees and asks of a farm of 50,000 ideas.

The median of several processes, each from its start to its end. "Warm" is with the cache that the last
daemon, or the last command that read everything, kept for this user.
"""

from __future__ import annotations

import os
import sys
import time
from statistics import median

from big_farm import IDEAS, environment, fill, settle_half
from common import DEADLINE, ROOT, Farm, bare_starts, run, scratch_farm, tell, timed

HELP_BAR, STATUS_BAR, READ_BAR = 0.3, 1.0, 1.5  # seconds
TIMES = 7


def command(farm: Farm, *words: str) -> float:
    """Seconds of one command."""
    argv = [sys.executable, "-m", "orze.cli.app", "-c", f"{farm.home}/orze.yaml", *words]
    given = {**environment(farm.home), "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    return timed(lambda: run(argv, given))


def measure(what: str, bar: float, farm: Farm, *words: str) -> None:
    """Tell the median of a command that has run once before."""
    command(farm, *words)
    seconds = median(command(farm, *words) for _ in range(TIMES))
    tell(f"cli: {what}:", seconds, "s", bar)
    print(f"cli: {what}: {seconds / median(bare_starts(9)):.0f} x a bare interpreter")


def report(farm: Farm) -> None:
    """Have a daemon read the farm, write its report and keep what it knows."""
    status = farm.results / "status.json"
    with farm.daemon("--gpus", "cpu:1", environment=environment(farm.home)) as daemon:
        until = time.monotonic() + DEADLINE
        while not status.exists():
            if daemon.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"given up: {(farm.home / 'daemon.log').read_text()}")
            time.sleep(0.05)


def main() -> None:
    """Make the farm, and run each command on it."""
    os.environ.pop("NO_COLOR", None)
    with scratch_farm(0) as farm:
        measure("orze --help", HELP_BAR, farm, "--help")
        fill(farm)
        settle_half(farm)
        report(farm)
        measure(f"orze status, {IDEAS:,} ideas, warm", STATUS_BAR, farm, "status")
        measure(f"orze hold --no-wait, {IDEAS:,} ideas", STATUS_BAR, farm, "hold", "idea-50000", "--no-wait")
        measure(f"orze wait, which reads all {IDEAS:,}, warm", READ_BAR, farm, "wait", "idea-00001")


if __name__ == "__main__":
    main()
