"""A stage on which the requests of every event of a large farm are counted, for scale.py.

The real daemon's cycle, claim, keeper and report run over a directory whose `Files` counts, with some hosts
and attempts of others in it and with more, so that what each further host costs is seen.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import common  # noqa: F401 - puts the sources on the path

from orze.attempt.projections import project
from orze.config.load import load_settings
from orze.coord.claims import Claimed, Claims
from orze.coord.heartbeat import Beat
from orze.coord.idea_chain import DONE, TRAINED
from orze.coord.record import new_record
from orze.core.files import RealFiles
from orze.core.identity import Machine
from orze.farm.context import Context, make_context
from orze.farm.daemon import Daemon

CARDS = 8  # of one host
READDIR = 500  # names in one reply
NETWORK: dict[str, tuple[str, ...]] = {
    # RFC 7530: what a client sends for each call, with close-to-open consistency
    "mkdir": ("lookup", "create"),
    "listdir": ("lookup", "readdir"),
    "read": ("lookup", "lookup", "read"),
    "write_new": ("lookup", "create", "write", "commit"),
    "overwrite": ("lookup", "lookup", "write", "commit"),
    "link": ("lookup", "link"),
    "replace": ("lookup", "create", "write", "commit", "rename"),
    "symlink": ("create", "rename"),
    "sync_dir": ("lookup",),
    "unlink": ("remove",),
    "rmdir": ("remove",),
    "stat": ("lookup",),
}


class Counting:
    """Passes every call on to the disk, and counts what an NFS client would send for it."""

    def __init__(self) -> None:
        self._inner = RealFiles()
        self.sent: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._inner, name)

        def counted(*arguments: Any) -> Any:
            self.sent.update(NETWORK[name])
            found = call(*arguments)
            if name == "listdir":
                self.sent["readdir"] += len(found) // READDIR
            return found

        return counted

    def of(self, action: Callable[[], object]) -> Counter[str]:
        """What an action sends."""
        self.sent = found = Counter()
        action()
        self.sent = Counter()
        return found


@dataclass(frozen=True)
class Costs:
    """Requests of each event; `each` for one more host with its 8 attempts."""

    idle: Counter[str]
    lead: Counter[str]
    lead_each: Counter[str]
    idle_each: Counter[str]
    report: Counter[str]
    report_each: Counter[str]
    claim: Counter[str]
    lost: Counter[str]
    beat: Counter[str]
    end: Counter[str]
    told: Counter[str]


class Stage:
    """A real daemon over a counting directory, and the attempts of others that the stage plays."""

    def __init__(self, home: Path) -> None:
        logging.getLogger("orze").setLevel(logging.CRITICAL)
        (home / "ideas.md").write_text("# Ideas\n\n")
        (home / "base.yaml").write_text("{}\n")
        (home / "train.py").touch()
        (home / "orze.yaml").write_text("base_config: base.yaml\ntrain_script: train.py\n")
        os.environ["XDG_CACHE_HOME"] = str(home / "cache")
        settings = load_settings(home / "orze.yaml", {"gpus": "cpu:1"}, home, os.environ)
        self.files = Counting()
        self.made = replace(make_context(settings, 0.0), files=self.files)
        self.played = 0
        self.leader = Daemon(self.made, os.environ)
        self.leader.begin()
        self.leader.cycle()
        self.leader.cycle()
        self.follower = Daemon(self.daemon("follower"), os.environ)
        self.follower.begin()

    def daemon(self, name: str) -> Context:
        """The context of a daemon of another host."""
        machine = Machine(name, f"boot-{name}", "pid:[1]", f"machine-{name}")
        return replace(
            self.made, machine=machine, token=machine.new_token(), frame=machine.frame(os.getpid(), 0)
        )

    def claim(self, host: Context) -> tuple[str, Claimed, Beat]:
        """What daemon and keeper do from the heartbeat to the go."""
        self.played += 1
        idea_id, token = f"idea-{self.played:06d}", host.machine.new_token()
        beat = Beat(host.files, host.paths.heartbeat(idea_id, token), host.clock)
        beat.begin()
        content = {"section": "## " + idea_id, "sha": "ab", "gpu": "0", "cards": [], "at": host.clock.wall()}
        claims = Claims(host.files, host.paths, host.clock, quiet=360.0)
        claimed = claims.claim(idea_id, token, host.frame, content)
        if not isinstance(claimed, Claimed):
            raise SystemExit("the claim was not made")
        return idea_id, claimed, beat

    def host(self, number: int) -> None:
        """One more host with 8 attempts at work."""
        made = self.daemon(f"host-{number}")
        daemon = Daemon(made, os.environ)
        daemon.begin()
        daemon.members.hosts.tell(cards=(), running=CARDS, free=0)
        daemon.members.events.close()
        for _ in range(CARDS):
            self.claim(made)

    def lost_claim(self, host: Context, idea_id: str) -> None:
        """What a host does that comes second."""
        token = host.machine.new_token()
        beat = Beat(host.files, host.paths.heartbeat(idea_id, token), host.clock)
        beat.begin()
        Claims(host.files, host.paths, host.clock, quiet=360.0).claim(idea_id, token, host.frame, {})
        beat.end()

    def end(self, host: Context, idea_id: str, claimed: Claimed, beat: Beat) -> None:
        """TRAINED, DONE, the projections at start and end, and what the leader journals of it."""
        idea = host.paths.idea(idea_id)
        chain, fold = Claims(host.files, host.paths, host.clock, quiet=0.0).open_chain(idea_id)
        directory = f"{fold.attempt or 1}-{claimed.record['token']}"
        data = Path(idea.attempts) / directory
        data.mkdir(parents=True)
        for name in ("idea.yaml", "train_output.log", "environment.json"):
            (data / name).touch()
        for kind in ("", TRAINED, DONE):
            about = {"token": claimed.record["token"], "attempt": 1, "directory": directory, "metrics": {}}
            chain.refresh()
            if kind:
                chain.append(lambda kind=kind, about=about: new_record(kind, **about))
            if kind != TRAINED:
                host.files.sync_dir(host.paths.results)
                project(host.files, idea, chain, fold)
        host.files.unlink(idea.stop_request(claimed.record["token"]))
        beat.end()


def cycle_of(daemon: Daemon) -> Callable[[], None]:
    """One cycle with every look that a heartbeat's time allows, and no report."""

    def run() -> None:
        members = daemon.members
        for watch in (members.hosts._watch, members.attempts._watch, members.attempts._quick):
            watch._every = 0.0
        daemon.show._written = daemon.show._slots_counted = members.context.clock.steady()
        daemon.show._changed = False
        daemon.cycle()

    return run


