"""What a researcher is asked: who it is, what is known, how many ideas are wanted, and what was wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from orze.research.digest import digest
from orze.research.proposal import SCHEMA
from orze.research.quoting import FENCE, Ready, one_line, render, some_lines
from orze.research.study import Study

MOST_BYTES: Final = 40 << 10  # of both texts together
_LAST: Final = 12 << 10  # bytes of the last reply that are quoted
_FAULTS: Final = 24
_FAULT: Final = 240  # bytes


class Prompt(NamedTuple):
    """A question: what holds for every one of them, and this one. Together at most 40 KiB."""

    system: str
    user: str

    @property
    def whole(self) -> str:
        """Both as one text, for programs that read one."""
        return f"{self.system}\n{self.user}"


def prompt(study: Study, count: int, faults: Sequence[str] = (), last: str = "") -> Prompt:
    """Ask for ideas, or for better ones.

    Args:
        study: what is known.
        count: how many ideas are wanted.
        faults: everything that was wrong with the last reply; empty the first time.
        last: that reply; it is quoted as data.
    """
    told = [one_line(fault, _FAULT) for fault in faults[:_FAULTS]]
    if len(faults) > _FAULTS:
        told.append(f"… and {len(faults) - _FAULTS} more")
    user = render(
        "ask.md.j2",
        digest=Ready(digest(study)),
        count=count,
        fence=Ready(FENCE),
        last=Ready("\n".join(some_lines(last, _LAST))),
        faults=Ready("\n".join(told)),
    )
    return Prompt(render("system.md.j2", schema=Ready(json.dumps(SCHEMA))), user)
