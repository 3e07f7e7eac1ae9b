"""Simulates many schedules on all cores: `python tests/model/campaign.py RUNS [--first N] [--seed N]`.

Prints how many runs and steps there were, how often each kind of fault struck, and what was violated. The
exit status is 1 behind a violation, which is shown with a shrunk plan, its trace and how to see it again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.model import defects
from tests.model.attacks import ATTACKS
from tests.model.plan import Plan, draw, with_orders
from tests.model.runs import Outcome, hashing_is_fixed, laboratory, report, run

_CHUNK = 50  # runs handed to a process at a time
_TOLD = 5000  # runs between two words of how far it is
_REPORTED = 3  # violations shown in full


def planned(seed: int, *, orders: bool) -> Plan:
    """The plan of a seed, with what people ask of hosts or without."""
    return with_orders(draw(seed)) if orders else draw(seed)


def work(first: int, count: int, orders: bool) -> tuple[int, float, int, Counter[str], list[int]]:
    """Run some seeds; steps, seconds simulated, overlaps, faults, and the seeds that broke a promise."""
    steps, seconds, overlaps, faults, broken = 0, 0.0, 0, Counter[str](), []
    with laboratory() as folder:
        for seed in range(first, first + count):
            outcome = run(planned(seed, orders=orders), folder)
            steps, seconds = steps + outcome.steps, seconds + outcome.seconds
            overlaps += outcome.overlaps > 0
            faults += outcome.faults
            if outcome.broken:
                broken.append(seed)
    return steps, seconds, overlaps, faults, broken


def campaign(runs: int, first: int, workers: int, *, orders: bool) -> int:
    """Run many seeds and print what came of them."""
    begun = time.monotonic()
    starts = range(first, first + runs, _CHUNK)
    counts = [min(_CHUNK, first + runs - start) for start in starts]
    steps, seconds, overlaps, faults, broken = 0, 0.0, 0, Counter[str](), []
    with ProcessPoolExecutor(workers) as pool:
        for start, part in zip(starts, pool.map(work, starts, counts, repeat(orders)), strict=True):
            steps, seconds, overlaps = steps + part[0], seconds + part[1], overlaps + part[2]
            faults += part[3]
            broken += part[4]
            if part[4]:
                print(f"a promise is broken by {', '.join(f'seed {seed}' for seed in part[4])}", flush=True)
            if (start - first) % _TOLD == 0 and start > first:
                print(f"{start - first} runs in {time.monotonic() - begun:.0f} s", flush=True)
    took = time.monotonic() - begun
    print(
        f"{runs} runs in {took:.0f} s ({runs / took:.1f} a second), {steps} steps, "
        f"{seconds / 3600:.0f} h simulated"
    )
    print(f"runs in which an excused overlap was seen (thawed, killed or stopped keepers, rm): {overlaps}")
    print("faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items())))
    print(f"violations: {len(broken)}" + (f", seeds {broken}" if broken else ""))
    for seed in broken[:_REPORTED]:
        one(seed, orders=orders)
    return 1 if broken else 0


def one(seed: int, defect: str = "", *, orders: bool = False) -> int:
    """Run one seed and tell of it."""
    with laboratory() as folder, defects.switched_on(defect):
        outcome: Outcome = run(planned(seed, orders=orders), folder)
        print(
            report(outcome, folder) if outcome.broken else f"seed {seed}: nothing is broken: {outcome.plan}"
        )
    return 1 if outcome.broken else 0


def catch() -> dict[str, dict[str, str | int]]:
    """For each planted defect, the first plan that it breaks, and what it breaks with it and without it."""
    with laboratory() as folder:
        return {name: _catch(name, folder) for name in defects.DEFECTS}


def _catch(name: str, folder: Path) -> dict[str, str | int]:
    family, first = defects.CAUGHT_BY[name]
    for number in range(first, first + defects.TRIES):
        plan = ATTACKS[family](number) if family else draw(number)
        with defects.switched_on(name):
            broken = run(plan, folder).broken
        if broken:
            without = run(plan, folder).broken
            return {"with": broken, "without": without, "tries": number - first + 1}
    return {"with": "", "without": "", "tries": defects.TRIES}


def main() -> int:
    """Read the command line."""
    if not hashing_is_fixed():
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    parser = argparse.ArgumentParser(description="Simulate the protocol under faults.")
    parser.add_argument("runs", nargs="?", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run only this one, and tell of it")
    parser.add_argument("--orders", action="store_true", help="people drain hosts and the like as well")
    parser.add_argument("--defect", default="", help="with --seed: switch on one of tests/model/defects.py")
    parser.add_argument("--catch", action="store_true", help="what each planted defect breaks, as JSON")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.catch:
        print(json.dumps(catch()))
        return 0
    if options.seed is not None:
        return one(options.seed, options.defect, orders=options.orders)
    return campaign(options.runs, options.first, options.workers, orders=options.orders)


if __name__ == "__main__":
    sys.exit(main())
