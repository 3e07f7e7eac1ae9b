"""Applies one request of an operator: to the idea's chain where it must be, else to the journal."""

from __future__ import annotations

import logging
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orze.coord.idea_chain import RETRY, SETTLED, IdeaFold
from orze.coord.journal import DEFAULT, PRIORITIES, SECTION, Answer, Journal
from orze.coord.record import new_record
from orze.coord.requests import DUPLICATE, OF_HOSTS, Request
from orze.core.states import RUNNING, TERMINAL, State
from orze.farm.attempts import Attempts
from orze.farm.board import Board
from orze.farm.context import Context
from orze.farm.hosts import Hosts
from orze.farm.queue import Entry, Queue
from orze.ideas.inbox import enqueue, inbox_of
from orze.ideas.merge import MergeBlocked, append_sections
from orze.report.earlier import same_as

if TYPE_CHECKING:
    from orze.coord.record import Record

_LOG = logging.getLogger("orze")

Parts = dict[str, list[Any]]

_OVERRIDE = "release it, or write **Rerun**: yes, to run it all the same"
_NAMED = 10  # hosts in one answer
_PENDING = (State.QUEUED, *RUNNING)  # where a retry leads


class Applier:
    """Applies requests; each answer tells what was done, or why nothing was."""

    def __init__(
        self,
        context: Context,
        *,
        journal: Journal,
        queue: Queue,
        attempts: Attempts,
        hosts: Hosts,
        board: Board,
    ) -> None:
        self._context = context
        self._journal = journal
        self._queue = queue
        self._attempts = attempts
        self._hosts = hosts
        self._board = board

    def apply(self, request: Request, parts: Parts) -> bool:
        """Do what is asked, once: a request that the journal has answered is only to be removed.

        Args:
            parts: the journal entry in the making; the answer is added to it.

        Returns:
            Whether it is dealt with; else it is to be applied again a little later.

        Raises:
            OSError: the share did not answer; the request stays.
        """
        if request.kind == DUPLICATE and not request.problem:
            self._hold_duplicate(request, parts)
            return True
        if request.uuid in self._journal.fold.answers:
            return True
        answer = Answer(request.problem, False) if request.problem else self._do(request, parts)
        if answer is None:
            return False
        _LOG.info("request %s %s: %s", request.kind, request.target, answer.text)
        parts.setdefault("answers", []).append([request.uuid, *answer])
        return True

    def _hold_duplicate(self, request: Request, parts: Parts) -> None:
        """Hold it, where this host sees the same as the one that found it; else that one tells it again."""
        entry = self._queue.get(request.target)
        first, sha = request.value.split(" ")
        if entry is None or entry.state is not State.QUEUED or entry.idea is None or entry.idea.sha != sha:
            return
        found = same_as(self._board.leaderboard, first)
        if found and not (entry.known and entry.known.judged == sha):
            _LOG.info("%s is held: %s", request.target, found)
            parts.setdefault("duplicate", []).append([request.target, sha, f"{found}; {_OVERRIDE}"])

    def _do(self, request: Request, parts: Parts) -> Answer | None:
        if request.kind in OF_HOSTS:
            return self._of_host(request, parts)
        entry = self._queue.get(request.target)
        if entry and entry.members and request.kind != "restore":
            return self._of_group(request, parts)
        if entry is None or (entry.state is None and request.kind != "restore"):
            return Answer(f"{request.target} is not known", False)
        return self._of_idea(request, request.target, entry, parts)

    def _of_group(self, request: Request, parts: Parts) -> Answer | None:
        """Ask it of every member, and of the group itself where it has a state of its own."""
        group = request.target
        asked = [group, *self._queue.members_of(group)]
        there = {one: entry for one in asked if (entry := self._queue.get(one)) and entry.state}
        answers = [self._of_idea(request, one, entry, parts) for one, entry in there.items()]
        told = {one: answer for one, answer in zip(there, answers, strict=True) if answer}
        if len(told) < len(there):
            return None  # one of them has to wait: what was done is found done
        return _summary(group, told)

    def _of_idea(self, request: Request, idea_id: str, entry: Entry, parts: Parts) -> Answer | None:
        match request.kind:
            case "stop":
                return self._stop(idea_id, entry)
            case "retry":
                return self._retry(request, idea_id, entry, parts)
            case "hold":
                return _hold(idea_id, entry, parts, f"held{_by(request)}")
            case "release":
                return _release(idea_id, entry, parts)
            case "withdraw":
                return _withdraw(idea_id, entry, parts)
            case "priority":
                return _prioritise(idea_id, entry, parts, request.value)
            case _:
                return self._restore(idea_id, entry, parts)

    def _of_host(self, request: Request, parts: Parts) -> Answer:
        host = request.target
        drained = host in self._journal.fold.drained
        match request.kind:
            case "undrain" if not drained:
                return Answer(f"{host} is not drained", True)
            case "undrain":
                parts.setdefault("undrain", []).append(host)
                return Answer(f"{host} takes new ideas again", True)
            case "drain" if drained:
                return Answer(f"{host} is drained already", True)
            case "drain":
                if unknown := self._unknown(host):
                    return Answer(unknown, False)
                parts.setdefault("drain", []).append([host, f"drained{_by(request)}"])
                return Answer(f"{host} takes no new ideas; what runs there goes on", True)
            case _:
                return self._use_cards(host, request.value, parts)

    def _use_cards(self, host: str, cards: str, parts: Parts) -> Answer:
        told = "the cards that it was started with" if cards == DEFAULT else f"cards {cards}"
        if cards == self._journal.fold.cards.get(host, DEFAULT):
            return Answer(f"{host} is to use {told} already", True)
        if cards != DEFAULT and (unknown := self._unknown(host)):
            return Answer(unknown, False)
        parts.setdefault("use", []).append([host, cards])
        return Answer(f"{host} is to use {told}; what runs on others goes on", True)

    def _unknown(self, host: str) -> str:
        """Why a host is not known; empty where a daemon tells of it."""
        names = self._hosts.names()
        if host in names:
            return ""
        known = ", ".join(sorted(names)[:_NAMED])
        return f"no daemon runs on a host called {host}; there are {known}"

    def _stop(self, idea_id: str, entry: Entry) -> Answer | None:
        if entry.state not in RUNNING:
            return Answer(f"{idea_id} does not run, it is {entry.state}", entry.state is State.STOPPED)
        try:
            _, fold = self._attempts.chain(idea_id)
        except FileNotFoundError:
            return None  # it is being claimed: the request waits until it runs, or does not after all
        if not fold.running:
            return None  # likewise, or it has just ended and is settled in a moment
        path = self._context.paths.idea(idea_id).stop_request(fold.token)
        try:
            self._context.files.write_new(path, b"stop\n")
        except FileExistsError:
            return Answer(f"{idea_id} is being stopped already", True)
        for attempt in self._attempts.here():
            if attempt.token == fold.token:
                self._attempts.tell(attempt, signal.SIGUSR1)
        return Answer(f"{idea_id} is being stopped", True)

    def _retry(self, request: Request, idea_id: str, entry: Entry, parts: Parts) -> Answer:
        if entry.state not in TERMINAL:
            return Answer(f"{idea_id} has not ended, it is {entry.state}", entry.state in _PENDING)
        if entry.state is State.WITHDRAWN:
            return Answer(f"{idea_id} was withdrawn; release it", False)
        if entry.reason:
            return Answer(f"{idea_id} is {entry.state}: {entry.reason}; retry that one", False)
        try:
            chain, fold = self._attempts.chain(idea_id)
        except FileNotFoundError:
            return Answer(
                f"{idea_id} has no record of its own; remove results/{idea_id} to have it run", False
            )
        limit = self._context.settings.max_idea_failures
        if limit and fold.failures >= limit:
            text = f"{idea_id} failed {fold.failures} times; raise max_idea_failures (now {limit}) first"
            return Answer(text, False)
        if fold.retried_for != request.uuid:  # else whoever led before wrote the record and no answer
            chain.append(lambda: self._retry_record(fold, request.uuid))
        if fold.phase == SETTLED:
            return Answer(f"{idea_id} was queued again, and has ended since", True)
        parts.setdefault("reopen", []).append(idea_id)
        return Answer(f"{idea_id} is queued again", True)

    def _retry_record(self, fold: IdeaFold, request: str) -> Record | None:
        if fold.phase != SETTLED:
            return None
        at = self._context.clock.wall()
        return new_record(RETRY, reopens=fold.tail, request=request, at=at, **self._context.frame)

    def _restore(self, idea_id: str, entry: Entry, parts: Parts) -> Answer:
        displaced = idea_id in self._journal.fold.displaced
        if entry.idea is not None and not displaced:
            return Answer(f"{idea_id} is in ideas.md", True)
        if entry.bad and not displaced:
            return Answer(f"{idea_id} is in ideas.md, but cannot be accepted: {entry.bad}", False)
        try:
            text = self._journal.section(idea_id)
        except KeyError:
            return Answer(f"the section of {idea_id} was never registered", False)
        if displaced:
            ideas = str(self._context.settings.ideas_file)
            enqueue(self._context.files, inbox_of(ideas), text, uuid=f"restored-{idea_id}")
            text = f"another idea is called {idea_id} now; the earlier one comes back under a new id"
            return Answer(text, True)
        try:
            append_sections(Path(self._context.settings.ideas_file), [(idea_id, text)])
        except MergeBlocked as blocked:
            return Answer(str(blocked), False)
        parts.setdefault("restore", []).append(idea_id)
        return Answer(f"{idea_id} is back in ideas.md", True)


