"""What people see: the leaderboard, and report.md, status.json, metrics.prom and progress.svg made of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from orze.core.files import make_dirs
from orze.core.states import SUCCEEDED, State
from orze.farm.attempts import Attempts
from orze.farm.baseline import Baseline
from orze.farm.context import Context
from orze.farm.intake import Intake
from orze.farm.outcomes import Facts
from orze.farm.queue import Queue
from orze.report.columns import read_cells
from orze.report.groups import groups
from orze.report.leaderboard import Leaderboard
from orze.report.merit import Merit
from orze.report.model import Column, HostRow, Problem, Ranked, Result, Running, Snapshot, Waiting
from orze.report.plots import plot_input
from orze.report.primary import has_merit
from orze.report.render import report_md
from orze.report.status import status_json

REPORT, STATUS, METRICS, PICTURE = "report.md", "status.json", "metrics.prom", "progress.svg"
_SHOWN = 50  # lines of each list
_GROUPS = 20
_RECENT = 10  # results in the order in which they came
_LIVE = 200  # attempts whose last line of progress is read for one report
_DEFAULT_COLUMNS = 4
_GB = 1e9


class Board:
    """Collects outcomes and writes what people read.

    Attributes:
        finished: how often the journal told that an idea ended, by state and cause of failure.
        baseline: the base configuration, whose repeats tell how far runs lie apart.
    """

    def __init__(self, context: Context, *, queue: Queue, attempts: Attempts, intake: Intake) -> None:
        self._context = context
        self._queue = queue
        self._attempts = attempts
        self._intake = intake
        report = context.settings.report
        self._report = report
        self._columns = [
            Column(column.key, column.label or "", column.fmt or "", column.source or "")
            for column in report.columns
        ]
        self.leaderboard = Leaderboard(report.primary_metric, report.sort, confirm=report.confirm)
        self.baseline = Baseline(context.settings.base_config)
        self.finished: Counter[tuple[str, str]] = Counter()
        self._recorded = 0
        self._plotted = -1
        self._plotter = 0

    def take(self, outcomes: Iterable[tuple[str, State | None, Facts]]) -> None:
        """Outcomes that the journal tells, in its order; without a state, the last one holds no more."""
        for idea_id, state, facts in outcomes:
            if state is None:
                self.drop(idea_id)
                continue
            self._recorded += 1
            self.finished[str(state), str(facts.get("cause") or "")] += 1
            self.leaderboard.add(result_of(idea_id, state, facts, self._recorded))

    @property
    def recorded(self) -> int:
        """How many outcomes the journal has told; the last of them has this `order`."""
        return self._recorded

    def state(self) -> tuple[Any, ...]:
        """Every result, as plain values for `resume`."""
        return self._recorded, dict(self.finished), self.leaderboard.state()

    def resume(self, state: tuple[Any, ...]) -> None:
        """Take up the results that an earlier process had collected."""
        self._recorded, finished, results = state
        self.finished.update(finished)
        self.leaderboard.resume(results)

    def best_id(self) -> str:
        """The best idea of all; empty where none can be ranked."""
        best = self.leaderboard.best()
        return best.result.idea_id if best else ""

    def merit(self) -> Merit:
        """Which configuration is the best, as far as that can be said."""
        self.leaderboard.baseline = self.baseline.key
        return self.leaderboard.merit()

    def drop(self, idea_id: str) -> None:
        """An outcome holds no more."""
        self.leaderboard.discard(idea_id)

    def snapshot(
        self,
        *,
        iteration: int,
        hosts: Sequence[HostRow],
        leader: str,
        problems: Sequence[Problem],
        free: Sequence[str],
        notices: Sequence[str],
    ) -> Snapshot:
        """Everything that the report tells, as of now."""
        board, merit = self.leaderboard, self.merit()
        columns = self._columns or self._default_columns()
        name = self._context.settings.ideas_file.name
        return Snapshot(
            title=self._report.title,
            generated_at=self._context.clock.wall(),
            iteration=iteration,
            leader=leader,
            primary=board.primary,
            counts=dict(self._queue.counts),
            top=[self._with_cells(ranked, columns) for ranked in board.top(_SHOWN)],
            merit=merit,
            groups=groups(board, _GROUPS, self._queue.members),
            running=self._running(),
            recent=self._recent(),
            failed=board.recent(State.FAILED, _SHOWN),
            skipped=self._skipped(),
            pruned=board.recent(State.PRUNED, _SHOWN),
            held=self._waiting(State.HELD, name),
            quarantined=[
                Waiting(bad.id or "", "", bad.reason, f"{name}:{bad.line}")
                for bad in self._intake.quarantined[:_SHOWN]
            ],
            waiting=self._blocked(name),
            hosts=hosts,
            problems=problems,
            queue_depth=self._queue.depth,
            free_gpus=list(free),
            disk_free_gb=disk_free(self._context.paths.results) / _GB,
            columns=columns,
            notices=notices,
            unfenced=not self._context.settings.doors,
            picture=PICTURE if os.path.exists(self._context.paths.output(PICTURE)) else "",
        )

    def publish(self, snapshot: Snapshot, metrics: bytes) -> None:
        """Write report.md, status.json and metrics.prom; OSError where the share does not take them."""
        files, paths = self._context.files, self._context.paths
        make_dirs(files, paths.out)
        files.replace(paths.output(REPORT), report_md(snapshot).encode())
        files.replace(paths.output(STATUS), status_json(snapshot))
        files.replace(paths.output(METRICS), metrics)
        files.sync_dir(paths.out)
        for name in (REPORT, STATUS, METRICS):
            self._face(name)

    def plot(self) -> None:
        """Start drawing progress.svg in a process of its own, where there is something new to draw."""
        if self._plotter or self._plotted == self._recorded or not len(self.leaderboard):
            return
        self._plotted = self._recorded
        make_dirs(self._context.files, self._context.paths.out)
        source = self._context.paths.output(".progress.json")
        with open(source, "wb") as stream:
            stream.write(plot_input(self.leaderboard, self._report.title))
        null = os.open(os.devnull, os.O_RDWR)
        target = self._context.paths.output(PICTURE)
        argv = [sys.executable, "-P", "-m", "orze.report.plots", source, target]
        try:
            self._plotter = os.posix_spawn(
                sys.executable,
                argv,
                {**os.environ, "PYTHONPATH": _code_root()},
                file_actions=[(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)],
            )
        finally:
            os.close(null)

    @property
    def plotting(self) -> bool:
        """Whether the picture is being drawn."""
        return bool(self._plotter)

    def child_ended(self, pid: int, status: int) -> bool:
        """A child process of the daemon has ended; returns whether there is a new picture for people."""
        if pid != self._plotter:
            return False
        self._plotter = 0
        if status == 0:
            self._face(PICTURE)
        return status == 0

    def _face(self, name: str) -> None:
        path, target = self._context.paths.face(name), f".orze/out/{name}"
        try:
            if os.readlink(path) == target:
                return
        except FileNotFoundError:
            pass
        except OSError:  # a plain farm wrote a file of this name
            shutil.move(path, path + ".before-orze")
        self._context.files.symlink(target, path)
        self._context.files.sync_dir(self._context.paths.results)

    def _with_cells(self, ranked: Ranked, columns: Sequence[Column]) -> Ranked:
        home = self._context.paths.idea(ranked.result.idea_id).home
        cells = read_cells(columns, ranked.result.metrics, home)
        entry = self._queue.get(ranked.result.idea_id)
        edited = entry is not None and entry.edited
        title = f"{ranked.result.title} (edited since it ran)" if edited else ranked.result.title
        repeated = ranked.rank is not None and self.leaderboard.is_repeated(ranked.result.idea_id)
        config = self.leaderboard.config(ranked.result.idea_id) if repeated else None
        return replace(ranked, result=replace(ranked.result, title=title), cells=cells, config=config)

    def _default_columns(self) -> list[Column]:
        """The numbers that the best result has, besides the one that ranks."""
        best = self.leaderboard.best()
        primary = self.leaderboard.primary
        if best is None:
            return []
        names = [
            name
            for name, value in best.result.metrics.items()
            if isinstance(value, int | float) and not isinstance(value, bool) and has_merit(name)
        ]
        return [Column(name) for name in names if not primary or name != primary.name][:_DEFAULT_COLUMNS]

    def _recent(self) -> list[Result]:
        """The latest that ran to an end, good or bad."""
        ended = (*SUCCEEDED, State.FAILED, State.STOPPED, State.PRUNED)
        found = [result for state in ended for result in self.leaderboard.recent(state, _RECENT)]
        return sorted(found, key=lambda result: result.order, reverse=True)[:_RECENT]

    def _running(self) -> list[Running]:
        now = self._context.clock.wall()
        return [
            Running(
                attempt.idea_id,
                self._queue.title(attempt.idea_id),
                attempt.state,
                attempt.host,
                attempt.gpu,
                max(0.0, now - attempt.since),
                attempt.number,
                self._attempts.last_metrics(attempt) if place < _LIVE else "",
            )
            for place, attempt in enumerate(sorted(self._attempts, key=lambda attempt: attempt.since))
            if attempt.claimed
        ]

    def _waiting(self, state: State, name: str) -> list[Waiting]:
        found = []
        for idea_id in self._queue.by_state[state]:
            entry = self._queue.get(idea_id)
            if entry:
                where = f"{name}:{entry.idea.line}" if entry.idea else ""
                found.append(Waiting(idea_id, self._queue.title(idea_id), entry.reason, where))
            if len(found) >= _SHOWN:
                break
        return found

    def _skipped(self) -> list[Result]:
        """Those that failed too often, then those that never ran because another failed."""
        found = list(self.leaderboard.recent(State.SKIPPED, _SHOWN))
        for idea_id in self._queue.by_state[State.SKIPPED]:
            entry = self._queue.get(idea_id)
            if len(found) >= _SHOWN:
                break
            if entry and entry.reason:
                facts = {"title": self._queue.title(idea_id), "error": entry.reason}
                found.append(result_of(idea_id, State.SKIPPED, facts, 0))
        return found

    def _blocked(self, name: str) -> list[Waiting]:
        found = []
        for idea_id in self._queue.blocked():
            entry = self._queue.get(idea_id)
            if entry and entry.idea:
                found.append(Waiting(idea_id, entry.idea.title, entry.reason, f"{name}:{entry.idea.line}"))
            if len(found) >= _SHOWN:
                break
        return found


def disk_free(path: str) -> float:
    """Bytes that an ordinary user may still write where `path` lies."""
    status = os.statvfs(path)
    return float(status.f_bavail * status.f_frsize)


def _code_root() -> str:
    here = os.path.dirname(os.path.abspath(__file__))
    return os.path.dirname(os.path.dirname(here))


def result_of(idea_id: str, state: State, facts: Facts, order: int) -> Result:
    """An outcome of the journal as a row of the leaderboard."""
    metrics = facts.get("metrics")
    return Result(
        idea_id=idea_id,
        title=str(facts.get("title", "")),
        state=state,
        cause=str(facts["cause"]) if facts.get("cause") else None,
        error=str(facts["error"]) if facts.get("error") else None,
        host=str(facts.get("host", "")),
        gpu=str(facts.get("gpu", "")),
        attempt=int(facts.get("attempt", 1)),
        finished_at=float(facts.get("at", "nan")),
        seconds=float(facts.get("seconds", 0.0)),
        metrics=metrics if isinstance(metrics, dict) and state in SUCCEEDED else {},
        order=order,
        config=str(facts.get("config") or ""),
        seed=int(facts.get("seed") or 0),
        commit=str(facts.get("commit") or ""),
    )
