"""`orze show`: everything of one idea."""

from __future__ import annotations

import typer

from orze.cli.common import DONE, Idea, Json, project_of


def show(context: typer.Context, idea: Idea, json: Json = False) -> int:
    """Show everything of one idea.

    Its section, its configuration and what that changes in the base and in its parent's, its attempts and why
    they ended, metrics, environment and files.
    """
    from orze.cli import output
    from orze.cli.views.idea import idea_view
    from orze.client.ids import check_known
    from orze.client.reader import Reader
    from orze.client.whole import gather, plain

    project = project_of(context)
    reader = Reader(project)
    reader.read()
    check_known([idea], reader.queue.ids())
    whole = gather(project, reader, idea)
    parent = gather(project, reader, whole.parent) if whole.parent in reader.queue else None
    output.emit(plain(whole, parent), json=json, show=lambda _: idea_view(whole, parent))
    return DONE
