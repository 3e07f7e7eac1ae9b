"""Budgets as people write them (`4h`, `20 runs`, `$5`), and what a session may use when it is resumed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError

from orze.config.refine import Budget
from orze.core.errors import OrzeError
from orze.core.units import parse_duration
from orze.report.text import clean

BUDGET_FORMS: Final = "a time such as 4h or 1h30m, 20 runs, $5, 200000 tokens, or several: 4h, $5"

_LONGEST = 200
_USD = re.compile(r"\$\s*(\d{1,12}(?:\.\d{1,6})?)|(\d{1,12}(?:\.\d{1,6})?)\s*(?:usd|dollars?|\$)", re.ASCII)
_COUNT = re.compile(r"(\d{1,18})\s*(runs?|tokens?)", re.ASCII)


class BudgetError(OrzeError):
    """A text that is no budget."""


def parse_budget(text: str) -> Budget:
    """Read a budget.

    Args:
        text: a time (`4h`, `1h30m`, `90m`), `20 runs`, `$5` or `200000 tokens`, or several of them with
            commas between them. A plain number says nothing of its kind and is refused.

    Raises:
        BudgetError: one sentence with the text and the forms that are understood.
    """
    found: dict[str, Any] = {}
    for name, value in _parts(text):
        if name in found:
            raise BudgetError(f"{_shown(text)} gives two budgets of one kind; write {BUDGET_FORMS}")
        found[name] = value
    try:
        return Budget.model_validate(found)
    except ValidationError:
        raise BudgetError(f"{_shown(text)} is no budget that can be kept; write {BUDGET_FORMS}") from None


def merged(of_file: Budget, given: Budget) -> Budget:
    """What holds where both the settings file and the command line give a budget: of each kind the latter."""
    return of_file.model_copy(update=given.model_dump(exclude_none=True))


def extended(budget: Budget, more: Budget, *, time: float, runs: int, usd: float, tokens: int) -> Budget:
    """What a session may use in all when it is resumed with more.

    Args:
        budget: what it was given in all. more: what is added; a kind that it does not name stays as it is.
        time, runs, usd, tokens: what it has used, which counts: where a kind had no bound, or more than that
            was used of it, `more` is what it may still use.
    """
    used = {"time": time, "runs": runs, "usd": usd, "tokens": tokens}
    return budget.model_copy(
        update={
            name: max(getattr(budget, name) or 0, used[name]) + added
            for name, added in more.model_dump(exclude_none=True).items()
        }
    )


def describe(budget: Budget) -> str:
    """A budget for people: `4h, 20 runs`; empty where there is no bound."""
    return ", ".join(_described(budget))


def _described(budget: Budget) -> Iterator[str]:
    if budget.time is not None:
        yield written_time(budget.time)
    if budget.runs is not None:
        yield f"{budget.runs} run{'' if budget.runs == 1 else 's'}"
    if budget.usd is not None:
        yield f"${budget.usd:g}"
    if budget.tokens is not None:
        yield f"{budget.tokens} tokens"


def written_time(seconds: float) -> str:
    """A time as `parse_budget` reads it: `1h30m`, `45s`."""
    rest = max(1, round(seconds))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        parts += [f"{count}{unit}"] * (count > 0)
    return "".join(parts)


def _parts(text: str) -> Iterator[tuple[str, Any]]:
    if len(text) > _LONGEST or not text.strip():
        raise BudgetError(f"{_shown(text)} is no budget; write {BUDGET_FORMS}")
    for part in text.split(","):
        yield _part(part.strip().lower(), text)


def _part(part: str, text: str) -> tuple[str, Any]:
    if match := _USD.fullmatch(part):
        return "usd", float(match[1] or match[2])
    if match := _COUNT.fullmatch(part):
        return match[2].rstrip("s") + "s", int(match[1])
    try:
        if part.replace(".", "").isdigit():
            raise BudgetError(f"{_shown(text)} does not say of what; write {BUDGET_FORMS}")
        return "time", parse_duration(part)
    except ValueError:
        raise BudgetError(f"{_shown(text)} is no budget; write {BUDGET_FORMS}") from None


def _shown(text: str) -> str:
    return repr(clean(text, 60))