def count(home: Path) -> Costs:
    """Count every event on a stage with few hosts, and with twice as many."""
    stage = Stage(home)
    found: list[list[Counter[str]]] = []
    for hosts in (range(4), range(4, 8)):
        for number in hosts:
            stage.host(number)
        for daemon in (stage.leader, stage.follower):
            for _ in range(3):
                daemon.cycle()
        found.append(
            [
                stage.files.of(cycle_of(stage.leader)),
                stage.files.of(cycle_of(stage.follower)),
                stage.files.of(stage.leader.show.write),
                stage.files.of(lambda: stage.follower.show._count_slots(0.0)),
            ]
        )
    few, many = found
    each = [less(more, fewer, 4) for fewer, more in zip(few, many, strict=True)]
    other = stage.daemon("claimer")
    kept: list[tuple[str, Claimed, Beat]] = []
    claim = stage.files.of(lambda: kept.append(stage.claim(other)))
    idea_id, claimed, beat = kept[0]
    chain, _ = Claims(other.files, other.paths, other.clock, quiet=0.0).open_chain(idea_id)
    chain.refresh()
    costs = Costs(
        idle=less(few[1], each[1], 1, 4),
        lead=less(few[0], each[0], 1, 4),
        lead_each=each[0],
        idle_each=each[1],
        report=less(few[2], each[2], 1, 4),
        report_each=each[2],
        claim=claim,
        lost=stage.files.of(lambda: stage.lost_claim(stage.daemon("second"), idea_id)),
        beat=stage.files.of(lambda: (beat.renew(), chain.refresh())),
        end=stage.files.of(lambda: stage.end(other, idea_id, claimed, beat)),
        told=each[3],
    )
    for daemon in (stage.leader, stage.follower):
        daemon.leave()
    return costs


def less(more: Counter[str], fewer: Counter[str], divide: int, times: int = 1) -> Counter[str]:
    """So many requests less, and a part of what remains; never less than none."""
    names = more.keys() | fewer.keys()
    return Counter({name: max(0, more[name] - times * fewer[name]) / divide for name in names})  # type: ignore[misc]
