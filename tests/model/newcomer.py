"""A daemon that comes last, with nothing cached: it must see what those see that were there all along."""

from __future__ import annotations

import functools
from random import Random
from typing import TYPE_CHECKING

from orze.coord.chain import Damaged, Unreadable
from orze.core.identity import Machine
from orze.core.paths import FarmPaths
from orze.farm.context import Context
from orze.farm.daemon import Daemon
from tests.model.ghost import RESULTS
from tests.model.hosts import Host, SimClock
from tests.model.scheduler import Process
from tests.model.share import SimFiles
from tests.model.system import CURRENT

if TYPE_CHECKING:
    from tests.model.world import World

_PATIENCE = 120.0  # virtual seconds that reading may take

Seen = dict[str, tuple[str, str, str]]


def read_anew(world: World) -> Seen:
    """What a daemon on a machine of its own knows of each idea when it has read everything, as `seen_by`.

    Nothing where it refuses to start: somebody has removed one record of many.
    """
    host = _machine(world)
    made: list[Daemon] = []
    reader = host.start("newcomer", lambda: made.extend(_read(world, host)))
    world.scheduler.run(lambda: not reader.alive, world.scheduler.now + _PATIENCE)
    assert not reader.alive, "a daemon that reads everything anew does not come to an end"
    return seen_by(world, made[0]) if made else {}


def seen_by(world: World, daemon: Daemon) -> Seen:
    """State, outcome and result of each idea, as a daemon knows them."""
    members = daemon.members
    shown = {ranked.result.idea_id: ranked.result for ranked in members.board.leaderboard.top(50)}
    told = {}
    for idea_id in world.idea_ids:
        entry = members.queue.get(idea_id)
        outcome = entry.known.outcome if entry and entry.known else None
        result = shown.get(idea_id)
        token = str(result.metrics.get("token")) if result else ""
        told[idea_id] = (str(entry.state if entry else None), str(outcome), token)
    return told


def _machine(world: World) -> Host:
    name = "newcomer"
    files = SimFiles(
        world.server,
        world.scheduler,
        pace=Random(f"pace {world.plan.seed} {name}"),
        remember=False,
        log=functools.partial(world.log, name),
    )
    machine = Machine(name, f"boot-{name}#1", f"pid:[{name}]", f"machine-{name}")
    return Host(name, machine, world.scheduler, files, SimClock(world.scheduler, 0.0, 1.0, 0.0), 1)


def _read(world: World, host: Host) -> list[Daemon]:
    process: Process = CURRENT.process
    context = Context(
        settings=world.settings,
        paths=FarmPaths(RESULTS),
        files=host.files,
        clock=host.clock,
        machine=host.machine,
        token=host.machine.new_token(),
        frame=host.machine.frame(process.pid, process.start),
        attribute_cache=world.plan.lease.cache,
    )
    daemon = Daemon(context, {})
    try:
        daemon.read(whole=True)
    except (Damaged, Unreadable):  # gone before it was read, or between the listing and the read
        return []
    return [daemon]
