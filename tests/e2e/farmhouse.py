"""A farm in a temporary directory, tended by real processes: daemons, keepers, training scripts."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from machines import Machine, cmdline, cwd, pid_namespace, pids

from orze.coord.idea_chain import CLAIM, DONE, FAIL, LOST, REQUEUE, RETRY, IdeaFold
from orze.coord.record import decode, digest
from orze.coord.requests import submit
from orze.core.clock import SystemClock
from orze.core.files import RealFiles

ROOT = Path(__file__).resolve().parents[2]
FARM = ROOT / "farm.py"
ACTOR = Path(__file__).with_name("actor.py")
DEADLINE = 30.0  # seconds; every wait is for an event, this bounds it
SHORT_LEASE = {"heartbeat": 0.5, "fence": 2, "kill": 0.5, "steal": 3}
_TICK = 0.02  # seconds between two looks at what is waited for


def idea(number: int, train: str = "", *, title: str = "", config: str = "", **more: str) -> str:
    """One section of ideas.md.

    Args:
        train: what the training does, in the verbs of actor.py; by default it writes a metric.
        config: further lines of its YAML.
        more: fields by their names, in capitals (`Priority="high"`); blocks of other roles in small letters.
    """
    fields = "".join(f"- **{name}**: {value}\n" for name, value in more.items() if name[0].isupper())
    roles = {"train": train, **{name: text for name, text in more.items() if name[0].islower()}}
    blocks = "".join(
        f"{name}: |\n" + "".join(f"  {line}\n" for line in text.strip("\n").splitlines())
        for name, text in roles.items()
        if text
    )
    yaml = f"number: {number}\n" + (f"{config.rstrip()}\n" if config else "") + blocks
    return f"## idea-{number:03d}: {title or f'Number {number}'}\n{fields}\n```yaml\n{yaml}```\n\n"


ELSEWHERE = idea(9999, title="For another host", Hosts="elsewhere")


class Farm:
    """A project with its results.

    Args:
        home: the directory, made here.
        settings: what orze.yaml says.
    """

    def __init__(self, home: Path, **settings: Any) -> None:
        self.home = home
        self.ideas = home / "ideas.md"
        self.results = home / "results"
        self.daemons: list[Daemon] = []
        self.machines: list[Machine] = []
        self.removed: set[str] = set()  # ideas whose directory the test removed
        self.frozen: set[str] = set()  # ideas whose first attempt the test froze
        for name in ("configs", "flags", "locks", "tmp"):
            (home / name).mkdir(parents=True)
        (home / "configs" / "base.yaml").write_text("from_base: 1\n")
        (home / "train_idea.py").write_bytes(ACTOR.read_bytes())
        self.ideas.write_text("# Ideas\n")
        self.configure(**settings)

    # ---- what is in the project

    def configure(self, **settings: Any) -> None:
        """Write orze.yaml anew (JSON is YAML)."""
        (self.home / "orze.yaml").write_text(json.dumps(settings, indent=1))

    def write(self, *sections: str, last: str = ELSEWHERE) -> None:
        """Write ideas.md.

        Args:
            last: the last section, which counts as whole only when the file has not changed for a while; by
                default one that no host may run, so that no test need wait for it.
        """
        self.ideas.write_text("".join(["# Ideas\n\n", *sections, last]))

    def append(self, *sections: str) -> None:
        """Append to ideas.md as people do."""
        with self.ideas.open("a") as stream:
            stream.write("".join(sections))

    def flag(self, name: str) -> None:
        """Raise a flag that a script waits for."""
        (self.home / "flags" / name).touch()

    def flagged(self, name: str) -> bool:
        """Whether a script has raised a flag."""
        return (self.home / "flags" / name).exists()

    def remove(self, idea_id: str) -> None:
        """Remove the directory of an idea as people do."""
        self.removed.add(idea_id)
        shutil.rmtree(self.results / idea_id)

    def ask(self, kind: str, target: str, value: str = "") -> str:
        """Leave a request for whoever leads; the uuid of its answer."""
        requests = str(self.results / ".orze" / "requests")
        return submit(RealFiles(), requests, SystemClock(), kind=kind, target=target, value=value, by="test")

    def answer(self, uuid: str) -> str:
        """What the journal says of a request, once it does."""
        self.wait(lambda: uuid in self.answers(), f"the answer to {uuid}")
        return self.answers()[uuid]

    def answers(self) -> dict[str, str]:
        """All answers of the journal."""
        return {uuid: text for record in self.journal() for uuid, text, _ in record.get("answers", ())}

    # ---- processes

    def start(
        self,
        *flags: str,
        gpus: str | None = "cpu",
        on: Machine | None = None,
        terminal: int | None = None,
        **env: str,
    ) -> Daemon:
        """Start a daemon.

        Args:
            flags: its command line, but for `-v`.
            gpus: its --gpus; None for none.
            on: the machine; this one where it is not given.
            terminal: a terminal that becomes its own, and that it writes to.
            env: added to its environment.
        """
        asked = ["--gpus", gpus] if gpus else []
        daemon = Daemon(self, command(*flags, *asked), on, terminal, env)
        self.daemons.append(daemon)
        return daemon

    def run(self, *flags: str, status: int = 0, **how: Any) -> str:
        """Run farm.py as `start` does, to its end; what it printed, where it ends with this status."""
        daemon = self.start(*flags, **how)
        assert daemon.wait() == status, daemon.output
        return daemon.output

    def machine(self, name: str, *, up: int = 0) -> Machine:
        """Another machine over the same directory; see Machine."""
        machine = Machine(name, up)
        self.machines.append(machine)
        return machine

    def environ(self, on: Machine | None, extra: Mapping[str, str]) -> dict[str, str]:
        """The environment of a daemon; each machine has a temporary directory, and slot locks, of its own."""
        temporary = self.home / "tmp" / (f"{on.name}-{on.init}" if on else "here")
        temporary.mkdir(exist_ok=True)
        foreign = ("CUDA_", "ORZE_", "WANDB_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {**kept, "TMPDIR": str(temporary), **extra}

    def processes(self, program: str = "") -> list[int]:
        """Every process that works in the project, on any machine, whose command line names the program."""
        return [pid for pid in pids() if cwd(pid).startswith(str(self.home)) and program in cmdline(pid)]

    def keepers(self, on: Machine | None = None) -> list[int]:
        """The keepers that run here or on a machine."""
        found = self.processes("attempt/keeper.py")
        return [pid for pid in found if on is None or pid_namespace(pid) == pid_namespace(on.init)]

    def close(self) -> None:
        """Kill everything."""
        for daemon in self.daemons:  # nsenter stops itself when its child is stopped
            daemon.process.send_signal(signal.SIGCONT)
        for machine in self.machines:
            machine.stop()
        for daemon in self.daemons:
            daemon.kill()
        while left := self.processes():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            select.select([], [], [], _TICK)

    # ---- what is to be seen

    def wait(self, happened: Callable[[], object], what: str = "", deadline: float = DEADLINE) -> None:
        """Wait until something has happened; a daemon that ends unexpectedly ends the wait."""
        until = time.monotonic() + deadline
        while not happened():
            assert time.monotonic() < until, f"not within {deadline:g} s: {what}\n{self.story()}"
            for daemon in self.daemons:
                assert daemon.process.poll() in daemon.may_end, f"a daemon ended\n{self.story()}"
            select.select([], [], [], _TICK)

    def wait_for(self, **kinds: str) -> None:
        """Wait until the chains of ideas hold these records: `wait_for(idea_001="CLAIM DONE")`."""
        for name, expected in kinds.items():
            idea_id = name.replace("_", "-")
            self.wait(lambda i=idea_id, e=expected: self.kinds(i) == e.split(), f"{idea_id}: {expected}")

    def wait_states(self, **states: int) -> None:
        """Wait until the report tells these states: `wait_states(COMPLETED=2)`; others must be 0."""
        self.wait(lambda: self.states() == states, f"{states}")

    def states(self) -> dict[str, int]:
        """How many ideas are in each state, as the report tells it, less the one that no host may run."""
        told = dict(self.status().get("states", {}))
        if ELSEWHERE in self.ideas.read_text(errors="replace") and told.get("QUEUED"):
            told["QUEUED"] -= 1
        return {state: count for state, count in told.items() if count}

    def story(self) -> str:
        """All that explains a failure."""
        logs = [f"--- {' '.join(daemon.command)}\n{daemon.output}" for daemon in self.daemons]
        chains = [f"{path.name}: {self.kinds(path.name)}" for path in sorted(self.results.glob("idea-*"))]
        events = [f"{e['at']:.2f} {e['what']} {e['idea']} {e['attempt']}" for e in self.events()]
        states = [f"states: {self.states()}, problems: {self.problems()}"]
        return "\n".join([*logs, *chains, *events[-30:], *states])

    def status(self) -> dict[str, Any]:
        """status.json; nothing where there is none yet."""
        try:
            return json.loads((self.results / "status.json").read_text())
        except FileNotFoundError:
            return {}

    def report(self) -> str:
        """report.md."""
        return (self.results / "report.md").read_text()

    def problems(self) -> str:
        """The problems that status.json tells, one a line."""
        return "\n".join(problem["text"] for problem in self.status().get("problems", ()))

    def records(self, idea_id: str) -> list[dict[str, Any]]:
        """The valid records of an idea's chain."""
        return [record for record, valid in self._chain(idea_id) if valid]

    def kinds(self, idea_id: str) -> list[str]:
        """The kinds of the valid records."""
        return [record["kind"] for record in self.records(idea_id)]

    def last(self, idea_id: str) -> dict[str, Any]:
        """The last valid record."""
        return self.records(idea_id)[-1]

    def journal(self) -> list[dict[str, Any]]:
        """The records of the journal."""
        paths = sorted((self.results / ".orze" / "journal").rglob("[0-9]*.json"))
        return [decode(path.read_bytes()) for path in paths]

    def events(self, what: str = "", idea_id: str = "", role: str = "") -> list[dict[str, Any]]:
        """The lines of the history that are about this."""
        try:
            lines = (self.home / "history.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        wanted = {"what": what, "idea": idea_id, "role": role}
        return [
            event
            for event in map(json.loads, lines)
            if all(not value or event.get(name) == value for name, value in wanted.items())
        ]

    def starts(self, idea_id: str = "") -> list[dict[str, Any]]:
        """The trainings that began."""
        return self.events("start", idea_id, "train")

    def _chain(self, idea_id: str) -> list[tuple[dict[str, Any], bool]]:
        fold = IdeaFold()
        found = []
        for path in sorted((self.results / idea_id / ".chain").glob("[0-9]*.json")):
            data = path.read_bytes()
            record = decode(data)
            found.append((record, fold.apply(record, digest(data))))
        return found

    # ---- what must always hold

    def check(self) -> None:
        """Hold history and chains against the promises of docs/protocol.md."""
        assert {event["lock"] for event in self.events("overlap")} <= self.frozen, self.story()
        for home in self.results.glob("idea-*"):
            if (home / ".chain").is_dir():
                self._check_idea(home.name)
        for log in self.daemons:
            assert "Traceback" not in log.output, log.output
            assert "please report it" not in log.output, log.output

    def _check_idea(self, idea_id: str) -> None:
        names = [path.name for path in sorted((self.results / idea_id / ".chain").glob("[0-9]*.json"))]
        assert names == [f"{slot:06d}.json" for slot in range(1, len(names) + 1)], f"{idea_id}: {names}"
        records = self.records(idea_id)
        results = 0  # since the last retry
        claimed: dict[str, dict[str, Any]] = {}
        open_again = True
        for record in records:
            kind = record["kind"]
            results = 0 if kind == RETRY else results + (kind == DONE)
            assert results <= 1, f"{idea_id} has two results\n{self.story()}"
            if kind == CLAIM:
                assert open_again, f"{idea_id} was claimed twice\n{self.story()}"
                claimed[f"{record['attempt']}-{record['token']}"] = record
            open_again = kind in (LOST, REQUEUE, RETRY) or (kind == FAIL and not record["final"])
            if kind == DONE and "by" in record["metrics"]:
                assert record["metrics"]["by"] == record["directory"], f"{idea_id}: another's metrics"
        begun = [event["attempt"] for event in self.starts(idea_id)]
        assert len(set(begun)) == len(begun), f"{idea_id}: one attempt trained twice\n{self.story()}"
        unclaimed = set(begun) - claimed.keys()
        assert idea_id in self.removed or not unclaimed, f"{idea_id} ran without a claim\n{self.story()}"


class Daemon:
    """One farm.py.

    Attributes:
        on: the machine that it runs on; None for this one.
        may_end: what its wait status may be while the test waits for other things; None: it runs.
    """

    def __init__(
        self,
        farm: Farm,
        command: Sequence[str],
        on: Machine | None,
        terminal: int | None,
        env: Mapping[str, str],
    ) -> None:
        self.command = command
        self.on = on
        self._log = farm.home / f"daemon-{len(farm.daemons)}.log"
        self.may_end: set[int | None] = {None, 0} if "--once" in command else {None}
        become = functools.partial(os.login_tty, terminal) if terminal is not None else None
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                on.command(command, farm.home) if on else command,
                cwd=farm.home,
                env=farm.environ(on, env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=terminal is None,
                preexec_fn=become,  # noqa: PLW1509 - no threads here
            )

    @property
    def output(self) -> str:
        """All that it printed."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Its pid here, also where it runs on another machine."""
        if self.on is None:
            return self.process.pid
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def send(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.may_end = {None, -signal.SIGKILL, self.process.poll()}
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
                self.send(signal.SIGKILL)
            self.wait()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to go, and wait until it has."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended; its exit status."""
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the daemon does not end:\n{self.output}")
        self.may_end = {status}
        return status


def command(*flags: str) -> list[str]:
    """The command line of a farm.py that tells everything."""
    return [sys.executable, str(FARM), "-v", *flags]
