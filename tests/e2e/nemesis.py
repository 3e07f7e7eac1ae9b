"""A nemesis for a farm of several hosts: kills, freezes, cuts the power, fills the disk, spoils files.

What it does and when comes from a seed. Afterwards everything is mended, the farm must come to rest, and
checker.py holds what is left against docs/protocol.md. `python tests/e2e/nemesis.py MINUTES [SEED]` goes on
for longer than the tests of the suite do.
"""

from __future__ import annotations

import collections
import contextlib
import heapq
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from checker import Checker, Violation
from editors import Ideas
from farmhouse import Farm
from hosts import Host
from machines import two_machines

LEASE = {"heartbeat": 0.5, "fence": 2, "kill": 0.5, "steal": 4, "attribute_cache": 0}
SETTINGS = {
    "poll": 0.5,
    "grace": 0.4,
    "lease": LEASE,
    "eval_script": "train_idea.py",
    "eval_args": ["evaluate"],
    "retry": dict.fromkeys(("signal", "disk_full", "start"), 999),
}
DISK = 24  # MiB
_TICK = 0.05
_REST = 90.0  # seconds in which everything must have come to rest

# What it does -> how often.
ACTS = {
    "kill_daemon": 5, "kill_keeper": 5, "kill_script": 2, "stop_daemon": 3, "stop_keeper": 4, "freeze": 4,
    "cut_power": 3, "fill_disk": 3, "remove": 4, "remove_half": 2, "spoil_ideas": 6, "add_ideas": 6,
    "step_clock": 4, "restart_all": 1, "ask": 3,
}  # fmt: skip


