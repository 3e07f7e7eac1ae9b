"""`revis show` and `revis compare`: iterations of a session."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orze.cli.common import DONE, Json
from orze.cli.revis.common import Name, step_of
from orze.cli.revis.status import told

if TYPE_CHECKING:
    from orze.refine.model import Step
    from orze.refine.repository import Repository

Iteration = Annotated[
    int | None, typer.Argument(metavar="ITERATION", min=0, help="One of its steps; 0 is the baseline.")
]
One = Annotated[int, typer.Argument(metavar="I", min=0, help="A step.")]
Other = Annotated[int, typer.Argument(metavar="J", min=0, help="Another one.")]


def show(context: typer.Context, name: Name, iteration: Iteration = None, *, json: Json = False) -> int:
    """Show every iteration of a session, or one of them whole.

    Of one: its hypothesis, the difference to where it started, all metrics, the verdict and why, the tries
    that it took and their faults, what it cost, and the end of its log where it failed.
    """
    from orze.cli import output
    from orze.cli.revis.sessions import found
    from orze.cli.revis.steps_view import session_view, step_view
    from orze.refine.repository import Repository
    from orze.refine.table import parent_of, rows

    one = found(context, name)
    fold, table = one.fold, rows(one.fold)
    if iteration is None:
        standing = told(one.listed)
        plain = asdict(standing) | {"iterations": [asdict(row) for row in table]}
        output.emit(plain, json=json, show=lambda _: session_view(standing, fold, table))
        return DONE
    step = step_of(fold, iteration)
    parent = parent_of(fold, step)
    ran = table[iteration].ran
    diff = Repository(one.code).diff(step.parent, ran) if ran else ""
    output.emit(
        asdict(step) | {"change": table[iteration].change, "diff": diff},
        json=json,
        show=lambda _: step_view(fold, step, parent, diff=diff),
    )
    return DONE


def compare(context: typer.Context, name: Name, one: One, other: Other, *, json: Json = False) -> int:
    """Show two iterations side by side: results, what their difference is worth, and what changed between."""
    from orze.cli import output
    from orze.cli.revis.sessions import found
    from orze.cli.revis.steps_view import compare_view
    from orze.refine.repository import Repository
    from orze.refine.story import compared

    session = found(context, name)
    fold = session.fold
    steps = step_of(fold, one), step_of(fold, other)
    verdict = compared(fold, *steps)
    diff = _between(Repository(session.code), *steps)
    value: dict[str, Any] = {"steps": [asdict(step) for step in steps], "verdict": verdict, "diff": diff}
    output.emit(value, json=json, show=lambda _: compare_view(fold, *steps, diff=diff, verdict=verdict))
    return DONE


def _between(repository: Repository, one: Step, other: Step) -> str:
    ran = [step.last.commit if step.last and step.last.commit else step.parent for step in (one, other)]
    return repository.diff(*ran)
