"""Rounds of research over a small project, for tests."""

from __future__ import annotations

import sys
from typing import Any

from orze.config.research import Research
from orze.core.clock import ManualClock
from orze.core.memory import MemoryFiles
from orze.core.paths import FarmPaths
from orze.farm.briefing import plain
from orze.research.brief import Brief
from orze.research.job import Job, Outcome
from orze.research.ledger import Ledger
from orze.research.round import run_round

HOME = "/farm"
PATHS = FarmPaths(f"{HOME}/results")
INBOX = f"{HOME}/ideas.d/new"
BASE = b"training: {lr: 0.1, width: 16}\n"


def project() -> Any:
    """A project in memory, with a base configuration and no idea."""
    files = MemoryFiles()
    for path in (HOME, f"{HOME}/results", f"{HOME}/results/.orze", f"{HOME}/configs"):
        files.mkdir(path)
    files.write_new(f"{HOME}/configs/base.yaml", BASE)
    files.write_new(f"{HOME}/ideas.md", b"# Ideas\n")
    return files


def brief(number: int = 1, *, home: str = HOME, **research: Any) -> Brief:
    """The brief of a round of a farm where nothing has run."""
    settings = Research.model_validate(research)
    return Brief(
        round=number,
        count=settings.ideas_per_round,
        metric="loss",
        ascending=True,
        results=f"{home}/results",
        ideas_file=f"{home}/ideas.md",
        base_config=f"{home}/configs/base.yaml",
        project_dir=home,
        research=plain(settings, settings.model or ""),
    )


def job(number: int = 1, *, home: str = HOME, **research: Any) -> Job:
    """What is asked of it."""
    settings = Research.model_validate(research)
    return Job(
        brief=brief(number, home=home, **research).plain(),
        proposer=settings.mode,
        model=settings.model or "",
        control=False,
        waiting=[],
        timeout=settings.round_timeout,
    )


def run(files: Any, number: int = 1, **research: Any) -> Outcome:
    """Run it in this process."""
    return run_round(job(number, **research), files, ManualClock(), frame={"host": "h", "pid": 1, "start": 1})


def ledger(files: Any) -> Ledger:
    """The books as a new process reads them."""
    one = Ledger(files, PATHS, ManualClock(), frame={"host": "h"})
    one.refresh()
    return one


def inbox(files: Any) -> list[str]:
    """The names that wait in the inbox."""
    try:
        return sorted(name for name in files.listdir(INBOX) if not name.startswith("."))
    except FileNotFoundError:
        return []


def program(text: str) -> tuple[str, ...]:
    """A command that runs a Python program."""
    return (sys.executable, "-c", text)
