"""Deliberate defects: each breaks one rule of the protocol, and the simulation must see it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager as Switch
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import orze.coord.chain
from orze.attempt.course import Course
from orze.attempt.keeper import Prepared
from orze.attempt.pulse import Pulse
from orze.coord.chain import Chain, Fold
from orze.coord.heartbeat import Watch
from orze.coord.idea_chain import DONE, FAIL, LOST, REQUEUE, TRAINED, IdeaFold
from orze.coord.record import new_record
from orze.coord.requests import Request
from orze.farm.applying import Applier
from orze.farm.reap import Reaper
from tests.model.ghost import RESULTS
from tests.model.hosts import EPOCH
from tests.model.server import FILE
from tests.model.share import SimFiles
from tests.model.system import CURRENT

Defect = Callable[[], Switch[Any]]


def switched_on(name: str) -> Switch[Any]:
    """One defect for the length of a with block; none where the name is empty."""
    return DEFECTS[name]() if name else nullcontext()


def no_chain_hash() -> Switch[Any]:
    """A record is valid whatever it calls its predecessor."""

    def apply(self: Fold, record: dict[str, Any], sha: str) -> bool:
        try:
            valid = self.step(record)
        except (KeyError, TypeError, ValueError, AttributeError):
            return False
        if valid:
            self.tail = sha
        return valid

    return patch.object(Fold, "apply", apply)


@contextmanager
def read_back_by_token_only() -> Iterator[None]:
    """An append has succeeded when the slot holds a record of the same attempt."""
    put, outcome = Chain._put, Chain._outcome

    def noted_put(self: Chain, data: bytes, mark: str) -> bool:
        self.tried, self.mine = self._next, json.loads(data)
        return put(self, data, mark)

    def by_token(self: Chain, mark: str) -> bool:
        there = self.record(self.tried)[0]
        return there.get("token", "") == self.mine.get("token") or outcome(self, mark)

    with patch.object(Chain, "_put", noted_put), patch.object(Chain, "_outcome", by_token):
        yield


@contextmanager
def a_reused_temporary_name() -> Iterator[None]:
    """Each host writes its records to one name, over what is there."""
    write_new = SimFiles._write_new

    def over(self: SimFiles, path: str, data: bytes) -> None:
        if "/.tmp-again" not in path or not _is_there(self, path):
            return write_new(self, path, data)
        node = self.server.regular(path)
        node.data = data
        self.server.save(node)
        CURRENT.world.ghost.recheck()
        return None

    def name() -> str:
        return f"again-{CURRENT.host.name}-{CURRENT.process.name}"

    with patch.object(SimFiles, "_write_new", over), patch.object(orze.coord.chain, "nonce", name):
        yield


@contextmanager
def the_highest_slot_plus_one() -> Iterator[None]:
    """Absent records are skipped, and what comes next goes behind the highest."""

    def refresh(self: Chain) -> None:
        for _ in range(2):
            for slot in sorted(slot for slot in self._list() if slot >= self._next):
                self._next = slot
                self._take_in(slot)

    with patch.object(Chain, "refresh", refresh):
        yield


@contextmanager
def a_lost_that_names_nothing() -> Iterator[None]:
    """A LOST says only that the idea's attempt is lost, whichever that is by then."""

    def reap(self: Reaper, dead: Any, chain: Chain, fold: IdeaFold) -> bool:
        chain.append(lambda: lost(self, dead, fold))
        self.clean(dead)
        return True

    def lost(self: Reaper, dead: Any, fold: IdeaFold) -> Any:
        if not fold.running:
            return None
        content = {
            "supersedes": fold.tail,
            "attempt": fold.attempt,
            "seen_gone": dead.here,
            "by": "",
            "at": 0.0,
        }
        return new_record(LOST, token=dead.token, **content, **self._context.frame)

    with patch.object(Reaper, "reap", reap):
        yield


@contextmanager
def a_superseded_token_that_may_append() -> Iterator[None]:
    """Whoever once had the idea may record its end, as long as it runs."""
    step = IdeaFold.step

    def any_token(self: IdeaFold, record: dict[str, Any]) -> bool:
        if self.running and record["kind"] in (TRAINED, DONE, FAIL, REQUEUE):
            return self._own(record["kind"], record)
        return step(self, record)

    def still(self: Course, record: dict[str, Any]) -> Any:
        if not self._fold.running:
            return None
        return record | self._policy(str(record["cause"])) if record["kind"] == FAIL else record

    with patch.object(IdeaFold, "step", any_token), patch.object(Course, "_if_current", still):
        yield


def wall_clock_comparison() -> Switch[Any]:
    """The time of the file is held against this host's clock."""

    def silent(self: Watch, path: str, present: bool) -> bool:
        try:
            written = EPOCH + self._files.server.find(path).mtime
        except OSError:
            return False
        self._seen[path] = self._seen.get(path)
        return present and self._clock.wall() - written > self._steal

    return patch.object(Watch, "_silent", silent)


