"""Shows what is going on: this host to the others, and, where it leads, the farm to people."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import replace

from orze.farm.assembly import Assembly
from orze.farm.context import Context
from orze.report.model import DRAINED, FREE, HostRow, Snapshot

_QUIET = 60.0  # seconds after which the report is written anew though nothing happened
_BUSY = 1.0  # seconds between two reports while things happen
_TOGETHER = 0.05  # seconds for which what happens goes first, and is then told in one report
_PICTURE = 5.0  # seconds between two pictures, at least
_REST = 10  # and so many times what the last one took to draw, while attempts need the processors
_SAMPLE = 32  # hosts that are asked how many slots are free: all of them would cost hosts times hosts
_REFRESHED = 64  # attempts whose state is read again for one report


class Show:
    """Decides when to write what people and other hosts read, and writes it."""

    def __init__(self, context: Context, members: Assembly) -> None:
        self._context = context
        self._members = members
        self._changed = True
        self._changed_at = float("-inf")
        self._written = float("-inf")
        self._plotted = context.clock.steady()
        self._drawing = 0.0
        self._cycles = 0
        self._hosts: list[HostRow] = []
        self._slots = 1
        self._slots_counted = float("-inf")
        self._refreshed = 0
        self._writing = 0.0
        self._free: list[str] = []
        self._seen: tuple[list[str], list[str], set[str]] = ([], [], set())

    def changed(self) -> None:
        """Something happened that the report tells."""
        if not self._changed:
            self._changed, self._changed_at = True, self._context.clock.steady()

    def due(self) -> float:
        """The steady time at which something wants to be told."""
        return min(self._members.hosts.due, self._report_due())

    def _report_due(self) -> float:
        """The steady time at which the next report wants to be written."""
        if not self._members.leadership.mine:
            return float("inf")
        if not self._changed:
            running = any(True for _ in self._members.attempts)  # their states and metrics move on unseen
            poll = max(_BUSY, self._context.settings.poll)
            return self._written + (min(_QUIET, poll) if running else _QUIET)
        return max(self._written + max(_BUSY, _REST * self._writing), self._changed_at + _TOGETHER)

    def farm_slots(self) -> int:
        """Free slots of all hosts, about."""
        return max(1, self._slots)

    def after_cycle(self, taken: Mapping[str, str]) -> None:
        """Tell the others about this host, and people about the farm, where it is time.

        Args:
            taken: slots of this host that attempts have.
        """
        m = self._members
        self._cycles += 1
        rows = m.cards.rows(taken, free=DRAINED if m.orders.drained else FREE)
        self._free = [row.key for row in rows if row.state == FREE]
        running, problems = len(m.attempts.here()), m.cards.problems()
        with m.problems.guard("telling of this host"):
            m.hosts.tell(cards=rows, running=running, free=len(self._free), problems=problems)
        seen = [problem.text for problem in m.problems], self._free, m.attempts.daemons
        m.telemetry.see(rows, running=running, problems=len(seen[0]))
        if seen != self._seen:
            self._seen = seen
            self.changed()
        now = self._context.clock.steady()
        if now >= self._slots_counted + _QUIET:
            self._count_slots(now)
        if m.leadership.mine and now >= self._report_due():
            with m.problems.guard("writing the report"):
                self.write()
        rest = _REST * self._drawing if taken else 0.0
        if m.leadership.mine and now >= self._plotted + max(_PICTURE, rest):
            self._plotted = now
            with m.problems.guard("drawing the picture"):
                m.board.plot()

    def write(self) -> None:
        """Write the report now.

        Raises:
            OSError: the share does not take it.
        """
        self._written = self._context.clock.steady()
        snapshot = self.snapshot()
        self._members.board.publish(snapshot, self._members.telemetry.of_farm(snapshot))
        self._writing = self._context.clock.steady() - self._written
        self._changed = False

    def write_all(self) -> None:
        """Write the report and wait for the picture; for who is about to leave.

        Raises:
            OSError: the share does not take it.
        """
        board = self._members.board
        self.write()
        board.plot()
        while board.plotting:
            self.child_ended(*os.waitpid(-1, 0))
        if self._changed:
            self.write()

    def snapshot(self) -> Snapshot:
        """What the report tells, as of now."""
        m = self._members
        lead = m.leadership.fold
        self._hosts = [m.orders.mark(row) for row in m.hosts.rows(m.attempts.daemons, lead.token)]
        told = [f"{row.name}: {text}" for row in self._hosts if not row.leader for text in row.problems]
        m.problems.show("cards of other hosts", told)
        self._refresh_states()
        snapshot = m.board.snapshot(
            iteration=self._cycles,
            hosts=self._hosts,
            leader=str(lead.lead.get("host", "")) if lead.token else "",
            problems=sorted(m.problems, key=lambda problem: problem.since),
            free=self._free_slots(),
            notices=m.cards.notices,
        )
        return replace(snapshot, research=m.researching.standing())

    def _free_slots(self) -> list[str]:
        """Free slots of the farm, named with their host where there is more than one."""
        if len(self._hosts) < 2:
            return self._free
        return [
            f"{host.name}:{card.key}" for host in self._hosts for card in host.cards if card.state == FREE
        ]

    def child_ended(self, pid: int, status: int) -> None:
        """A child process has ended; the picture may be new."""
        m = self._members
        m.cleanup.child_ended(pid, status)
        m.mirroring.child_ended(pid, status)
        if m.researching.child_ended(pid, status):
            self.changed()
        m.refining.child_ended(pid, status)
        m.notifying.child_ended(pid)
        plotting = m.board.plotting
        if m.board.child_ended(pid, status):
            self.changed()
        if plotting and not m.board.plotting:
            self._drawing = self._context.clock.steady() - self._plotted

    def _count_slots(self, now: float) -> None:
        m = self._members
        self._slots_counted = now
        daemons = sorted(m.attempts.daemons)
        asked = random.sample(daemons, min(_SAMPLE, len(daemons)))
        free = sum(host.free for host in m.hosts.rows(set(asked), ""))
        self._slots = free * len(daemons) // max(1, len(asked))

    def _refresh_states(self) -> None:
        """Those that were read longest ago first."""
        m = self._members
        claimed = [attempt for attempt in m.attempts if attempt.claimed]
        begin = self._refreshed % max(1, len(claimed))
        self._refreshed = begin + _REFRESHED
        for attempt in (claimed[begin:] + claimed[:begin])[:_REFRESHED]:
            try:
                m.attempts.refresh(attempt)
            except OSError:
                continue  # the state that was known is shown
            m.queue.set_running(attempt.idea_id, attempt.state)
