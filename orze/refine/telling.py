"""The steps of a session as a prompt tells them: each result beside the change that it came from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from orze.refine.model import BASELINE, Ended, Outcome, Step, Try, Verdict
from orze.report.text import number
from orze.research.quoting import one_line, short

HEAD: Final = "step | from | change | hypothesis | result | verdict"
_NEWEST: Final = 8  # rows in full
_FULL: Final = 420  # bytes of the longest cell of these
_BRIEF: Final = 110  # of older ones
_DETAILS: Final = 3  # of the newest steps, and the best
_LOGS: Final = 2
_METRICS: Final = 700  # bytes
_FILES: Final = 6
_NO_FAILURE: Final = frozenset({Ended.COMPLETED, Ended.STOPPED})


class Told(NamedTuple):
    """Something that is told at length: its title, and lines."""

    title: str
    text: str


class Telling:
    """Tells of steps.

    Args:
        steps: in their order.
        best: the number of the best one.
        metric: the primary one.
    """

    def __init__(self, steps: Sequence[Step], best: int | None, metric: str) -> None:
        self._steps = {step.number: step for step in steps}
        self._judged = [step for step in steps if step.verdict is not None]
        self._best = best
        self._metric = metric
        self._by_commit = {
            commit: step.number
            for step in steps
            for commit in (step.commit, *(one.commit for one in step.tries))
            if commit
        }

    def origin(self, commit: str) -> str:
        """The step that a commit belongs to, or else the commit."""
        found = self._by_commit.get(commit)
        return commit[:12] if found is None else str(found)

    def rows(self, room: int) -> list[str]:
        """The judged steps in a row each, below a head; of the oldest only how many, where room is short.

        Args:
            room: bytes of all together.
        """
        first = [step for step in self._judged if step.number in (BASELINE, self._best)]
        older = [step for step in reversed(self._judged) if step not in first]
        in_full = {step.number for step in (*first, *older[:_NEWEST])}
        told: list[tuple[int, str]] = []
        room -= len(HEAD) + 200  # of the row that counts the others
        waiting = [*first, *older]
        while waiting:
            step = waiting[0]
            line = self._row(step, _FULL if step.number in in_full else _BRIEF)
            if (room := room - len(line.encode()) - 1) < 0:
                break
            told.append((step.number, line))
            del waiting[0]
        lines = [line for _, line in sorted(told)]
        rest = [_left_out(waiting)] if waiting else []
        return [HEAD, *lines[:1], *rest, *lines[1:]] if lines or rest else ["nothing yet"]

    def _row(self, step: Step, longest: int) -> str:
        cells = (
            str(step.number),
            "–" if step.number == BASELINE else self.origin(step.parent),
            self.change(step),
            _hypothesis(step) or "–",
            self.result(step),
            verdict(step),
        )
        return " | ".join(one_line(cell, longest).replace("|", "¦") for cell in cells)

    def change(self, step: Step) -> str:
        """What a step changes, in few words: the files, and the command where it is another."""
        if step.number == BASELINE:
            return "none: the project as it is"
        last = step.last or Try(0)
        words = list(last.files[:_FILES])
        if len(last.files) > _FILES:
            words.append(f"{len(last.files) - _FILES} more files")
        parent = self._steps.get(self._by_commit.get(step.parent, BASELINE))
        before = parent.last.command if parent and parent.last else ""
        if last.command and last.command != before:
            words.append(f"command: {last.command}")
        return ", ".join(words) or "none"

    def result(self, step: Step) -> str:
        """What came of a step."""
        if step.outcome is not None:
            return result(step.outcome, self._metric)
        faults = step.last.faults if step.last else ()
        return f"no run: {faults[0]}" if faults else "no run"

    def details(self, diff: Callable[[str, str], str], room: int) -> list[Told]:
        """The newest steps and the best at length, with what they changed.

        Args:
            diff: the difference between two commits.
            room: bytes of one difference.
        """
        steps = [step for step in self._judged if step.number != BASELINE]
        best = [step for step in steps[:-_DETAILS] if step.number == self._best]
        return [self._detail(step, diff, room) for step in (*best, *steps[-_DETAILS:])]

    def _detail(self, step: Step, diff: Callable[[str, str], str], room: int) -> Told:
        lines = [
            f"hypothesis: {one_line(_hypothesis(step), 1000) or '–'}",
            f"change: {one_line(self.change(step), 1000)}",
            f"result: {one_line(self.result(step), 600)}",
        ]
        if metrics := _metrics(step.outcome):
            lines.append(f"all metrics: {metrics}")
        lines.append(f"verdict: {one_line(verdict(step), 600)}")
        commit = step.commit or (step.last.commit if step.last else "")
        if commit and step.last and step.last.files:
            lines += ["", _shortened(diff(step.parent, commit), room)]
        best = ", the best so far" if step.number == self._best else ""
        return Told(f"Step {step.number}, from step {self.origin(step.parent)}{best}", "\n".join(lines))

    def failures(self) -> list[Told]:
        """The useful lines of the logs of the last runs that gave no value, newest last."""
        failed = [
            (step, step.outcome)
            for step in self._steps.values()
            if step.outcome and step.outcome.ended not in _NO_FAILURE and step.outcome.tail
        ]
        return [
            Told(f"Step {step.number}: {one_line(result(outcome, self._metric), 300)}", outcome.tail)
            for step, outcome in failed[-_LOGS:]
        ]

    def being_tried(self, but: int) -> list[str]:
        """A line for each open step that has a proposal, but for one."""
        return [
            one_line(f"step {step.number}: {self.change(step)}: {_hypothesis(step)}", _FULL)
            for step in self._steps.values()
            if step.verdict is None and step.number not in (but, BASELINE) and _hypothesis(step)
        ]


def result(outcome: Outcome, metric: str) -> str:
    """What came of a run, in few words."""
    if outcome.value is None:
        ended = outcome.ended.replace("_", " ")
        return f"{ended}: {outcome.error}" if outcome.error else ended
    told = f"{metric} {number(outcome.value)}"
    if len(outcome.values) > 1:
        told += f" (mean of {', '.join(number(value) for value in outcome.values[:8])})"
    return told


def verdict(step: Step) -> str:
    """The verdict on a step, with its reason."""
    if step.verdict is None:
        return "open"
    return f"{step.verdict}: {step.reason}" if step.reason else str(step.verdict)


def _hypothesis(step: Step) -> str:
    return step.last.hypothesis if step.last else ""


def _metrics(outcome: Outcome | None) -> str:
    """All metrics as JSON, as many as there is room for; empty where there is but the primary one."""
    if outcome is None or len(outcome.metrics) < 2:
        return ""
    told: Mapping[str, object] = short(dict(outcome.metrics))
    while len((text := json.dumps(told, ensure_ascii=False)).encode()) > _METRICS:
        told = dict(list(told.items())[: len(told) // 2])
    return text if told else ""


def _shortened(text: str, room: int) -> str:
    """The first lines of a text, and how many there are more."""
    data = text.encode("utf-8", "replace")
    if len(data) <= room:
        return text.rstrip("\n")
    lines = data[:room].decode(errors="ignore").split("\n")[:-1]
    return "\n".join([*lines, f"[… {text.count(chr(10)) - len(lines)} more lines]"])


def _left_out(steps: Sequence[Step]) -> str:
    counts = Counter(step.verdict or Verdict.STOPPED for step in steps)
    told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    return f"… | … | {len(steps)} older steps are not shown: {told}"
