"""From the end of one attempt to the start of the next training process on the same CPU slot.

The training is a small compiled program that stamps the first and the last thing that it does (stamp.c), so
the figure holds what the farm does for both attempts (judging, records, projections, claim, hand-over, fork
and exec), and not the start of a training script's interpreter, which is the script's own.
"""

from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path
from statistics import median

from common import Farm, bare_starts, scratch_farm, tell, wait_until

ROUNDS = 4  # with bare starts before and after each, for the machine may have other work to do
IDEAS = 20  # of one round
BAR = 4.0


def train_with_stamps(farm: Farm) -> None:
    """Compile the training program and make it the interpreter of the scripts."""
    program = farm.home / "stamp"
    source = Path(__file__).with_name("stamp.c")
    subprocess.run(["gcc", "-O1", "-o", str(program), str(source)], check=True)
    with (farm.home / "orze.yaml").open("a") as settings:
        settings.write(f"python: {program}\n")


def gaps_of_a_round(farm: Farm, already: int) -> list[float]:
    """Seconds between the trainings of the ideas behind the first `already`."""
    stamps = farm.stamps()[already:]
    return [(start - end) / 1e9 for (_, end), (start, _) in pairwise(stamps)]


def main() -> None:
    """Run trivial ideas on one slot, round by round."""
    ratios: list[float] = []
    bare = bare_starts(10)
    units = list(bare)
    with scratch_farm(0) as farm:
        train_with_stamps(farm)
        with farm.daemon("--gpus", "cpu:1") as daemon:
            for done in range(0, ROUNDS * IDEAS, IDEAS):
                farm.append(IDEAS)
                wait_until(lambda wanted=done + IDEAS: farm.settled() >= wanted, daemon)
                before, bare = bare, bare_starts(10)
                unit = median(before + bare)
                ratios += [gap / unit for gap in gaps_of_a_round(farm, done)]
                units += bare
    ratios.sort()
    tell("dispatch: median", median(ratios), "x a bare interpreter", BAR)
    print(
        f"dispatch: best {ratios[0]:.3g} x, nine in ten below {ratios[len(ratios) * 9 // 10]:.3g} x, "
        f"worst {ratios[-1]:.3g} x, of {len(ratios)}; a bare interpreter takes {median(units) * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    main()
