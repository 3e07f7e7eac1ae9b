"""A daemon's surroundings in a temporary directory, for the tests of its members."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orze.attempt.projections import project
from orze.config.schema import Settings
from orze.coord.chain import Chain
from orze.coord.claims import Claimed, Claims
from orze.coord.idea_chain import IdeaFold
from orze.coord.journal import Journal
from orze.coord.leader import Leadership
from orze.coord.record import new_record
from orze.core.clock import ManualClock
from orze.core.files import RealFiles, make_dirs
from orze.core.identity import Machine, start_time
from orze.core.paths import FarmPaths
from orze.farm.assembly import Assembly
from orze.farm.context import Context
from orze.ideas.model import Idea
from orze.ideas.parse import parse

HERE = Machine("gpu-a", "boot-here", "pid:[4026531836]", "machine-here")
ELSEWHERE = Machine("gpu-b", "boot-there", "pid:[4026531836]", "machine-there")
NOBODY = 2**22 + 1  # above pid_max of proc_sys_kernel(5): a pid that no process has


def section(number: int, *, title: str = "An idea", yaml: str = "", **fields: str) -> str:
    """One section of ideas.md."""
    lines = [f"## idea-{number:03d}: {title}", *(f"- **{name}**: {value}" for name, value in fields.items())]
    return "\n".join([*lines, "", "```yaml", yaml or f"number: {number}", "```", "", ""])


def an_idea(number: int, **fields: str) -> Idea:
    """The idea of such a section."""
    return parse(section(number, **fields), path="ideas.md", line=1)


def write_ideas(context: Context, *sections: str) -> None:
    """Write ideas.md."""
    Path(context.settings.ideas_file).write_text("".join([*sections, "# End\n"]))


def context(
    home: Path, machine: Machine = HERE, files: Any = None, clock: Any = None, **settings: Any
) -> Context:
    """A daemon's context over `home`/results, on a clock that moves only when told."""
    paths = FarmPaths(str(home / "results"))
    files = files or RealFiles()
    for directory in (paths.heartbeats, paths.requests, paths.out, paths.hosts):
        make_dirs(files, directory)
    return Context(
        settings=Settings.model_validate({"project_dir": home, **settings}),
        paths=paths,
        files=files,
        clock=clock or ManualClock(),
        machine=machine,
        token=machine.new_token(),
        frame=machine.frame(os.getpid(), start_time(os.getpid()) or 0),
        attribute_cache=0.0,
    )


def leading(made: Context) -> tuple[Leadership, Journal]:
    """The leader chain with this daemon as leader, and the journal."""
    leadership = Leadership(made.files, made.paths.leader, made.clock, token=made.token, frame=made.frame)
    assert leadership.campaign()
    return leadership, Journal(made.files, made.paths.journal, made.clock, frame=made.frame)


