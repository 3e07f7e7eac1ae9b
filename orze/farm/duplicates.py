"""Recognises an idea that another ran before, or runs now: the same configuration with the same seed."""

from __future__ import annotations

from orze.coord import requests
from orze.farm.attempts import Attempts
from orze.farm.board import Board
from orze.farm.context import Context
from orze.farm.launch import Merged
from orze.farm.queue import Queue
from orze.farm.steward import Steward
from orze.ideas.canonical import run_mark
from orze.ideas.model import Idea
from orze.report.earlier import same_as

_SHA = 16  # hex digits of a revision in the name of what is told to the leader


class Duplicates:
    """Judges ideas when they are about to be started, by what this host knows already: it reads nothing.

    What has a result is known from the journal. What runs is known from the listing of the heartbeats, whose
    names carry a mark of the configuration; and what has just ended is kept until the journal tells of it.
    """

    def __init__(
        self, context: Context, *, queue: Queue, attempts: Attempts, board: Board, steward: Steward
    ) -> None:
        self._context = context
        self._queue = queue
        self._attempts = attempts
        self._board = board
        self._steward = steward
        self._waiting: dict[tuple[str, int], dict[str, None]] = {}  # by key and seed

    def judge(self, idea: Idea, config: Merged) -> str:
        """Why an idea is not to be started now; empty where it may be.

        One that has a result under another id is told to the leader, who holds it.

        Raises:
            OSError: that could not be told.
        """
        waiting = self._waiting.setdefault((config.key, config.seed), {})
        waiting.pop(idea.id, None)
        why, first = self.look(idea, config)
        if first:
            self._tell(idea, first)
        elif why:
            waiting[idea.id] = None
        return why

    def look(self, idea: Idea, config: Merged) -> tuple[str, str]:
        """Why an idea is not to be started now, empty where it may be; and which has its result, if any."""
        entry = self._queue.get(idea.id)
        if idea.rerun or (entry and entry.known and entry.known.judged == idea.sha):
            return "", ""
        first = self._board.leaderboard.twin(config.key, config.seed)
        if first and first != idea.id:
            return same_as(self._board.leaderboard, first), first
        other = self._under_way(idea.id, config.key, config.seed)
        return (f"the same configuration and seed as {other}, which runs now" if other else ""), ""

    def freed(self) -> list[str]:
        """Ideas that waited for one that ran, and wait for it no more."""
        freed: list[str] = []
        for run, waiting in list(self._waiting.items()):
            if not waiting or not self._under_way(next(iter(waiting)), *run):
                freed += waiting
                del self._waiting[run]
        return freed

    def _under_way(self, idea_id: str, key: str, seed: int) -> str:
        return self._attempts.twin(run_mark(key, seed), idea_id) or self._steward.twin(key, seed, idea_id)

    def _tell(self, idea: Idea, first: str) -> None:
        """Leave it to the leader; hosts and looks that find the same leave one note of it."""
        requests.submit(
            self._context.files,
            self._context.paths.requests,
            self._context.clock,
            kind=requests.DUPLICATE,
            target=idea.id,
            value=f"{first} {idea.sha}",
            name=f"{requests.DUPLICATE}-{idea.id}-{idea.sha[:_SHA]}",
        )
