"""From the end of one attempt to the start of the next training process on the same CPU slot.

Both ends are stamped by the training script itself: the first thing that it does, and the last before it
leaves. So the figure holds the end of one interpreter, everything that the farm does for both attempts
(judging, records, projections, claim, hand-over) and the start of the next interpreter.
"""

from __future__ import annotations

from statistics import median

from common import bare_starts, scratch_farm, tell, wait_until

IDEAS = 60
BAR = 4.0


def main() -> None:
    """Run trivial ideas on one slot, with bare interpreter starts before and after."""
    bare = bare_starts(20)
    with scratch_farm(IDEAS) as farm:
        with farm.daemon("--gpus", "cpu:1") as daemon:
            wait_until(lambda: len(farm.stamps()) >= IDEAS, daemon)
        stamps = farm.stamps()
    bare += bare_starts(20)
    unit = median(bare)
    gaps = sorted(
        (start - end) / 1e9 / unit for (_, end), (start, _) in zip(stamps, stamps[1:], strict=False)
    )
    tell("dispatch: median", median(gaps), "x a bare interpreter", BAR)
    print(
        f"dispatch: best {gaps[0]:.3g} x, nine in ten below {gaps[len(gaps) * 9 // 10]:.3g} x, "
        f"worst {gaps[-1]:.3g} x; a bare interpreter takes {unit * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    main()
