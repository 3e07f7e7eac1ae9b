"""`farm.py --research-only`: one round of research in the foreground, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from orze.farm.daemon import Daemon
from orze.report.text import clean
from orze.research.control import Wait
from orze.research.job import Outcome
from orze.research.process import RoundProcess

_INTERRUPTED = 130


def research_once(daemon: Daemon) -> int:
    """Run one round now, whatever is queued; budgets hold. A daemon may lead meanwhile, here or elsewhere.

    Returns:
        0 where it left a new idea, else 1; 130 where it was interrupted.

    Raises:
        ConfigError: it cannot be done on this host.
        OSError: the share did not answer.
    """
    researching = daemon.members.researching
    researching.check()
    daemon.read(whole=True)
    decided = researching.next_round()
    if isinstance(decided, Wait):
        print(f"no round is run: {decided.reason}")
        return 1
    print(f"round {decided.number}: {decided.who.name} proposes {decided.count} ideas", flush=True)
    context = daemon.members.context
    process = RoundProcess(researching.job(decided))
    try:
        status = os.waitpid(process.pid, 0)[1]
    except KeyboardInterrupt:
        process.kill()
        status = os.waitpid(process.pid, 0)[1]
        researching.settle(process.ended(status, context.files, context.paths), process.number)
        print("interrupted: what the round may have cost counts as spent")
        return _INTERRUPTED
    outcome = process.ended(status, context.files, context.paths)
    researching.settle(outcome, process.number)
    for line in said(outcome):
        print(line)
    return 0 if outcome.round and outcome.round["new"] else 1


def said(outcome: Outcome) -> Iterator[str]:
    """What came of a round, for a terminal."""
    told: Mapping[str, Any] | None = outcome.round
    if told is None:
        yield (
            outcome.refused or outcome.fault or "another round was begun at the same time; nothing was asked"
        )
        return
    cost = "unknown" if told["usd"] is None else f"{told['usd']:.4f} USD"
    counts = f"{told['proposed']} proposed, {told['valid']} valid, {told['new']} new"
    yield f"{counts}; cost {cost}, {told['tokens']} tokens, {told['seconds']:.0f} s"
    yield from (f"  new: {clean(idea['title'], 100)}" for idea in told["ideas"])
    yield from (f"  dropped: {clean(text, 300)}" for text in told["dropped"])
    if told["error"]:
        yield f"  error: {clean(told['error'], 300)}"
