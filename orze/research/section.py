"""Writes a proposal as a section of ideas.md, in which nothing can be anything but its own text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from orze.core.errors import OrzeError
from orze.ideas.merge import renumber
from orze.ideas.model import Idea, IdeaError, Priority
from orze.ideas.parse import load_block, parse
from orze.ideas.sweep import MAX_MEMBERS, SWEEP, count_members
from orze.report.text import clean
from orze.research.proposal import LONGEST_FAMILY, LONGEST_HYPOTHESIS, LONGEST_TITLE, Proposal

SPACE: Final = "Space"
_NOBODY: Final = "idea-0"  # the id of a section that has none yet
_LONGEST_ORIGIN: Final = 80
_LONGEST_SPACE: Final = 900  # characters; of a field, the first 1000 are kept in memory
_OWN: Final = {"Category", "Parent", "Hypothesis"}
_PLAIN_JSON: Final = re.compile(r'[A-Za-z0-9 "{}\[\]:,._+-]*')
_TICKS: Final = re.compile("`+")
# What Markdown and HTML could take for structure, and what looks like it. A backslash before it would be
# safe as well, but be seen wherever the text is shown as it is: in status.json, in messages, in an editor.
_LOOKS_LIKE: Final = str.maketrans("\\`*[]<>#|~$&", "＼'∗()‹›＃¦∼＄＆")


class NotWritable(OrzeError):
    """A proposal cannot be said in a section; it must not be left anywhere."""


def section_of(proposal: Proposal, origin: str) -> str:
    """Write a proposal as one section without an id, and prove it by reading it back.

    Args:
        proposal: one that `check` let through.
        origin: who proposed it and when, such as `round 12, hillclimb`.

    Returns:
        The section. Its yaml block holds the overrides, and a `sweep` where the space names points.

    Raises:
        NotWritable: what is read back is not what was meant.
    """
    title = plain(proposal.title, LONGEST_TITLE)
    fields = _fields(proposal, origin)
    values = dict(proposal.overrides)
    if SWEEP in values:
        raise NotWritable("it cannot be written as a section: sweep is no key of a configuration")
    if proposal.sweeps:
        values[SWEEP] = dict(proposal.axes)
    listed = "".join(f"- **{name}**: {value}\n" for name, value in fields.items())
    text = f"## idea: {title}\n{listed}{_block(values)}"
    _prove(text, title, fields, values)
    return text


def plain(text: str, limit: int) -> str:
    """One printable line without any character that Markdown or HTML could take for structure."""
    return clean(text, limit).translate(_LOOKS_LIKE)


def _fields(proposal: Proposal, origin: str) -> dict[str, str]:
    expected = [f"{proposal.expected_change:+.4g}"] if proposal.expected_change is not None else []
    expected += [f"{proposal.minutes:.4g} min"] if proposal.minutes else []
    expected += [f"{proposal.memory_gb:.4g} GB"] if proposal.memory_gb else []
    fields = {
        "Category": plain(proposal.family, LONGEST_FAMILY),
        "Parent": proposal.parent,
        "Hypothesis": plain(proposal.hypothesis, LONGEST_HYPOTHESIS),
        "Evidence": ", ".join(proposal.evidence),
        "Expected": ", ".join(expected),
        "Origin": plain(origin, _LONGEST_ORIGIN),
        SPACE: "" if proposal.sweeps else _space(proposal.axes),
    }
    return {name: value for name, value in fields.items() if value}


def _space(axes: Mapping[str, Any]) -> str:
    """The axes that have no points as JSON on one line; nothing where that is not plain text, or too long."""
    text = json.dumps(dict(axes)) if axes else ""
    return text if len(text) <= _LONGEST_SPACE and _PLAIN_JSON.fullmatch(text) else ""


def _block(values: Mapping[str, Any]) -> str:
    """The yaml block: no value is broken over lines, and the fence is longer than any run of ticks in it."""
    if not values:
        return ""
    body = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=1 << 20)
    fence = "`" * max([3, *(len(run) + 1 for run in _TICKS.findall(body))])
    return f"\n{fence}yaml\n{body}{fence}\n"


def _prove(text: str, title: str, fields: Mapping[str, str], values: Mapping[str, Any]) -> None:
    try:
        section = renumber(text, _NOBODY)
        idea = parse(section, path="", line=1)
        block = load_block(section, path="", line=1)
        members = count_members(values, 1, MAX_MEMBERS) if SWEEP in values else 0
    except (IdeaError, ValueError) as error:
        raise NotWritable(f"it cannot be written as a section: {error}") from None
    meant = Idea(
        id=_NOBODY,
        number=0,
        title=title,
        priority=int(Priority.MEDIUM),
        category=fields.get("Category", ""),
        parent=fields.get("Parent"),
        hypothesis=fields.get("Hypothesis", ""),
        gpus=1,
        timeout=None,
        after=(),
        hosts=(),
        fields=tuple((name, value) for name, value in fields.items() if name not in _OWN),
        line=1,
        sha=idea.sha,
        members=members,
    )
    if idea != meant or block != values:
        raise NotWritable("it cannot be written as a section: it would be read as something else")
