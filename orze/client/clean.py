"""Finds what a farm no longer needs, and removes it: earlier attempts, files by pattern, traces of the dead.

Only below directories of ideas that have ended, in doors, and among heartbeats. Every directory is opened
without following a link, and what is in it is removed relative to that: whatever a script has planted,
nothing outside results/ can be reached.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from orze.attempt.projections import CLAIM_FILE, METRICS_FILE, directory_of
from orze.attempt.spec import CHECKPOINTS, CONFIG, INPUT
from orze.client.below import matches, opened, opened_at, size_of, space, unlink_if_dangling
from orze.client.project import Project
from orze.client.reader import Reader
from orze.coord.chain import Chain
from orze.coord.idea_chain import CLAIM, SETTLED, IdeaFold
from orze.coord.record import Record, is_name
from orze.core.paths import DAEMON, attempt_name
from orze.core.states import SUCCEEDED, TERMINAL, State
from orze.farm.steward import number_of

KEPT: Final = frozenset({CLAIM_FILE, METRICS_FILE, CONFIG, INPUT, ".chain", "attempts", ".orze"})
_ATTEMPT = re.compile(r"([1-9][0-9]{0,8})-[A-Za-z0-9_-]+")
_REFRESH: Final = 1.0  # seconds for which a look at the farm holds


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be cleaned.

    Attributes:
        attempts: the directories of earlier attempts than the last.
        patterns: files below each attempt's directory, as `cleanup.patterns` of orze.yaml names them; one
            without a slash is looked for at every depth.
        dead: doors and heartbeats of attempts that are over.
        older_than: seconds since an idea ended before which nothing of it is cleaned.
    """

    attempts: bool = False
    patterns: tuple[str, ...] = ()
    dead: bool = False
    older_than: float = 0.0


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can go.

    Attributes:
        kind: `attempt`, `files`, `door` or `heartbeat`.
        path: below results/; for `files` the directory that holds them.
        idea_id: whose it is.
        files, bytes: how many files go, and the space that becomes free.
        tail: the last record of the idea when it was found; it must still be that.
        token: the attempt's, of a door or heartbeat.
    """

    kind: str
    path: str
    idea_id: str
    files: int
    bytes: int
    tail: str = ""
    token: str = ""


class Cleaner:
    """Cleans one farm, beside its daemons at any moment.

    Spared are the best idea, ideas that run, and those that an idea which has not ended names as Parent or
    After or reaches through its door. What an idea's chain says is read again right before each removal.

    Args:
        reader: that has read the farm.
    """

    def __init__(self, project: Project, reader: Reader, wanted: Wanted) -> None:
        self._paths, self._clock = project.paths, project.clock
        self._doors_are_used = project.settings.doors
        self._files = project.files
        self._reader = reader
        self._wanted = wanted
        bare = (pattern if "/" in pattern else f"**/{pattern}" for pattern in wanted.patterns)
        self._patterns = [pattern.split("/") for pattern in bare]
        self._looked = float("-inf")
        self._spared: set[str] = set()
        self.daemons = 0  # heartbeats of daemons: whoever leads judges those

    def find(self) -> Iterator[Item]:
        """What can go now.

        Raises:
            OSError: the share did not answer.
        """
        if self._wanted.dead:
            yield from self._dead()
        if not (self._wanted.attempts or self._patterns):
            return
        queue = self._reader.queue
        ended = [idea_id for state in TERMINAL for idea_id in queue.by_state[state]]
        for idea_id in sorted(ended, key=lambda idea_id: (number_of(idea_id), idea_id)):
            if not self._is_spared(idea_id):
                yield from self._of_idea(idea_id)

    def remove(self, item: Item) -> str:
        """Remove what was found, if it still can go.

        Returns:
            Why it stays; empty where it is gone.
        """
        try:
            if item.token:
                return self._remove_trace(item)
            if self._is_spared(item.idea_id):
                return "it is the best now, or needed by another idea"
            fold = self._reader.chain(item.idea_id)
            if fold.tail != item.tail or fold.phase != SETTLED:
                return "its idea was asked to run again"
            if item.kind == "attempt":
                self._remove_attempt(item)
            else:
                self._remove_files(item)
        except FileNotFoundError:
            return "" if item.kind != "files" else "somebody else is removing it"
        except OSError as error:
            return f"{error.filename or item.path}: {error.strerror or error}"
        return ""

    # ---- who is spared

    def _is_spared(self, idea_id: str) -> bool:
        now = self._clock.steady()
        if now - self._looked >= _REFRESH:
            self._reader.follow()
            self._reader.intake.read()
            self._spared = {*self._in_use(), *self._needed()}
            self._looked = now
        entry = self._reader.queue.get(idea_id)
        ended = entry is not None and entry.state in TERMINAL
        return not ended or idea_id in self._spared or idea_id == self._reader.board.best_id()

    def _in_use(self) -> Iterator[str]:
        """Ideas that a running attempt reaches through its door."""
        for token in _names(self._paths.doors):
            yield from _names(self._paths.door(token))

    def _needed(self) -> Iterator[str]:
        queue = self._reader.queue
        for state in State:
            for idea_id in () if state in TERMINAL else queue.by_state[state]:
                entry = queue.get(idea_id)
                if entry and entry.idea:
                    yield from entry.idea.after
                    yield entry.idea.parent or ""

    # ---- attempts and files of ideas that have ended

    def _of_idea(self, idea_id: str) -> Iterator[Item]:
        try:
            with opened(self._paths.results, idea_id, "attempts") as folder:
                found = {
                    name: int(match[1]) for name in os.listdir(folder) if (match := _ATTEMPT.fullmatch(name))
                }
                fold = self._reader.chain(idea_id)
                if fold.phase != SETTLED or not self._is_old(fold):
                    return
                kept = _kept(fold, found, folder)
                for name in sorted(found, key=lambda name: (found[name], name)):
                    if self._wanted.attempts and name not in kept and found[name] <= fold.attempt:
                        yield Item(
                            "attempt",
                            f"{idea_id}/attempts/{name}",
                            idea_id,
                            *size_of(folder, name),
                            fold.tail,
                        )
                    elif self._patterns:
                        yield from self._matching(folder, name, f"{idea_id}/attempts/{name}", idea_id, fold)
            if self._patterns and not self._doors_are_used:
                with opened(self._paths.results) as results:
                    yield from self._matching(results, idea_id, idea_id, idea_id, fold)
        except OSError:
            return  # it never ran, somebody is removing it, or it is a link: it is left alone

    def _is_old(self, fold: IdeaFold) -> bool:
        ended = float((fold.end or {}).get("at", float("nan")))
        return not self._wanted.older_than or self._clock.wall() - ended > self._wanted.older_than

    def _matching(self, folder: int, name: str, path: str, idea_id: str, fold: IdeaFold) -> Iterator[Item]:
        files = size = 0
        for _, _, status in matches(folder, name, self._patterns, KEPT):
            files, size = files + 1, size + space(status)
        if files:
            yield Item("files", path, idea_id, files, size, fold.tail)

    def _remove_attempt(self, item: Item) -> None:
        *above, name = item.path.split("/")
        with opened(self._paths.results, *above) as folder:
            shutil.rmtree(name, dir_fd=folder)

    def _remove_files(self, item: Item) -> None:
        *above, name = item.path.split("/")
        with opened(self._paths.results, *above) as folder:
            for place, file, _ in matches(folder, name, self._patterns, KEPT):
                os.unlink(file, dir_fd=place)
        with opened(self._paths.results, item.idea_id) as home:
            for link in os.listdir(home):
                unlink_if_dangling(home, link)

    # ---- doors and heartbeats of attempts that are over

    def _dead(self) -> Iterator[Item]:
        subjects: dict[str, str] = {}
        for name in _names(self._paths.heartbeats):
            subject, _, token = name.rpartition(".")
            if subject == DAEMON:
                self.daemons += 1
            elif number_of(subject) >= 0 and is_name(token):
                subjects[token] = subject
        for token, idea_id in sorted(subjects.items(), key=lambda pair: pair[::-1]):
            if self._is_over(idea_id, token):
                yield Item("heartbeat", f".orze/heartbeats/{idea_id}.{token}", idea_id, 1, 0, token=token)
        for token in sorted(filter(is_name, _names(self._paths.doors))):
            names = [subjects[token]] if token in subjects else _names(self._paths.door(token))
            for idea_id in names:
                if number_of(idea_id) >= 0 and self._is_over(idea_id, token):
                    yield Item("door", f".orze/doors/{token}", idea_id, 0, 0, token=token)

    def _is_over(self, idea_id: str, token: str) -> bool:
        """Whether the chain has this attempt's claim, and says that it is not the current one any more.

        It then never can be again. A claim that is still being made is not in the chain, and not over.
        """
        fold = _Tokens()
        try:
            Chain(self._files, self._paths.idea(idea_id).chain, fold, self._clock).refresh()
        except OSError:
            return False
        return token in fold.claimed and fold.token != token

    def _remove_trace(self, item: Item) -> str:
        if not self._is_over(item.idea_id, item.token):
            return "its idea's records are another's now"
        folder, name = item.path.rsplit("/", 1)
        with opened(self._paths.results, *folder.split("/")) as above:
            if item.kind == "door":
                with opened_at(above, name) as door:
                    for link in os.listdir(door):
                        os.unlink(link, dir_fd=door)
                os.rmdir(name, dir_fd=above)
            else:
                os.unlink(name, dir_fd=above)
        return ""


class _Tokens(IdeaFold):
    """Also remembers every attempt that was ever claimed."""

    def clear(self) -> None:
        """No record yet."""
        super().clear()
        self.claimed: set[str] = set()

    def step(self, record: Record) -> bool:
        """Take in one record."""
        legal = super().step(record)
        if legal and record["kind"] == CLAIM:
            self.claimed.add(record["token"])
        return legal


def _kept(fold: IdeaFold, found: dict[str, int], folder: int) -> set[str]:
    """Attempts that stay: the one that is shown, the last, and the one that a retry would go on from."""
    claim = fold.claim or {}
    kept = {directory_of(fold), attempt_name(fold.attempt, str(claim.get("token", "")))}
    if fold.state in SUCCEEDED:
        return kept
    for name in sorted(found, key=lambda name: -found[name]):
        if fold.afresh_after < found[name] and _has_checkpoints(folder, name):
            return kept | {name}
    return kept


def _has_checkpoints(folder: int, name: str) -> bool:
    try:
        with opened_at(folder, name) as attempt, opened_at(attempt, CHECKPOINTS) as checkpoints:
            return bool(os.listdir(checkpoints))
    except OSError:
        return False


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
