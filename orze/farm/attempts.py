"""The attempts that run: those of this machine, whose processes can be seen, and those of other hosts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

from orze.attempt.metrics import last_progress
from orze.attempt.spec import PROGRESS
from orze.coord.chain import Chain
from orze.coord.idea_chain import IdeaFold
from orze.core.identity import lives
from orze.core.paths import DAEMON, attempt_name
from orze.core.states import State
from orze.farm.context import Context
from orze.farm.view import Dead

_SHOWN = 6  # metrics of the last line of progress


@dataclass
class Attempt:
    """An attempt with a heartbeat.

    Attributes:
        slots: names of the slots it has on its host.
        pid, start: its keeper; 0 where it is not of this machine.
        pidfd: becomes readable when the keeper ends; -1 where it is not of this machine.
        since: unix seconds of its claim, shown only.
        claimed: its CLAIM was seen; before that it is being prepared.
        earlier_boot: it is of this machine, but of a boot that is over.
    """

    idea_id: str
    token: str
    host: str = ""
    gpu: str = ""
    number: int = 0
    pid: int = 0
    start: int = 0
    pidfd: int = -1
    since: float = 0.0
    claimed: bool = False
    earlier_boot: bool = False
    state: State = State.CLAIMED
    directory: str = ""
    progress: str = ""

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of its slots."""
        return tuple(self.gpu.split(",")) if self.gpu else ()


@dataclass
class Changes:
    """What one look at the heartbeats found.

    Attributes:
        ended: ideas whose attempt has gone; their chains tell how.
        appeared: attempts that are new to this host.
    """

    ended: set[str] = field(default_factory=set)
    appeared: list[Attempt] = field(default_factory=list)


