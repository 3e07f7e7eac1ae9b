"""What happens on a farm now, as its daemons and attempts tell it: a few small files, however many ideas."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from orze.client.progress import Curve, read_curve
from orze.client.project import Project
from orze.client.told import count_of, number_of, objects_of, read_object, text_of
from orze.core.paths import DAEMON, IdeaPaths
from orze.farm.hosts import row_of
from orze.report.model import HostRow

_STATUS = "status.json"
_QUIET = 60.0  # seconds between two reports of a farm where nothing happens
_LATE = 3  # so many of them missed say that nobody writes
_CURVES = 64  # attempts whose progress is read for one look
_TARGET = re.compile(r"attempts/([0-9]+-[0-9a-zA-Z_-]+)/?\Z")
_SUBSECOND = 1e9


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt at work; `elapsed_s` is since its claim, `last` what the report says of its metrics."""

    idea_id: str
    title: str
    state: str
    host: str
    gpu: str
    attempt: int
    elapsed_s: float
    last: str = ""
    curve: Curve = field(default_factory=Curve)


@dataclass(frozen=True, slots=True)
class Farm:
    """All that `orze status` shows.

    Attributes:
        results: the directory.
        told: status.json as it is; empty where there is none.
        told_s: seconds since it was written; None where there is none.
        heard_s: seconds since any daemon gave a sign of life; None where none ever did.
        late_s: seconds from which on that is too long.
        hosts: what each daemon tells of its host; `seen_s` is the age of its heartbeat, by the clocks of two
            machines: only shown.
        runs: the attempts at work.
    """

    results: str
    told: dict[str, Any]
    told_s: float | None
    heard_s: float | None
    late_s: float
    hosts: tuple[HostRow, ...] = ()
    runs: tuple[Run, ...] = ()

    @property
    def attended(self) -> bool:
        """Whether a daemon seems to be at work."""
        return self.heard_s is not None and self.heard_s <= self.late_s


def look(project: Project) -> Farm:
    """Look at a farm once.

    Nothing is written, and neither ideas.md nor results/ is listed: what it costs depends on how many hosts
    and running attempts there are, not on the number of ideas.

    Raises:
        OSError: the share did not answer.
    """
    paths, now = project.paths, project.clock.wall()
    told = read_object(paths.output(_STATUS)) or read_object(paths.face(_STATUS))
    written = _age(paths.output(_STATUS), now) if told else None
    late = max(_LATE * _QUIET, project.settings.lease.steal)
    hosts = tuple(_hosts(project, told, now, late))
    signs = [host.seen_s for host in hosts] + ([written] if written is not None else [])
    return Farm(
        results=paths.results,
        told=told,
        told_s=written,
        heard_s=min(signs, default=None),
        late_s=late,
        hosts=hosts,
        runs=tuple(_runs(project, told, written or 0.0)),
    )


def plain(farm: Farm) -> dict[str, Any]:
    """The same as plain values: status.json with what is newer in it, and how old it is."""
    return {
        **farm.told,
        "age_s": farm.told_s,
        "heard_s": farm.heard_s,
        "attended": farm.attended,
        "active": [
            {
                "idea_id": run.idea_id,
                "title": run.title,
                "state": run.state,
                "host": run.host,
                "gpu": run.gpu,
                "attempt": run.attempt,
                "elapsed_min": round(run.elapsed_s / 60, 2),
                "last": run.last,
                "progress": {
                    "metric": run.curve.metric or None,
                    "values": list(run.curve.values),
                    "last": dict(run.curve.last),
                },
            }
            for run in farm.runs
        ],
        "hosts": [_plain_host(host) for host in farm.hosts],
    }


def moment_of(text: object) -> float | None:
    """Unix seconds of a time as status.json writes it; None for whatever is none."""
    try:
        return datetime.fromisoformat(text_of(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _plain_host(host: HostRow) -> dict[str, Any]:
    return {
        "name": host.name,
        "state": host.state,
        "alive": host.alive,
        "leader": host.leader,
        "running": host.running,
        "free": host.free,
        "seen_s": round(host.seen_s, 1),
        "cards_asked": host.cards_asked,
        "problems": list(host.problems),
        "cards": [asdict(card) for card in host.cards],
    }


def _hosts(project: Project, told: dict[str, Any], now: float, late: float) -> Iterator[HostRow]:
    """The daemons that have said something of themselves, by name."""
    paths = project.paths
    leader = text_of(told.get("leader"))
    orders = {text_of(host.get("name")): host for host in objects_of(told.get("hosts"))}
    found = []
    for name in _listed(paths.hosts):
        token, suffix = os.path.splitext(name)
        if suffix != ".json" or name.startswith("."):
            continue
        row = row_of(read_object(paths.host(token)), leader=False)
        silent = _age(paths.heartbeat(DAEMON, token), now)
        if row is None or silent is None:
            continue
        asked = orders.get(row.name, {})
        found.append(
            replace(
                row,
                alive=silent <= late,
                leader=row.name == leader,
                seen_s=silent,
                drained=text_of(asked.get("state")) in ("drained", "draining"),
                cards_asked=text_of(asked.get("cards_asked")),
            )
        )
    yield from sorted(found, key=lambda host: (host.name, host.seen_s))


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _age(path: str, now: float) -> float | None:
    """Seconds since a file was written, as its server and this host tell the time; None where it is gone."""
    try:
        return max(0.0, now - os.stat(path).st_mtime_ns / _SUBSECOND)
    except FileNotFoundError:
        return None


def _runs(project: Project, told: dict[str, Any], age: float) -> Iterator[Run]:
    primary = told.get("primary_metric")
    metric = text_of(primary.get("name")) if isinstance(primary, dict) else ""
    for place, active in enumerate(objects_of(told.get("active"))):
        idea_id = text_of(active.get("idea_id"))
        named = bool(idea_id) and "/" not in idea_id and not idea_id.startswith(".")
        curve = Curve()
        if named and place < _CURVES:
            curve = read_curve(_progress_of(project.paths.idea(idea_id)), metric)
        yield Run(
            idea_id,
            text_of(active.get("title")),
            text_of(active.get("state")),
            text_of(active.get("host")),
            text_of(active.get("gpu")),
            count_of(active.get("attempt")),
            60 * (number_of(active.get("elapsed_min")) or 0.0) + age,
            text_of(active.get("last")),
            curve,
        )


def _progress_of(idea: IdeaPaths) -> str:
    """Where the current attempt writes its progress: through the link to it, or without doors at the top."""
    path = idea.projection("progress.jsonl")
    try:
        match = _TARGET.match(os.readlink(idea.projection("latest")))
    except OSError:
        return path
    return f"{idea.attempts}/{match[1]}/progress.jsonl" if match else path
