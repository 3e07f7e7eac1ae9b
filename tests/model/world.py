"""One simulated farm: hosts, server, daemons, and what people do; built from a plan and run to its end."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from orze.core.identity import Machine
from orze.core.paths import FarmPaths
from orze.core.states import SUCCEEDED, TERMINAL
from orze.farm.context import Context
from orze.farm.daemon import Daemon
from tests.model import faults, invariants
from tests.model.checks import CHECKS
from tests.model.ghost import RESULTS, Execution, Ghost
from tests.model.hosts import Host, SimClock
from tests.model.paper import Paper
from tests.model.plan import ORDERS, Plan
from tests.model.scheduler import Process, Scheduler
from tests.model.scripts import Scripts
from tests.model.server import DIRECTORY, Server
from tests.model.settings import settings_of
from tests.model.share import SimFiles
from tests.model.system import CURRENT

_LATENCY = 1.0  # seconds of doubt between what the server saw and what an observer can know


class World:
    """A run under way.

    Attributes:
        overlaps: turns in which two attempts at one idea computed at once.
        counts: faults by kind, as they struck.
    """

    def __init__(self, plan: Plan, folder: Path, *, trace: list[tuple[Any, ...]] | None = None) -> None:
        self.plan = plan
        self.chance = Random(f"names {plan.seed}")
        self.scheduler = Scheduler()
        self.server = Server(lambda: self.scheduler.now)
        self.ghost = Ghost(self.server, lambda: self.scheduler.now, self._who)
        self.trace = trace
        self.counts: Counter[str] = Counter()
        self.overlaps = 0
        self.healed = self.power_failed = self.stopped = False
        self.registered: set[str] = set()
        self.removing: set[str] = set()
        self.idea_ids = [f"idea-{number:03d}" for number in range(1, len(plan.ideas) + 1)]
        self.paper = Paper(folder / "ideas.md", lambda: self.scheduler.now, len(plan.ideas))
        self.scripts = Scripts(self)
        self.daemons: dict[str, Daemon] = {}
        self._look_again = 0.0
        self._thawed: dict[str, float] = {}
        self._keepers: dict[tuple[str, int, int], Process] = {}
        self.settings = settings_of(plan, folder)
        self._root("/farm", RESULTS, "/farm/ideas.d", f"{folder}/ideas.d/new")
        self.hosts = [self._host(index) for index in range(len(plan.hosts))]
        faults.set_traps(self)
        self.scheduler.after_step = self._check
        CURRENT.world = self

    # ---- making it

    def _root(self, *paths: str) -> None:
        for path in paths:
            at = ""
            for part in path.strip("/").split("/"):
                at += f"/{part}"
                try:
                    node = self.server.new(DIRECTORY)
                    self.server.add(at, node)
                except FileExistsError:
                    continue
        for node in list(self.server.dirty.values()):
            self.server.save(node)

    def _host(self, index: int) -> Host:
        plan, seed = self.plan.hosts[index], self.plan.seed
        remember = any(fault.kind == "stale" for fault in self.plan.faults)
        name = f"host-{index}"
        files = SimFiles(
            self.server,
            self.scheduler,
            pace=Random(f"pace {seed} {index}"),
            remember=remember,
            log=functools.partial(self.log, name),
        )
        files.traced = self.trace is not None
        clock = SimClock(self.scheduler, -1000.0 * index, 1.0 + plan.drift, plan.offset)
        first = index == 0 or not (plan.clone or plan.container)
        machine = Machine(
            "host-0" if plan.container else name,
            "boot-0#1" if plan.container else f"boot-{index}#1",
            f"pid:[{index}]",
            f"machine-{index}" if first else "machine-0",
        )
        return Host(name, machine, self.scheduler, files, clock, plan.slots)

    def start_daemon(self, host: Host) -> None:
        """Start farm.py on a host."""
        if host.up and host.name not in self.daemons:
            self.daemons[host.name] = None  # type: ignore[assignment]  # it is being made
            process = host.start("daemon", lambda: self._farm(host))
            process.on_end.append(lambda: self._daemon_ended(host, process))

    def _farm(self, host: Host) -> None:
        """What `farm.py` does in `orze.cli.modes._serve`, with its settings read."""
        process = CURRENT.process
        machine = host.machine
        try:
            context = Context(
                settings=self.settings,
                paths=FarmPaths(RESULTS),
                files=host.files,
                clock=host.clock,
                machine=machine,
                token=machine.new_token(),
                frame=machine.frame(process.pid, process.start),
                attribute_cache=self.plan.lease.cache,
            )
            daemon = Daemon(context, {})
            self.daemons[host.name] = daemon
            daemon.begin()
            daemon.run()
            daemon.leave()
        except OSError:
            return  # it says so and exits; whoever runs it starts it again

    def _daemon_ended(self, host: Host, process: Process) -> None:
        self.daemons.pop(host.name, None)
        if process.status == 0 and host.up:
            self.restart_later(host, 10.0)

    # ---- what befalls it

    def crash(self, host: Host, *, back_in: float) -> None:
        """A host loses power, and with it what it had asked of the server may be done or not."""
        if not host.up:
            return
        for process in host.processes.values():
            for thread in process.threads if process.alive else ():
                if thread.call and self.chance.random() < 0.5:
                    late = self.scheduler.now + self.chance.random() * 5.0
                    self.scheduler.at(late, functools.partial(_do_anyway, thread.call))
        host.crash()
        host.files.trouble.rates.clear()
        self.scheduler.at(self.scheduler.now + back_in, lambda: self._boot(host))

    def _boot(self, host: Host) -> None:
        if not host.up:
            host.reboot()
            self.start_daemon(host)

    def freeze(self, host: Host, length: float) -> None:
        """A host stands still for a while."""
        thaw = self.scheduler.now + length
        host.frozen_until = max(host.frozen_until, thaw)
        self._thawed[host.name] = host.frozen_until
        self.scheduler.at(host.frozen_until + 1e-6, self._check_overlaps)

    def end_daemon(self, host: Host, *, back_in: float) -> None:
        """kill -9."""
        for process in list(host.processes.values()):
            if process.name == "daemon":
                self.scheduler.kill(process)
        self.restart_later(host, back_in)

    def restart_later(self, host: Host, seconds: float) -> None:
        """Somebody starts farm.py again."""
        self.scheduler.at(self.scheduler.now + seconds, lambda: self.start_daemon(host))

    def power_failure(self, chance: Random) -> None:
        """The server drops what was not made durable; nothing that a writer was told of may be missing."""
        self.power_failed = True
        self.server.power_failure(chance)
        for chain in self.ghost.read_again():
            invariants.nothing_settled_is_lost(self, chain)

    def operate(self, host: Host, what: Callable[[SimFiles], None]) -> None:
        """Somebody does something at a shell of a host."""
        if host.up:
            host.start("operator", lambda: _by_hand(what, host.files))

    def request(self, host: Host, kind: str, target: str, value: str = "") -> None:
        """Somebody asks the farm for something."""
        if kind == "retry":
            self.ghost.retried[target] = self.scheduler.now
        self.operate(host, lambda _: faults.submit(self, host, kind, target, value))

    def doze(self) -> None:
        """A pause of somebody at a shell."""
        self.scheduler.block(self.scheduler.now + self.chance.random() * 2.0)

    def heal(self) -> None:
        """Everything goes well from now on."""
        self.healed = True
        for host in self.hosts:
            host.files.trouble.rates.clear()
            host.files.trouble.until = 0.0
            host.files.trouble.stale = False
            host.files.crash_at = 0
            host.frozen_until = min(host.frozen_until, self.scheduler.now)
            for process in host.processes.values():
                process.frozen_until = min(process.frozen_until, self.scheduler.now)
            if not host.up:
                self._boot(host)
            self.start_daemon(host)
        self.paper.restore()
        there = {idea_id for idea_id, chain in self.ghost.chains.items() if chain.present}
        halves = self.ghost.operators_removed.keys() - there
        halves |= {idea_id for idea_id, chain in self.ghost.chains.items() if chain.is_damaged}
        self.removing |= halves  # whoever was interrupted, or sees names come back, finishes what he began
        if any(fault.kind == "leader_rm" for fault in self.plan.faults):
            self.operate(
                self.hosts[0], lambda files: faults.remove_wholly(self, files, f"{RESULTS}/.orze/leader")
            )
        for idea_id in sorted(self.removing):
            self.operate(self.hosts[0], lambda _, idea_id=idea_id: faults.remove_idea(self, idea_id))
        for idea_id in self.idea_ids:
            if self.plan.traps or any(fault.kind == "hold" for fault in self.plan.faults):
                self.request(self.hosts[0], "release", idea_id)
        for host in self.hosts if any(fault.kind in ORDERS for fault in self.plan.faults) else ():
            self.request(self.hosts[0], "undrain", host.name)
            self.scheduler.at(
                self.scheduler.now + 1.0,
                functools.partial(self.request, self.hosts[0], "cards", host.name, "default"),
            )

    # ---- running it

    def run(self) -> None:
        """Run to the end; a broken promise raises `invariants.Violation`."""
        for host in self.hosts:
            at = self.chance.random() * 3.0
            self.scheduler.at(at, functools.partial(self.start_daemon, host))
        for fault in self.plan.faults:
            self.scheduler.at(fault.at, functools.partial(self._strike, fault))
        heal_at = self.plan.heal_at
        try:
            self.scheduler.run(self._is_over, heal_at)
            self.heal()
            self.scheduler.run(self._is_over, heal_at + self._patience())
            invariants.every_idea_ends(self)
            invariants.caches_change_nothing(self)
            invariants.a_request_is_answered_once(self)
        finally:
            self.scheduler.close()

    def _strike(self, fault: Any) -> None:
        self.counts[fault.kind] += 1
        if self.trace is not None:
            self.trace.append((self.scheduler.now, f"host-{fault.host}", "FAULT", fault.kind, str(fault)))
        faults.KINDS[fault.kind](self, fault)

    def _patience(self) -> float:
        """Seconds in which every idea must have ended: leases that run out, and the runs themselves."""
        lease = self.plan.lease
        attempts = sum(idea.seconds + 60.0 for idea in self.plan.ideas) * (2 + self.plan.retries)
        return 6 * lease.steal + 4 * lease.cache + attempts

    def _is_over(self) -> bool:
        """Asked behind every turn, so most are answered without a look."""
        now = self.scheduler.now
        if now < self._look_again:
            return False
        self._look_again = now + 2.0
        return self.healed_or_past_faults() and not self.unfinished()

    def healed_or_past_faults(self) -> bool:
        """Whether no fault is still to come."""
        return self.healed or self.scheduler.now >= self.plan.heal_at - 10.0

    def unfinished(self) -> dict[str, str]:
        """The ideas that have not ended by chain and journal, and what they are."""
        leader = self.leader()
        left = {}
        for idea_id in self.idea_ids:
            chain = self.ghost.chains.get(idea_id)
            entry = leader.members.queue.get(idea_id) if leader else None
            if chain and not chain.tampered and not chain.standing.settled:
                left[idea_id] = chain.standing.phase
            elif not (entry and entry.known and entry.known.outcome in TERMINAL):
                left[idea_id] = f"{entry.state}: {entry.reason}" if entry else "known to nobody who leads"
            elif not _is_told(leader, idea_id):
                left[idea_id] = "ended, but not on the leaderboard"
        return left

    # ---- what the invariants ask

    def is_held(self, idea_id: str) -> bool:
        """Whether an operator holds it: one who was slow may ask when others have released it."""
        leader = self.leader()
        entry = leader.members.queue.get(idea_id) if leader else None
        return bool(entry and entry.known and entry.known.held)

    def leader(self) -> Daemon | None:
        """The daemon that leads; of several that believe so, the one of the latest term."""
        leaders = [daemon for _, daemon in self.living_daemons() if daemon.members.leadership.mine]
        return max(leaders, key=lambda daemon: daemon.members.leadership.fold.term, default=None)

    def living_daemons(self) -> list[tuple[Host, Daemon]]:
        """Hosts and their daemons, as far as they run."""
        return [(host, self.daemons[host.name]) for host in self.hosts if self.daemons.get(host.name)]

    def keeper_of(self, claim: dict[str, Any]) -> Process | None:
        """The process that a CLAIM names, if its host has not been booted since."""
        for host in self.hosts:
            if claim and host.machine.sees(claim):
                process = host.processes.get(claim["pid"])
                return process if process and process.start == claim["start"] else None
        return None

    def is_cloned(self, claim: dict[str, Any]) -> bool:
        """Whether several hosts show the machine id of a claim."""
        return sum(host.machine.machine_id == claim["machine"] for host in self.hosts) > 1

    def shortest_silence(self, *, rebooted: bool) -> float:
        """Seconds without a beat after which the product may call an attempt of another machine dead.

        Args:
            rebooted: the machine, or a clone of it, has been booted since; the fence has to do then.
        """
        lease = self.plan.lease
        stale = any(fault.kind == "stale" for fault in self.plan.faults)
        enough = lease.fence + lease.kill if rebooted else lease.steal
        return (enough - (lease.cache if stale else 0.0)) * 0.999 - _LATENCY

    def excused(self, running: list[Execution]) -> bool:
        """Whether these may overlap: one was thawed a moment ago, or its keeper was killed or stopped."""
        grace = self.plan.lease.kill + 2 * _LATENCY
        for run in running:
            host = run.process.host
            thawed = self._thawed.get(host.name)
            if thawed is not None and self.scheduler.now - thawed <= grace:
                return True
            chain = self.ghost.chains.get(run.idea_id)
            if run.idea_id in self.ghost.operators_removed or chain is None:
                return True
        orphans = [run for run in running if run.process.parent is None or not run.process.parent.alive]
        return bool(orphans) or self.stopped or self.power_failed

    def _check(self) -> None:
        ghost = self.ghost
        if ghost.events:
            events, ghost.events = ghost.events, []
            for name, arguments in events:
                CHECKS[name](self, *arguments)
        if ghost.changed:
            changed, ghost.changed = ghost.changed, {}
            for chain in changed.values():
                invariants.fold_agrees(self, chain)
                invariants.results_are_of_their_own_attempt(self, chain)

    def _check_overlaps(self) -> None:
        for idea_id in self.idea_ids:
            invariants.executions_do_not_overlap(self, idea_id)

    def _who(self) -> Process | None:
        current = self.scheduler.current
        return current.process if current else None

    def log(self, host: str, name: str, path: str, outcome: str, kind: str) -> None:
        if kind:
            self.counts[f"call: {kind}"] += 1
        if self.trace is not None:
            process = self._who()
            who = f"{host} {process.name} {process.pid}" if process else host
            self.trace.append((self.scheduler.now, who, name, path, outcome))


def _is_told(leader: Daemon, idea_id: str) -> bool:
    entry = leader.members.queue.get(idea_id)
    shown = {ranked.result.idea_id for ranked in leader.members.board.leaderboard.top(50)}
    return idea_id in shown or (entry is not None and entry.state not in SUCCEEDED)


def _by_hand(what: Callable[[SimFiles], None], files: SimFiles) -> None:
    """A command that fails says so to whoever typed it."""
    try:
        what(files)
    except OSError:
        return


def _do_anyway(call: Callable[[], Any]) -> None:
    """What a host had asked of the server before it died arrives."""
    try:
        call()
    except OSError:
        return
