"""100 trivial ideas on two slots, from the start of the daemon to the last result."""

from __future__ import annotations

import time
from statistics import median

from common import bare_starts, scratch_farm, tell, wait_until

IDEAS, ROUNDS = 100, 3
BAR = 50.0


def main() -> None:
    """Run them all, some times over, beside the script run bare and bare interpreters."""
    ratios = []
    for _ in range(ROUNDS):
        with scratch_farm(IDEAS) as farm:
            unit = median(farm.train_bare() for _ in range(5)) + 4 * median(bare_starts(9))
            begun = time.monotonic()
            with farm.daemon("--gpus", "cpu:2") as daemon:
                wait_until(lambda farm=farm: farm.settled() >= IDEAS, daemon)
                seconds = time.monotonic() - begun
        ratios.append(seconds / unit)
        print(
            f"end to end: {IDEAS} ideas in {seconds:.2f} s; script and four interpreters {unit * 1e3:.0f} ms"
        )
    tell("end to end: median", median(ratios), "x (the script bare + 4 bare interpreters)", BAR)


if __name__ == "__main__":
    main()
