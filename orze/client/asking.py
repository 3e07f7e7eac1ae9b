"""Leaving requests for whoever leads, and waiting for the answers in the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple, TypeVar

from orze.client.project import Project
from orze.client.reader import Reader
from orze.coord import requests
from orze.coord.journal import Answer, JournalFold
from orze.core.paths import DAEMON

_T = TypeVar("_T")

PATIENCE = 60.0  # seconds in which a leader answers, also one that sees requests only when it looks
UNATTENDED = 3.0  # seconds for which an answer is waited for where no daemon runs: one may just be starting
_EVERY = 0.1  # seconds between two looks at the journal
_SIZE = 4096  # bytes of a heartbeat


def ask(project: Project, kind: str, target: str, *, value: str = "", by: str) -> str:
    """Leave a request.

    Args:
        kind: one of `orze.coord.requests.KINDS`.
        target: the idea, or for what concerns a host, the host.
        value: what else the kind needs, such as the priority.
        by: who asks, shown in the journal.

    Returns:
        The uuid under which the journal answers.

    Raises:
        NoFarm: no daemon has ever run here.
        OSError: the share failed before the request was seen there.
    """
    project.check_begun()
    directory = project.paths.requests
    return requests.submit(
        project.files, directory, project.clock, kind=kind, target=target, value=value, by=by
    )


def answers(
    project: Project,
    uuids: Iterable[str],
    deadline: float,
    *,
    reader: Reader | None = None,
    told: Callable[[str, Answer], None] | None = None,
) -> dict[str, Answer]:
    """Wait for the answers to requests.

    Args:
        deadline: the time on `project.clock.steady()` at which waiting ends.
        reader: one that has read already, so that the journal need not be read anew.
        told: called with each answer as it comes.

    Returns:
        The answers that came, by uuid.

    Raises:
        OSError: the share did not answer when time was up.
    """
    return watch_for(
        project, reader or Reader(project), uuids, lambda fold: fold.answers, deadline=deadline, told=told
    )


def watch_for(
    project: Project,
    reader: Reader,
    names: Iterable[str],
    part: Callable[[JournalFold], Mapping[str, _T]],
    *,
    deadline: float,
    told: Callable[[str, _T], None] | None = None,
) -> dict[str, _T]:
    """Follow the journal until it tells all that is waited for.

    Args:
        names: what is waited for.
        part: the member of the journal that tells of it, by name.
        deadline: the time on `project.clock.steady()` at which waiting ends.
        told: called with each name and what is told of it, as it comes.

    Returns:
        What came, by name.

    Raises:
        OSError: the share did not answer when time was up.
    """
    waiting, found = dict.fromkeys(names), dict[str, _T]()
    while True:
        fault = _follow(reader)
        now_told = part(reader.journal.fold)
        for name in [name for name in waiting if name in now_told]:
            del waiting[name]
            found[name] = now_told[name]
            if told:
                told(name, found[name])
        left = deadline - project.clock.steady()
        if waiting and left <= 0 and fault:
            raise fault
        if not waiting or left <= 0:
            return found
        project.clock.sleep(min(_EVERY, left))


class Lead(NamedTuple):
    """Who leads, as far as one look tells.

    Attributes:
        host: the leader's; empty where nobody leads.
        daemons: how many daemons have a heartbeat.
        beat: what the leader's heartbeat holds; it changes while the leader lives.
    """

    host: str
    daemons: int
    beat: bytes


def who_leads(reader: Reader) -> Lead:
    """Look who leads; OSError where the share did not answer."""
    reader.leadership.refresh()
    fold, paths, files = reader.leadership.fold, reader.context.paths, reader.context.files
    names: list[str] = []
    with suppress(FileNotFoundError):
        names = files.listdir(paths.heartbeats)
    beat = b""
    if fold.token:
        with suppress(FileNotFoundError):
            beat = files.read(paths.heartbeat(DAEMON, fold.token), _SIZE)
    daemons = sum(name.startswith(f"{DAEMON}.") for name in names)
    return Lead(str(fold.lead.get("host", "?")) if fold.token else "", daemons, beat)


def _follow(reader: Reader) -> OSError | None:
    try:
        reader.follow()
    except OSError as error:
        return error
    return None


class Vigil:
    """How long an answer is waited for, and why there was none.

    Args:
        timeout: seconds; where it is not given, as long as a leader can take, or hardly at all without one.
    """

    def __init__(self, project: Project, reader: Reader, timeout: float | None) -> None:
        self._project = project
        self._reader = reader
        self._began = project.clock.steady()
        self._lead = who_leads(reader)
        default = PATIENCE if self._lead.daemons else UNATTENDED
        self.deadline = self._began + (default if timeout is None else timeout)

    def why(self) -> str:
        """Why nobody has answered until now, in a few words; OSError where the share does not answer."""
        lead = who_leads(self._reader)
        seconds = self._project.clock.steady() - self._began
        waited = f"{seconds:.0f} s"
        if not lead.daemons:
            return f"no daemon runs (waited {waited})"
        if not lead.host:
            return f"nobody leads yet (waited {waited})"
        if seconds > 2 * self._project.settings.lease.heartbeat and lead == self._lead:
            return f"{lead.host} leads, but has given no sign of life for {waited}"
        return f"{lead.host} leads, but has not answered within {waited}"
