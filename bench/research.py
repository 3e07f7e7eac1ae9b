"""The proposers of research against each other and against chance, on the digits, with the same budgets.

Each arm starts from the same configuration, on the same split, with the same seeds. It sees validation losses
only; the test split is opened once, for what it chose. `scripted` is a program that stands in for a language
model: its rows prove that the way from digest to result works, and say nothing about any model. `placebo` is
the same program, with the results that it is told of shuffled.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path

# Before numpy is loaded: so small a matrix is slower on many cores.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from common import ROOT

sys.path.insert(0, str(ROOT))
from contest.arm import Arm, Budget, Played, play
from contest.tables import REFERENCE, report, verdicts
from contest.task import Task

_SCRIPTED = {"command": [sys.executable, str(Path(__file__).with_name("scripted.py"))]}
ARMS = {
    arm.name: arm
    for arm in (
        Arm("random", "random"),
        Arm("tpe", "optuna"),
        Arm("hill-climb", "hillclimb"),
        Arm("scripted", "command", _SCRIPTED),
        Arm("placebo", "command", _SCRIPTED, placebo=True),
        Arm("hybrid", "hybrid", _SCRIPTED),
    )
}


def one_pair(pair: int, arms: Iterable[str], budget: Budget) -> dict[str, Played]:
    """Let every arm run on one task, one behind the other."""
    task = Task(pair)
    task.ran(task.base)
    found = {}
    for name in arms:
        with tempfile.TemporaryDirectory(prefix="orze-bench-") as home:
            found[name] = play(ARMS[name], task.enter(), budget, Path(home))
    return found


def warm() -> None:
    """Load what the arms need before any second is counted; TPE loads some of it with its tenth run."""
    one_pair(1 << 20, ["tpe"], Budget(runs=16, seconds=0.0))


def all_pairs(pairs: int, arms: list[str], budget: Budget, workers: int) -> Iterator[dict[str, Played]]:
    """Every pair, in order."""
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=warm) as pool:
        work = partial(one_pair, arms=arms, budget=budget)
        for number, found in enumerate(pool.map(work, range(pairs)), 1):
            print(f"research: pair {number} of {pairs}", file=sys.stderr, flush=True)
            yield found


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=_positive, default=16, help="paired seeds (16)")
    parser.add_argument("--runs", type=_positive, default=24, help="runs of an arm (24)")
    parser.add_argument("--seconds", type=float, default=3.0, help="CPU seconds of an arm (3)")
    parser.add_argument("--arms", type=_arms, default=list(ARMS), help=f"of {','.join(ARMS)} (all)")
    parser.add_argument("--workers", type=_positive, default=2, help="processes (2)")
    parser.add_argument("--json", type=Path, help="write everything to this file as well")
    return parser.parse_args()


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _arms(text: str) -> list[str]:
    """Those that are named, in the order of all; the reference is always among them."""
    wanted = {REFERENCE, *text.split(",")}
    if unknown := wanted - ARMS.keys():
        raise argparse.ArgumentTypeError(f"no arm {', '.join(sorted(unknown))}; there are {', '.join(ARMS)}")
    return [name for name in ARMS if name in wanted]


def main() -> None:
    """Run all pairs and print what came of them."""
    asked = options()
    budget = Budget(asked.runs, asked.seconds)
    begun = time.monotonic()
    pairs = list(all_pairs(asked.seeds, asked.arms, budget, asked.workers))
    print(report(pairs, budget))
    minutes, load = (time.monotonic() - begun) / 60, os.getloadavg()[0]
    print(f"\nIn {minutes:.1f} minutes, {asked.workers} workers, load {load:.1f} at the end")
    if asked.json:
        told = {
            "budget": asdict(budget),
            "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "load": load},
            "verdicts": [asdict(one) for one in verdicts(pairs)],
            "pairs": [{name: asdict(played) for name, played in pair.items()} for pair in pairs],
        }
        asked.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
