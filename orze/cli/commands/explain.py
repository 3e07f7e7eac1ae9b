"""`orze explain`: why an idea stands where it stands."""

from __future__ import annotations

from dataclasses import asdict

import typer

from orze.cli.common import DONE, Idea, Json, project_of, start_command


def explain(context: typer.Context, idea: Idea, json: Json = False) -> int:
    """Say why an idea waits, was skipped, held or quarantined, or failed, and what would change that."""
    from orze.cli import output
    from orze.cli.views.idea import explanation_view
    from orze.client.explain import explain as told
    from orze.client.facts import facts_of
    from orze.client.groups import explain_group, members, state_of
    from orze.client.ids import check_known
    from orze.client.reader import Reader

    project = project_of(context)
    reader = Reader(project)
    reader.read()
    check_known([idea], reader.queue.ids())
    entry = reader.queue.get(idea)
    if entry and entry.members and entry.state is None:
        group = members(reader, idea)
        state, answer = state_of(group), explain_group(idea, group)
    else:
        facts = facts_of(project, reader, idea, start=start_command(context))
        state, answer = facts.state, told(facts)
    value = {"idea_id": idea, "state": state, **asdict(answer)}
    output.emit(
        value,
        json=json,
        show=lambda _: explanation_view(answer.headline, answer.because, answer.change),
    )
    return DONE
