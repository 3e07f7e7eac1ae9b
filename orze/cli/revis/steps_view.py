"""Iterations on a terminal: all of a session as a table, one of them whole, two side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orze.cli.output import safe, text
from orze.cli.revis.sessions_view import best_of, budget_of, noise_of, state_of, titled
from orze.cli.views.common import cut, facts, from_here, metric_text, section, table, value_text, when
from orze.client.logs import shown
from orze.refine.fold import SessionFold
from orze.refine.model import Step, Try, Verdict
from orze.refine.story import Standing, change_of, dollars, result_of
from orze.refine.table import Row, command_of, cost_of, value_of
from orze.report.text import NOTHING, counted, number

_SHA = 10  # digits of a commit that are shown
_DIFF = 1000  # lines
_TAIL = 30  # lines of a log
STYLES = {
    "baseline": "bold",
    "kept": "green",
    "discarded": "dim",
    "failed": "red",
    "void": "red",
    "refused": "yellow",
    "stopped": "yellow",
    "": "cyan",
}


def session_view(session: Standing, fold: SessionFold, rows: Sequence[Row]) -> RenderableType:
    """A session with every iteration."""
    head = titled(session.name, state_of(session))
    order = "smaller is better" if session.ascending else "larger is better"
    target = f", target {number(session.target)}" if session.target is not None else ""
    known = facts(
        [
            ("ended", _maybe(session.sentence)),
            ("metric", text(f"{session.metric}, {order}{target}")),
            ("best", _maybe(best_of(session))),
            ("noise", _maybe(noise_of(session))),
            ("used", text(budget_of(session))),
            ("branch", text(f"{session.branch}, from {session.base[:_SHA]}")),
            ("command", _maybe(fold.command)),
            ("proposed by", _maybe(str(fold.settings.get("model") or fold.settings.get("agent") or ""))),
            ("executor", _maybe(str(fold.settings.get("executor", "")))),
            ("began", text(f"{when(session.began)} UTC")),
            ("last heard", text(f"{when(session.last)} UTC")),
        ]
    )
    parts: list[RenderableType] = [head, known]
    if rows:
        parts.append(section("Iterations", _iterations(session, rows)))
    return Group(*parts)


def _iterations(session: Standing, rows: Sequence[Row]) -> Table:
    made = table(
        "step",
        "verdict",
        session.metric,
        "change",
        "from",
        "cost",
        "hypothesis",
        right=("step", session.metric, "change", "from", "cost"),
        elastic=("hypothesis",),
    )
    for row in rows:
        value = number(row.value) if row.value is not None else row.ended.replace("_", " ") or NOTHING
        made.add_row(
            text(row.step),
            text(row.verdict or "open", STYLES.get(row.verdict, "")),
            text(value),
            text(NOTHING if row.change is None else f"{row.change:+.3g}"),
            text(NOTHING if row.parent is None else row.parent),
            text(NOTHING if row.step == 0 else dollars(row.usd)),
            cut(text(row.hypothesis or row.reason or NOTHING, limit=200)),
        )
    return made


def step_view(fold: SessionFold, step: Step, parent: Step | None, *, diff: str) -> RenderableType:
    """One iteration whole.

    Args:
        parent: the step that it starts from; None for the baseline.
        diff: of what ran against its parent.
    """
    head = titled(f"{fold.name} step {step.number}", _verdict(step.verdict))
    last = step.last
    parts: list[RenderableType] = [head, facts(_facts(fold, step, parent))]
    if last and last.hypothesis:
        parts.append(section("Hypothesis", *_prose(last.hypothesis)))
    if step.outcome and step.outcome.metrics:
        several = " of the first run" if len(step.outcome.values) > 1 else ""
        parts.append(section(f"Metrics{several}", _metrics(fold, step, parent)))
    if diff:
        parts.append(section("Change", *_diff(diff)))
    if _tells(step.tries):
        parts.append(section("Tries", *(line for one in step.tries for line in _try(fold, step, one))))
    if step.outcome and step.outcome.tail:
        parts.append(section("End of its log", *_end(step.outcome.tail)))
    return Group(*parts)


def _facts(fold: SessionFold, step: Step, parent: Step | None) -> list[tuple[str, RenderableType | None]]:
    last, (usd, tokens) = step.last, cost_of(step)
    asked = step.number != 0 and bool(step.tries)
    ran = next((one.commit for one in reversed(step.tries) if one.commit), "")
    before = value_of(parent) if parent else None
    value = value_of(step)
    change = change_of(value, before) if value is not None and before is not None else ""
    values = step.outcome.values if step.outcome else ()
    command = command_of(fold, step)
    return [
        ("verdict", _maybe(step.reason)),
        ("result", _maybe(result_of(step, fold.terms.metric))),
        ("runs", _maybe(", ".join(number(one) for one in values) if len(values) > 1 else "")),
        ("change", _maybe(f"{change} against step {parent.number}" if change and parent else "")),
        ("from", text(f"step {parent.number}, {step.parent[:_SHA]}" if parent else step.parent[:_SHA])),
        ("commit", _maybe(step.commit[:_SHA])),
        ("ran", _maybe(ran[:_SHA])),
        ("idea", _maybe(last.idea_id if last else "")),
        ("command", _maybe(command)),
        (
            "asked",
            _maybe(f"{counted(len(step.tries), 'time')}, {dollars(usd)}, {tokens:,} tokens" if asked else ""),
        ),
        ("log", _maybe(from_here(step.outcome.log) if step.outcome else "")),
    ]


def _metrics(fold: SessionFold, step: Step, parent: Step | None) -> Table:
    own = step.outcome.metrics if step.outcome else {}
    others = parent.outcome.metrics if parent and parent.outcome else {}
    names = ("", "this", f"step {parent.number}") if parent and others else ("", "this")
    made = table(*names, right=names[1:])
    for name in _in_order(fold.terms.metric, own):
        style = "bold" if name == fold.terms.metric else ""
        cells = [text(name, style, limit=40), text(metric_text(own[name]), style, limit=30)]
        if len(names) > 2:
            cells.append(text(metric_text(others[name]) if name in others else NOTHING, limit=30))
        made.add_row(*cells)
    return made


def _in_order(primary: str, metrics: Mapping[str, Any]) -> list[str]:
    return sorted(metrics, key=lambda name: (name != primary, name))


def _tells(tries: Sequence[Try]) -> bool:
    return len(tries) > 1 or any(one.faults for one in tries)


def _try(fold: SessionFold, step: Step, one: Try) -> Iterable[RenderableType]:
    cost = f", {dollars(one.usd)}" if step.number else ""
    told = "; ".join(one.files) or "no files"
    yield text(f"{one.number}. {told}{cost}")
    for fault in one.faults:
        for index, piece in enumerate(shown(fault.encode("utf-8", "replace"))):
            yield Text(f"   {'-' if index == 0 else ' '} {piece}", "yellow")
    if one.outcome and one is not step.last:
        yield Text(f"   - {safe(result_of(Step(step.number, step.parent, (one,)), fold.terms.metric))}")


def _diff(diff: str) -> Iterable[RenderableType]:
    lines = list(shown(diff.encode("utf-8", "replace")))
    for line in lines[:_DIFF]:
        yield Text(line.expandtabs(4), style=_diff_style(line))
    if len(lines) > _DIFF:
        yield text(f"… and {len(lines) - _DIFF} more lines", "dim")


def _diff_style(line: str) -> str:
    if line.startswith(("+++", "---", "diff ", "index ")):
        return "dim"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")


def _prose(words: str) -> Iterable[RenderableType]:
    for line in shown(words.encode("utf-8", "replace")):
        yield Text(line)


def _end(tail: str) -> Iterable[RenderableType]:
    lines = list(shown(tail.encode("utf-8", "replace")))
    return [Text(line.expandtabs(4)) for line in lines[-_TAIL:]]


def _maybe(value: str) -> Text | None:
    return text(value) if value else None


def compare_view(fold: SessionFold, one: Step, other: Step, *, diff: str, verdict: str) -> RenderableType:
    """Two iterations side by side, and the difference between what ran.

    Args:
        verdict: what the difference of their values is worth.
    """
    names = [f"step {one.number}", f"step {other.number}"]
    made = table("", *names, wide=names)
    for name, cells in _sides(fold, one, other):
        made.add_row(text(name, "dim"), *cells)
    parts: list[RenderableType] = [made]
    if verdict:
        parts += [Text(""), text(verdict, "bold")]
    parts.append(
        section(
            f"From step {one.number} to step {other.number}",
            *(_diff(diff) if diff else [text("no file differs")]),
        )
    )
    return Group(*parts)


def _sides(fold: SessionFold, one: Step, other: Step) -> Iterable[tuple[str, list[Text]]]:
    both = (one, other)
    yield "verdict", [_verdict(step.verdict) for step in both]
    yield "hypothesis", [text(step.last.hypothesis if step.last else "") for step in both]
    yield "result", [text(result_of(step, fold.terms.metric) or NOTHING) for step in both]
    commands = [command_of(fold, step) for step in both]
    if commands[0] != commands[1]:
        yield "command", [text(command) for command in commands]
    metrics = [step.outcome.metrics if step.outcome else {} for step in both]
    for name in _in_order(fold.terms.metric, {**metrics[0], **metrics[1]}):
        if metrics[0].get(name) != metrics[1].get(name):
            yield (
                name,
                [text(value_text(told.get(name)) if name in told else NOTHING, limit=30) for told in metrics],
            )


def _verdict(verdict: Verdict | None) -> Text:
    return text(verdict.value if verdict else "open", STYLES.get(verdict.value if verdict else "", ""))
