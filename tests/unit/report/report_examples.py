"""A snapshot with a bit of everything, for the tests of the report."""

import dataclasses

from orze.core.states import State
from orze.report.leaderboard import Leaderboard
from orze.report.model import (
    CardRow,
    Column,
    HostRow,
    Problem,
    Result,
    Running,
    Snapshot,
    Waiting,
)

NOON = 1763726400.0


def outcome(number, title, state=State.COMPLETED, **other):
    """One result on node-a, a minute after the one before it."""
    fields = {
        "idea_id": f"idea-{number:03d}",
        "title": title,
        "state": state,
        "cause": None,
        "error": None,
        "host": "node-a",
        "gpu": "0",
        "attempt": 1,
        "finished_at": NOON + 60 * number,
        "seconds": 95.0,
        "metrics": {},
        "order": number,
    }
    return Result(**{**fields, **other})


DONE = [
    outcome(1, "Logistic regression", metrics={"val_accuracy": 0.9611, "val_loss": 0.14}),
    outcome(2, "A wider network: 256 | 128", metrics={"val_accuracy": 0.9889, "val_loss": 0.05}),
    outcome(3, "Random forest", metrics={"val_accuracy": 0.9722}, error="eval.py: KeyError: 'auc'"),
    outcome(4, "Diverged", metrics={"val_accuracy": float("nan")}, gpu="0,1"),
]
FAILED = [outcome(5, "Too large", State.FAILED, cause="cuda_oom", error="CUDA out of memory", attempt=2)]
PRUNED = [outcome(11, "Hopeless", State.PRUNED, cause="pruned", error="pruned at step 40")]
SKIPPED = [outcome(6, "Child", State.SKIPPED, error="its After, idea-005, failed", attempt=0)]


def board():
    """The leaderboard of all that ended."""
    made = Leaderboard()
    for result in (*DONE, *FAILED, *SKIPPED):
        made.add(result)
    return made


def snapshot(**other):
    """A farm of two hosts with an idea in almost every state."""
    ranking = board()
    fields = {
        "title": "Digits",
        "generated_at": NOON,
        "iteration": 42,
        "leader": "node-a",
        "primary": ranking.primary,
        "counts": {State.COMPLETED: 4, State.FAILED: 1, State.SKIPPED: 1, State.TRAINING: 1, State.HELD: 1},
        "merit": ranking.merit(),
        "top": [dataclasses.replace(r, cells=("0.91",)) for r in ranking.top(10)],
        "running": [Running("idea-007", "Boosting", State.TRAINING, "node-a", "1", 75.0, 1, "loss 0.31")],
        "failed": FAILED,
        "skipped": SKIPPED,
        "pruned": PRUNED,
        "held": [Waiting("idea-008", "Gone", "vanished from ideas.md")],
        "quarantined": [Waiting("idea-009", "Broken", "line 9: no mapping here", "ideas.md:7")],
        "waiting": [Waiting("idea-010", "Later", "idea-007 to complete", "ideas.md:12")],
        "hosts": [
            HostRow("node-a", True, True, (CardRow("0", "NVIDIA H200", "free", 420, 143771),), 1, 1, 2.0),
            HostRow("node-b", False, False, (CardRow("0", "NVIDIA A100", "lost"),), 0, 0, 244.0),
        ],
        "problems": [Problem("card 0 of node-b does not answer", NOON - 300)],
        "queue_depth": 3,
        "free_gpus": ["node-a:0"],
        "disk_free_gb": 812.34,
        "columns": [Column("auc", "AUC", ".2f", "eval.json:auc")],
        "notices": ["Only for the tests."],
        "unfenced": True,
    }
    return Snapshot(**{**fields, **other})


def bare(**other):
    """A farm that has done nothing yet."""
    fields = {"title": "", "generated_at": NOON, "iteration": 0, "leader": "", "primary": None, "counts": {}}
    return Snapshot(**{**fields, **other})
