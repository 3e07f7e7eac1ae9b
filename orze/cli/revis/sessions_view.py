"""Sessions on a terminal: how each stands, and all of them as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orze.cli.output import text
from orze.cli.views.common import facts, metric_text, table, when
from orze.refine.story import INTERRUPTED, RUNNING, Standing, change_of
from orze.report.text import NOTHING, counted, number

_STYLES = {
    RUNNING: "cyan",
    "target reached": "green",
    INTERRUPTED: "yellow",
    "failed": "red",
    "diverged": "red",
}


def standings_view(sessions: Sequence[Standing], now: Sequence[Sequence[str]], fault: str) -> RenderableType:
    """Sessions below one another.

    Args:
        now: for each what its open steps are doing.
        fault: why what is shown is that of an earlier look; empty where it is not.
    """
    parts: list[RenderableType] = []
    if fault:
        parts.append(text(f"this was true a while ago: {fault}", "bold red"))
    if not sessions:
        parts.append(text("there are no sessions: revis loop --name NAME begins one", "dim"))
    for session, doing in zip(sessions, now, strict=True):
        parts += [Text(""), standing_view(session, doing)] if parts else [standing_view(session, doing)]
    return Group(*parts)


def standing_view(session: Standing, doing: Sequence[str]) -> RenderableType:
    """One session at a glance."""
    return Group(_head(session), facts(_facts(session, doing)))


def titled(name: str, told: Text) -> Text:
    """A name, and what is told of it on the same line."""
    line = Text().append_text(text(name, "bold"))
    return line.append("  ").append_text(told)


def state_of(session: Standing) -> Text:
    """Its state, and where it runs, in colour."""
    where = f" {'' if session.where == 'here' else 'on '}{session.where}" if session.where else ""
    return text(session.state + where, _STYLES.get(session.state, "yellow"))


def best_of(session: Standing) -> str:
    """The best step, its value and what was won; empty before the baseline has a value."""
    if session.best is None or session.best_value is None:
        return ""
    told = f"step {session.best}: {session.metric} {number(session.best_value)}"
    if session.best == 0:
        return f"the baseline: {session.metric} {number(session.best_value)}"
    if session.baseline is not None:
        told += f", {change_of(session.best_value, session.baseline)} against the baseline"
    return told


def noise_of(session: Standing) -> str:
    """What luck is worth; empty where nobody knows."""
    return (
        f"single runs vary by ± {number(session.noise)} (standard deviation)"
        if session.noise is not None
        else ""
    )


def budget_of(session: Standing) -> str:
    """What is used of it."""
    told = " · ".join(use.told for use in session.uses)
    return told + (f" · {counted(session.unpriced, 'answer')} of unknown price" if session.unpriced else "")


def list_view(sessions: Sequence[Standing]) -> RenderableType:
    """All sessions, one a line."""
    if not sessions:
        return text("there are no sessions: revis loop --name NAME begins one", "dim")
    made = table("name", "state", "kept", "best", "change", "last heard", right=("kept", "change"))
    for one in sessions:
        made.add_row(*_row(one))
    return made


def _row(one: Standing) -> list[Text]:
    change = NOTHING
    if one.change is not None and one.baseline:
        change = f"{one.change / abs(one.baseline):+.0%}" if one.best else NOTHING
    value = NOTHING if one.best_value is None else f"{one.metric}={metric_text(one.best_value)}"
    return [
        text(one.name, "bold", limit=24),
        state_of(one),
        text(f"{one.kept} of {one.steps}"),
        text(value, limit=28),
        text(change),
        text(when(one.last)),
    ]


def _head(session: Standing) -> Text:
    return titled(session.name, state_of(session))


def _facts(session: Standing, doing: Sequence[str]) -> list[tuple[str, RenderableType | None]]:
    noise, best = noise_of(session), best_of(session)
    steps = f"{session.steps}, {session.kept} of them kept"
    won = best and session.best
    return [
        ("best", text(best, "green" if won else "") if best else None),
        ("noise", text(noise) if noise else None),
        ("steps", text(steps if session.steps else "none yet")),
        ("used", text(budget_of(session))),
        ("ended", text(session.sentence) if session.sentence else None),
        ("now" if session.where else "left at", _lines(doing) if doing else None),
        ("next", text(next_of(session)) if next_of(session) else None),
    ]


def next_of(session: Standing) -> str:
    """What to type; empty where nothing is needed."""
    if session.state == INTERRUPTED:
        return f"its loop does not run: revis resume {session.name}"
    return ""


def _lines(lines: Sequence[str]) -> Table:
    made = Table.grid()
    made.add_column(overflow="fold")
    for line in lines:
        made.add_row(text(line))
    return made