class Nemesis:
    """One run.

    Args:
        home: a directory to be made.
        seed: says what is done and when.
        hosts: how many there are.
        gap: the longest time between two acts, in seconds.
    """

    def __init__(self, home: Path, seed: int, *, hosts: int = 3, gap: float = 0.9) -> None:
        self.farm = Farm(home, **SETTINGS)
        self.seed = seed
        self.story: list[str] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self.removals: list[tuple[float, str]] = []
        self._rng = random.Random(seed)
        self._gap = gap
        self._began = time.monotonic()
        self._later: list[tuple[float, int, Callable[[], str]]] = []
        self._disk_full = False
        self.farm.results.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", str(self.farm.results)]
        subprocess.run(mount, check=True)
        self.ideas = Ideas(self.farm.ideas, self._rng)
        self.hosts = [
            Host(self.farm, name, self._rng) for name in ("alpha", "beta", "gamma", "delta")[:hosts]
        ]
        self.checker = Checker(self.farm, self.hosts, self.removals, fence=LEASE["fence"])

    def run(self, seconds: float) -> None:
        """Torment the farm for so long, let it come to rest, and check it.

        Raises:
            Violation: with the seed and all that was done.
        """
        try:
            self.ideas.add(16)
            for host in self.hosts:
                host.boot()
                host.start()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                self._pass(self._rng.uniform(0.05, self._gap))
                self._act(*self._rng.choices(list(ACTS), list(ACTS.values())))
            self._mend()
            self._come_to_rest()
            self.checker.check_all(self.ideas.sections)
            self._leave()
            self.checker.check_leftovers()
        except (Violation, AssertionError) as fault:
            why = "".join(traceback.format_exception(fault))
            done = "\n".join(self.story)
            raise Violation(f"seed {self.seed}: {why}--- done\n{done}\n{self.farm.story()}") from None

    def close(self) -> None:
        """Kill everything and give the disk back."""
        for host in self.hosts:
            if host.up:
                host.power_off()
        self.farm.close()
        subprocess.run(["umount", "--lazy", str(self.farm.results)], check=True)

    # ---- time

    def _pass(self, seconds: float) -> None:
        """Let time pass: do what is due, and look at what anybody may look at."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            while self._later and self._later[0][0] <= now:
                self._tell(heapq.heappop(self._later)[2]())
            self.checker.look()
            for host in self.hosts:
                self._check_daemon(host)
            time.sleep(_TICK)

    def _check_daemon(self, host: Host) -> None:
        if not host.daemon or host.daemon.process.poll() is None:
            return
        if host.daemon.process.returncode == 2 and host.daemon in self._may_refuse:
            self._tell(f"{host.name}: the daemon refused to start on a full disk")
            host.daemon.may_end = {2}
            host.daemon = None
            self._soon(1, 2, lambda: self._start(host))
            return
        raise Violation(f"the daemon of {host.name} ended by itself:\n{host.daemon.output}")

    def _soon(self, least: float, most: float, action: Callable[[], str]) -> None:
        at = time.monotonic() + self._rng.uniform(least, most)
        heapq.heappush(self._later, (at, self._rng.getrandbits(60), action))

    def _tell(self, text: str) -> None:
        if text:
            self.story.append(f"{time.monotonic() - self._began:7.2f} {text}")

    # ---- acts

    def _act(self, kind: str) -> None:
        done = getattr(self, f"_{kind}")()
        self.counts[kind] += bool(done)
        if done:
            self._tell(f"{kind}: {done}")

    def _any(self, candidates: list[Host]) -> Host | None:
        return self._rng.choice(candidates) if candidates else None

    def _awake(self) -> Host | None:
        return self._any([host for host in self.hosts if host.up and not host.frozen])

    def _serving(self) -> Host | None:
        return self._any([host for host in self.hosts if host.serves and not host.frozen])

    @property
    def _may_refuse(self) -> list[object]:
        return [host.daemon for host in self.hosts if host.launched_full]

    def _start(self, host: Host) -> str:
        if not host.up or host.serves or host.frozen:
            return ""
        host.launched_full = self._disk_full
        host.start()
        return f"{host.name}: daemon started"

    def _kill_daemon(self) -> str:
        if not (host := self._serving()):
            return ""
        host.kill_daemon()
        self._soon(0.1, 3, lambda: self._start(host))
        return host.name

    def _hit(self, program: str, number: int) -> tuple[Host | None, str]:
        host = self._awake()
        found = host.processes(program) if host else []
        if not host or not found:
            return None, ""
        # the oldest keeper is the one that forks the others; it is hit only where it is alone
        return host, f"{host.name}: {host.send(self._rng.choice(found[1:] or found), number)}"

    def _kill_keeper(self) -> str:
        return self._hit("attempt/keeper.py", signal.SIGKILL)[1]

    def _kill_script(self) -> str:
        return self._hit("train_idea.py", signal.SIGKILL)[1]

    def _stop_keeper(self) -> str:
        host, hit = self._hit("attempt/keeper.py", signal.SIGSTOP)
        return self._until_thaw(host, hit) if host else ""

    def _stop_daemon(self) -> str:
        if not (host := self._serving()) or not host.daemon:
            return ""
        with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
            host.daemon.send(signal.SIGSTOP)
        return self._until_thaw(host, host.name)

    def _freeze(self) -> str:
        if not (host := self._awake()):
            return ""
        host.freeze()
        return self._until_thaw(host, host.name)

    def _until_thaw(self, host: Host, hit: str) -> str:
        """Shorter than the fence, between fence and lease, or past the lease."""
        host.stopped()
        host.holds += 1
        least, most = self._rng.choice([(0.2, 1.5), (2.2, 3.8), (7, 13)])

        def thaw() -> str:
            host.holds -= 1
            if host.holds:
                return ""  # it, or something else on it, is to stand still for longer
            host.thaw()
            return f"{host.name}: goes on"

        self._soon(least, most, thaw)
        return f"{hit} for about {least}-{most} s"

    def _cut_power(self) -> str:
        if not (host := self._any([host for host in self.hosts if host.up])):
            return ""
        host.power_off()

        def boot() -> str:
            if not host.up:
                host.boot()
            return f"{host.name}: boots; {self._start(host)}"

        self._soon(0.2, 6, boot)
        return host.name

    def _fill_disk(self) -> str:
        if self._disk_full:
            return ""
        self._disk_full = True
        for host in self.hosts:
            host.launched_full |= host.daemon is not None and "slots" not in host.daemon.output
        room = self._rng.choice([0, 0, 1, 3]) * 4096
        with open(self.farm.results / ".fill", "wb") as stream, contextlib.suppress(OSError):
            for size in (1 << 20, 4096):
                while (free := os.statvfs(self.farm.results).f_bavail * 4096 - room) > 0:
                    at = stream.seek(0, os.SEEK_END)
                    os.posix_fallocate(stream.fileno(), at, min(size, free))
        self._soon(0.5, 5, self._free_disk)
        return f"but for {room} bytes"

    def _free_disk(self) -> str:
        (self.farm.results / ".fill").unlink(missing_ok=True)
        self._disk_full = False
        return "the disk has room again"

    def _homes(self) -> list[Path]:
        return sorted(self.farm.results.glob("idea-*"))

    def _remove(self) -> str:
        homes = self._homes()
        if not homes:
            return ""
        home = self._rng.choice(homes)
        self._note_removal(home.name)
        self._remove_tree(home)
        return home.name

    def _note_removal(self, idea_id: str) -> None:
        self.removals.append((time.monotonic(), idea_id))
        self.farm.removed.add(idea_id)

    def _remove_tree(self, home: Path) -> None:
        """As rm -rf: what is made meanwhile may stay."""
        shutil.rmtree(home, ignore_errors=True)
        self._note_removal(home.name)

    def _remove_half(self) -> str:
        """An rm -rf that is interrupted, and finished later."""
        homes = self._homes()
        if not homes:
            return ""
        home = self._rng.choice(homes)
        self._note_removal(home.name)
        inside = sorted(home.rglob("*"), reverse=True)
        for path in inside[: self._rng.randrange(len(inside) + 1)]:
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()

        def finish() -> str:
            self._remove_tree(home)
            return f"{home.name}: removed"

        self._soon(0.1, 6, finish)
        return home.name

    def _spoil_ideas(self) -> str:
        self._soon(0.2, 4, lambda: f"ideas.md is mended: {self.ideas.heal()}")
        return self.ideas.spoil()

    def _add_ideas(self) -> str:
        return self.ideas.add(self._rng.randrange(1, 6))

    def _step_clock(self) -> str:
        host = self._rng.choice(self.hosts)
        host.clock.set(self._rng.choice([-7200, 0, 7200, -7200, 7200, self._rng.randrange(-9, 9)]))
        return f"{host.name}: {host.clock.ahead:+d} s"

    def _restart_all(self) -> str:
        number = self._rng.choice([signal.SIGTERM, signal.SIGKILL])
        for host in [host for host in self.hosts if host.serves and not host.frozen]:
            if number == signal.SIGKILL:
                host.kill_daemon()
            else:
                host.thaw()
                host.end_daemon()
            self._soon(0.1, 2, lambda host=host: self._start(host))
        return signal.Signals(number).name

    def _ask(self) -> str:
        kind = self._rng.choice(["retry", "retry", "stop", "hold", "release"])
        idea_id = f"idea-{self._rng.choice(list(self.ideas.sections)):03d}"
        try:
            self.farm.ask(kind, idea_id)
        except OSError as error:
            return f"{kind} {idea_id}: {error.strerror}"
        return f"{kind} {idea_id}"

    # ---- rest

    def _mend(self) -> None:
        """Undo all that is undone by waiting or by a person; what the file lacks stays lost to nobody."""
        self._tell("all is mended")
        self._free_disk()
        while self._later:
            self._tell(heapq.heappop(self._later)[2]())
        for host in self.hosts:
            host.thaw()
            if not host.up:
                host.boot()
            self._tell(self._start(host))
        self.ideas.heal()
        for number in self.ideas.sections:
            self.farm.ask("release", f"idea-{number:03d}")

    def _come_to_rest(self) -> None:
        until = time.monotonic() + _REST
        while unrest := self.checker.unrest(self.ideas.sections):
            if time.monotonic() > until:
                raise Violation(f"no rest within {_REST:g} s: {unrest}")
            self._pass(0.2)
        self._tell("all is at rest")

    def _leave(self) -> None:
        for host in self.hosts:
            host.end_daemon()


def main(minutes: float, seed: int) -> int:
    """Run after run, each with the next seed, until the time is over; prints what was done."""
    if reason := two_machines():
        print(f"a nemesis cannot run here: {reason}")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through every `finally`
    total: collections.Counter[str] = collections.Counter()
    until = time.monotonic() + 60 * minutes
    runs = violations = ideas = 0
    while time.monotonic() < until:
        with tempfile.TemporaryDirectory(prefix="orze-nemesis-") as scratch:
            nemesis = Nemesis(Path(scratch) / "farm", seed)
            try:
                nemesis.run(min(60.0, max(10.0, until - time.monotonic() - 20)))
            except Violation as violation:
                violations += 1
                print(violation, flush=True)
            finally:
                nemesis.close()
            total += nemesis.counts
            ideas += len(nemesis.ideas.sections)
        runs, seed = runs + 1, seed + 1
        print(
            f"{runs} runs, {ideas} ideas, {violations} violations; {dict(sorted(total.items()))}", flush=True
        )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time()) % 100_000))
