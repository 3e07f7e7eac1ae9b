"""Checks what a proposer replied, step by step: form, known keys and bounds, duplicates, what is feasible."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from orze.ideas.canonical import config_key, seed_of
from orze.ideas.model import group_of
from orze.ideas.parse import deep_merge
from orze.report.text import clean
from orze.research.form import Draft, read_draft
from orze.research.keys import nest
from orze.research.proposal import Proposal
from orze.research.section import NotWritable, section_of
from orze.research.study import Study
from orze.research.vocabulary import Vocabulary

MOST_MEMBERS: Final = 16  # configurations of one proposed sweep
_MOST_FAULTS: Final = 8  # of one idea
_SENTENCE: Final = 300
_QUEUED: Final = "an idea that is queued"

Run = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of the ideas of a reply.

    Attributes:
        valid: those that can be run, in their order.
        faults: what is wrong with the others, a sentence each that names the idea and what would be right.
        dropped: how many ideas stumbled first at `form`, `values`, `feasible` or `duplicate`.
    """

    valid: list[Proposal] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)


def check(
    candidates: Sequence[Mapping[str, Any]], study: Study, *, queued_keys: Collection[Run] = ()
) -> Checked:
    """Check the ideas of a reply.

    Args:
        candidates: objects of any content, of `read_reply`.
        study: what is known.
        queued_keys: `config_key` and `seed_of` of what waits or runs besides `study.queued`.
    """
    checked = Checked()
    known, ids = Vocabulary(study), _ids(study)
    taken = dict.fromkeys([*study.queued, *queued_keys], _QUEUED)
    taken |= {(trial.key, trial.seed): trial.idea_id for trial in study.trials}
    for number, candidate in enumerate(candidates, 1):
        step, faults, proposal = _examine(candidate, study, known, ids)
        if proposal and all(run in taken for run in proposal.runs):
            other = taken[proposal.runs[0]]
            step, faults = "duplicate", [f"{other} has the same configuration; change something else"]
        if faults or proposal is None:
            checked.dropped[step] = checked.dropped.get(step, 0) + 1
            name = f"idea {number} ({clean(str(candidate.get('title', '')), 40)!r})"
            checked.faults.extend(clean(f"{name}: {fault}", _SENTENCE) for fault in faults[:_MOST_FAULTS])
            continue
        checked.valid.append(proposal)
        taken |= {run: f"idea {number} of this reply" for run in proposal.runs if run not in taken}
    return checked


def _examine(
    candidate: Mapping[str, Any], study: Study, known: Vocabulary, ids: Collection[str]
) -> tuple[str, list[str], Proposal | None]:
    """The step at which an idea stumbles, why, and the proposal where it does not."""
    draft, faults = read_draft(candidate)
    if draft is None:
        return "form", faults, None
    overrides, faults = known.overrides(draft.overrides)
    space, more = known.space(draft.space)
    faults += more
    faults += [
        f"{name} is no idea of this farm; name one that is in the digest, or none"
        for name in (draft.parent, *draft.evidence)
        if name and name not in ids
    ]
    if faults:
        return "values", faults, None
    proposal = Proposal(
        title=draft.title,
        family=draft.family,
        hypothesis=draft.hypothesis,
        overrides=nest(overrides),
        parent=draft.parent,
        evidence=draft.evidence,
        space=space,
        axes=draft.space,
        expected_change=draft.expected_change,
        minutes=draft.minutes,
        memory_gb=draft.memory_gb,
    )
    if faults := _sweep_faults(proposal, overrides):
        return "values", faults, None
    try:
        section_of(proposal, "")
    except NotWritable as error:
        return "values", [str(error)], None
    if faults := _infeasible(draft, study):
        return "feasible", faults, None
    return "", [], _with_runs(proposal, study)


def _sweep_faults(proposal: Proposal, overrides: Mapping[str, Any]) -> list[str]:
    if not proposal.sweeps:
        return []
    faults = [
        f"{key} is in overrides and in space; give it once" for key in proposal.space if key in overrides
    ]
    if (members := _members(proposal)) > MOST_MEMBERS:
        faults.append(f"space: it has {members} configurations; at most {MOST_MEMBERS} are allowed")
    return faults


def _members(proposal: Proposal) -> int:
    count = 1
    for axis in proposal.space.values():
        count *= len(axis.values)
    return count


def _infeasible(draft: Draft, study: Study) -> list[str]:
    faults = []
    memory, limit = study.brief.memory_mib, study.brief.timeout / 60
    if draft.memory_gb and memory and draft.memory_gb * 1024 > memory:
        most = f"{memory / 1024:.1f} of the largest card"
        faults.append(f"memory_gb: {draft.memory_gb:g} are more than the {most}")
    if draft.minutes and draft.minutes > limit:
        faults.append(f"minutes: {draft.minutes:g} are more than the {limit:g} that a training may take")
    return faults


def _with_runs(proposal: Proposal, study: Study) -> Proposal:
    merged = deep_merge(study.base, proposal.overrides)
    axes = proposal.space if proposal.sweeps else {}
    runs = []
    for values in itertools.product(*(axis.values for axis in axes.values())):
        config = deep_merge(merged, nest(dict(zip(axes, values, strict=True))))
        runs.append((config_key(config), seed_of(config)))
    return replace(proposal, runs=tuple(runs))


def _ids(study: Study) -> set[str]:
    """Every id that a proposal may name."""
    brief = study.brief
    ids = {entry[0] for entry in brief.ended} | {idea_id for idea_id, _ in brief.queued}
    ids |= {one.idea_id for one in (*brief.top, *brief.families, *brief.recent)}
    return ids | set(map(group_of, ids))
