"""`orze compare` on a terminal: ideas as columns, what differs as rows."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from orze.cli.output import text
from orze.cli.views.common import metric_text, section, state_text, table, value_text
from orze.client.differ import Row, differing
from orze.client.whole import Whole

_NAME = 26  # cells of the names of rows, at most
_CELL = 14  # cells of a value, at least; it gets more where there is room
_GAP = 2


class CompareView:
    """Ideas side by side, as many as fit beside one another, then the next ones below."""

    def __init__(self, ideas: Sequence[Whole]) -> None:
        self._ideas = ideas

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as many ideas a block as the width takes."""
        at_once = max(1, (options.max_width - _NAME) // (_CELL + _GAP))
        configs = differing([idea.config.merged for idea in self._ideas])
        metrics = differing([idea.metrics for idea in self._ideas])
        for begin in range(0, len(self._ideas), at_once):
            chosen = range(begin, min(begin + at_once, len(self._ideas)))
            if begin:
                yield Text("")
            yield _block(
                self._ideas, chosen, configs, metrics, (options.max_width - _NAME) // len(chosen) - _GAP
            )
        yield from _notes(self._ideas)


def _block(
    ideas: Sequence[Whole], chosen: Sequence[int], configs: Sequence[Row], metrics: Sequence[Row], cells: int
) -> RenderableType:
    names = [ideas[index].idea_id for index in chosen]
    made: Table = table("", *names)
    made.columns[0].max_width = _NAME
    made.add_row(text("title", "dim"), *(text(ideas[index].title, limit=cells) for index in chosen))
    made.add_row(text("state", "dim"), *(state_text(ideas[index].state) for index in chosen))
    if any(idea.rank for idea in ideas):
        made.add_row(text("rank", "dim"), *(text(_rank(ideas[index])) for index in chosen))
    _rows(made, "configuration", configs, chosen, cells)
    _rows(made, "metrics", metrics, chosen, cells, metric=True)
    return made


def _rows(
    made: Table, heading: str, rows: Sequence[Row], chosen: Sequence[int], cells: int, *, metric: bool = False
) -> None:
    made.add_row(Text(""))
    made.add_row(text(heading if rows else f"{heading}: the same", "bold"))
    write = metric_text if metric else value_text
    for row in rows:
        made.add_row(
            text(row.name, limit=200), *(text(write(row.values[i]), limit=max(cells, 4)) for i in chosen)
        )


def _rank(idea: Whole) -> str:
    return f"{idea.rank.place} of {idea.rank.of}" if idea.rank and idea.rank.place else "–"


def _notes(ideas: Sequence[Whole]) -> list[RenderableType]:
    faults = [text(f"{idea.idea_id}: {idea.config.fault}", "yellow") for idea in ideas if idea.config.fault]
    return [section("Notes", *faults)] if faults else []
