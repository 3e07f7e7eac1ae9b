"""Writes a run of a session as a section for the inbox of a farm, and proves it by reading it back."""

from __future__ import annotations

from typing import Final

from orze.core.errors import OrzeError
from orze.farm.launch import REFINE
from orze.ideas.merge import renumber
from orze.ideas.model import IdeaError
from orze.ideas.parse import parse
from orze.refine.budget import written_time
from orze.research.section import plain

_NOBODY: Final = "idea-0"  # the id of a section that has none yet
_TITLE: Final = 80  # characters
_HYPOTHESIS: Final = 600
_ORIGIN: Final = 120


class NotRunnable(OrzeError):
    """A run cannot be said in a section, so no farm can run it."""


def section_of(
    *,
    commit: str,
    hypothesis: str,
    origin: str,
    command: str = "",
    repeats: int = 1,
    parent: str = "",
    seconds: float | None = None,
) -> str:
    """Write one section without an id.

    Args:
        commit: what runs.
        hypothesis: in any words; its first ones are the title.
        origin: the session and its step, such as `lr, step 3`.
        command: the line for the shell; empty for that of the farm.
        repeats: how many runs, with seeds of their own.
        parent: the idea of the step that this one starts from; empty where it has none in this farm.
        seconds: the longest time of a run; None for that of the farm.

    Raises:
        NotRunnable: what would be read back is not what was meant.
    """
    fields = {
        "Category": REFINE,
        "Parent": parent,
        "Hypothesis": plain(hypothesis, _HYPOTHESIS),
        "Commit": commit,
        "Command": command,
        "Timeout": written_time(seconds) if seconds else "",
        "Repeats": str(repeats) if repeats > 1 else "",
        "Rerun": "yes",  # a step is run although another session may have run the same
        "Origin": plain(origin, _ORIGIN),
    }
    listed = "".join(f"- **{name}**: {value}\n" for name, value in fields.items() if value)
    text = f"## idea: {plain(hypothesis, _TITLE) or plain(origin, _TITLE)}\n{listed}"
    try:
        idea = parse(renumber(text, _NOBODY), path="", line=1)
    except IdeaError as error:
        raise NotRunnable(f"it cannot be left in the farm: {error.reason}") from None
    read = (idea.commit, idea.command, idea.repeats, idea.parent or "")
    if read != (commit, command, repeats, parent):
        raise NotRunnable(
            "the command line cannot be left in the farm; write it on one line, without ` around it"
        )
    return text
