"""Which daemons are dead, the leader above all, and who follows it."""

from __future__ import annotations

from collections.abc import Callable

from orze.coord.leader import Leadership
from orze.core.identity import lives
from orze.farm.attempts import Attempts
from orze.farm.context import Context
from orze.farm.hosts import Hosts

_FIRST_WORD = 3  # heartbeats for which the others leave a dead leader to the deputy


class Succession:
    """Judges the daemons of the farm.

    The first of the daemons that do not lead is the deputy. It watches the attempts of others as the leader
    does, so that whoever died together with the leader is reaped in the moment in which the leader is
    followed. Two hosts doing the same reading is what that costs, however many there are.

    Args:
        lost: told of daemons that are dead, before the leader forgets them.

    Attributes:
        due: the leader is dead, and it is this host's part to say so.
    """

    def __init__(
        self,
        context: Context,
        *,
        leadership: Leadership,
        hosts: Hosts,
        attempts: Attempts,
        lost: Callable[[set[str]], None],
    ) -> None:
        self._context = context
        self._leadership = leadership
        self._hosts = hosts
        self._attempts = attempts
        self._lost = lost
        self._dead: tuple[str, float] = ("", 0.0)
        self.due = False

    @property
    def watches(self) -> bool:
        """Whether this host watches the attempts of others: it leads, or would be next."""
        return self._leadership.mine or self._is_deputy

    def judge(self) -> None:
        """See which daemons are dead, by the last listing of the heartbeats.

        Raises:
            OSError: the share did not answer.
        """
        leader, own = self._leadership.fold.token, self._context.token
        present = self._attempts.daemons
        others = (present if self._leadership.mine else set()) | {leader}
        dead = self._hosts.dead(others - {own, ""}, present)
        self.due = self._dead_here() or (leader in dead and self._has_the_word(leader))
        if dead and self._leadership.mine:
            self._lost(dead)
            for token in dead:
                self._hosts.bury(token)

    @property
    def _is_deputy(self) -> bool:
        others = self._attempts.daemons - {self._leadership.fold.token}
        return min(others, default="") == self._context.token

    def _has_the_word(self, leader: str) -> bool:
        now = self._context.clock.steady()
        if self._dead[0] != leader:
            self._dead = (leader, now)
        patience = _FIRST_WORD * self._context.settings.lease.heartbeat
        return self._is_deputy or now >= self._dead[1] + patience

    def _dead_here(self) -> bool:
        """A leader of this machine is judged by its process, at once."""
        fold = self._leadership.fold
        here = bool(fold.token) and self._context.machine.sees(fold.lead)
        return here and not lives(int(fold.lead["pid"]), int(fold.lead["start"]))