class Played:
    """An attempt whose records the test appends: a claim, then what it is told.

    Args:
        frame: process and machine that the claim names; by default one of HERE that does not live.
        heartbeat: whether it leaves a heartbeat.
        mark: that of its token.
        more: what its claim says beside the usual.
    """

    def __init__(
        self,
        made: Context,
        idea_id: str,
        machine: Machine = HERE,
        *,
        frame: Mapping[str, object] | None = None,
        heartbeat: bool = True,
        gpu: str = "0",
        text: str = "",
        config: str = "",
        mark: str = "",
        more: Mapping[str, object] | None = None,
    ) -> None:
        self.context = made
        self.idea_id = idea_id
        self.token = machine.new_token(mark)
        claims = Claims(made.files, made.paths, made.clock, quiet=0.0)
        content = {"section": text, "sha": "ab" * 16, "gpu": gpu, "cards": [], "at": made.clock.wall()}
        content |= {**({"config": config} if config else {}), **(more or {})}
        claimed = claims.claim(idea_id, self.token, frame or machine.frame(NOBODY, 1), content)
        assert isinstance(claimed, Claimed), claimed
        self.fold = claimed.fold
        self.number = claimed.fold.attempt
        self.name = f"{self.number}-{self.token}"
        self.directory = f"{made.paths.idea(idea_id).attempts}/{self.name}"
        os.makedirs(self.directory)
        self.heartbeat = made.paths.heartbeat(idea_id, self.token)
        if heartbeat:
            self.beat(0)

    def beat(self, count: int) -> None:
        """Renew the heartbeat."""
        Path(self.heartbeat).write_bytes(b"%020d\n" % count)

    def append(self, kind: str, **content: object) -> None:
        """Append a record of this attempt; it must be legal."""
        _, fold = chain_of(self.context, self.idea_id, append=self._record(kind, content))
        self.fold = fold

    def end(self, kind: str = "DONE", **content: object) -> None:
        """Append its last record and remove its heartbeat, as a keeper does."""
        self.append(kind, **content)
        Path(self.heartbeat).unlink(missing_ok=True)

    def show(self) -> None:
        """Write the projections."""
        chain, fold = chain_of(self.context, self.idea_id)
        project(self.context.files, self.context.paths.idea(self.idea_id), chain, fold)

    def _record(self, kind: str, content: Mapping[str, object]) -> dict[str, Any]:
        default: dict[str, object] = {"directory": self.name, "seconds": 2.0, "at": self.context.clock.wall()}
        if kind in ("DONE", "TRAINED"):
            default |= {"metrics": {"val_loss": 0.5}}
        if kind == "DONE":
            default |= {"evaluated": False, "evaluation_error": "", "post_errors": []}
        if kind == "FAIL":
            default |= {"cause": "script", "error": "it broke", "final": True, "skip": False}
        if kind == "LOST":
            default |= {"supersedes": self.fold.tail, "seen_gone": True}
        return new_record(kind, token=self.token, attempt=self.number, **{**default, **content})


def chain_of(made: Context, idea_id: str, append: dict[str, Any] | None = None) -> tuple[Chain, IdeaFold]:
    """The chain of an idea as a new process reads it, after one more record if there is one to append."""
    fold = IdeaFold()
    chain = Chain(made.files, made.paths.idea(idea_id).chain, fold, made.clock)
    if append:
        assert chain.append(lambda: append)
    else:
        chain.refresh()
    return chain, fold


def kinds(made: Context, idea_id: str) -> list[str]:
    """The kinds of the records of an idea, in order, void ones too."""
    chain, _ = chain_of(made, idea_id)
    return [chain.record(slot)[0]["kind"] for slot in range(1, chain.length + 1)]


def a_leader(home: Path, machine: Machine = HERE, **settings: Any) -> Assembly:
    """The members of a daemon of this machine that leads, on a clock that moves only when told."""
    settings = {"gpus": "cpu", **settings}
    (home / "configs").mkdir(parents=True, exist_ok=True)
    (home / "configs" / "base.yaml").write_text("{}\n")
    members = Assembly(context(home, machine, **settings), {"PATH": os.defpath})
    assert members.leadership.campaign()
    return members


def follow(members: Assembly) -> None:
    """Bring what the journal says into queue and board, as a cycle of the daemon does."""
    members.journal.follow()
    changed, outcomes = members.journal.fold.drain()
    for idea_id in changed:
        members.queue.set_known(idea_id, members.journal.fold.ideas[idea_id])
    for idea_id, _, _ in outcomes:
        members.steward.told(idea_id)
    members.board.take(outcomes)


def lead(members: Assembly) -> None:
    """Read ideas.md and do what the leader has to do, once."""
    members.intake.read()
    members.steward.step()
    follow(members)


def standing(members: Assembly) -> dict[str, str]:
    """The state of every idea."""
    return {idea_id: str(members.queue.get(idea_id).state) for idea_id in sorted(members.queue.ids())}
