"""report.md from a snapshot: a pure function, the same bytes for the same snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from orze.core.states import SUCCEEDED, State
from orze.report.advice import HELD, QUARANTINED, RETRY, UNFENCED, advice
from orze.report.merit import Config, sentence_of, value_of
from orze.report.model import Group, HostRow, PrimaryMetric, Ranked, Result, Snapshot, Waiting
from orze.report.research import arm_cells, research_lines
from orze.report.text import NOTHING, Markdown, clean, duration, md, minute, short_commit, width

if TYPE_CHECKING:
    from jinja2 import Template

_TITLE = 48
_REASON = 160
_SENTENCE = 300
_VERDICT = 600
_ROWS = 200
_GIB = 1024


class _Right(str):
    """The label of a column of numbers."""

    __slots__ = ()


_RUN = (_Right("attempt"), "ran on", _Right("took"), "ended (UTC)")


def report_md(snapshot: Snapshot) -> str:
    """Render report.md.

    Args:
        snapshot: all that is told; none of its texts is trusted.

    Returns:
        GitHub-flavoured Markdown whose tables are aligned for a terminal as well, ending in a newline.
        Sections that have nothing to tell are left out.
    """
    return _template().render(
        farm=snapshot,
        best=_best(snapshot),
        ranking=_ranking(snapshot.primary),
        counts=_counts(snapshot),
        resources=_resources(snapshot),
        notices=[*snapshot.notices, *[UNFENCED] * snapshot.unfenced],
        attention=_attention(snapshot),
        total={state.name: snapshot.counts.get(state, 0) for state in State},
        leaderboard=_leaderboard(snapshot),
        groups=[_group(group) for group in snapshot.groups],
        unevaluated=[
            (r.result.idea_id, md(r.result.title, _TITLE), md(r.result.error, _REASON))
            for r in snapshot.top
            if r.result.error
        ],
        running=_running(snapshot),
        failed=[_failed(result) for result in snapshot.failed],
        advice=[(cause, advice(cause)) for cause in sorted({r.cause or "unknown" for r in snapshot.failed})],
        retry=RETRY,
        skipped=[_skipped(result) for result in snapshot.skipped],
        pruned=[_pruned(result) for result in snapshot.pruned],
        held_help=HELD,
        held=[_waiting(idea) for idea in snapshot.held],
        quarantined_help=QUARANTINED,
        quarantined=[(where, *rest) for *rest, where in map(_waiting, snapshot.quarantined)],
        waiting=[_waiting(idea) for idea in snapshot.waiting],
        hosts=[_host(host) for host in snapshot.hosts],
        cards=[row for host in snapshot.hosts for row in _cards(host)],
        research=research_lines(snapshot.research) if snapshot.research else [],
        arms=[arm_cells(arm) for arm in snapshot.research.arms] if snapshot.research else [],
        problems=[(minute(problem.since), md(problem.text, _SENTENCE)) for problem in snapshot.problems],
    )


def table(labels: Sequence[str], rows: Sequence[Sequence[object]]) -> Markdown:
    """Write a table of GitHub-flavoured Markdown that is aligned in a terminal too.

    Args:
        labels: one a column.
        rows: one value a column; every value is escaped by `md`.

    Returns:
        The lines of the table, without a newline at the end.
    """
    right = [isinstance(label, _Right) for label in labels]
    cells = [[md(cell) for cell in row] for row in (labels, *rows)]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(_pad, row, widths, right)) + " |" for row in cells]
    rule = ["-" * (size + 1) + (":" if end else "-") for size, end in zip(widths, right, strict=True)]
    lines.insert(1, "|" + "|".join(rule) + "|")
    return Markdown("\n".join(lines))


def _listing(labels: Sequence[str], rows: Sequence[Sequence[object]], total: int = 0) -> Markdown:
    """A table of bounded length, and how many of `total` or of the rows it leaves out."""
    shown = rows[:_ROWS]
    left_out = max(total, len(rows)) - len(shown)
    return Markdown(table(labels, shown) + (f"\n\nand {left_out} more" if left_out else ""))


def _pad(cell: str, size: int, to_the_right: bool) -> str:
    space = " " * (size - width(cell))
    return space + cell if to_the_right else cell + space


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("orze.report"),
        autoescape=False,  # noqa: S701  `finalize` escapes every value for Markdown, which is not HTML
        finalize=partial(md, limit=_SENTENCE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(table=_listing, right=_Right, minute=minute)
    return environment.get_template("report.md.j2")


def _done(snapshot: Snapshot) -> int:
    return sum(snapshot.counts.get(state, 0) for state in SUCCEEDED)


def _best(snapshot: Snapshot) -> Markdown:
    """Say what is best, as far as the results can say it."""
    best = snapshot.merit.best
    if best is None:
        return _no_best(snapshot)
    titles = {entry.result.idea_id: clean(entry.result.title, _TITLE) for entry in snapshot.top}
    title = titles.get(best.name, titles.get(best.best, ""))
    verdict, _, rest = sentence_of(snapshot.merit, title).partition(": ")
    return Markdown(f"**{md(verdict)}:** {md(rest, _VERDICT)}.")


def _no_best(snapshot: Snapshot) -> Markdown:
    if not _done(snapshot):
        return Markdown("No idea has completed yet.")
    if snapshot.primary is None:
        return Markdown("No result holds a number to rank by.")
    held = md(", ".join(snapshot.primary.available) or "no number at all", 200)
    return Markdown(f"No result holds {md(snapshot.primary.name)} as a finite number. They hold: {held}.")


def _ranking(primary: PrimaryMetric | None) -> str:
    if primary is None:
        return ""
    rule = f"Ranked by {primary.name}, {'lower' if primary.ascending else 'higher'} is better"
    return rule if primary.configured else f"{rule} (chosen by its name; report.primary_metric sets it)"


def _counts(snapshot: Snapshot) -> str:
    counts = [(state, snapshot.counts.get(state, 0)) for state in State]
    total = sum(count for _, count in counts)
    parts = [f"{count} {state.lower()}" for state, count in counts if count]
    return f"{total} idea{'s' * (total != 1)}: {', '.join(parts)}" if parts else "No ideas yet."


def _resources(snapshot: Snapshot) -> str:
    free = ", ".join(snapshot.free_gpus) or "none"
    text = f"Queue: {snapshot.queue_depth} · free cards: {free}"
    if snapshot.disk_free_gb is not None:
        text += f" · disk: {snapshot.disk_free_gb:.0f} GB free"
    return text


def _attention(snapshot: Snapshot) -> str:
    found = (
        (len(snapshot.problems), "problem" if len(snapshot.problems) == 1 else "problems"),
        (max(len(snapshot.quarantined), snapshot.counts.get(State.QUARANTINED, 0)), "quarantined"),
        (max(len(snapshot.held), snapshot.counts.get(State.HELD, 0)), "held"),
    )
    return ", ".join(f"{count} {what}" for count, what in found if count)


def _leaderboard(snapshot: Snapshot) -> Markdown:
    primary = snapshot.primary
    metric = f"{primary.name} {'↓' if primary.ascending else '↑'}" if primary else "metric"
    extra = [_Right(column.label or column.key) for column in snapshot.columns]
    repeated = any(entry.config for entry in snapshot.top)
    runs = [_Right("runs"), _Right("their mean")] if repeated else []
    commits = any(entry.result.commit for entry in snapshot.top)
    labels = [_Right("rank"), "idea", *["commit"] * commits, "title", _Right(metric), *runs, *extra, *_RUN]
    rows = [_ranked(entry, len(extra), repeated=repeated, commits=commits) for entry in snapshot.top]
    return _listing(labels, rows, _done(snapshot))


def _ranked(entry: Ranked, columns: int, *, repeated: bool, commits: bool) -> tuple[object, ...]:
    result = entry.result
    cells = (*entry.cells, *[NOTHING] * columns)[:columns]
    value = entry.note if entry.value is None else entry.value
    title = md(result.title, _TITLE)
    runs = _runs(entry.config) if repeated else ()
    code = (short_commit(result.commit) or NOTHING,) if commits else ()
    return (entry.rank, result.idea_id, *code, title, value, *runs, *cells, result.attempt, *_run(result))


def _runs(config: Config | None) -> tuple[object, object]:
    """How often a configuration ran, and the mean with its interval; dashes where it ran once."""
    return (config.n, value_of(config)) if config else (NOTHING, NOTHING)


def _group(group: Group) -> tuple[object, ...]:
    best = group.best
    ended = f"{group.ended} of {group.total}"
    return (group.name, md(group.title, _TITLE), ended, group.configs, best.n, value_of(best), best.best)


def _run(result: Result) -> tuple[str, str, str]:
    return _place(result.host, result.gpu), duration(result.seconds), minute(result.finished_at)


def _place(host: str, gpu: str) -> str:
    return f"{host}:{gpu}" if gpu else host


def _running(snapshot: Snapshot) -> list[tuple[object, ...]]:
    return [
        (
            run.idea_id,
            md(run.title, _TITLE),
            run.state.lower(),
            _place(run.host, run.gpu),
            run.attempt,
            duration(run.elapsed_s),
            run.last,
        )
        for run in snapshot.running
    ]


def _failed(result: Result) -> tuple[object, ...]:
    place, _, ended = _run(result)
    error = md(result.error or "", _REASON)
    return (result.idea_id, md(result.title, _TITLE), result.cause, error, place, result.attempt, ended)


def _skipped(result: Result) -> tuple[object, ...]:
    error = md(result.error or "", _REASON)
    return (result.idea_id, md(result.title, _TITLE), result.cause, error, minute(result.finished_at))


def _pruned(result: Result) -> tuple[object, ...]:
    place, took, ended = _run(result)
    error = md(result.error or "", _REASON)
    return (result.idea_id, md(result.title, _TITLE), error, place, took, ended)


def _waiting(idea: Waiting) -> tuple[object, ...]:
    return (idea.idea_id, md(idea.title, _TITLE), md(idea.reason, _REASON), idea.where)


def _host(host: HostRow) -> tuple[object, ...]:
    parts = [host.state if host.alive else f"silent for {duration(host.seen_s)}"]
    parts += ["leads"] * host.leader
    parts += [f"asked to use cards {host.cards_asked}"] if host.cards_asked else []
    return (host.name, md(", ".join(parts), _REASON), host.running, host.free)


def _cards(host: HostRow) -> list[tuple[object, ...]]:
    return [
        (host.name, card.key, card.name, card.state, _memory(card.memory_used_mib, card.memory_total_mib))
        for card in host.cards
    ]


def _memory(used_mib: float | None, total_mib: float | None) -> str:
    if used_mib is None or total_mib is None:
        return NOTHING
    return f"{used_mib / _GIB:.1f} of {total_mib / _GIB:.1f} GiB"
