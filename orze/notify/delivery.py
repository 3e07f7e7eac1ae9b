"""Brings each target what it has yet to be told: not too often, all at once, and later again if it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from pydantic import SecretStr

from orze.notify.ledger import Ledger
from orze.notify.message import compose
from orze.notify.post import NO_ANSWER, SENT, Letter, Post
from orze.report.text import clean

_REST = 10.0  # seconds until a target that was not reached is tried again; doubled after each further time
_LONGEST_REST = 3600.0


class Delivery:
    """One round of messages at a time, to every target for which something waits.

    Args:
        farm: its name, for the titles.
        urls: where messages go.
        every: least seconds between two rounds.
        steady: the clock, in seconds.

    Attributes:
        targets: name -> URL. The name can be shown: the scheme, and a number where there are several.
    """

    def __init__(
        self, farm: str, urls: Iterable[SecretStr], every: float, steady: Callable[[], float]
    ) -> None:
        self._farm = farm
        self._every = every
        self._steady = steady
        self._post = Post(steady)
        self._checked = False
        self._asked: dict[str, int] = {}
        self._next = 0.0
        self._rests: dict[str, tuple[float, float]] = {}
        self._faults: dict[str, str] = {}
        self.targets = named(urls)

    @property
    def problems(self) -> list[str]:
        """Which targets are not reached, for people to see."""
        if not self._faults:
            return []
        told = ", ".join(f"{why} ({name})" for name, why in sorted(self._faults.items()))
        return [f"notifications: {len(self._faults)} of {len(self.targets)} targets not reached: {told}"]

    def begin(self) -> None:
        """Another term begins: the URLs are tried for their form again, what is under way counts no more."""
        self._checked = False
        self._asked = {}

    def collect(self) -> dict[str, int]:
        """What became of the round, if it has ended: target -> the number of the last event it was told."""
        answers = self._post.answers() if self._post.busy else None
        if answers is None:
            return {}
        told = {}
        for name, number in self._asked.items():
            why = answers.get(name, NO_ANSWER)
            if why == SENT:
                told[name] = number
                self._faults.pop(name, None)
                self._rests.pop(name, None)
            else:
                self._faults[name] = why
                self._rest(name)
        self._asked = {}
        return told

    def send(self, ledger: Ledger, *, now: bool = False) -> None:
        """Begin a round, where it is time for one; the first of a term only tries the form of the URLs.

        Args:
            ledger: as it was recorded: what it says is under way from here on.
            now: whether it is time in any case.

        Raises:
            OSError: no process can be started.
        """
        time = self._steady()
        if self._post.busy:
            return
        if now or self._checked:
            if not now and time < self._next:
                return
            ready = [name for name in self._waiting(ledger) if now or time >= self._rested(name)]
            letters = [self._letter(name, *compose(self._farm, *ledger.waiting(name))) for name in ready]
        else:
            self._checked = True
            ready = []
            letters = [self._letter(name, "", "") for name in self.targets]
        if letters:
            self._next = time + self._every if ready else self._next
            self._asked = {letter.name: ledger.count if ready else 0 for letter in letters}
            self._post.begin(letters)

    def due(self, ledger: Ledger) -> float:
        """The steady time at which there is something to do though nothing happens."""
        if self._post.busy:
            return self._post.deadline
        waiting = self._waiting(ledger)
        return max(self._next, min(map(self._rested, waiting))) if waiting else float("inf")

    def child_ended(self, pid: int) -> None:
        """A child process of the daemon has ended."""
        self._post.child_ended(pid)

    def wait(self, seconds: float) -> None:
        """Wait until the round has ended, at most this long; for who is about to leave."""
        self._post.wait(seconds)

    def _waiting(self, ledger: Ledger) -> list[str]:
        return [name for name in self.targets if ledger.waiting(name)[0]]

    def _letter(self, name: str, title: str, body: str) -> Letter:
        return Letter(name, self.targets[name].get_secret_value(), title, body)

    def _rest(self, name: str) -> None:
        last = self._rests.get(name, (0.0, _REST / 2))[1]
        rest = min(_LONGEST_REST, 2 * last)
        self._rests[name] = (self._steady() + rest, rest)

    def _rested(self, name: str) -> float:
        return self._rests.get(name, (0.0, 0.0))[0]


def named(urls: Iterable[SecretStr]) -> dict[str, SecretStr]:
    """Give each URL a name that can be shown: its scheme, and a number where there are several."""
    seen: Counter[str] = Counter()
    targets = {}
    for url in urls:
        scheme = clean(url.get_secret_value().partition("://")[0].lower(), 32)
        seen[scheme] += 1
        targets[f"{scheme} {seen[scheme]}" if seen[scheme] > 1 else scheme] = url
    return targets
