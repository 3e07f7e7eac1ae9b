"""A farm of any size as research sees it, for the tests of digest, model and scripted researcher."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.ideas.canonical import config_key, seed_of
from orze.research.brief import Brief, Failure, Known
from orze.research.job import Job
from orze.research.round import run_round
from orze.research.space import learn_space
from orze.research.study import Study, Trial

BASE: dict[str, Any] = {
    "data": {"seed": 0, "shifts": False},
    "model": {"type": "mlp"},
    "training": {"epochs": 30, "batch_size": 64, "lr": 0.001, "seed": 0},
}
SETTINGS: dict[str, Any] = {
    "mode": "llm",
    "model": "openai/local",
    "api_base": None,
    "price": None,
    "reply_tokens": 4000,
    "round_timeout": 600.0,
    "target": 0.99,
}
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB"
GOAL = (
    "Find a network for the digits with a validation accuracy of at least 0.99.\n\n- One minute a training.\n"
)


def config_of(number: int, rng: random.Random) -> dict[str, Any]:
    """A configuration as somebody might have tried it."""
    training = {**BASE["training"], "lr": float(f"{0.001 * 10 ** rng.uniform(-1, 1):.3g}")}
    training["batch_size"] = rng.choice([16, 32, 64, 128])
    model = {"type": "mlp", "hidden": rng.choice([32, 64, 128])} if number % 3 else {"type": "svm", "C": 1.0}
    return {"data": BASE["data"], "model": model, "training": training}


def known(number: int, value: float | None, **more: Any) -> Known:
    """An idea that ended."""
    family = ("schedule", "architecture", "optimizer", "data")[number % 4]
    state = "COMPLETED" if value else "FAILED"
    about = {"title": f"Idea {number} of its kind", "family": family, "state": state, "value": value}
    return Known(f"idea-{number:03d}", **(about | {"seconds": 40.0 + number % 50} | more))


def trial_of(idea: Known, config: dict[str, Any]) -> Trial:
    """How it ran."""
    return Trial(
        idea.idea_id, config, idea.value, idea.value is None, key=config_key(config), seed=seed_of(config)
    )


def study_of(ended: int, results: str = "/nowhere", **brief: Any) -> Study:
    """A farm in which so many ideas ended, every tenth of them with a failure."""
    rng = random.Random(7)
    values = [None if n % 10 == 9 else 0.9 + 0.08 * rng.random() for n in range(1, ended + 1)]
    ideas = [known(n, value) for n, value in enumerate(values, 1)]
    trials = tuple(trial_of(idea, config_of(n, rng)) for n, idea in enumerate(ideas, 1))
    home = {"ideas_file": "/nowhere/ideas.md", "base_config": "/nowhere/base.yaml", "project_dir": "/nowhere"}
    about = {"round": 12, "count": 4, "metric": "val_accuracy", "ascending": False, "research": SETTINGS}
    told = Brief(**(home | about | {"results": results} | _of(ideas) | brief))
    return Study(
        told, BASE, learn_space(BASE, (t.config for t in trials if not t.failed)), trials=trials, goal=GOAL
    )


def _of(ideas: Sequence[Known]) -> dict[str, Any]:
    done = [idea for idea in ideas if idea.value is not None]
    best = sorted(done, key=lambda idea: -(idea.value or 0))
    top = [
        replace(idea, mean=idea.value, n=3, low=(idea.value or 0) - 0.004, high=(idea.value or 0) + 0.004)
        for idea in best[:8]
    ]
    failed = [idea for idea in ideas if idea.value is None]
    recent = [
        replace(idea, cause="cuda_oom", error=OUT_OF_MEMORY) if idea.value is None else idea
        for idea in reversed(ideas[-8:])
    ]
    families = {idea.family: idea for idea in reversed(best)}
    return {
        "verdict": "idea-004 leads; its interval clears that of the second" if ideas else "",
        "baseline": 0.93 if ideas else None,
        "baseline_n": 3 if ideas else 0,
        "noise": 0.003 if ideas else None,
        "top": tuple(top),
        "families": tuple(families.values()),
        "recent": tuple(recent),
        "failures": (Failure("cuda_oom", len(failed), OUT_OF_MEMORY),) if failed else (),
        "queued": (("idea-20001", "Cosine decay"), ("idea-20002", "More epochs")) if ideas else (),
        "trend": tuple((n, 0.9 + n / 1000) for n in range(1, min(len(ideas), 30))),
        "budget_left": {"usd": 1.25, "rounds": 40},
        "cards": ("NVIDIA H100",),
        "memory_mib": 81559.0,
        "timeout": 600.0,
        "ended": tuple((idea.idea_id, idea.value, "ok" if idea.value else "failed") for idea in ideas),
    }  # fmt: skip


def write_progress(results: Path, idea_id: str, lines: Sequence[dict[str, Any]]) -> None:
    """The progress.jsonl of an attempt, where its link leads to."""
    latest = results / idea_id / "latest"
    latest.mkdir(parents=True)
    (latest / "progress.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def round_job(home: Path, steer: str = "", **research: Any) -> Job:
    """A round over the files of a small project, as a leader would ask for it."""
    (home / "results").mkdir()
    (home / "ideas.md").write_text("# Ideas\n")
    (home / "base.yaml").write_text(json.dumps(BASE))
    (home / "GOAL.md").write_text(GOAL)
    (home / "steer.md").write_text(steer)
    settings = {**SETTINGS, "goal": str(home / "GOAL.md"), "steer": str(home / "steer.md"), **research}
    brief = replace(
        study_of(0).brief, round=1, count=3, results=str(home / "results"), ideas_file=str(home / "ideas.md"),
        base_config=str(home / "base.yaml"), project_dir=str(home), research=settings,
    )  # fmt: skip
    model = str(settings["model"]) if settings["mode"] == "llm" else ""
    return Job(
        brief=brief.plain(), proposer=settings["mode"], model=model, control=False, waiting=[],
        timeout=settings["round_timeout"],
    )  # fmt: skip


def run(job: Job) -> dict[str, Any]:
    """What ledger.jsonl tells of it."""
    outcome = run_round(job, RealFiles(), SystemClock(), frame={"host": "gpu-a", "pid": 1, "boot_id": "b"})
    assert (outcome.refused, outcome.fault) == ("", "")
    assert outcome.round is not None
    return outcome.round