def no_fence() -> Switch[Any]:
    """An attempt goes on however long it has not renewed its lease."""
    return patch.object(Pulse, "fenced", lambda self, now: False)


def trusting_exists() -> Switch[Any]:
    """Which ideas have a directory is asked by name, one by one; what is not there has no chain."""
    listdir = SimFiles.listdir

    def by_name(self: SimFiles, path: str) -> list[str]:
        if path != RESULTS:
            if path.endswith("/.chain") and not self.exists(os.path.dirname(path)):
                raise FileNotFoundError(2, "no such directory", path)
            return listdir(self, path)
        return [name for name in (*CURRENT.world.idea_ids, ".orze") if self.exists(f"{path}/{name}")]

    return patch.object(SimFiles, "listdir", by_name)


@contextmanager
def no_fsync() -> Iterator[None]:
    """Nothing is flushed."""

    def write_new(self: SimFiles, path: str, data: bytes) -> None:
        node = self.server.new(FILE, data)
        self._make(path, node)
        self.server.dirty[node.number] = node

    forgotten = patch.object(SimFiles, "sync_dir", lambda self, path: self.stat(path))
    with patch.object(SimFiles, "_write_new", write_new), forgotten:
        yield


def reaping_on_one_missed_beat() -> Switch[Any]:
    """An attempt is dead when its counter stood still for a little more than a heartbeat."""
    silent = Watch._silent

    def hasty(self: Watch, path: str, present: bool) -> bool:
        silent(self, path, present)
        seen = self._seen.get(path)
        return seen is not None and self._clock.steady() - seen.since > 2.4 * self._every

    return patch.object(Watch, "_silent", hasty)


@contextmanager
def claim_before_heartbeat() -> Iterator[None]:
    """The keeper makes its heartbeat when it starts its attempt, and not before."""
    run = orze.attempt.keeper._run

    def begin(self: Prepared) -> str:
        self.locks = orze.attempt.keeper.locks.acquire_all(self.message["locks"]) or []
        return "" if self.locks else "a slot is taken"

    def late(prepared: Prepared, go: Any) -> None:
        prepared.beat.begin()
        run(prepared, go)

    with patch.object(Prepared, "begin", begin), patch.object(orze.attempt.keeper, "_run", late):
        yield


def doors_removed_before_the_lost() -> Switch[Any]:
    """What a dead attempt left is cleared away first."""
    reap = Reaper.reap

    def hasty(self: Reaper, dead: Any, chain: Chain, fold: IdeaFold) -> bool:
        self.clean(dead)
        return reap(self, dead, chain, fold)

    return patch.object(Reaper, "reap", hasty)


def an_edited_section() -> Switch[Any]:
    """The attempt is given another text than its claim holds."""
    run = Course.run

    def edited(self: Course) -> bool:
        self._go["section"] += "# later\n"
        return run(self)

    return patch.object(Course, "run", edited)


def a_request_that_is_applied_again() -> Switch[Any]:
    """A request that was answered, and whose file is still there, is taken for a new one."""
    apply = Applier.apply

    def forgetful(self: Applier, request: Request, parts: Any) -> bool:
        again = Request(f"{request.uuid}-again", request.kind, request.target, value=request.value)
        done = apply(self, again if request.uuid in self._journal.fold.answers else request, parts)
        for answer in parts.get("answers", ()):
            answer[0] = answer[0].removesuffix("-again")
        return done

    return patch.object(Applier, "apply", forgetful)


def _is_there(files: SimFiles, path: str) -> bool:
    try:
        files.server.regular(path)
    except OSError:
        return False
    return True


# Which schedules catch each: a family of `tests.model.attacks` (0: random ones), and the first that is tried.
CAUGHT_BY: dict[str, tuple[int, int]] = {
    "no_chain_hash": (15, 1),
    "read_back_by_token_only": (4, 0),
    "a_reused_temporary_name": (1, 5),
    "the_highest_slot_plus_one": (14, 0),
    "a_lost_that_names_nothing": (0, 80),
    "a_superseded_token_that_may_append": (4, 4),
    "wall_clock_comparison": (5, 0),
    "no_fence": (13, 0),
    "trusting_exists": (16, 4),
    "no_fsync": (11, 0),
    "reaping_on_one_missed_beat": (3, 0),
    "claim_before_heartbeat": (1, 0),
    "doors_removed_before_the_lost": (3, 0),
    "an_edited_section": (1, 0),
    "a_request_that_is_applied_again": (18, 0),
}
TRIES = 150  # schedules in which a defect must have been caught

DEFECTS: dict[str, Defect] = {
    defect.__name__: defect
    for defect in (
        no_chain_hash, read_back_by_token_only, a_reused_temporary_name, the_highest_slot_plus_one,
        a_lost_that_names_nothing, a_superseded_token_that_may_append, wall_clock_comparison, no_fence,
        trusting_exists, no_fsync, reaping_on_one_missed_beat, claim_before_heartbeat,
        doors_removed_before_the_lost, an_edited_section, a_request_that_is_applied_again,
    )
}  # fmt: skip
