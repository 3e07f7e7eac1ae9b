"""What goes wrong, one function a kind: each is called at its time, on a world that is running."""

from __future__ import annotations

import functools
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from orze.coord import requests
from orze.ideas import inbox
from tests.model.ghost import RESULTS
from tests.model.hosts import Host
from tests.model.plan import Fault, Trap
from tests.model.spec import parsed
from tests.model.system import CURRENT

if TYPE_CHECKING:
    from tests.model.world import World

_IDEAS = "/farm/ideas.md"


def _host(world: World, fault: Fault) -> Host:
    return world.hosts[fault.host % len(world.hosts)]


def crash(world: World, fault: Fault) -> None:
    """A host loses power, and boots again later."""
    world.crash(_host(world, fault), back_in=fault.length)


def crash_at(world: World, fault: Fault) -> None:
    """A host loses power at one of its next calls: just before the server does it, or just behind."""
    host = _host(world, fault)
    host.files.crash_at = host.files.calls + int(fault.number)
    host.files.crash = lambda: world.crash(host, back_in=fault.length)


def freeze(world: World, fault: Fault) -> None:
    """A whole host stands still, its clocks go on."""
    world.freeze(_host(world, fault), fault.length)


def cut(world: World, fault: Fault) -> None:
    """One host does not reach the share."""
    _hang(world, [_host(world, fault)], fault)


def hang(world: World, fault: Fault) -> None:
    """The share answers nobody, then everybody at once; calls in flight end well, or with EIO."""
    _hang(world, world.hosts, fault)


def _hang(world: World, hosts: list[Host], fault: Fault) -> None:
    for host in hosts:
        trouble = host.files.trouble
        trouble.until = max(trouble.until, world.scheduler.now + fault.length)
        trouble.gives_up = fault.number % 2 == 1


def daemon_kill(world: World, fault: Fault) -> None:
    """kill -9 of a daemon; somebody starts it again later."""
    world.end_daemon(_host(world, fault), back_in=fault.length)


def keeper_kill(world: World, fault: Fault) -> None:
    """kill -9 of the keepers of a host."""
    host = _host(world, fault)
    for process in list(host.processes.values()):
        if process.name == "keeper":
            world.scheduler.kill(process)


def daemon_stop(world: World, fault: Fault) -> None:
    """SIGSTOP, and later SIGCONT, of a daemon."""
    _stop(world, fault, "daemon")


def keeper_stop(world: World, fault: Fault) -> None:
    """SIGSTOP, and later SIGCONT, of the keepers of a host, while their scripts run on."""
    _stop(world, fault, "keeper")


def _stop(world: World, fault: Fault, name: str) -> None:
    for process in _host(world, fault).processes.values():
        if process.name == name and process.alive:
            process.frozen_until = world.scheduler.now + fault.length
            world.stopped |= name == "keeper"


def leave(world: World, fault: Fault) -> None:
    """SIGTERM of a daemon: it leaves, its keepers stay; somebody starts it again later."""
    host = _host(world, fault)
    daemon = world.daemons.get(host.name)
    if daemon:
        daemon.members.events.terminated = True
        daemon.members.events.wake()
        world.restart_later(host, fault.length + 5.0)


def preempt(world: World, fault: Fault) -> None:
    """SIGTERM of the keepers of a host: save, stop, queue again."""
    host = _host(world, fault)
    for process in list(host.processes.values()):
        if process.name == "keeper" and process.alive:
            host.deliver(process, 15)


def _window(kind: str) -> Callable[[World, Fault], None]:
    def begin(world: World, fault: Fault) -> None:
        files = _host(world, fault).files
        files.trouble.rates[kind] = (fault.number, Random(f"{world.plan.seed} {fault}"))
        world.scheduler.at(world.scheduler.now + fault.length, lambda: files.trouble.rates.pop(kind, None))

    return begin


def stale(world: World, fault: Fault) -> None:
    """Listings and contents come from a cache that is up to 60 s old."""
    trouble = _host(world, fault).files.trouble
    trouble.stale = True

    def end() -> None:
        trouble.stale = False

    world.scheduler.at(world.scheduler.now + fault.length, end)


