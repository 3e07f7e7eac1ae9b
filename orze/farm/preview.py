"""What would be started, in order, without starting anything."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from orze.attempt.workspace import Workspace
from orze.coord.idea_chain import IdeaFold
from orze.core.errors import OrzeError
from orze.farm.assembly import Assembly
from orze.farm.decide import Launch, decide
from orze.farm.launch import Start
from orze.farm.view import Candidate, SlotView, View
from orze.gpu.slots import Slot, environment
from orze.ideas.model import Idea
from orze.report.text import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orze.attempt.spec import Command, Go

TOKEN = "TOKEN"  # noqa: S105 - stands for the part of an attempt's name that is not known before its claim
HIDDEN = "(hidden)"
_LIMIT = 1000
_CARDS = tuple(environment(()))
_SECRET_NAME = re.compile(r"KEY|TOKEN(?!IZ)|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"://[^/\s@]*:[^/\s@]+@")  # a URL with a password (RFC 3986, 3.2.1)


@dataclass(frozen=True, slots=True)
class Step:
    """One command of an attempt.

    Attributes:
        name: `pre`, `train`, `eval`, or the name of a post script.
        timeout: seconds.
        output: the file that it must write in the idea's directory; empty for none.
    """

    name: str
    argv: tuple[str, ...]
    timeout: float
    output: str


@dataclass(frozen=True, slots=True)
class Planned:
    """One attempt that would be started.

    Attributes:
        round: 1 for those that start at once where every slot is free, 2 for those behind them, and so on.
        slots: the slots, as people name them.
        attempt: its number.
        directory: where its files would lie.
        results_dir: what its script gets as `--results-dir`.
        cwd: the working directory of its commands.
        steps: its commands in order.
        set: the variables of its cards, and all that its commands get other than from the daemon's
            environment; secrets are hidden.
        unset: the daemon's variables that they do not get.
        problem: why it cannot be started; then there are no steps.
    """

    idea_id: str
    title: str
    round: int
    slots: str
    attempt: int = 0
    directory: str = ""
    results_dir: str = ""
    cwd: str = ""
    steps: tuple[Step, ...] = ()
    set: Mapping[str, str] | None = None
    unset: tuple[str, ...] = ()
    problem: str = ""


def plan(members: Assembly, environ: Mapping[str, str]) -> Iterator[Planned]:
    """The attempts that this host would start, as if all its slots were free and no other host took part.

    What is told is made by the code that starts attempts; only the token is not known yet, and a `{port}` is
    another one each time.

    Args:
        members: of a daemon that has read everything.
        environ: the daemon's environment.
    """
    ideas = list(members.queue.ready(_LIMIT))
    for turn, idea, slots in _in_turns(ideas, members.cards.slots):
        section = members.intake.section(idea)
        if section is None:
            continue
        start = Start(idea, section, slots, {})
        try:
            why, _ = members.duplicates.look(idea, members.launcher.config(start))
            planned = Planned(idea.id, idea.title, turn, start.gpu, problem=why)
            yield planned if why else _planned(members, environ, start, turn)
        except (OrzeError, OSError) as error:
            yield Planned(idea.id, idea.title, turn, start.gpu, problem=str(error))


def preview(members: Assembly, environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Lines that tell of each attempt that would be started: slots, directory, commands, environment.

    Args:
        members: of a daemon that has read everything.
        environ: the daemon's environment.
    """
    for planned in plan(members, environ):
        yield f"{planned.idea_id}: {clean(planned.title, 200)}"
        if planned.problem:
            yield f"  cannot start: {clean(planned.problem, 400)}"
            continue
        yield from _lines(planned)


def _in_turns(ideas: Sequence[Idea], slots: Sequence[Slot]) -> Iterator[tuple[int, Idea, tuple[Slot, ...]]]:
    """Each idea with the slots it would get, in the rounds in which they are free together."""
    views = tuple(SlotView(slot.name, slot.uuid or slot.name) for slot in slots)
    by_name = {slot.name: slot for slot in slots}
    by_id = {idea.id: idea for idea in ideas}
    turn = 0
    while by_id:
        turn += 1
        first = islice(by_id.values(), len(slots))
        ready = tuple(Candidate(idea.id, idea.priority, idea.gpus) for idea in first)
        launches = [effect for effect in decide(View(views, ready)) if isinstance(effect, Launch)]
        if not launches:
            return
        for launch in launches:
            yield turn, by_id.pop(launch.idea_id), tuple(by_name[name] for name in launch.slots)


def _planned(members: Assembly, environ: Mapping[str, str], start: Start, turn: int) -> Planned:
    paths = members.context.paths
    go = _message(members, start)
    space = _Unmade(paths.results, start.idea.id, TOKEN, go)
    variables = {**go["env"], **space.environment()}
    commands = [*([] if go["trained"] else [go["pre"], go["train"]]), go["evaluation"], *go["posts"]]
    return Planned(
        start.idea.id,
        start.idea.title,
        turn,
        start.gpu,
        attempt=go["attempt"],
        directory=space.directory,
        results_dir=space.results_argument,
        cwd=space.cwd,
        steps=tuple(_step(command, space) for command in commands if command),
        set={
            name: _shown(name, value)
            for name, value in variables.items()
            if name in _CARDS or environ.get(name) != value
        },
        unset=tuple(sorted(environ.keys() - variables.keys())),
    )


def _message(members: Assembly, start: Start) -> Go:
    """What a keeper would be told, had it claimed the idea."""
    try:
        _, fold = members.attempts.chain(start.idea.id)
    except FileNotFoundError:
        fold = IdeaFold()
    fold.attempt, fold.token = fold.attempt + 1, TOKEN
    config = members.launcher.config(start)
    return members.launcher.go(start, fold, frame={}, config=config, delay=0.0, facts={})


class _Unmade(Workspace):
    """The workspace of an attempt whose directories are not made."""

    def _last_checkpoints(self) -> str:
        try:
            return super()._last_checkpoints()
        except FileNotFoundError:
            return ""


def _step(command: Command, space: Workspace) -> Step:
    return Step(command["name"], tuple(space.argv(command)), command["timeout"], command["output"])


def _shown(name: str, value: str) -> str:
    return HIDDEN if _SECRET_NAME.search(name) or _SECRET_VALUE.search(value) else value


def _lines(planned: Planned) -> Iterator[str]:
    given = dict(planned.set or {})
    cards = " ".join(f"{name}={given.pop(name, '')}" for name in _CARDS)
    later = "" if planned.round == 1 else " when free"
    yield f"  slots {planned.slots}{later}: {cards}"
    yield f"  in {planned.cwd}, files to {planned.directory}"
    for step in planned.steps:
        yield f"  {step.name} ({step.timeout:g} s at most): {shlex.join(step.argv)}"
    yield f"  with {' '.join(f'{name}={shlex.quote(value)}' for name, value in sorted(given.items()))}"
    if planned.unset:
        yield f"  without {' '.join(planned.unset)}"


def preview_json(members: Assembly, environ: Mapping[str, str] = os.environ) -> str:
    """What `plan` tells, as a JSON array."""
    return json.dumps([asdict(planned) for planned in plan(members, environ)], indent=1)
