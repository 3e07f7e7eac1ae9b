"""Real processes on a real directory: every idea is claimed exactly once."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from orze.coord.claims import Claims
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.core.paths import FarmPaths

ROOT = Path(__file__).parents[3]
PROCESSES, IDEAS = 8, 300
PROGRAM = """
import json, sys
from orze.coord.claims import Claimed, Claims
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.core.paths import FarmPaths

results, name, ideas = sys.argv[1], sys.argv[2], int(sys.argv[3])
claims = Claims(RealFiles(), FarmPaths(results), SystemClock(), quiet=3600.0)
print("ready", flush=True)
sys.stdin.readline()
won = []
for number in range(ideas):
    idea = f"idea-{number:03d}"
    if isinstance(claims.claim(idea, f"{name}-{number}", {"host": name}, {"section": "x" * 500}), Claimed):
        won.append(idea)
print(json.dumps(won))
"""


def test_eight_processes_that_want_the_same_ideas_at_once_claim_each_exactly_once(tmp_path):
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, str(tmp_path), f"host{number}", str(IDEAS)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(PROCESSES)
        ]
        for process in processes:
            stack.callback(process.kill)
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        won = [json.loads(process.communicate(timeout=100)[0]) for process in processes]
    ideas = [f"idea-{number:03d}" for number in range(IDEAS)]
    assert sorted(idea for share in won for idea in share) == ideas
    claims = Claims(RealFiles(), FarmPaths(str(tmp_path)), SystemClock(), quiet=3600.0)
    for number, share in enumerate(won):
        for idea in share:
            chain, fold = claims.open_chain(idea)
            chain.refresh()
            assert (chain.length, fold.claim["host"]) == (1, f"host{number}")
            assert RealFiles().listdir(chain.directory) == ["000001.json"]
