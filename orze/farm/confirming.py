"""More runs of a new best, and runs of the base configuration: the leader adds them to the inbox by itself.

Each of them is entered under a name made of the configuration's key, so that it happens once for ever,
whoever leads: the journal remembers every entry of the inbox.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from orze.attempt.spec import CONFIG
from orze.config.schema import Report
from orze.coord.journal import Journal
from orze.core.states import SUCCEEDED
from orze.farm.board import Board
from orze.farm.context import Context
from orze.farm.problems import Problems
from orze.farm.queue import Queue
from orze.ideas import inbox
from orze.ideas.canonical import config_key, seed_of
from orze.ideas.model import Idea, IdeaError
from orze.ideas.parse import deep_merge, load_config, parse
from orze.ideas.values import MAX_BYTES, load_values
from orze.report.merit import Merit
from orze.report.text import clean

_KEY = re.compile(r"[0-9a-f]{16}")
_TITLE = 100
_URGENT = {"Priority": "high"}
_TILDES = re.compile("~+")
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # absent where PyYAML lacks libyaml


@dataclass(frozen=True, slots=True)
class Wish:
    """Runs that are to be added.

    Attributes:
        key: of the configuration.
        idea_id: an idea that ran it; empty for the base configuration.
        target: how many runs it is to have; missing: how many of them it has not.
    """

    key: str
    idea_id: str
    target: int
    missing: int

    @property
    def uuid(self) -> str:
        """The name of its entry in the inbox."""
        return f"{'confirm' if self.idea_id else 'noise'}-{self.key}-{self.target}"


def wishes(merit: Merit, report: Report, *, base: str, base_runs: int) -> list[Wish]:
    """What is to be run to know more of the best.

    The configuration with the best mean is confirmed; where it is, and no other is, so is the second, since
    the first has nothing to be compared with.

    Args:
        base: the key of the base configuration; empty where there is none.
        base_runs: how many seeds it has run with.
    """
    found = []
    if base and base_runs < report.noise_runs:
        found.append(Wish(base, "", report.noise_runs, report.noise_runs - base_runs))
    lacking = [config for config in merit.configs if config.n < report.confirm]
    first = merit.configs[:1]
    if len(merit.configs) - len(lacking) == 1 and first[0] not in lacking:
        first = merit.configs[1:2]
    for config in first:
        if config in lacking and _KEY.fullmatch(config.key):
            found.append(Wish(config.key, config.name, report.confirm, report.confirm - config.n))
    return found


def section_of(title: str, fields: Mapping[str, object], values: Mapping[str, Any]) -> str:
    """One section of ideas.md.

    Args:
        fields: those that are empty are left out.
        values: its configuration, which may hold anything that YAML can.
    """
    told = [f"- **{name}**: {value}" for name, value in fields.items() if value != ""]
    lines = [f"## idea-0: {clean(title, _TITLE)}", *told, ""]
    if values:
        text = str(yaml.dump(dict(values), Dumper=_DUMPER, sort_keys=False, allow_unicode=True))
        longest = max(map(len, _TILDES.findall(text)), default=0)
        fence = "~" * max(3, longest + 1)  # nothing in the text can close it
        lines += [f"{fence}yaml", f"{text}{fence}", ""]
    return "\n".join(lines)


def next_seed(used: Collection[int], own: int) -> int:
    """What is to be added to the seed of a configuration, so that it and those above are new."""
    return max(0, max(used) + 1 - own) if used else 0


class Confirming:
    """Enters what `wishes` asks for, while this host leads."""

    def __init__(
        self, context: Context, *, journal: Journal, queue: Queue, board: Board, problems: Problems
    ) -> None:
        self._context = context
        self._report = context.settings.report
        self._journal = journal
        self._queue = queue
        self._board = board
        self._problems = problems
        self._inbox = inbox.inbox_of(str(context.settings.ideas_file))
        self._looked: tuple[Merit, str] | None = None

    def step(self) -> None:
        """Leave in the inbox what is wanted and was never entered, where something is known that is new.

        Raises:
            OSError: the share does not take it; it is tried again.
        """
        if not (self._report.confirm or self._report.noise_runs):
            return
        merit, base = self._board.merit(), self._board.baseline.key
        if self._looked and self._looked[0] is merit and self._looked[1] == base:
            return
        unfit: list[str] = []
        ran = len(self._board.leaderboard.seeds(base)) if base else 0
        for wish in wishes(merit, self._report, base=base, base_runs=ran):
            if wish.uuid not in self._journal.fold.allocated:
                try:
                    text = self._confirmation(wish) if wish.idea_id else self._noise(wish)
                    inbox.enqueue(self._context.files, self._inbox, text, uuid=wish.uuid)
                except _Unfit as why:
                    unfit.append(f"{wish.idea_id} cannot be run again to confirm it: {why}")
        self._problems.show("confirming", unfit)
        self._looked = (merit, base)

    def _noise(self, wish: Wish) -> str:
        own = seed_of(self._board.baseline.values or {})
        title = f"The base configuration, {wish.missing} times: how far do runs lie apart?"
        return section_of(title, {**_URGENT, "Category": "noise", **self._runs(wish, own)}, {})

    def _confirmation(self, wish: Wish) -> str:
        idea = self._idea(wish.idea_id)
        values = self._values(wish.idea_id)
        base = self._board.baseline.values
        if base is None or self._key(idea, {} if idea.commit else base, values) != wish.key:
            raise _Unfit("the base configuration has changed since")
        title = f"Is {wish.idea_id} as good with other seeds? {idea.title}"
        fields = {**_URGENT, "Category": "confirm", **self._fields(idea), **self._runs(wish, seed_of(values))}
        text = section_of(title, fields, values)
        if _read_back(text) != repr(values):
            raise _Unfit("its configuration cannot be written into a section")
        return text

    def _key(self, idea: Idea, base: Mapping[str, Any], values: Mapping[str, Any]) -> str:
        """The key of what would run. The base configuration of a commit is in `values`, all of it."""
        found = self._board.leaderboard.get(idea.id)
        commit = found.commit if found else ""
        return config_key(deep_merge(base, values), commit=commit, command=idea.command)

    def _runs(self, wish: Wish, own: int) -> dict[str, object]:
        """How many, and from which seed on; `own` is that of the configuration."""
        used = self._board.leaderboard.seeds(wish.key)
        repeats = min(wish.missing, self._context.settings.max_members)
        return {"Repeats": repeats, "Seed": next_seed(used, own)}

    def _fields(self, idea: Idea) -> dict[str, object]:
        """What it runs on, and the ideas whose results its script can reach."""
        before = self._board.leaderboard.get(idea.parent) if idea.parent else None
        reached = [*idea.after, *([before.idea_id] if before and before.state in SUCCEEDED else [])]
        return {
            "Parent": idea.id,
            "GPUs": idea.gpus if idea.gpus != 1 else "",
            "Timeout": math.ceil(idea.timeout) if idea.timeout else "",
            "After": ", ".join(dict.fromkeys(reached)),
            "Hosts": ", ".join(idea.hosts),
            "Commit": idea.commit,
            "Command": idea.command,
        }

    def _idea(self, idea_id: str) -> Idea:
        entry = self._queue.get(idea_id)
        if entry is None or entry.idea is None:
            raise _Unfit("its section is not in ideas.md any more")
        return entry.idea

    def _values(self, idea_id: str) -> dict[str, Any]:
        """What it ran, from results/<id>/idea.yaml."""
        path = os.path.realpath(self._context.paths.idea(idea_id).projection(CONFIG))
        try:
            return load_values(self._context.files.read(path, MAX_BYTES).decode(), path=CONFIG, line=1)
        except (OSError, UnicodeDecodeError, IdeaError) as error:
            raise _Unfit(f"its idea.yaml cannot be read: {error}") from None


class _Unfit(Exception):
    """A configuration that cannot be entered again; says why."""


def _read_back(text: str) -> str:
    """What a reader of ideas.md takes from it, as `repr` tells it: 1 from 1.0, and NaN as itself."""
    try:
        parse(text, path="ideas.md", line=1)
        return repr(load_config(text, path="ideas.md", line=1))
    except IdeaError:
        return ""