class Attempts:
    """Follows every attempt of the farm by one listing of the heartbeats.

    Only who leads looks at the counters of other machines. An attempt of an earlier boot of this machine is
    dead as soon as it is seen not to beat, unless clones of the machine's image are about that may run it.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._watch = context.watch()
        lease = context.settings.lease  # a clone that is cut off as well has ended by then
        self._quick = context.watch(steal=lease.fence + lease.kill + lease.heartbeat)
        self._known: dict[str, Attempt] = {}
        self._daemons: set[str] = set()
        self._orphans: dict[str, str] = {}
        self._own: dict[str, str] = {}
        self.dead: list[Dead] = []

    def __iter__(self) -> Iterator[Attempt]:
        return iter(list(self._known.values()))

    @property
    def daemons(self) -> set[str]:
        """Tokens of the daemons that have a heartbeat."""
        return self._daemons

    def here(self) -> list[Attempt]:
        """Those whose keeper is a process of this machine."""
        return [attempt for attempt in self if attempt.pidfd >= 0]

    def follows(self, token: str) -> bool:
        """Whether an attempt is known, and neither settled nor reaped."""
        return token in self._known

    def tell(self, attempt: Attempt, number: int) -> None:
        """Send a signal to the keeper of an attempt of this machine; one that has just ended needs none."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(attempt.pidfd, number)

    def preparing(self, token: str, idea_id: str) -> None:
        """This daemon has a keeper at work under this token: it is not to be judged by its heartbeat."""
        self._own[token] = idea_id

    def dropped(self, token: str) -> None:
        """That keeper has no attempt after all."""
        self._own.pop(token, None)

    def twin(self, mark: str, but: str) -> str:
        """Another idea that is being prepared or runs anywhere under a token with this mark, as far as known.

        Args:
            mark: that of `Machine.new_token`.
            but: the idea that asks.
        """
        own = (idea_id for token, idea_id in self._own.items() if token.endswith(mark))
        known = (attempt.idea_id for token, attempt in self._known.items() if token.endswith(mark))
        return next((idea_id for idea_id in chain(own, known) if idea_id != but), "")

    def began(self, idea_id: str, fold: IdeaFold) -> Attempt:
        """A claim of this machine stands: follow its keeper until it ends."""
        attempt = self._describe(idea_id, fold)
        self._open(attempt)
        self._own.pop(attempt.token, None)
        self._known[attempt.token] = attempt
        return attempt

    def watch_chain(self, idea_id: str, fold: IdeaFold) -> None:
        """A chain that says it runs was come across: follow it even if it has no heartbeat."""
        if fold.token not in self._known and fold.token not in self._own:
            self._orphans[fold.token] = idea_id

    def look(self, *, judge: bool, clones: bool) -> Changes:
        """List the heartbeats, and judge those of other machines.

        Args:
            judge: whether to read the counters of others too, which is the leader's part.
            clones: whether another living host shows this machine's id.

        Raises:
            OSError: the share did not answer; nothing has changed.
        """
        names = self._context.files.listdir(self._context.paths.heartbeats)
        present = {
            token: subject for token, subject in map(_parts, names) if token and subject[:1] not in (".", "")
        }
        self._daemons = {token for token, subject in present.items() if subject == DAEMON}
        ideas = {token: subject for token, subject in present.items() if subject != DAEMON}
        changes = Changes()
        for token, idea_id in {**self._orphans, **ideas}.items():
            self._see(token, idea_id, changes, every=judge)
        self._orphans = {token: idea for token, idea in self._orphans.items() if token not in ideas}
        self._notice_ends(ideas, changes)
        self.dead = list(self._ended_here())
        if judge:
            self.dead += self._silent(ideas, clones=clones)
        return changes

    def refresh(self, attempt: Attempt) -> None:
        """Read again what the chain says of an attempt; OSError decides nothing."""
        _, fold = self._context.chain(attempt.idea_id)
        if fold.token == attempt.token:
            attempt.state = fold.state

    def last_metrics(self, attempt: Attempt) -> str:
        """The last line of its progress, as people read it."""
        last = last_progress(self.progress_file(attempt.idea_id, attempt.directory))
        shown = [
            f"{name}={value:.4g}" for name, value in (last or {}).items() if isinstance(value, int | float)
        ]
        return " ".join(shown[:_SHOWN])

    def progress_file(self, idea_id: str, directory: str) -> str:
        """Where an attempt appends its progress.

        Args:
            directory: the attempt's, below those of its idea.
        """
        idea = self._context.paths.idea(idea_id)
        fenced = self._context.settings.doors
        return f"{idea.attempts}/{directory}/{PROGRESS}" if fenced else idea.projection(PROGRESS)

    def forget(self, token: str) -> None:
        """An attempt has been settled, or reaped."""
        self._own.pop(token, None)
        self._orphans.pop(token, None)
        attempt = self._known.pop(token, None)
        if attempt and attempt.pidfd >= 0:
            os.close(attempt.pidfd)

    def chain(self, idea_id: str) -> tuple[Chain, IdeaFold]:
        """The chain of an idea, read now.

        Raises:
            OSError: as Chain.refresh.
        """
        return self._context.chain(idea_id)

    def _see(self, token: str, idea_id: str, changes: Changes, *, every: bool) -> None:
        """A heartbeat: read the claim behind it if it may be of this machine, or, as leader, in any case."""
        known = self._known.get(token)
        if token in self._own or (known and known.claimed):
            return
        if not known:
            known = self._known[token] = Attempt(idea_id, token)
            changes.appeared.append(known)
        if every or token in self._orphans or self._context.machine.may_own(token):
            self._recognise(known)

    def _recognise(self, attempt: Attempt) -> None:
        """See whether a heartbeat that may be of this machine belongs to a claim of it."""
        try:
            _, fold = self._context.chain(attempt.idea_id)
        except OSError:
            return
        claim = fold.claim or {}
        if claim.get("token") != attempt.token:
            return
        described = self._describe(attempt.idea_id, fold)
        if self._context.machine.sees(claim):
            self._open(described)
        else:
            described.pid = 0
        self._known[attempt.token] = described

    def _notice_ends(self, ideas: dict[str, str], changes: Changes) -> None:
        for token, attempt in list(self._known.items()):
            if token not in ideas and token not in self._orphans and attempt.pidfd < 0 and not attempt.pid:
                changes.ended.add(attempt.idea_id)
                self.forget(token)

    def _ended_here(self) -> Iterator[Dead]:
        """Keepers of this machine that ended, with or without a last record: the chain tells."""
        for attempt in self._known.values():
            if attempt.pid and not lives(attempt.pid, attempt.start):
                self._close(attempt)
                yield Dead(attempt.idea_id, attempt.token, here=True)

    def _silent(self, ideas: dict[str, str], *, clones: bool) -> Iterator[Dead]:
        present = {self._context.paths.heartbeat(idea_id, token) for token, idea_id in ideas.items()}
        elsewhere = [attempt for attempt in self._known.values() if not attempt.pid]
        for watch, earlier_boot in ((self._watch, False), (self._quick, True)):
            judged = {
                self._context.paths.heartbeat(attempt.idea_id, attempt.token): attempt
                for attempt in elsewhere
                if (attempt.earlier_boot and not clones) == earlier_boot
            }
            for path in watch.look(list(judged), present):
                yield Dead(judged[path].idea_id, judged[path].token, here=False)

    def _describe(self, idea_id: str, fold: IdeaFold) -> Attempt:
        claim = fold.claim or {}
        return Attempt(
            idea_id,
            str(claim.get("token", "")),
            host=str(claim.get("host", "")),
            gpu=str(claim.get("gpu", "")),
            number=fold.attempt,
            pid=int(claim.get("pid", 0)),
            start=int(claim.get("start", 0)),
            since=float(claim.get("at", 0.0)),
            claimed=True,
            earlier_boot=self._context.machine.rebooted_since(claim),
            state=fold.state if fold.running else State.CLAIMED,
            directory=attempt_name(fold.attempt, str(claim.get("token", ""))),
        )

    def _open(self, attempt: Attempt) -> None:
        """Get a descriptor of its keeper, if that is still the process that made the claim."""
        try:
            attempt.pidfd = os.pidfd_open(attempt.pid)
        except OSError:
            return
        if not lives(attempt.pid, attempt.start):
            self._close(attempt)

    def _close(self, attempt: Attempt) -> None:
        if attempt.pidfd >= 0:
            os.close(attempt.pidfd)
            attempt.pidfd = -1


def _parts(name: str) -> tuple[str, str]:
    """Token and subject of a heartbeat; the names of other files lack one of them."""
    subject, _, token = name.rpartition(".")
    return token, subject
