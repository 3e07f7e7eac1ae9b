"""Runs an attempt in a process of its own over a share that fails as its arguments say.

Arguments: the project's root, the results directory, the name of a call, its errno, `done` or `not done`, and
how many such calls go well before. What became of it is read from the chain.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from orze.attempt import keeper
from tests.fakes.shares import fails_once
from tests.unit.attempt.keeper_pipes import Farm, command


def main() -> None:
    """Prepare, claim and run."""
    farm = Farm(Path(sys.argv[2]), nursery=False)
    prepared = keeper.Prepared(farm.prepare_message(token := farm.machine.new_token()))
    assert prepared.begin() == ""
    frame = farm.machine.frame(0, 0)
    attempt = farm.claim(token, frame)
    _, _, _, call, number, done, before = sys.argv
    prepared.files = fails_once(prepared.files, call, int(number), done=done == "done", at=int(before))
    code = "metrics(status='COMPLETED', val_loss=0.5)"
    go = farm.go_message(attempt, token, frame, train=command(code), evaluation=command("", name="eval"))
    keeper._run(prepared, go)


if __name__ == "__main__":
    main()
