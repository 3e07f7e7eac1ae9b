"""From the end of one attempt to the start of the next training process on the same CPU slot.

Both ends are stamped by the training script itself: the first thing that it does, and the last before it
leaves. So the figure holds the end of one interpreter, everything that the farm does for both attempts
(judging, records, projections, claim, hand-over) and the start of the next interpreter.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from common import Farm, bare_starts, scratch_farm, tell, wait_until

ROUNDS = 4  # with bare starts before and after each, for the machine may have other work to do
IDEAS = 20  # of one round
BAR = 4.0


def gaps_of_a_round(farm: Farm, already: int) -> list[float]:
    """Seconds between the trainings of the ideas behind the first `already`."""
    stamps = farm.stamps()[already:]
    return [(start - end) / 1e9 for (_, end), (start, _) in pairwise(stamps)]


def main() -> None:
    """Run trivial ideas on one slot, round by round."""
    ratios: list[float] = []
    bare = bare_starts(10)
    units = list(bare)
    with scratch_farm(0) as farm, farm.daemon("--gpus", "cpu:1") as daemon:
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
