"""Asking an agent: it works in a worktree of its own, which is gone when it has answered, or was left."""

from __future__ import annotations

import select
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from userrepo import ENVIRON, git, make, snapshot

from orze.config.refine import Loop
from orze.refine.asking import Answer
from orze.refine.history import History
from orze.refine.making import Maker, Rules
from orze.refine.proposing import Proposer
from orze.refine.repository import Repository
from orze.research.prompt import Prompt

DEADLINE = 30.0


class Asked:
    """A proposer over a repository whose project is below its top."""

    def __init__(self, home: Path, code: str) -> None:
        self.top = make(home / "top", {"a/value.txt": "1\n", "b.txt": "b\n"})
        self.tries = home / "tries"
        settings = Loop.model_validate({"agent": [sys.executable, "-c", code]})
        repository = Repository(self.top / "a")
        maker = Maker(History(repository, "s"), Rules())
        self.proposer = Proposer(settings, maker, repository, tries=self.tries, environ=ENVIRON)
        step: Any = SimpleNamespace(parent=repository.head())
        self.fold: Any = SimpleNamespace(steps={1: step})

    def answer(self) -> Answer:
        asking = self.proposer.ask(self.fold, 1, 1, Prompt("system", "make it 2"))
        until = time.monotonic() + DEADLINE
        while (found := asking.poll()) is None:
            assert time.monotonic() < until
            select.select([], [], [], 0.02)
        return self.proposer.collect(self.fold, 1, 1, found)


def test_what_an_agent_changed_is_told_and_its_worktree_is_gone(tmp_path: Path):
    code = (
        "import sys; open('value.txt', 'w').write(sys.stdin.read()[-1] + chr(10)); print('HYPOTHESIS: more')"
    )
    asked = Asked(tmp_path, code)
    before = snapshot(asked.top)
    answer = asked.answer()
    assert (answer.changes, answer.fault) == ({"value.txt": b"2\n"}, "")
    assert "HYPOTHESIS: more" in answer.text
    assert (asked.tries / "1-1.txt").read_text() == answer.text
    assert not (asked.tries / "1-1").exists()
    assert git(asked.top, "worktree", "list").count("\n") == 0
    assert snapshot(asked.top) == before


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("import os; os.symlink('/etc/passwd', 'link')", "link"),
        ("import sys; sys.exit('no idea')", "no idea"),
    ],
)
def test_an_agent_that_leaves_what_cannot_be_taken_is_told_so(tmp_path: Path, code: str, word: str):
    asked = Asked(tmp_path, code)
    answer = asked.answer()
    assert answer.changes is None
    assert word in answer.fault
    assert not (asked.tries / "1-1").exists()


def test_a_worktree_that_a_killed_loop_left_is_removed(tmp_path: Path):
    asked = Asked(tmp_path, "")
    asked.proposer.ask(asked.fold, 1, 1, Prompt("", "")).end()
    assert (asked.tries / "1-1").is_dir()
    asked.proposer.open()
    assert not (asked.tries / "1-1").exists()
    asked.proposer.close()
