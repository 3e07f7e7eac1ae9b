"""Ends what a dead attempt left behind, and records that it is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import psutil

from orze.attempt.executors.remote_keeper import KEPT_ELSEWHERE
from orze.attempt.workspace import remove_door
from orze.coord.chain import Chain
from orze.coord.idea_chain import LOST, IdeaFold
from orze.coord.record import new_record
from orze.farm.context import Context
from orze.farm.view import Dead

if TYPE_CHECKING:
    from orze.coord.record import Record


class Reaper:
    """Reaps for one daemon."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def reap(self, dead: Dead, chain: Chain, fold: IdeaFold) -> bool:
        """Do the next step towards the LOST of an attempt.

        Args:
            dead: whose keeper is dead.
            chain, fold: the idea's chain, just read.

        Returns:
            False where processes of it were still there: they were killed, and it is to be tried again.

        Raises:
            OSError: the share did not answer; try again.
        """
        if fold.token == dead.token:
            if dead.here and kill_attempt(dead.token):
                return False
            for directory in (self._context.paths.idea(dead.idea_id).home, self._context.paths.results):
                self._context.files.sync_dir(directory)  # whoever claimed may have died before he did this
            chain.append(lambda: self._lost(dead, fold))
        self.clean(dead)
        return True

    def clean(self, dead: Dead) -> None:
        """Remove its door and heartbeat; only behind the LOST, so that no new door meets an old writer."""
        remove_door(self._context.paths.door(dead.token))
        self._context.files.unlink(self._context.paths.heartbeat(dead.idea_id, dead.token))

    def _lost(self, dead: Dead, fold: IdeaFold) -> Record | None:
        if fold.token != dead.token:
            return None
        return new_record(
            LOST,
            supersedes=fold.tail,
            token=dead.token,
            attempt=fold.attempt,
            seen_gone=dead.here,
            by=self._context.token,
            at=self._context.clock.wall(),
            **self._context.frame,
        )


def belongs(environ: Mapping[str, str], token: str) -> bool:
    """Whether a process with this environment is of the attempt; without a token none is.

    What an attempt runs by ssh to this very host has a keeper of its own: the next attempt takes it over.
    """
    if KEPT_ELSEWHERE in environ:
        return False
    number, _, found = environ.get("ORZE_ATTEMPT", "").partition("-")
    return number.isdigit() and found == token != ""


def kill_attempt(token: str) -> int:
    """Send KILL to every process of an attempt: those that carry its token, and their descendants.

    Returns:
        How many were found; 0 says that none is left that this user may see.
    """
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if not belongs(process.environ(), token):
                continue
            for member in [process, *process.children(recursive=True)]:
                if member.status() != psutil.STATUS_ZOMBIE:
                    found[member.pid] = member
        except (psutil.Error, OSError):
            continue  # it ended under the look, or is another user's
    for member in found.values():
        try:
            member.kill()
        except psutil.Error:
            continue
    return len(found)
