"""Eight processes claim 2,000 ideas at once, against the same system calls done bare by the same eight."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from common import ROOT, tell

sys.path.insert(0, str(ROOT))
from orze.coord.claims import Claimed, Claims
from orze.core.clock import SystemClock
from orze.core.files import RealFiles, make_dirs
from orze.core.identity import this_machine
from orze.core.paths import FarmPaths

PROCESSES, IDEAS, ROUNDS = 8, 2000, 3
BAR = 1 / 3
SECTION = "## idea-00001: An idea\n\n```yaml\ntraining: {lr: 0.1}\n```\n" * 3


def claim_all(results: str, gate: Any, told: Any) -> None:
    """Try to claim every idea, and tell which were won."""
    machine, files = this_machine(), RealFiles()
    claims = Claims(files, FarmPaths(results), SystemClock(), quiet=60.0)
    frame = machine.frame(os.getpid(), 1)
    content = {"section": SECTION, "sha": "ab" * 16, "gpu": "cpu0", "cards": [], "at": 0.0}
    gate.wait()
    won = []
    for number in range(IDEAS):
        idea_id = f"idea-{number:05d}"
        if isinstance(claims.claim(idea_id, machine.new_token(), frame, content), Claimed):
            won.append(idea_id)
    told.put(won)


def claim_bare(results: str, gate: Any, told: Any) -> None:
    """The system calls of a claim and nothing else: who makes the directory makes the rest."""
    data = b"x" * 900
    gate.wait()
    won = []
    for number in range(IDEAS):
        home = f"{results}/idea-{number:05d}"
        try:
            os.mkdir(home)
        except FileExistsError:
            continue
        chain = f"{home}/.chain"
        os.mkdir(chain)
        descriptor = os.open(f"{chain}/.tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(descriptor, data)
        os.fsync(descriptor)
        os.close(descriptor)
        os.link(f"{chain}/.tmp", f"{chain}/000001.json")
        descriptor = os.open(chain, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        os.unlink(f"{chain}/.tmp")
        won.append(home)
    told.put(won)


def together(work: Any) -> float:
    """Claims a second of all processes; every idea must have been claimed once."""
    results = tempfile.mkdtemp(prefix="orze-claims-", dir=Path(__file__).parent)
    make_dirs(RealFiles(), results)
    gate, told = multiprocessing.Barrier(PROCESSES + 1), multiprocessing.Queue()
    processes = [multiprocessing.Process(target=work, args=(results, gate, told)) for _ in range(PROCESSES)]
    try:
        for process in processes:
            process.start()
        gate.wait()
        begun = time.perf_counter()
        won = Counter(idea_id for _ in processes for idea_id in told.get())
        seconds = time.perf_counter() - begun
        for process in processes:
            process.join()
    finally:
        shutil.rmtree(results, ignore_errors=True)
    if len(won) != IDEAS or set(won.values()) != {1}:
        raise SystemExit(f"claims: {len(won)} of {IDEAS} ideas claimed, {sum(won.values())} claims")
    return IDEAS / seconds


def main() -> None:
    """Measure both, in turn."""
    ratios = []
    for _ in range(ROUNDS):
        bare, ours = together(claim_bare), together(claim_all)
        ratios.append(ours / bare)
        print(f"claims: {ours:.0f} a second, the bare system calls {bare:.0f} a second; every idea once")
    tell("claims: median", median(ratios), "of the rate of the bare system calls", BAR, at_least=True)


if __name__ == "__main__":
    main()
