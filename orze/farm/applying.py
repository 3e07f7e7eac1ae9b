"""Applies one request of an operator: to the idea's chain where it must be, else to the journal."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orze.coord.idea_chain import RETRY, SETTLED, IdeaFold
from orze.coord.journal import Journal
from orze.coord.record import new_record
from orze.coord.requests import Request
from orze.core.states import RUNNING, TERMINAL, State
from orze.farm.attempts import Attempts
from orze.farm.context import Context
from orze.farm.queue import Entry, Queue
from orze.ideas.inbox import enqueue, inbox_of
from orze.ideas.merge import MergeBlocked, append_sections

if TYPE_CHECKING:
    from orze.coord.record import Record

_LOG = logging.getLogger("orze")

Parts = dict[str, list[Any]]


class Applier:
    """Applies requests; each answer tells what was done, or why nothing was."""

    def __init__(self, context: Context, *, journal: Journal, queue: Queue, attempts: Attempts) -> None:
        self._context = context
        self._journal = journal
        self._queue = queue
        self._attempts = attempts

    def apply(self, request: Request, parts: Parts) -> None:
        """Do what is asked, once: a request that the journal has answered is only to be removed.

        Args:
            parts: the journal entry in the making; the answer is added to it.

        Raises:
            OSError: the share did not answer; the request stays.
        """
        if request.uuid in self._journal.fold.answers:
            return
        answer = request.problem or self._do(request, parts)
        _LOG.info("request %s %s: %s", request.kind, request.idea_id, answer)
        parts.setdefault("answers", []).append([request.uuid, answer])

    def _do(self, request: Request, parts: Parts) -> str:
        idea_id = request.idea_id
        entry = self._queue.get(idea_id)
        if entry is None or entry.state is None:
            return f"{idea_id} is not known"
        by = f" by {request.by}" if request.by else ""
        match request.kind:
            case "stop":
                return self._stop(idea_id, entry)
            case "retry":
                return self._retry(idea_id, entry, parts)
            case "hold":
                return _simple(entry, parts, "hold", [idea_id, f"held{by}"], f"{idea_id} is held")
            case "release":
                parts.setdefault("release", []).append(idea_id)
                return f"{idea_id} is released"
            case "withdraw":
                return _simple(entry, parts, "withdraw", idea_id, f"{idea_id} is withdrawn")
            case _:
                return self._restore(idea_id, entry, parts)

    def _stop(self, idea_id: str, entry: Entry) -> str:
        if entry.state not in RUNNING:
            return f"{idea_id} does not run, it is {entry.state}"
        try:
            _, fold = self._attempts.chain(idea_id)
        except FileNotFoundError:
            return f"{idea_id} is only being claimed; ask again"
        if not fold.running:
            return f"{idea_id} has just ended, or is only being claimed; ask again if it runs"
        path = self._context.paths.idea(idea_id).stop_request(fold.token)
        try:
            self._context.files.write_new(path, b"stop\n")
        except FileExistsError:
            return f"{idea_id} is being stopped already"
        for attempt in self._attempts.here():
            if attempt.token == fold.token:
                self._attempts.tell(attempt, signal.SIGUSR1)
        return f"{idea_id} is being stopped"

    def _retry(self, idea_id: str, entry: Entry, parts: Parts) -> str:
        if entry.state not in TERMINAL:
            return f"{idea_id} has not ended, it is {entry.state}"
        if entry.state is State.WITHDRAWN:
            return f"{idea_id} was withdrawn; release it"
        if entry.reason:
            return f"{idea_id} is {entry.state}: {entry.reason}; retry that one"
        try:
            chain, fold = self._attempts.chain(idea_id)
        except FileNotFoundError:
            return f"{idea_id} has no record of its own; remove results/{idea_id} to have it run"
        limit = self._context.settings.max_idea_failures
        if limit and fold.failures >= limit:
            return f"{idea_id} failed {fold.failures} times; raise max_idea_failures (now {limit}) first"
        chain.append(lambda: self._retry_record(fold))
        parts.setdefault("reopen", []).append(idea_id)
        return f"{idea_id} is queued again"

    def _retry_record(self, fold: IdeaFold) -> Record | None:
        if fold.phase != SETTLED:
            return None
        at = self._context.clock.wall()
        return new_record(RETRY, reopens=fold.tail, at=at, **self._context.frame)

    def _restore(self, idea_id: str, entry: Entry, parts: Parts) -> str:
        displaced = idea_id in self._journal.fold.displaced
        if entry.idea is not None and not displaced:
            return f"{idea_id} is in ideas.md"
        if entry.bad and not displaced:
            return f"{idea_id} is in ideas.md, but cannot be accepted: {entry.bad}"
        try:
            text = self._journal.section(idea_id)
        except KeyError:
            return f"the section of {idea_id} was never registered"
        if displaced:
            ideas = str(self._context.settings.ideas_file)
            enqueue(self._context.files, inbox_of(ideas), text, uuid=f"restored-{idea_id}")
            return f"another idea is called {idea_id} now; the earlier one comes back under a new id"
        try:
            append_sections(Path(self._context.settings.ideas_file), [(idea_id, text)])
        except MergeBlocked as blocked:
            return str(blocked)
        parts.setdefault("restore", []).append(idea_id)
        return f"{idea_id} is back in ideas.md"


def _simple(entry: Entry, parts: Parts, part: str, item: list[str] | str, done: str) -> str:
    if entry.state in RUNNING or entry.state in TERMINAL:
        return f"it is {entry.state} already"
    parts.setdefault(part, []).append(item)
    return done