def _summary(group: str, told: Mapping[str, Answer]) -> Answer:
    """One answer for all members of a group: how many it holds for, by what each of them was told."""
    counts = Counter(answer.text.replace(f"{idea_id} ", "", 1) for idea_id, answer in told.items())
    shown = "; ".join(f"{count} of {len(told)}: {text}" for text, count in counts.most_common(_NAMED))
    done = any(answer.done for answer in told.values())
    return Answer(f"{group}, {shown}" if told else f"{group} has no members now", done)


def _hold(idea_id: str, entry: Entry, parts: Parts, reason: str) -> Answer:
    if late := _too_late(idea_id, entry):
        return late
    if entry.known and entry.known.held:
        return Answer(f"{idea_id} is {entry.known.held} already", True)
    parts.setdefault("hold", []).append([idea_id, reason])
    return Answer(f"{idea_id} is held", True)


def _release(idea_id: str, entry: Entry, parts: Parts) -> Answer:
    known = entry.known
    if known and (known.held or known.duplicate or known.withdrawn):
        parts.setdefault("release", []).append(idea_id)
        return Answer(f"{idea_id} is released", True)
    if entry.state is State.HELD:
        return Answer(f"{idea_id} is not held by an operator: {entry.reason}", False)
    return Answer(f"{idea_id} is not held, it is {entry.state}", True)


def _withdraw(idea_id: str, entry: Entry, parts: Parts) -> Answer:
    if entry.state is State.WITHDRAWN:
        return Answer(f"{idea_id} is withdrawn already", True)
    if late := _too_late(idea_id, entry):
        return late
    parts.setdefault("withdraw", []).append(idea_id)
    return Answer(f"{idea_id} is withdrawn", True)


def _prioritise(idea_id: str, entry: Entry, parts: Parts, value: str) -> Answer:
    asked = entry.known.priority if entry.known else None
    if asked != PRIORITIES.get(value):
        parts.setdefault("priority", []).append([idea_id, value])
    told = "the priority of its section" if value == SECTION else f"priority {value}"
    started = entry.state in RUNNING or entry.state in TERMINAL
    return Answer(f"{idea_id} has {told}" + (f", but is {entry.state}" if started else ""), True)


def _too_late(idea_id: str, entry: Entry) -> Answer | None:
    started = entry.state in RUNNING or entry.state in TERMINAL
    return Answer(f"{idea_id} is {entry.state} already", False) if started else None


def _by(request: Request) -> str:
    return f" by {request.by}" if request.by else ""
