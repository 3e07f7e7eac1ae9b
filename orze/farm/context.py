"""What a daemon is made of: settings, paths, clocks and identity, fixed for its life."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orze.config.schema import Settings
from orze.coord.chain import Chain
from orze.coord.heartbeat import Watch
from orze.coord.idea_chain import IdeaFold
from orze.core.clock import SystemClock
from orze.core.files import RealFiles
from orze.core.identity import Machine, start_time, this_machine
from orze.core.paths import FarmPaths

if TYPE_CHECKING:
    from orze.core.clock import Clock
    from orze.core.files import Files


@dataclass(frozen=True)
class Context:
    """One daemon.

    Attributes:
        settings: in force on this host.
        token: this daemon's, for its heartbeat and the leader chain.
        frame: what its records say of host and process.
        attribute_cache: seconds for which the mount may show old directories (C).
    """

    settings: Settings
    paths: FarmPaths
    files: Files
    clock: Clock
    machine: Machine
    token: str
    frame: dict[str, object]
    attribute_cache: float

    @property
    def steal(self) -> float:
        """Seconds of silence after which another host's attempt is taken over (S)."""
        return self.settings.lease.steal

    def chain(self, idea_id: str) -> tuple[Chain, IdeaFold]:
        """The chain of an idea, read now.

        Raises:
            OSError: as Chain.refresh.
        """
        fold = IdeaFold()
        chain = Chain(self.files, self.paths.idea(idea_id).chain, fold, self.clock)
        chain.refresh()
        return chain, fold

    def watch(self, steal: float | None = None) -> Watch:
        """A judge of heartbeats that looks about once a heartbeat, and starts anew if it could not for long.

        Args:
            steal: seconds of silence that it calls death; S of the lease where it is not given.
        """
        lease = self.settings.lease
        return Watch(
            self.files,
            self.clock,
            steal=self.steal if steal is None else steal,
            gap=self.steal / 3,
            every=lease.heartbeat / 2,
        )


def make_context(settings: Settings, attribute_cache: float) -> Context:
    """The context of a daemon in this process."""
    machine = this_machine()
    return Context(
        settings=settings,
        paths=FarmPaths(str(settings.results_dir)),
        files=RealFiles(),
        clock=SystemClock(),
        machine=machine,
        token=machine.new_token(),
        frame=machine.frame(os.getpid(), start_time(os.getpid()) or 0),
        attribute_cache=attribute_cache,
    )