def clock(world: World, fault: Fault) -> None:
    """The wall clock of a host steps by up to two hours."""
    _host(world, fault).clock.offset += 7200.0 if fault.number % 2 else -7200.0


def power(world: World, fault: Fault) -> None:
    """The server loses power: what was not made durable is there or not, each name for itself."""
    world.power_failure(Random(f"{world.plan.seed} {fault}"))


def rm(world: World, fault: Fault) -> None:
    """Somebody removes the directory of an idea, a call at a time."""
    idea_id = world.idea_ids[int(fault.number) % len(world.idea_ids)]
    world.ghost.operators_removed[idea_id] = world.scheduler.now
    world.removing.add(idea_id)
    world.operate(_host(world, fault), lambda _: remove_idea(world, idea_id))


def remove_idea(world: World, idea_id: str) -> None:
    """rm -rf, again for as long as it says that a directory was not empty."""
    while idea_id in world.removing:
        remove_tree(world, CURRENT.host.files, f"{RESULTS}/{idea_id}")
        world.doze()
        if idea_id not in CURRENT.host.files.listdir(RESULTS):
            world.removing.discard(idea_id)


def rm_record(world: World, fault: Fault) -> None:
    """Somebody removes one record by hand, is told that the chain is damaged, and removes the directory."""
    idea_id = world.idea_ids[int(fault.number) % len(world.idea_ids)]
    chain = world.ghost.chains.get(idea_id)
    if chain and len(chain.present) > 1 and not chain.tampered:
        slot = sorted(chain.present)[(len(chain.present) - 1) // 2]
        path = f"{RESULTS}/{idea_id}/.chain/{slot:06d}.json"
        world.ghost.operators_removed[idea_id] = world.scheduler.now
        world.operate(_host(world, fault), lambda files: files.unlink(path))
        world.scheduler.at(world.scheduler.now + fault.length, lambda: rm(world, fault))


def leader_rm(world: World, fault: Fault) -> None:
    """Somebody removes the leader's chain: whoever led may not notice before another leads."""
    world.operate(_host(world, fault), lambda files: remove_tree(world, files, f"{RESULTS}/.orze/leader"))


def remove_wholly(world: World, files, path: str) -> None:
    """Whoever is told that a directory is not empty removes it again; what is listed may be old."""
    for _ in range(100):
        if remove_tree(world, files, path):
            return
        world.doze()


def remove_tree(world: World, files, path: str) -> bool:
    """rm -rf, which takes its time between the calls and goes on where one fails; whether all is gone."""
    try:
        names = files.listdir(path)
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        files.unlink(path)
        return True
    except OSError:
        return False
    for name in names:
        world.doze()
        child = f"{path}/{name}"
        try:
            if files.server.find(child).mode == 0o040755:
                remove_tree(world, files, child)
            else:
                files.unlink(child)
        except OSError:
            continue
    try:
        files.rmdir(path)
    except OSError:
        return False
    return True


def _request(kind: str) -> Callable[[World, Fault], None]:
    def ask(world: World, fault: Fault) -> None:
        idea_id = world.idea_ids[int(fault.number) % len(world.idea_ids)]
        world.request(_host(world, fault), kind, idea_id)
        if kind == "hold":
            again = world.scheduler.now + fault.length
            world.scheduler.at(again, lambda: world.request(_host(world, fault), "release", idea_id))

    return ask


def priority(world: World, fault: Fault) -> None:
    """Somebody asks for a priority of an idea, and later for that of its section again."""
    idea_id = world.idea_ids[int(fault.number) % len(world.idea_ids)]
    urgency = ("critical", "high", "medium", "low")[int(fault.number) % 4]
    world.request(_host(world, fault), "priority", idea_id, urgency)
    _later(world, fault, "priority", idea_id, "section")


def drain(world: World, fault: Fault) -> None:
    """Somebody drains a host, perhaps from another, and later undrains it."""
    name = world.hosts[int(fault.number) % len(world.hosts)].name
    world.request(_host(world, fault), "drain", name)
    _later(world, fault, "undrain", name)


def cards(world: World, fault: Fault) -> None:
    """Somebody asks a host to use more or fewer slots, and later those of its start again."""
    name = world.hosts[int(fault.number) % len(world.hosts)].name
    world.request(_host(world, fault), "cards", name, f"cpu:{1 + int(fault.number) % 3}")
    _later(world, fault, "cards", name, "default")


def _later(world: World, fault: Fault, kind: str, target: str, value: str = "") -> None:
    at = world.scheduler.now + fault.length
    world.scheduler.at(at, lambda: world.request(_host(world, fault), kind, target, value))


def submit(world: World, host: Host, kind: str, target: str, value: str = "") -> None:
    """Ask as an operator does, once more where the share says no."""
    try:
        requests.submit(
            host.files, f"{RESULTS}/.orze/requests", host.clock, kind=kind, target=target, value=value, by=""
        )
    except OSError:
        host.clock.sleep(5.0)


def edit(world: World, fault: Fault) -> None:
    """Somebody rewrites ideas.md: cut off, doubled, torn, with NUL bytes; and puts it right later."""
    world.paper.spoil(int(fault.number))
    world.scheduler.at(world.scheduler.now + 20.0, world.paper.restore)


def put_into_inbox(world: World, fault: Fault) -> None:
    """A program leaves an idea in the inbox, twice under one name."""
    text = "## idea: From a program\n\n```yaml\nn: 1\n```\n"

    def leave_it(files) -> None:
        try:
            inbox.enqueue(files, inbox.inbox_of(_IDEAS), text, uuid=f"u{int(fault.number)}")
        except OSError:
            return

    world.operate(_host(world, fault), leave_it)


KINDS: dict[str, Callable[[World, Fault], None]] = {
    "crash": crash, "crash_at": crash_at, "freeze": freeze, "cut": cut, "hang": hang,
    "daemon_kill": daemon_kill, "keeper_kill": keeper_kill, "daemon_stop": daemon_stop,
    "keeper_stop": keeper_stop, "leave": leave, "preempt": preempt, "stale": stale, "clock": clock,
    "power": power, "rm": rm, "rm_record": rm_record, "leader_rm": leader_rm, "edit": edit,
    "inbox": put_into_inbox, "priority": priority, "drain": drain, "cards": cards,
    **{kind: _window(kind) for kind in ("eio", "estale", "lost", "enospc", "delay")},
    **{kind: _request(kind) for kind in ("stop", "retry", "hold")},
}  # fmt: skip


def set_traps(world: World) -> None:
    """Have each trap of the plan wait for its record."""
    waiting = list(world.plan.traps)

    def sprung(host: Host, source: str, target: str) -> float:
        if not waiting or "/.chain/" not in target:
            return 0.0
        try:
            record = parsed(world.server.regular(source).data)[0]
        except OSError:
            return 0.0
        trap = waiting[0]
        if (record.get("kind"), record.get("attempt")) != (trap.kind, trap.attempt):
            return 0.0
        del waiting[0]
        world.counts[f"trap: {trap.what}"] += 1
        return _spring(world, host, trap, target.split("/")[-3])

    for host in world.hosts:
        host.files.trap = functools.partial(sprung, host)


def _spring(world: World, host: Host, trap: Trap, idea_id: str) -> float:
    """Do what a trap does; the seconds for which its call is late."""
    if trap.what == "cut":
        host.files.trouble.until = world.scheduler.now + trap.length
        host.files.trouble.gives_up = False
    elif trap.what == "crash":
        host.files.crash_at = (host.files.calls + 3) // 2 * 2  # even: just before the call behind it
        host.files.crash = lambda: world.crash(host, back_in=trap.length)
    elif trap.what == "power":
        chance = Random(f"{world.plan.seed} {trap}")
        world.scheduler.at(world.scheduler.now + 1.0, lambda: world.power_failure(chance))
        other = next((at for at in world.hosts if at is not host and at.up), host)
        world.request(other, "hold", idea_id)
        world.scheduler.at(
            world.scheduler.now + trap.length + 20.0, lambda: world.request(other, "release", idea_id)
        )
        return trap.length
    return trap.length if trap.what == "delay" else 0.0
