"""Learning curves: the best value of one metric by step, from progress.jsonl as it grows; all untrusted."""

from __future__ import annotations

import errno
import math
import os
import stat
from array import array
from bisect import bisect_right
from typing import Final

from orze.attempt.metrics import STEP_NAMES, look_up, parse_progress_line
from orze.report.text import as_float

LINE: Final = "line"  # counts where no name of a step does
_POINTS: Final = 512
_LARGEST: Final = 1 << 53
_CHUNK: Final = 1 << 16  # bytes
_WHOLE: Final = 1 << 24  # bytes of one file; what lies behind them is not read
_NO_FILE: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EACCES}
)


class Curve:
    """The best value so far of one metric, by step, in at most 513 points.

    A line without the metric as a finite number is none of it; of more lines every second, fourth, … and the
    last are kept. The step of a line is the first of `step`, `global_step`, `iteration` and `epoch` that is a
    whole number in every line so far and never decreases, else the number of the line.

    Args:
        metric: its dotted name.
        ascending: whether smaller values are better.
    """

    __slots__ = ("_columns", "_costs", "_every", "_lines", "_sign", "metric")

    def __init__(self, metric: str, *, ascending: bool) -> None:
        self.metric = metric
        self._sign = 1.0 if ascending else -1.0
        self._lines = 0
        self._every = 1
        self._columns = {name: array("q") for name in (*STEP_NAMES, LINE)}
        self._costs = array("d")

    @property
    def axis(self) -> str:
        """What its steps are; curves of two kinds cannot be compared."""
        return next(iter(self._columns))

    @property
    def last(self) -> int:
        """The step that it has reached; -1 where it has no value yet."""
        return self._columns[self.axis][-1] if self._costs else -1

    def cost(self, step: int) -> float | None:
        """Its best value up to a step, negated where larger is better; None where it did not get there."""
        if step > self.last:
            return None
        point = bisect_right(self._columns[self.axis], step)
        return self._costs[point - 1] if point else None

    def value(self, cost: float) -> float:
        """The value that has this cost."""
        return self._sign * cost + 0.0

    def add(self, line: dict[str, object]) -> None:
        """Take in one line of progress."""
        found = look_up(line, self.metric)
        if isinstance(found, bool) or not isinstance(found, int | float):
            return
        cost = self._sign * as_float(found)
        if not math.isfinite(cost):
            return
        passing = self._lines > 0 and (self._lines - 1) % self._every  # the last point is none that stays
        self._lines += 1
        for name in list(self._columns):
            self._extend(name, self._lines if name == LINE else line.get(name))
        self._costs.append(min(cost, self._costs[-1]) if self._costs else cost)
        if passing:
            self._costs.pop(-2)
            for steps in self._columns.values():
                steps.pop(-2)
        elif len(self._costs) > _POINTS:
            self._every *= 2
            self._costs = self._costs[::2]
            self._columns = {name: steps[::2] for name, steps in self._columns.items()}

    def _extend(self, name: str, step: object) -> None:
        steps = self._columns[name]
        if type(step) is int and (steps[-1] if steps else 0) <= step < _LARGEST:
            steps.append(step)
        else:
            del self._columns[name]


class Progress:
    """Follows one progress.jsonl.

    Attributes:
        curve: what was read of it.
        behind: there is more to be read at once.
    """

    __slots__ = ("_ascending", "_metric", "_path", "_read", "_skips", "behind", "curve")

    def __init__(self, path: str, metric: str, *, ascending: bool) -> None:
        self._path = path
        self._metric = metric
        self._ascending = ascending
        self._begin()

    def _begin(self) -> None:
        self.curve = Curve(self._metric, ascending=self._ascending)
        self.behind = True
        self._read = 0
        self._skips = False  # in the middle of a line that is too long

    def read(self) -> bool:
        """Take in what is new, 64 KiB at most; a file that became shorter is read anew.

        Returns:
            Whether there was anything new. A file that is not there, or no plain file, is empty.

        Raises:
            OSError: the share did not answer.
        """
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            self.behind = False
            return False
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                self.behind = False
                return False
            if status.st_size < self._read:
                self._begin()
            data = os.pread(descriptor, max(0, min(_CHUNK, _WHOLE - self._read)), self._read)
        finally:
            os.close(descriptor)
        return self._take(data)

    def _take(self, data: bytes) -> bool:
        end = data.rfind(b"\n") + 1
        self.behind = len(data) == _CHUNK
        if not end:
            if self.behind:
                self._read, self._skips = self._read + len(data), True
            return False
        lines = data[: end - 1].split(b"\n")
        if self._skips:
            del lines[0]
        self._read, self._skips = self._read + end, False
        for line in lines:
            if found := parse_progress_line(line):
                self.curve.add(found)
        return True
