"""Has what ended mirrored in experiment trackers, by processes of their own, while this host leads."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from orze.coord.leader import Leadership
from orze.farm.context import Context
from orze.farm.problems import Problems
from orze.trackers.mirror import Job

_SHARE = 3  # times what the last mirror took, until the next: loading a tracker's package takes seconds
_REST = 30.0  # seconds until a mirror that failed is tried again; twice that after each further time
_LONGEST_REST = 3600.0
_ANSWER = 4096  # bytes
_CODE = str(Path(__file__).resolve().parents[2])
_WHO = re.compile(r"://[^/@]*@")


@dataclass
class _Place:
    """One tracker.

    Attributes:
        name: the tracker's; settings: what orze.yaml says of it.
        position: the file that keeps how far the journal was mirrored there.
        wanted: there may be something new.
        pid, answer: of the process at work, and the file that it answers in; 0 where there is none.
        begun: the steady time at which it was started; next: that before which no other is.
        rest: seconds until the next one after a failure.
        fault: why the last one failed, for people.
    """

    name: str
    settings: dict[str, Any]
    position: str
    wanted: bool = True
    pid: int = 0
    answer: int = -1
    begun: float = 0.0
    next: float = 0.0
    rest: float = _REST
    fault: str = ""


class Mirroring:
    """Starts a mirror for each place that orze.yaml names, where the journal told of something new.

    What has been mirrored is recorded by the mirrors themselves, so that whoever leads next goes on there.
    """

    def __init__(self, context: Context, *, leadership: Leadership, problems: Problems) -> None:
        self._context = context
        self._leadership = leadership
        self._problems = problems
        self._term = 0
        self._places = [
            _Place(name, told := _plain(settings), context.paths.mirror(f"{name}-{_destination(told)}"))
            for name, settings in context.settings.trackers
            if settings
        ]

    def news(self) -> None:
        """The journal has told of an end."""
        for place in self._places:
            place.wanted = True

    def step(self) -> float:
        """Start what is due; it waits for nothing.

        Returns:
            The steady time at which there is more to start.

        Raises:
            OSError: no process can be started.
        """
        if not self._places:
            return float("inf")
        now = self._context.clock.steady()
        if self._term != self._leadership.fold.term:
            self._term = self._leadership.fold.term
            self.news()  # whoever led before may have left something undone
        for place in self._places:
            if place.wanted and not place.pid and now >= place.next:
                place.begun, place.next = now, now + place.rest
                self._begin(place)
                place.wanted = False
        return min(
            (place.next for place in self._places if place.wanted and not place.pid), default=float("inf")
        )

    def child_ended(self, pid: int, status: int) -> None:
        """A child process of the daemon has ended, perhaps a mirror."""
        for place in self._places:
            if place.pid == pid:
                with os.fdopen(place.answer, "rb") as stream:
                    stream.seek(0)
                    said = stream.read(_ANSWER).decode("utf-8", "replace").strip()
                self._ended(place, "" if status == 0 else said or _end(status))
                self._problems.show("mirrors", [place.fault for place in self._places if place.fault])

    def _ended(self, place: _Place, fault: str) -> None:
        place.pid, place.answer = 0, -1
        now = self._context.clock.steady()
        if fault:
            place.wanted, place.next = True, now + place.rest
            place.rest = min(_LONGEST_REST, 2 * place.rest)
            place.fault = f"mirroring to {place.name}: {fault}; it is tried again"
        else:
            place.next, place.rest, place.fault = now + _SHARE * (now - place.begun), _REST, ""

    def _begin(self, place: _Place) -> None:
        job: Job = {
            "tracker": place.name,
            "settings": place.settings,
            "results": self._context.paths.results,
            "position": place.position,
            "token": self._context.token,
            "directory": str(self._context.settings.project_dir),
        }
        answer = os.memfd_create("answer")
        try:
            with os.fdopen(os.memfd_create("job"), "wb") as source:  # it may hold a password
                source.write(json.dumps(job).encode())
                source.seek(0)
                place.pid = os.posix_spawn(
                    sys.executable,
                    [sys.executable, "-P", "-m", "orze.trackers.mirror"],
                    {**os.environ, "PYTHONPATH": _CODE},
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, descriptor, number)
                        for number, descriptor in enumerate((source.fileno(), answer, answer))
                    ],
                    setpgroup=0,
                )
        except OSError:
            os.close(answer)
            raise
        place.answer = answer


def _plain(settings: BaseModel) -> dict[str, Any]:
    """The settings of one tracker as the mirror gets them, passwords and all."""
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in settings
    }


def _destination(settings: dict[str, Any]) -> str:
    """Tells one place from another; a new password does not make a new place."""
    told = _WHO.sub("://", json.dumps(settings, sort_keys=True))
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:12]


def _end(status: int) -> str:
    number = os.waitstatus_to_exitcode(status)
    return f"ended by signal {-number}" if number < 0 else f"ended with status {number}"
