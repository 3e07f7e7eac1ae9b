"""Which results belong together: runs of one configuration, and members of one group of ideas."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from itertools import islice

from orze.ideas.model import group_of, is_member
from orze.report.merit import Config

_MANY = 64  # configurations from which on their ranking is made anew and not mended

Summed = Callable[[str, list[str]], Config | None]


class Configs:
    """An index of results, in which every change is one step, and a ranking of the repeated configurations.

    Of a configuration with one result, which is the rule, only that is kept: its idea.

    Args:
        summed: sums up the results of one configuration; None where it cannot be ranked.
    """

    def __init__(self, summed: Summed) -> None:
        self._summed = summed
        self._by_key: dict[str, str | list[str]] = {}
        self._members: dict[str, list[str]] = {}
        self.begin(ascending=False)

    def begin(self, *, ascending: bool) -> None:
        """Rank anew, by another metric."""
        self._sign = 1.0 if ascending else -1.0
        self._ranked: list[tuple[float, int, str]] = []
        self._places: dict[str, tuple[float, int, str]] = {}
        self._changed = {key: None for key, ids in self._by_key.items() if isinstance(ids, list)}

    def state(self) -> tuple[dict[str, str | list[str]], dict[str, list[str]]]:
        """All of it as plain values, for `resume`."""
        return self._by_key, self._members

    def resume(self, state: tuple[dict[str, str | list[str]], dict[str, list[str]]]) -> None:
        """Take up what `state` gave; `begin` has to follow."""
        self._by_key, self._members = state

    def add(self, key: str, idea_id: str) -> None:
        """Another result of a configuration; one without a key is a configuration of its own."""
        if not key:
            return
        ids = self._by_key.get(key)
        if ids is None:
            self._by_key[key] = idea_id
            return
        if isinstance(ids, str):
            self._by_key[key] = [ids, idea_id]
        else:
            ids.append(idea_id)
        self._changed[key] = None

    def discard(self, key: str, idea_id: str) -> None:
        """Forget a result that was added."""
        if not key:
            return
        ids = self._by_key[key]
        if isinstance(ids, str):
            del self._by_key[key]
            return
        ids.remove(idea_id)
        if len(ids) == 1:
            self._by_key[key] = ids[0]
        self._changed[key] = None

    def join(self, idea_id: str) -> None:
        """An idea has ended; where it is a member of a group, that is noted."""
        if is_member(idea_id):
            self._members.setdefault(group_of(idea_id), []).append(idea_id)

    def part(self, idea_id: str) -> None:
        """What became of it holds no more."""
        if is_member(idea_id):
            group = group_of(idea_id)
            members = self._members[group]
            members.remove(idea_id)
            if not members:
                del self._members[group]

    def members(self, group: str) -> list[str]:
        """The members of a group that have ended."""
        return self._members.get(group, [])

    def ids(self, key: str) -> list[str]:
        """The results of a configuration, in the order in which they were added."""
        ids = self._by_key.get(key, [])
        return [ids] if isinstance(ids, str) else ids

    def repeated(self, key: str) -> bool:
        """Whether a configuration has more than one result."""
        return isinstance(self._by_key.get(key), list)

    def config(self, key: str) -> Config | None:
        """A configuration with all its results; None where there is none, or it cannot be ranked."""
        return self._summed(key, self.ids(key))

    def best(self, count: int) -> Iterator[Config]:
        """The best of those with more than one result, by their means, best first."""
        self._settle()
        found = (self.config(key) for _, _, key in islice(self._ranked, count))
        return (config for config in found if config)

    def _settle(self) -> None:
        """Bring the ranking up to date; where little has changed, by putting that in its place."""
        mend = len(self._changed) <= _MANY
        for key in self._changed:
            place = self._places.pop(key, None)
            if place and mend:
                del self._ranked[bisect_left(self._ranked, place)]
            config = self.config(key) if self.repeated(key) else None
            if config is not None:
                self._places[key] = (self._sign * config.mean, config.order, key)
                if mend:
                    insort(self._ranked, self._places[key])
        if not mend:
            self._ranked = sorted(self._places.values())
        self._changed.clear()
