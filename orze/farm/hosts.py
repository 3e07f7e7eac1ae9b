"""The daemons of the farm: this one's sign of life and what it tells of itself, and those of the others."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orze.coord.heartbeat import Beat
from orze.coord.record import decode, is_host, is_name
from orze.core.files import make_dirs
from orze.core.paths import DAEMON
from orze.report.model import CardRow, HostRow

if TYPE_CHECKING:
    from orze.farm.context import Context

_LIMIT = 1 << 20
_NUMBERS = ("memory_used_mib", "memory_total_mib", "utilization", "temperature")  # the last two came later
_PROBLEMS, _SENTENCE = 8, 300  # problems of its cards that a host tells, and their letters
_MEASURED = 10.0  # seconds between two tellings where only what is measured on the cards has changed
_OFTEN = 1.0  # seconds between two tellings whatever has changed


class Hosts:
    """Keeps this daemon's heartbeat, and judges those of others.

    Attributes:
        due: the steady time at which `tell` has something to tell that was too early last time.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lease = context.settings.lease
        self._beat = Beat(context.files, context.paths.heartbeat(DAEMON, context.token), context.clock)
        self._watch = context.watch()
        self._quick = context.watch(steal=3 * self._lease.heartbeat)
        self._told = b""
        self._told_at = float("-inf")
        self._rest: dict[str, Any] = {}
        self.due = float("inf")
        self._seen: dict[str, dict[str, Any]] = {}

    def begin(self) -> None:
        """Make the heartbeat; nothing else may be said in this daemon's name before."""
        make_dirs(self._context.files, self._context.paths.hosts)
        self._beat.begin()

    def renew(self) -> None:
        """Count on, if it is time; a heartbeat that somebody removed is made again."""
        if self._context.clock.steady() < self.next_beat():
            return
        try:
            self._beat.renew()
        except FileNotFoundError:
            self._beat.begin()
            self._told = b""  # whoever took this daemon for dead removed what it told as well

    def next_beat(self) -> float:
        """The steady time of the next renewal."""
        return self._beat.renewed + self._lease.heartbeat

    def end(self) -> None:
        """This daemon leaves."""
        self._beat.end()
        self._context.files.unlink(self._context.paths.host(self._context.token))

    def tell(
        self, *, cards: tuple[CardRow, ...], running: int, free: int, problems: Sequence[str] = ()
    ) -> None:
        """Say what this host has and does, if that is other than what was said last.

        What is measured on the cards changes all the time; that alone is told every ten seconds at most, and
        anything once a second at most: with short trainings something changes several times a second.
        """
        about = {
            "name": self._context.machine.host,
            "machine": self._context.machine.machine_id,
            "boot": self._context.machine.boot,
            "cards": [
                [row.key, row.name, row.state, *(getattr(row, number) for number in _NUMBERS)]
                for row in cards
            ],
            "running": running,
            "free": free,
            "problems": [text[:_SENTENCE] for text in problems[:_PROBLEMS]],
        }
        data = json.dumps(about).encode()
        rest = {**about, "cards": [(row.key, row.name, row.state) for row in cards]}
        now = self._context.clock.steady()
        self.due = float("inf")
        if data == self._told or (self._told and rest == self._rest and now < self._told_at + _MEASURED):
            return
        if self._told and now < self._told_at + _OFTEN:
            self.due = self._told_at + _OFTEN
            return
        make_dirs(self._context.files, self._context.paths.hosts)  # somebody may have removed it
        self._context.files.replace(self._context.paths.host(self._context.token), data)
        self._context.files.sync_dir(self._context.paths.hosts)
        self._told, self._rest, self._told_at = data, rest, now

    def dead(self, tokens: set[str], present: set[str]) -> set[str]:
        """Which of these daemons are dead, by their heartbeats.

        Args:
            tokens: the daemons to look at.
            present: those that the last listing of the heartbeats showed.
        """
        paths = {self._context.paths.heartbeat(DAEMON, token): token for token in tokens}
        shown = {path for path, token in paths.items() if token in present}
        return {paths[path] for path in self._watch.look(list(paths), shown)}

    def cloned(self, tokens: set[str]) -> bool:
        """Whether a daemon of another boot that is not seen to be silent shows this machine's id.

        After a reboot that is the daemon of before, until it was seen not to beat; later only a clone of the
        image, whose attempts must not be taken for those of a boot that is over.
        """
        machine, paths = self._context.machine, self._context.paths
        same = [
            token
            for token in tokens
            if machine.rebooted_since(self._seen.get(token) or self._read(token) or {})
        ]
        beats = [paths.heartbeat(DAEMON, token) for token in same]
        return len(self._quick.look(beats, set(beats))) < len(beats)

    def bury(self, token: str) -> None:
        """Remove what a dead daemon left."""
        self._context.files.unlink(self._context.paths.host(token))
        self._context.files.unlink(self._context.paths.heartbeat(DAEMON, token))

    def names(self) -> set[str]:
        """The names of this host and of all whose daemons tell of them.

        Raises:
            OSError: the share did not answer.
        """
        files = self._context.files.listdir(self._context.paths.hosts)
        tokens = [name.removesuffix(".json") for name in files if name.endswith(".json")]
        told = [self._read(token) or {} for token in tokens if is_name(token)]
        names = {about["name"] for about in told if is_host(about.get("name"))}
        return {*names, self._context.machine.host}

    def rows(self, tokens: set[str], leader: str) -> list[HostRow]:
        """What the living daemons tell of their hosts."""
        rows = []
        for token in sorted(tokens):
            row = row_of(self._read(token) or {}, leader=token == leader)
            rows += [row] if row else []
        return sorted(rows, key=lambda row: row.name)

    def _read(self, token: str) -> dict[str, Any] | None:
        try:
            self._seen[token] = decode(self._context.files.read(self._context.paths.host(token), _LIMIT))
        except (OSError, ValueError):
            return self._seen.get(token)
        return self._seen[token]


def row_of(about: dict[str, Any], *, leader: bool) -> HostRow | None:
    """What a host tells of itself; None where another version wrote it, or nobody of ours."""
    try:
        cards = tuple(
            CardRow(str(key), str(name), str(state), *map(_measured, numbers[: len(_NUMBERS)]))
            for key, name, state, *numbers in about["cards"]
        )
        running, free = int(about["running"]), int(about["free"])
        problems = tuple(str(text)[:_SENTENCE] for text in list(about.get("problems", ()))[:_PROBLEMS])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    name = str(about.get("name", "?"))
    return HostRow(name, True, leader, cards, running, free, seen_s=0.0, problems=problems)


def _measured(told: object) -> float | None:
    if told is None:
        return None
    value = float(str(told))
    if not math.isfinite(value):
        raise ValueError("no measure of a card")
    return value
