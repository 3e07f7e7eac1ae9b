"""A farm on the export of a lab: its daemons run in the guests, and the host looks at the server's disk."""

from __future__ import annotations

import compileall
import contextlib
import itertools
import json
import os
import shutil
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import HERE, Guest, Lab

from orze.coord.idea_chain import IdeaFold
from orze.coord.record import decode, digest

FULL = os.environ.get("ORZE_NFS_FULL") == "1"
STEAL = 180 if FULL else 12  # seconds of silence after which a host is dead
TIMES = 15 if FULL else 1  # how much longer a full run may take
_CHECKOUT = HERE.parents[1]
_TICK = 0.05  # seconds between two looks at what is waited for
_NAMES = itertools.count(1)


def ideas(first: int, last: int, seconds: float, again: float = 0.1, **fields: str) -> str:
    """Sections of ideas.md.

    Args:
        seconds: how long the first training of each lasts.
        again: how long the next ones last.
    """
    more = "".join(f"- **{name}**: {value}\n" for name, value in fields.items())
    config = f"seconds: {seconds}\nagain: {again}\n"
    return "".join(
        f"## idea-{number:03d}: Number {number}\n{more}\n```yaml\nnumber: {number}\n{config}```\n\n"
        for number in range(first, last + 1)
    )


def copy_code(lab: Lab) -> None:
    """Give the guests the code as it is now: what is edited during a run does not mix with it."""
    code = lab.share / "code"
    shutil.copytree(_CHECKOUT / "orze", code / "orze", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_CHECKOUT / "farm.py", code)
    compileall.compile_dir(code, quiet=1)


