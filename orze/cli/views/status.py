"""`orze status` on a terminal: one screen, whose tables give way to a low window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from orze.cli.output import safe, text
from orze.cli.views.common import cut, degrees, joined, metric_text, percent, section, state_text, table
from orze.client.progress import sparkline
from orze.client.status import Farm, Run, moment_of
from orze.client.told import count_of, number_of, objects_of, text_of
from orze.core.states import State
from orze.report.model import FREE, CardRow, HostRow
from orze.report.text import NOTHING, duration

_GIB = 1024
_SPARK, _SPARK_NARROW = 12, 8  # cells of a curve
_WIDE = 100  # columns from which on titles are shown beside running ideas
_LEAST = 3  # rows that each table keeps in a low window
_HEADINGS = 6  # lines of the two tables that are no rows
_RESULTS, _PROBLEMS = 8, 5
_SENTENCE = 400  # characters of what is said of the best

_ORDER = (State.QUEUED, State.HELD, State.QUARANTINED, State.COMPLETED, State.EVALUATED, State.FAILED)


class StatusView:
    """The farm as a renderable that fits whatever it is rendered on.

    Args:
        farm: what was seen.
        start: the command that starts a daemon, for a farm without one.
        low: whether tables are cut to the height of the window.
        fault: why what is shown is that of an earlier look; empty where it is not.
    """

    def __init__(self, farm: Farm, *, start: str, low: bool = False, fault: str = "") -> None:
        self._farm = farm
        self._start = start
        self._low = low
        self._fault = fault

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render for the size that the terminal has now."""
        farm = self._farm
        hosts = farm.hosts[: max(_LEAST, options.size.height // 4)] if self._low else farm.hosts
        top = [self._head(), *self._warning(), *self._problems(), *_hosts(hosts, len(farm.hosts))]
        yield from top
        rows, results = _slot_rows(farm), objects_of(farm.told.get("recent_results"))
        cards, ended = len(rows), min(_RESULTS, len(results))
        if self._low:
            used = sum(len(console.render_lines(part, options)) for part in top)
            room = options.size.height - used - _HEADINGS
            cards = min(cards, max(_LEAST, room - min(_LEAST, ended)))
            ended = min(ended, max(0, room - cards))
        if cards < len(rows):
            rows.sort(key=lambda row: row[2] is None)  # what runs is shown before what is free
        if rows:
            title = "Cards" if cards == len(rows) else f"Cards ({cards} of {len(rows)})"
            yield section(title, _cards(rows[:cards], wide=options.max_width >= _WIDE))
        if ended:
            yield section("Last results", _results(results[:ended], farm))

    def _head(self) -> RenderableType:
        told = self._farm.told
        leader = text_of(told.get("leader"))
        free = number_of(told.get("disk_free_gb"))
        age = f"told {duration(self._farm.told_s)} ago" if self._farm.told_s is not None else ""
        first = joined(
            [
                (text_of(told.get("title")) or "Farm", "bold"),
                (f"led by {leader}" if leader else "", ""),
                (age, "dim"),
                (
                    f"{free:.0f} GB free" if free is not None else "",
                    "red" if free is not None and free < 1 else "",
                ),
            ]
        )
        return Group(first, _counts(told), *_best(told))

    def _warning(self) -> list[RenderableType]:
        farm = self._farm
        if self._fault:
            return [text(f"this was true a while ago: {self._fault}", "bold red")]
        if farm.attended:
            return []
        heard = (
            "no daemon has run here yet"
            if farm.heard_s is None
            else f"no daemon has written since {duration(farm.heard_s)}"
        )
        return [text(f"{heard}: start one with {self._start}", "bold red")]

    def _problems(self) -> Iterable[RenderableType]:
        told = self._farm.told
        lines = [text_of(problem.get("text")) for problem in objects_of(told.get("problems"))]
        lines += [
            f"{text_of(bad.get('where'))}: {text_of(bad.get('reason'))}"
            for bad in objects_of(told.get("quarantined"))
        ]
        lines += [f"{host.name}: {problem}" for host in self._farm.hosts for problem in host.problems]
        if self._farm.attended:
            silent = [host for host in self._farm.hosts if not host.alive]
            lines += [f"{host.name} is silent for {duration(host.seen_s)}" for host in silent]
        if not lines:
            return
        shown = [text(f"• {line}", "yellow", limit=240) for line in lines[:_PROBLEMS]]
        more = len(lines) - len(shown)
        yield section("Problems", *shown, *([text(f"… and {more} more: orze report")] if more else []))


def _counts(told: dict[str, Any]) -> Text:
    states = told.get("states")
    counts = (
        {str(name): count_of(number) for name, number in states.items()} if isinstance(states, dict) else {}
    )
    running = len(objects_of(told.get("active")))
    named = [*_ORDER, *(state for state in State if state not in _ORDER)]
    parts = [(f"{running} running", "cyan" if running else "")]
    for state in named:
        if counts.get(state) and state not in (State.CLAIMED, State.TRAINING, State.EVALUATING):
            style = {"FAILED": "red", "QUARANTINED": "yellow", "HELD": "yellow"}.get(state, "")
            parts.append((f"{counts[state]} {state.lower()}", style))
    return joined(parts) if counts or running else Text("no ideas yet")


def _best(told: dict[str, Any]) -> list[RenderableType]:
    best = told.get("best")
    if isinstance(best, dict) and (sentence := text_of(best.get("sentence"))):
        return [text(sentence, "green" if best.get("verdict") == "best" else "", limit=_SENTENCE)]
    primary = told.get("primary_metric")
    first = next(iter(objects_of(told.get("top_results"))), {})
    value = number_of(first.get("value"))
    if not isinstance(primary, dict) or value is None:
        return []
    idea = f"{text_of(first.get('idea_id'))} {text_of(first.get('title'))}"
    return [
        joined([(f"best {text_of(primary.get('name'))} {metric_text(value)}", "green"), (safe(idea, 60), "")])
    ]


def _hosts(hosts: Sequence[HostRow], total: int) -> list[RenderableType]:
    made = table("", "", "", "")
    for host in hosts:
        kinds = Counter(card.name for card in host.cards)
        cards = ", ".join(f"{count} × {name}" for name, count in kinds.items()) or "no cards"
        marks = ["leads"] * (host.leader and host.alive) + [f"cards {host.cards_asked}"] * bool(
            host.cards_asked
        )
        state = f"silent {duration(host.seen_s)}" if not host.alive else host.state
        made.add_row(
            text(host.name, "bold", limit=24),
            text(state, {"alive": "green", "silent": "red"}.get(host.state, "yellow")),
            text(", ".join(marks), "cyan", limit=24),
            text(f"{cards}; {_slots(host)}", limit=60),
        )
    more = [text(f"… and {total - len(hosts)} more", "dim")] if total > len(hosts) else []
    return [section("Hosts", made, *more)] if hosts else []


def _slots(host: HostRow) -> str:
    drained = f", {host.drained_slots} drained" if host.drained_slots else ""
    return f"{host.running} run, {host.free} free{drained}"


def _slot_rows(farm: Farm) -> list[tuple[str, CardRow | None, Run | None, bool]]:
    """Host, card and what runs there, for each slot; then what runs where no daemon tells of the card.

    The last member is false on the further slots of an attempt that has several.
    """
    runs = {(run.host, run.idea_id): run for run in farm.runs}
    shown: set[tuple[str, str]] = set()
    rows: list[tuple[str, CardRow | None, Run | None, bool]] = []
    for host in farm.hosts:
        for card in host.cards:
            key = (host.name, card.state)
            run = runs.get(key)
            rows.append((host.name, card, run, key not in shown))
            if run:
                shown.add(key)
    return rows + [(run.host, None, run, True) for key, run in runs.items() if key not in shown]


def _cards(rows: Sequence[tuple[str, CardRow | None, Run | None, bool]], *, wide: bool) -> Table:
    cards = [card for _, card, _, _ in rows if card]
    measured = any(card.memory_total_mib is not None for card in cards)
    numbers = ["memory", "use", "temp"] if measured else []
    names = ["host", "card", *numbers, "runs", "for", "last", "progress", *(["title"] if wide else [])]
    elastic = ("runs", "last", "title")
    made = table(*names, right=("memory", "use", "temp", "for"), elastic=elastic)
    before = ""
    for host, card, run, first in rows:
        cells = [
            text(host if host != before else "", limit=20),
            text(card.key if card else run.gpu if run else "", limit=12),
        ]
        before = host
        if measured:
            cells += _measures(card)
        cells += _doing(card, run, first=first, cells=_SPARK if wide else _SPARK_NARROW)
        if wide:
            cells.append(cut(text(run.title if run and first else "", limit=60)))
        made.add_row(*cells)
    return made


def _measures(card: CardRow | None) -> list[Text]:
    if card is None:
        return [Text(NOTHING)] * 3
    used, total = card.memory_used_mib, card.memory_total_mib
    memory = NOTHING if used is None or total is None else f"{used / _GIB:.0f}/{total / _GIB:.0f}G"
    hot = card.temperature is not None and card.temperature >= 85
    return [
        text(memory),
        text(percent(card.utilization)),
        text(degrees(card.temperature), "red" if hot else ""),
    ]


def _doing(card: CardRow | None, run: Run | None, *, first: bool, cells: int) -> list[Text]:
    """What runs, for how long, its last metric and its curve."""
    if run is None:
        state = card.state if card else ""
        return [
            cut(text(state, "green" if state == FREE else "dim", limit=40)),
            Text(""),
            Text(""),
            Text(""),
        ]
    name = text(run.idea_id, "cyan")
    if not first:
        return [name, Text(""), Text(""), Text("")]
    curve = run.curve
    shown = next((f"{key}={metric_text(value)}" for key, value in curve.last), run.last or run.state.lower())
    return [
        name,
        text(duration(run.elapsed_s)),
        cut(text(shown, limit=24)),
        text(sparkline(curve.values, cells), "cyan"),
    ]


def _results(results: Sequence[dict[str, Any]], farm: Farm) -> Table:
    primary = farm.told.get("primary_metric")
    metric = (text_of(primary.get("name")) if isinstance(primary, dict) else "") or "metric"
    names = ("idea", "state", metric, "took", "ended", "title")
    made = table(*names, right=(metric, "took", "ended"), elastic=("title",))
    written = moment_of(farm.told.get("timestamp"))
    for result in results:
        value = number_of(result.get("value"))
        ended = moment_of(result.get("finished_at"))
        ago = NOTHING if ended is None or written is None else duration(max(0.0, written - ended))
        seconds = number_of(result.get("seconds"))
        made.add_row(
            text(text_of(result.get("idea_id")), limit=24),
            state_text(text_of(result.get("state"))),
            text(
                metric_text(value) if value is not None else text_of(result.get("cause")) or NOTHING, limit=18
            ),
            text(NOTHING if seconds is None else duration(seconds)),
            text(f"{ago} ago" if ago != NOTHING else NOTHING),
            cut(text(text_of(result.get("title")), limit=60)),
        )
    return made
