"""The results of a farm in order of merit, kept small and brought up to date one result at a time."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from orze.core.states import SUCCEEDED, TERMINAL, State
from orze.report.configs import Configs
from orze.report.merit import KEPT, NO_MERIT, Config, Merit, config_of, judge, with_interval
from orze.report.model import History, Metric, PrimaryMetric, Ranked, Result
from orze.report.primary import choose, is_ascending
from orze.report.row import Row, config_key, pack, unpack
from orze.report.text import as_float, number

_LOOKED_AT = 512  # results of which the best configurations with one result are found
_NAMES_SHOWN = 8


class Leaderboard:
    """Every terminal outcome, the completed ones ranked by the primary metric.

    A result takes about 250 bytes: one marshalled row, with the names of its metrics shared among all results
    that have the same ones. The ranking is three parallel columns (key, order, idea), sorted by key and then
    order, so that a new result is a binary search and a move of memory. It is made anew only when it is first
    read and when the primary metric changes.

    Args:
        primary_metric: the name of the metric that ranks, or None to choose it from what the results hold.
        sort: `ascending`, `descending`, or None to go by the metric's name.
        confirm: runs that a configuration must have to be called the best.

    Attributes:
        baseline: key of the base configuration, whose repeats tell how far runs lie apart; empty: not known.

    Raises:
        ValueError: `sort` is another word.
    """

    def __init__(
        self, primary_metric: str | None = None, sort: str | None = None, *, confirm: int = 0
    ) -> None:
        self._configured = primary_metric
        self._sort = sort
        self._confirm = confirm
        self.baseline = ""
        self._changes = 0
        self._configs = Configs(self._summed)
        self._judged: tuple[int, str] = (-1, "")
        self._merit = NO_MERIT
        self._rows: dict[State, dict[str, bytes]] = {state: {} for state in State if state in TERMINAL}
        self._shapes: dict[tuple[str, ...], int] = {}
        self._names: list[tuple[str, ...]] = []
        self._finite: Counter[str] = Counter()
        self._stale = True
        self._rank_by(primary_metric)

    def state(self) -> tuple[Any, ...]:
        """All results as plain values, for `resume`."""
        self._settle()
        rows = {str(state): rows for state, rows in self._rows.items()}
        ranking = (self._keys.tobytes(), self._orders.tobytes(), self._ids, list(self._unranked))
        return rows, self._names, dict(self._finite), self._ranked_by, ranking, self._configs.state()

    def resume(self, state: tuple[Any, ...]) -> None:
        """Fill an empty board with what `state` gave; the ranking too, if it would be made the same way."""
        rows, names, finite, ranked_by, ranking, configs = state
        self._configs.resume(configs)
        self._rows |= {State(name): results for name, results in rows.items()}
        self._names = names
        self._shapes = {shape: number for number, shape in enumerate(names)}
        self._finite = Counter(finite)
        metric, *settings = ranked_by
        self._rank_by(metric)
        if settings == [self._configured, self._sort]:
            keys, orders, self._ids, unranked = ranking
            self._keys.frombytes(keys)
            self._orders.frombytes(orders)
            self._unranked = dict.fromkeys(unranked)
            self._stale = False

    @property
    def _ranked_by(self) -> tuple[str | None, ...]:
        """All that has a say in the order."""
        return self._metric, self._configured, self._sort

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    @property
    def primary(self) -> PrimaryMetric | None:
        """The metric that ranks, or None while no result holds a number to rank by."""
        self._settle()
        if self._metric is None:
            return None
        available = () if self._ids else tuple(sorted(self._finite)[:_NAMES_SHOWN])
        return PrimaryMetric(self._metric, self._sign > 0, self._configured is not None, available)

    def add(self, result: Result) -> None:
        """Take one terminal outcome; it replaces an earlier one of the same idea.

        Args:
            result: its state is a terminal one, its `order` is greater than that of every result before it.
                Texts are cut at 400 characters.
        """
        self.discard(result.idea_id)
        packed = pack(result, self._shape(result))
        self._rows[result.state][result.idea_id] = packed
        self._changes += 1
        self._configs.join(result.idea_id)
        if result.state in SUCCEEDED:
            self._configs.add(config_key(result), result.idea_id)
            self._count(result.metrics.items(), 1)
            if not self._stale:
                self._place(result.idea_id, unpack(packed))

    def discard(self, idea_id: str) -> None:
        """Forget the result of an idea; nothing happens if there is none."""
        for state, rows in self._rows.items():
            packed = rows.pop(idea_id, None)
            if packed is None:
                continue
            self._changes += 1
            self._configs.part(idea_id)
            if state in SUCCEEDED:
                row = unpack(packed)
                self._configs.discard(row.config, idea_id)
                self._count(zip(self._names[row.shape], row.values, strict=True), -1)
                if not self._stale:
                    self._displace(idea_id, row)

    def top(self, count: int) -> list[Ranked]:
        """Return the best `count` completed results, best first, then those that cannot be ranked.

        Equal values stand in the order in which they were recorded.
        """
        self._settle()
        ranked = [
            Ranked(rank, self._sign * key + 0.0, "", self._result(idea_id))
            for rank, (key, idea_id) in enumerate(zip(self._keys[:count], self._ids[:count], strict=True), 1)
        ]
        rest = map(self._result, islice(self._unranked, max(0, count - len(ranked))))
        return ranked + [Ranked(None, None, _why_unranked(self._metric, result), result) for result in rest]

    def best(self) -> Ranked | None:
        """Return the best of all results, however old, or None if none can be ranked."""
        first = self.top(1)
        return first[0] if first and first[0].rank else None

    def merit(self) -> Merit:
        """Say which configuration is the best, as far as the results can say so.

        Of all configurations the 64 best that ran more than once are looked at, and the 64 best that ran once
        among the best 512 results.
        """
        self._settle()
        if self._judged != (self._changes, self.baseline):
            self._judged = (self._changes, self.baseline)
            found = [*self._configs.best(KEPT), *islice(self._single(), KEPT)]
            self._merit = judge(
                found,
                ascending=self._sign > 0,
                base=self.base(),
                confirm=self._confirm,
                metric=self._metric or "",
            )
        return self._merit

    def config(self, idea_id: str) -> Config | None:
        """The configuration of a result with all its runs; None where that result cannot be ranked."""
        self._settle()
        row = unpack(self._find(idea_id)[1])
        if self._value(row) is None:
            return None
        ids = self._configs.ids(row.config) if row.config else [idea_id]
        config = self._summed(row.config, ids)
        return config and with_interval(config, self.base())

    def is_repeated(self, idea_id: str) -> bool:
        """Whether other results have the configuration of this one."""
        return self._configs.repeated(unpack(self._find(idea_id)[1]).config)

    def place(self, config: Config) -> tuple[float, int]:
        """What configurations are ordered by: the better before the worse, the earlier before the later."""
        return self._sign * config.mean, config.order

    def members(self, group: str) -> list[str]:
        """The members of a group of ideas that have ended, such as idea-3.1 and idea-3.2 of idea-3."""
        return self._configs.members(group)

    def seeds(self, config: str) -> set[int]:
        """The seeds with which a configuration has succeeded."""
        return {unpack(self._find(idea_id)[1]).seed for idea_id in self._configs.ids(config)}

    def twin(self, config: str, seed: int) -> str:
        """The idea that succeeded first with this configuration and seed; empty where none did."""
        ids = self._configs.ids(config) if config else []
        return next((one for one in ids if unpack(self._find(one)[1]).seed == seed), "")

    def _single(self) -> Iterator[Config]:
        """Configurations that ran once, best first."""
        for idea_id in self._ids[:_LOOKED_AT]:
            row = unpack(self._find(idea_id)[1])
            if not self._configs.repeated(row.config):
                config = self._summed(row.config, [idea_id])
                if config:
                    yield config

    def base(self) -> Config | None:
        """The base configuration, where it has results."""
        return self._configs.config(self.baseline) if self.baseline else None

    def _summed(self, key: str, ids: list[str]) -> Config | None:
        """Sum up the results of a configuration that can be ranked."""
        rows = ((idea_id, unpack(self._find(idea_id)[1])) for idea_id in ids)
        values = ((idea_id, row, self._value(row)) for idea_id, row in rows)
        runs = [(row.order, row.seed, idea_id, value) for idea_id, row, value in values if value is not None]
        return config_of(key, runs, ascending=self._sign > 0)

    def ranking(self) -> list[str]:
        """Return the ids of all results that can be ranked, best first."""
        self._settle()
        return list(self._ids)

    def get(self, idea_id: str) -> Result | None:
        """Return how an idea ended, or None if that is not known here."""
        return self._result(idea_id) if any(idea_id in rows for rows in self._rows.values()) else None

    def recent(self, state: State, count: int) -> list[Result]:
        """Return the latest `count` results in a terminal state, latest first."""
        return [self._result(idea_id) for idea_id in islice(reversed(self._rows[state]), count)]

    def history(self) -> History:
        """Return every trial that completed or failed, in the order in which they were recorded."""
        self._settle()
        ids = [*self._ids, *self._unranked, *self._failures()]
        ranked, completed = len(self._ids), len(self._ids) + len(self._unranked)
        orders = [*self._orders, *map(self._order, ids[ranked:])]
        told = History([], [], [])
        best = math.inf
        for index, at in enumerate(sorted(range(len(ids)), key=orders.__getitem__)):
            if at >= completed:
                told.failed.append(index)
            if at >= ranked:
                told.values.append(None)
                continue
            told.values.append(self._sign * self._keys[at] + 0.0)
            if self._keys[at] < best:
                best = self._keys[at]
                told.bests.append((index, ids[at]))
        return told

    def ended(self) -> list[tuple[str, float | None, bool]]:
        """Return every idea that ran, as recorded: its primary metric, and whether it ended well."""
        self._settle()
        bad = [*self._failures(), *self._rows[State.PRUNED]]
        found: list[tuple[int, str, float | None, bool]] = [
            (order, idea_id, self._sign * key + 0.0, True)
            for order, idea_id, key in zip(self._orders, self._ids, self._keys, strict=True)
        ]
        found += [(self._order(idea_id), idea_id, None, True) for idea_id in self._unranked]
        found += [(self._order(idea_id), idea_id, None, False) for idea_id in bad]
        return [row[1:] for row in sorted(found, key=lambda row: row[0])]

    def _failures(self) -> Iterator[str]:
        yield from self._rows[State.FAILED]
        for idea_id, packed in self._rows[State.SKIPPED].items():
            # An idea that was skipped because of another one never ran.
            if unpack(packed).attempt > 0:
                yield idea_id

    def _order(self, idea_id: str) -> int:
        return unpack(self._find(idea_id)[1]).order

    def _find(self, idea_id: str) -> tuple[State, bytes]:
        return next((state, rows[idea_id]) for state, rows in self._rows.items() if idea_id in rows)

    def _settle(self) -> None:
        """Bring the metric and the ranking up to date before they are read."""
        if not self._stale:
            return
        self._rank_by(choose(self._finite) if self._configured is None else self._configured)
        ranking = []
        for idea_id, packed in self._succeeded():
            row = unpack(packed)
            value = self._value(row)
            if value is None:
                self._unranked[idea_id] = None
            else:
                ranking.append((self._sign * value, row.order, idea_id))
        ranking.sort()
        self._keys.extend(key for key, _, _ in ranking)
        self._orders.extend(order for _, order, _ in ranking)
        self._ids.extend(idea_id for _, _, idea_id in ranking)
        self._stale = False

    def _rank_by(self, metric: str | None) -> None:
        """Begin an empty ranking, to be filled from all rows."""
        self._metric = metric
        self._sign = 1.0 if is_ascending(metric or "", self._sort) else -1.0
        self._keys = array("d")
        self._orders = array("q")
        self._ids = list[str]()
        self._unranked = dict[str, None]()
        self._configs.begin(ascending=self._sign > 0)
        self._stale = True

    def _succeeded(self) -> Iterator[tuple[str, bytes]]:
        for state in SUCCEEDED:
            yield from self._rows[state].items()

    def _place(self, idea_id: str, row: Row) -> None:
        value = self._value(row)
        if value is None:
            self._unranked[idea_id] = None
            return
        key = self._sign * value
        at = self._position(key, row.order)
        self._keys.insert(at, key)
        self._orders.insert(at, row.order)
        self._ids.insert(at, idea_id)

    def _displace(self, idea_id: str, row: Row) -> None:
        value = self._value(row)
        if value is None:
            del self._unranked[idea_id]
            return
        at = self._position(self._sign * value, row.order)
        del self._keys[at], self._orders[at], self._ids[at]

    def _position(self, key: float, order: int) -> int:
        first = bisect_left(self._keys, key)
        return bisect_left(self._orders, order, first, bisect_right(self._keys, key, first))

    def _value(self, row: Row) -> float | None:
        """The primary metric, if it is a finite number."""
        names = self._names[row.shape]
        return finite(row.values[names.index(self._metric)]) if self._metric in names else None

    def _count(self, metrics: Iterable[tuple[str, Metric]], change: int) -> None:
        """Keep count of the names with finite numbers; if another metric ranks now, the ranking is stale."""
        before = len(self._finite)
        for name, value in metrics:
            if finite(value) is not None:
                self._finite[name] += change
                if not self._finite[name]:
                    del self._finite[name]
        if self._configured is None and not self._stale and len(self._finite) != before:
            self._stale = choose(self._finite) != self._metric

    def _shape(self, result: Result) -> int:
        """The number of the names that its metrics have."""
        names = tuple(result.metrics)
        shape = self._shapes.get(names)
        if shape is None:
            shape = self._shapes[names] = len(self._names)
            self._names.append(names)
        return shape

    def _result(self, idea_id: str) -> Result:
        state, packed = self._find(idea_id)
        row = unpack(packed)
        return row.result(idea_id, state, self._names[row.shape])


def finite(value: Metric) -> float | None:
    """Return a metric as a float if it is a finite number, else None; a truth value is no number."""
    if type(value) is int:
        value = as_float(value)
    return value if type(value) is float and math.isfinite(value) else None


def _why_unranked(metric: str | None, result: Result) -> str:
    if metric is None or metric not in result.metrics:
        return "missing"
    value = result.metrics[metric]
    if isinstance(value, float | int) and not isinstance(value, bool):
        return number(value)
    return "null" if value is None else "no number"
