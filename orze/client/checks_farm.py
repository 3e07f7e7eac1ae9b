"""Checks of the farm as its files tell of it: who leads, which hosts are silent, whose clock is off."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orze.client.checks import Check, Verdict
from orze.client.project import Project
from orze.client.reader import Reader
from orze.config.lease import Lease
from orze.coord.record import LIMIT, Record, decode, slot_name, well_formed
from orze.core.files import nonce
from orze.core.paths import DAEMON, FarmPaths
from orze.farm.hosts import row_of
from orze.report.model import HostRow
from orze.report.text import duration

_MISSED = 3  # heartbeats without which a daemon counts as silent
_IDEAS = 200  # ideas, the latest by their numbers, whose first records are read
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """One daemon that has a heartbeat.

    Attributes:
        host: its name; empty where it has told nothing of itself.
        about: what it told; None where nothing.
        silent: seconds since its last sign of life, by the clock of the file server alone.
    """

    token: str
    host: str
    about: HostRow | None
    silent: float


@dataclass(frozen=True, slots=True)
class FarmFacts:
    """Daemons and leader.

    Attributes:
        leader: token of the daemon that leads, as the chain says; empty where none does.
        leader_host: its host, or that of the last one.
    """

    leader: str
    leader_host: str
    daemons: tuple[DaemonFacts, ...]


def read_farm(project: Project) -> FarmFacts:
    """Read who is there. It makes one file below results/.orze and removes it, to learn the server's time."""
    reader = Reader(project)
    reader.leadership.refresh()
    fold, paths = reader.leadership.fold, project.paths
    now = server_time(project)[0]
    daemons = []
    for name in sorted(_names(paths.heartbeats)):
        subject, _, token = name.partition(".")
        if subject == DAEMON and (seen := _changed(f"{paths.heartbeats}/{name}")) is not None:
            row = _about(project, token)
            daemons.append(DaemonFacts(token, row.name if row else "", row, max(0.0, now - seen)))
    return FarmFacts(fold.token, str(fold.lead.get("host", "")), tuple(daemons))


def server_time(project: Project) -> tuple[float, float]:
    """The time of the file server and of this host, in Unix seconds, at one moment."""
    path = f"{project.paths.home}/preflight-{nonce()}"
    before = project.clock.wall()
    project.files.write_new(path, b"orze\n")
    try:
        after = project.clock.wall()
        return project.files.stat(path).st_mtime, (before + after) / 2
    finally:
        project.files.unlink(path)


def read_skews(project: Project) -> dict[str, float]:
    """How far the clock of each host that claimed something of late is ahead of this host's, in seconds.

    A claim tells the time of the host that wrote it; its file has the time of the server. Both are of one
    moment, but for what writing took.
    """
    server, here = server_time(project)
    ahead: dict[str, tuple[float, float]] = {}
    for idea_id in _latest(project.paths):
        path = f"{project.paths.idea(idea_id).chain}/{slot_name(1)}"
        record, stamped = _record(path), _changed(path)
        if record is None or stamped is None or "at" not in record:
            continue
        host = str(record.get("host", ""))
        if stamped >= ahead.get(host, (0.0, 0.0))[0]:
            ahead[host] = (stamped, float(record["at"]) - stamped)
    return {host: offset - (here - server) for host, (_, offset) in sorted(ahead.items())}


def judge_leader(facts: FarmFacts, lease: Lease) -> Check:
    """Who leads."""
    if not facts.daemons and not facts.leader:
        return Check("leader", Verdict.SKIP, "no daemon runs", "start one on each host: orze run")
    living = {d.token: d for d in facts.daemons if d.silent <= _MISSED * lease.heartbeat}
    if facts.leader in living:
        return Check("leader", Verdict.OK, f"{facts.leader_host} leads")
    if not facts.leader:
        advice = f"if this lasts longer than {lease.steal:g} s, look at what they print"
        return Check(
            "leader", Verdict.WARN, f"nobody leads, though {_daemons(len(facts.daemons))} there", advice
        )
    said = f"{facts.leader_host} led last and gives no sign of life"
    advice = f"nothing: another takes over after {lease.steal:g} s" if living else "start a daemon: orze run"
    return Check("leader", Verdict.WARN, said, advice)


def judge_daemons(daemons: Sequence[DaemonFacts], lease: Lease) -> list[Check]:
    """Which hosts are there, and which are silent."""
    return [_judge_daemon(daemon, lease) for daemon in daemons]


def judge_skews(skews: Mapping[str, float]) -> Check:
    """Clock skew, which is shown only: no time is ever compared between hosts."""
    if not skews:
        return Check("clock skew", Verdict.SKIP, "no host has claimed anything yet")
    told = [
        f"{host or 'unknown'} {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
        for host, skew in skews.items()
    ]
    return Check(
        "clock skew", Verdict.OK, f"against this host: {', '.join(told)}; harmless, it is only shown"
    )


def _judge_daemon(daemon: DaemonFacts, lease: Lease) -> Check:
    name = f"host {daemon.host}" if daemon.host else f"daemon {daemon.token[:12]}"
    if daemon.silent > lease.steal:
        advice = "its ideas run again elsewhere once a daemon leads; restart it there if the host is up"
        return Check(name, Verdict.WARN, f"silent for {duration(daemon.silent)}: taken for dead", advice)
    if daemon.silent > _MISSED * lease.heartbeat:
        advice = "look whether the host, or its way to the share, hangs"
        return Check(name, Verdict.WARN, f"silent for {duration(daemon.silent)}", advice)
    if daemon.about is None:
        return Check(name, Verdict.OK, "gives signs of life, but has told nothing of itself yet")
    return Check(name, Verdict.OK, f"{daemon.about.running} running, {daemon.about.free} slots free")


def _daemons(count: int) -> str:
    return "1 daemon is" if count == 1 else f"{count} daemons are"


def _about(project: Project, token: str) -> HostRow | None:
    try:
        return row_of(decode(project.files.read(project.paths.host(token), 1 << 20)), leader=False)
    except (OSError, ValueError):
        return None


def _latest(paths: FarmPaths) -> list[str]:
    ideas = [name for name in _names(paths.results) if name.startswith("idea-")]
    return sorted(ideas, key=lambda name: (len(name), name))[-_IDEAS:]


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _record(path: str) -> Record | None:
    """One record, by whoever may write there; None where it is none."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return None
    try:
        record = decode(os.read(descriptor, LIMIT))
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)
    return record if well_formed(record) else None


def _changed(path: str) -> float | None:
    """When a file last changed, by the server's clock; opening it makes an NFS client ask (nfs(5))."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return None  # its daemon has just left
    try:
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
