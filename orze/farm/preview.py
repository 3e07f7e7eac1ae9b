"""What would be started, in order, without starting anything."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from orze.attempt.spec import BASE, INPUT, SECTION
from orze.core.errors import OrzeError
from orze.farm.assembly import Assembly
from orze.farm.launch import Start
from orze.gpu.slots import environment
from orze.ideas.parse import IdeaError

_LIMIT = 1000


def preview(members: Assembly) -> Iterator[str]:
    """Lines that tell of each idea that may run here: cards, directory, command.

    Args:
        members: of a daemon that has read everything.
    """
    slots = members.cards.slots
    launcher, results = members.launcher, members.context.paths.results
    for number, idea in enumerate(members.queue.ready(_LIMIT)):
        section = members.intake.section(idea)
        if section is None or not slots:
            continue
        chosen = tuple(slots[(number + k) % len(slots)] for k in range(min(idea.gpus, len(slots))))
        start = Start(idea, section, chosen, {})
        yield f"{idea.id}: {idea.title}"
        try:
            launcher.config(start)
        except (OrzeError, IdeaError) as error:
            yield f"  cannot start: {error}"
            continue
        variables = " ".join(f"{name}={value}" for name, value in environment(chosen).items())
        yield f"  slots {start.gpu}: {variables}"
        yield f"  in {members.context.settings.project_dir}, results to {results}/{idea.id}"
        argv = launcher.train(start)["argv"]
        yield f"  {shlex.join(_named(word, idea.id, members) for word in argv)}"


def _named(word: str, idea_id: str, members: Assembly) -> str:
    """An argument with the attempt's own paths, whose token is not known before it is claimed."""
    paths = members.context.paths
    own = f"{paths.idea(idea_id).attempt(1, 'TOKEN')}/{INPUT}"
    results = paths.door("TOKEN") if members.context.settings.doors else paths.results
    filled = word.replace("{results_dir}", results)
    return filled.replace("{ideas_md}", f"{own}/{SECTION}").replace("{config}", f"{own}/{BASE}")
