"""What is small and must stay so: the start of `farm.py --help`, and the memory of a keeper at work."""

from __future__ import annotations

import sys
from pathlib import Path

from common import FARM, bare_starts, memory_of, middle, run, scratch_farm, tell, timed, wait_until

SLOW = """\
import os, sys, time
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
while not os.path.exists(os.environ["BENCH_STAMPS"]):
    time.sleep(0.05)
with open(given["--results-dir"] + "/" + given["--idea-id"] + "/metrics.json", "w") as stream:
    stream.write('{"status": "COMPLETED", "accuracy": 0.5}')
"""


def keepers() -> list[int]:
    """Keepers with a training: processes of keeper.py that have a child."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                children = (entry / "task" / entry.name / "children").read_text().split()
                trains = any(b"train.py" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)
            except OSError:
                continue
            if any(word.endswith(b"keeper.py") for word in words) and trains:
                found.append(int(entry.name))
    return found


def proportional(pid: int) -> float:
    """MB of memory, where what is shared counts by its share (PSS, proc_pid_smaps(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> None:
    """Measure both."""
    seconds = middle(lambda: timed(lambda: run([sys.executable, str(FARM), "--help"])), 7)
    tell("help: median", seconds, "s", 0.2)
    print(f"help: {seconds / middle(lambda: bare_starts(1)[0], 7):.2g} x a bare interpreter")
    with scratch_farm(1) as farm:
        farm.script.write_text(SLOW)
        with farm.daemon("--gpus", "cpu:1") as daemon:
            wait_until(lambda: bool(keepers()), daemon)
            pid = keepers()[0]
            tell("keeper: resident, with a training", memory_of(pid), "MB", 16)
            print(
                f"keeper: highest {memory_of(pid, 'VmHWM'):.1f} MB, its own share {proportional(pid):.1f} MB"
            )
            farm.release()
            wait_until(lambda: farm.settled() == 1, daemon)


if __name__ == "__main__":
    main()