class Farm:
    """A project on the export.

    Args:
        patience: seconds for which an event is waited for where nothing else is said.
        settings: what orze.yaml says.

    Attributes:
        home: the project; the same path on the host and in the guests.
        history: where the trainings leave their signs of life.
        frozen: ideas whose attempt was frozen with its kernel, and may have lived beside its successor.
    """

    def __init__(self, lab: Lab, patience: float, **settings: Any) -> None:
        name = f"farm-{next(_NAMES)}"
        self.lab = lab
        self._patience = patience
        self.home = lab.export / name
        self.results = self.home / "results"
        self.history = lab.share / f"{name}.history"
        self.logs: list[Path] = []  # of the daemons
        self.frozen: set[str] = set()
        self._share = lab.share / name
        self._readers: dict[str, Path] = {}
        self._written = itertools.count(1)
        self.history.mkdir()
        project = lab.share / f"{name}.project"
        (project / "configs").mkdir(parents=True)
        (project / "configs" / "base.yaml").write_text("seconds: 0.1\n")
        (project / "ideas.md").write_text("# Ideas\n\n")
        shutil.copy(HERE / "training.py", project / "train_idea.py")
        settings = {"train_extra_env": {"HISTORY": str(self.history)}, **settings}
        (project / "orze.yaml").write_text(json.dumps(settings))
        lab.guests[0].run("cp", "-r", str(project), str(self.home))

    # ---- what people do

    def append(self, on: Guest, text: str) -> None:
        """Append to ideas.md on one host."""
        source = Path(f"{self._share}.append-{next(self._written)}")
        source.write_text(text)
        on.run("sh", "-c", f"cat {source} >>{self.home}/ideas.md")

    def ask(self, on: Guest, kind: str, idea_id: str) -> None:
        """Leave a request on one host."""
        requests = self.results / ".orze" / "requests"
        name = f"r{next(self._written)}"
        body = json.dumps({"kind": kind, "idea": idea_id, "by": "test", "at": 0})
        write = f"mkdir -p {requests}; echo '{body}' >{requests}/.tmp-{name}"
        on.run("sh", "-c", f"{write}; mv {requests}/.tmp-{name} {requests}/{name}.json")

    # ---- processes

    def start(self, on: Guest, gpus: str = "cpu:2") -> None:
        """Start a daemon, and a reader of its reports."""
        log = Path(f"{self._share}.daemon-{len(self.logs)}")
        self.logs.append(log)
        hide = Path(sysconfig.get_path("purelib")) / "matplotlib"  # a guest would draw for minutes
        if hide.is_dir():
            on.run("sh", "-c", f"mountpoint -q {hide} || mount -t tmpfs none {hide}")
        farm = f"{sys.executable} {self.lab.share}/code/farm.py -v --gpus {gpus}"
        self._spawn(
            on, f"exec >{log} 2>&1; until ls {self.home} >&2; do sleep 0.2; done; cd {self.home}; exec {farm}"
        )
        notes = Path(f"{self._share}.reader-{len(self.logs)}")
        self._readers[f"{on.name} {log.name}"] = notes
        self._spawn(on, f"exec /usr/bin/python3 {HERE}/reader.py {self.results} {notes}")

    def start_all(self) -> None:
        """Start a daemon on every guest, and wait until each has told of itself, and one leads."""
        for guest in self.lab.guests:
            self.start(guest)
        told = self.results / ".orze" / "hosts"
        count = len(self.lab.guests)
        self.wait(
            lambda: len(list(told.glob("*.json"))) == count and self.status().get("leader"), "all hosts"
        )

    def close(self) -> None:
        """End all processes of the farm in the guests that answer; its logs and signs stay."""
        for guest in self.lab.guests:
            with contextlib.suppress(OSError, EOFError):
                guest.run("pkill", "-KILL", "-f", "farm.py|keeper.py|train_idea.py|reader.py", status=None)

    def _spawn(self, on: Guest, script: str) -> None:
        on.run("sh", "-c", f"setsid sh -c '{script}' </dev/null >/dev/null 2>&1 &")

    # ---- what is to be seen

    def wait(self, happened: Callable[[], object], what: str, deadline: float = 0.0) -> float:
        """Wait until something has happened; the seconds that it took."""
        begun = time.monotonic()
        deadline = deadline or self._patience
        while not happened():
            if time.monotonic() - begun > deadline:
                raise AssertionError(f"not within {deadline:g} s: {what}\n{self.story()}")
            time.sleep(_TICK)
        return time.monotonic() - begun

    def status(self) -> dict[str, Any]:
        """status.json; nothing where there is none yet."""
        try:
            return json.loads((self.results / "status.json").read_text())
        except FileNotFoundError:
            return {}

    def completed(self, count: int) -> bool:
        """Whether the report tells so many results, and of nothing else."""
        return self.states() == {"COMPLETED": count}

    def states(self) -> dict[str, int]:
        """How many ideas are in each state, as the report tells it."""
        return {state: count for state, count in self.status().get("states", {}).items() if count}

    def ids(self) -> list[str]:
        """Every idea with a directory."""
        return sorted(path.name for path in self.results.glob("idea-*"))

    def chain(self, idea_id: str) -> tuple[list[dict[str, Any]], IdeaFold]:
        """The valid records of an idea, and where it stands."""
        fold = IdeaFold()
        paths = sorted((self.results / idea_id / ".chain").glob("[0-9]*.json"))
        told = [(decode(data), digest(data)) for data in (path.read_bytes() for path in paths)]
        return [record for record, sha in told if fold.apply(record, sha)], fold

    def kinds(self, idea_id: str) -> list[str]:
        """The kinds of its valid records."""
        return [record["kind"] for record in self.chain(idea_id)[0]]

    def claimed(self, on: Guest) -> set[str]:
        """Ideas that the chains say run on a host."""
        folds = [(idea_id, self.chain(idea_id)[1]) for idea_id in self.ids()]
        return {idea_id for idea_id, fold in folds if fold.running and (fold.claim or {})["host"] == on.name}

    def running(self, on: Guest) -> set[str]:
        """Those of them whose training has begun."""
        begun = {sign.name.split("@")[0] for sign in self.history.glob(f"*@{on.name}@start")}
        return self.claimed(on) & begun

    def leader(self) -> Guest:
        """The guest that the report says leads."""
        return next(guest for guest in self.lab.guests if guest.name == self.status()["leader"])

    def readers(self) -> dict[str, dict[str, Any]]:
        """What the readers noted, by host."""
        return {
            name: json.loads(notes.read_text()) for name, notes in self._readers.items() if notes.exists()
        }

    def summary(self) -> str:
        """What there was to be survived, in a line."""
        kinds = Counter(kind for idea_id in self.ids() for kind in self.kinds(idea_id))
        signs = Counter(sign.name.rpartition("@")[2] for sign in self.history.iterdir())
        return f"records {dict(kinds)}; signs of trainings {dict(signs)}; readers {self.readers()}"

    def story(self) -> str:
        """All that explains a failure."""
        logs = [f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in self.logs]
        chains = [f"{idea_id}: {' '.join(self.kinds(idea_id))}" for idea_id in self.ids()]
        return "\n".join([*logs, *chains, f"states: {self.states()}"])
