"""`orze show` on a terminal: one idea from its heading to its files."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orze.cli.output import safe, text
from orze.cli.views.common import facts, from_here, metric_text, section, state_text, table, value_text, when
from orze.client.differ import Row, changed, rows
from orze.client.groups import Member
from orze.client.story import Attempt
from orze.client.whole import Whole
from orze.core.states import SUCCEEDED
from orze.ideas.model import Priority
from orze.report.text import NOTHING, duration, size

_LINES = 60  # of a section that are shown
_FILES, _ROWS = 30, 60
_DIGEST = 16  # digits of a digest that are shown
_SHOWN = ("git_commit", "git_dirty", "python", "packages_sha256", "driver", "platform", "gpu")


def idea_view(whole: Whole, parent: Whole | None) -> RenderableType:
    """Everything of one idea.

    Args:
        parent: the same of the idea that it builds on; None where it names none that is known.
    """
    parts: list[RenderableType] = [_head(whole), _facts(whole)]
    if whole.members:
        parts.append(section("Members", _members(whole.members)))
    if whole.attempts:
        parts.append(section("Attempts", _attempts(whole.attempts)))
    if whole.metrics:
        parts.append(section("Metrics", _metrics(whole, parent)))
    parts += _configs(whole, parent)
    if whole.environment:
        parts.append(section("Environment", _environment(whole)))
    if whole.files:
        parts.append(section("Files", text(from_here(whole.directory), "dim"), _files(whole.files)))
    if whole.section:
        parts.append(section("Section", *_section(whole.section)))
    return Group(*parts)


def changes(found: Sequence[Row], before: str, after: str) -> Table:
    """What one configuration changes in another, one name a row."""
    made = table("", before, after, wide=(before, after))
    for row in found[:_ROWS]:
        old, new = (text(value_text(value)) for value in row.values)
        made.add_row(text(row.name, limit=60), old, new)
    if len(found) > _ROWS:
        made.add_row(text(f"… and {len(found) - _ROWS} more"), Text(""), Text(""))
    return made


def _head(whole: Whole) -> Text:
    line = text(whole.idea_id, "bold")
    line.append("  ")
    line.append_text(text(whole.title, "bold", limit=200))
    return line


def _facts(whole: Whole) -> Table:
    idea, rank = whole.idea, whole.rank
    state = state_text(whole.state)
    if whole.reason:
        state.append(": ")
        state.append_text(text(whole.reason))
    if whole.edited:
        state.append(" (its section was edited since it ran)", "yellow")
    place = None
    if rank:
        position = f"{rank.place} of {rank.of}" if rank.place else "without a rank"
        better = "lower" if rank.ascending else "higher"
        place = text(f"{position} by {rank.metric} ({better} is better)")
    return facts(
        [
            ("state", state),
            ("rank", place),
            ("where", _maybe(whole.where)),
            ("priority", _maybe(Priority(idea.priority).name.lower() if idea else "")),
            ("category", _maybe(idea.category if idea else "")),
            ("parent", _maybe(whole.parent)),
            ("after", _maybe(", ".join(idea.after) if idea else "")),
            ("hosts", _maybe(", ".join(idea.hosts) if idea else "")),
            ("gpus", _maybe(str(idea.gpus) if idea and idea.gpus != 1 else "")),
            ("timeout", _maybe(duration(idea.timeout) if idea and idea.timeout else "")),
            ("hypothesis", _maybe(idea.hypothesis if idea else "")),
        ]
    )


def _maybe(value: str) -> Text | None:
    return text(value) if value else None


def _members(members: Sequence[Member]) -> Table:
    made = table("", "state", "result", "", right=("result",), wide=("",))
    for member in members[:_ROWS]:
        value = "" if member.value is None else metric_text(member.value)
        told = text(member.title, limit=120)
        if member.reason:
            told.append(f": {safe(member.reason)}", "dim")
        made.add_row(text(member.idea_id), state_text(member.state or ""), text(value), told)
    if len(members) > _ROWS:
        made.add_row(text(f"… and {len(members) - _ROWS} more"), Text(""), Text(""), Text(""))
    return made


def _attempts(attempts: Sequence[Attempt]) -> RenderableType:
    parts: list[RenderableType] = []
    made = table("", "ran on", "began (UTC)", "took", "ended as", right=("took",), wide=("ended as",))
    for attempt in attempts:
        end = state_text(attempt.state)
        if attempt.cause:
            retried = attempt.state not in SUCCEEDED and attempt.state == "QUEUED"
            end = text(f"{attempt.cause}, queued again" if retried else attempt.cause, "red")
        if attempt.error:
            end.append(": ")
            end.append_text(text(attempt.error))
        if attempt.retried:
            end.append(" (retried by request)", "dim")
        took = NOTHING if attempt.seconds is None else duration(attempt.seconds)
        place = f"{attempt.host}:{attempt.gpu}" if attempt.gpu else attempt.host
        made.add_row(text(attempt.number), text(place, limit=24), text(when(attempt.began)), text(took), end)
    parts.append(made)
    return Group(*parts)


def _metrics(whole: Whole, parent: Whole | None) -> Table:
    against = parent if parent and parent.metrics else None
    sides = [whole.metrics, against.metrics] if against else [whole.metrics]
    names = [whole.idea_id, *([against.idea_id] if against else [])]
    made = table("", *names, right=names)
    for row in rows(sides)[:_ROWS]:
        first = whole.rank is not None and row.name == whole.rank.metric
        values = [text(metric_text(value), "bold" if first else "", limit=40) for value in row.values]
        made.add_row(text(row.name, "bold" if first else "", limit=60), *values)
    return made


def _configs(whole: Whole, parent: Whole | None) -> list[RenderableType]:
    config = whole.config
    if config.fault:
        return [section("Configuration", text(config.fault, "yellow"))]
    ran = "as it ran" if config.ran else "as it would run now"
    found = changed(config.base, config.merged)
    parts: list[RenderableType] = [
        section(f"Configuration, {ran}: what differs from the base", _or_nothing(found, "base", whole))
    ]
    if parent and not parent.config.fault:
        found = changed(parent.config.merged, config.merged)
        parts.append(
            section(
                f"What differs from its parent {parent.idea_id}", _or_nothing(found, parent.idea_id, whole)
            )
        )
    rest = {name: value for name, value in config.merged.items() if name in config.base}
    same = [name for name in rest if value_text(rest[name]) == value_text(config.base[name])]
    if same:
        told = ", ".join(f"{name}={value_text(rest[name], 40)}" for name in same[:_ROWS])
        parts.append(section("As in the base", text(told, "dim")))
    return parts


def _or_nothing(found: Sequence[Row], before: str, whole: Whole) -> RenderableType:
    return changes(found, before, whole.idea_id) if found else text("nothing", "dim")


def _environment(whole: Whole) -> Table:
    known = {name: whole.environment[name] for name in _SHOWN if whole.environment.get(name) is not None}
    told = [
        (name, value_text(value, _DIGEST if name.endswith("sha256") else 200))
        for name, value in known.items()
    ]
    argv = whole.environment.get("argv")
    if isinstance(argv, list):
        told.append(("command", " ".join(str(word) for word in argv)))
    return facts([(name, text(value, limit=400)) for name, value in told])


def _files(files: Sequence[tuple[str, int | None]]) -> Table:
    made = table("name", "size", right=("size",))
    for name, count in files[:_FILES]:
        shown = (name, size(count)) if count is not None else (f"{name}/", "")
        made.add_row(text(shown[0], limit=100), text(shown[1]))
    if len(files) > _FILES:
        made.add_row(text(f"… and {len(files) - _FILES} more"), Text(""))
    return made


def _section(told: str) -> list[RenderableType]:
    lines = told.rstrip().splitlines()
    shown: list[RenderableType] = [_indented(line) for line in lines[:_LINES]]
    if len(lines) > _LINES:
        shown.append(text(f"… and {len(lines) - _LINES} more lines", "dim"))
    return shown


def _indented(line: str) -> Text:
    """A line with its indentation, which is part of what it says."""
    body = line.lstrip(" ")
    made = Text(" " * min(40, len(line) - len(body)))
    made.append_text(text(body, limit=400))
    return made


def explanation_view(headline: str, because: Sequence[str], change: Sequence[str]) -> RenderableType:
    """An explanation: what is, why, and what would change it."""
    parts: list[RenderableType] = [text(headline, "bold")]
    parts += [_bullet(line) for line in because]
    if change:
        parts.append(section("What would change that", *(_bullet(line) for line in change)))
    return Group(*parts)


def _bullet(line: str) -> Table:
    made = Table.grid(padding=(0, 1, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    made.add_row(Text(" -"), text(line))
    return made
