"""Asks for the change of a step: a model, or an agent in a worktree of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from orze.config.refine import Loop
from orze.core.files import RealFiles
from orze.refine.asking import Answer, Asking, ask_agent, ask_model, most_of
from orze.refine.fold import SessionFold
from orze.refine.git import GitError
from orze.refine.making import Maker
from orze.refine.prompt import Known, prompt
from orze.refine.repository import Repository
from orze.refine.story import uses
from orze.refine.table import inherited_command
from orze.refine.warm import Warm
from orze.refine.worktree import OddChange
from orze.research.prompt import Prompt

_REPLY: Final = 1 << 20  # bytes of a reply that are read back
_BLOBS: Final = 64 << 20  # bytes of files that are remembered


class Proposing(Protocol):
    """Whoever can be asked for changes."""

    def open(self) -> None:
        """Get ready; OSError where that fails."""

    def close(self) -> None:
        """There will be no more questions."""

    def prepare(self, fold: SessionFold, step: int, number: int, faults: tuple[str, ...]) -> Prompt:
        """What will be said."""

    def most(self, prepared: Prompt, *, in_usd: bool) -> tuple[float | None, int]:
        """What asking that may cost at most: US dollars, None where nobody knows, and tokens.

        Args:
            in_usd: whether it matters: looking a price up takes seconds.
        """

    def ask(self, fold: SessionFold, step: int, number: int, prepared: Prompt) -> Asking:
        """Ask; OSError where no process can be started."""

    def collect(self, fold: SessionFold, step: int, number: int, answer: Answer) -> Answer:
        """The answer with what was changed, and nothing left behind."""


class Proposer:
    """Asks the model or the agent of the settings.

    Args:
        settings: in force.
        minimize: smaller is better.
        tries: the directory for drafts: replies, and worktrees of agents.
        environ: the user's own, with the keys.
    """

    def __init__(
        self,
        settings: Loop,
        maker: Maker,
        repository: Repository,
        *,
        tries: Path,
        environ: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._maker = maker
        self._repository = repository
        self._tries = tries
        self._environ = environ
        self._blobs: dict[str, bytes | None] = {}
        self._size = 0
        self._diffs: dict[tuple[str, str], str] = {}
        self._warm: Warm | None = None

    def open(self) -> None:
        """Have ready what asking needs; it takes effect some seconds later, and nobody waits for it.

        Raises:
            OSError: no process can be started.
            GitError: what an earlier loop left cannot be removed.
        """
        if self._settings.agent:
            for left in self._tries.glob("*-*[0-9]/"):  # a loop that was killed could not remove them
                self._repository.remove_worktree(left)
        elif self._warm is None:
            self._warm = Warm(self._environ)

    def close(self) -> None:
        """Send it away again."""
        if self._warm:
            self._warm.end()
            self._warm = None

    def prepare(self, fold: SessionFold, step: int, number: int, faults: tuple[str, ...]) -> Prompt:
        """What will be said: all that is known of the session, and what was wrong with the try before."""
        parent = fold.steps[step].parent
        listing, gate = self._maker.listing(parent), self._maker.gate(parent)
        s = self._settings
        known = Known(
            name=fold.name,
            step=step,
            parent=parent,
            command=inherited_command(fold, fold.steps[step]),
            steps=tuple(fold.steps.values()),
            best=fold.best,
            metric=fold.terms.metric,
            minimize=fold.terms.ascending,
            target=fold.terms.target,
            noise=fold.noise,
            listing=listing,
            read=lambda path: self._read(parent, path),
            diff=self._diff,
            may_change=lambda path: not gate.faults({path: b"?"}),
            allow=s.allow,
            deny=s.deny,
            protected=s.protected,
            constraints=s.constraints,
            longest_run=s.guardrails.max_run_duration,
            budget="; ".join(use.told for use in uses(fold) if use.limit is not None),
            faults=faults,
            last=self._reply(step, number - 1) if faults else "",
        )
        return prompt(known, for_agent=bool(s.agent))

    def most(self, prepared: Prompt, *, in_usd: bool) -> tuple[float | None, int]:
        """What asking that may cost at most; of an agent nobody knows."""
        return (None, 0) if self._settings.agent else most_of(self._settings.llm, prepared, in_usd=in_usd)

    def ask(self, fold: SessionFold, step: int, number: int, prepared: Prompt) -> Asking:
        """Ask.

        Raises:
            OSError: no process can be started.
            GitError: there is no worktree for the agent.
        """
        if not self._settings.agent:
            spawn = self._warm.spawn if self._warm else None
            return ask_model(self._settings.llm, prepared, self._environ, spawn=spawn)
        tree = self._tree(step, number)
        self._repository.remove_worktree(tree)
        tree.parent.mkdir(parents=True, exist_ok=True)
        self._repository.worktree(fold.steps[step].parent, tree)
        where = os.path.join(tree, self._repository.prefix)
        words, seconds = self._settings.agent, self._settings.llm.timeout
        return ask_agent(words, prepared, where, self._environ, seconds)

    def collect(self, fold: SessionFold, step: int, number: int, answer: Answer) -> Answer:
        """The answer with what the agent changed; its worktree is gone then. Replies are kept."""
        if answer.text:
            self._tries.mkdir(parents=True, exist_ok=True)
            RealFiles().replace(str(self._kept(step, number)), answer.text.encode("utf-8", "replace"))
        if not self._settings.agent:
            return answer
        tree = self._tree(step, number)
        changes: dict[str, bytes | None] | None = None
        fault = answer.fault
        if not fault:
            try:
                changes = self._repository.changed_in(tree, fold.steps[step].parent)
            except OddChange as odd:
                fault = "; ".join(odd.faults)
            except GitError as error:
                fault = str(error)
        self._repository.remove_worktree(tree)
        return replace(answer, changes=changes, fault=fault)

    def _tree(self, step: int, number: int) -> Path:
        return self._tries / f"{step}-{number}"

    def _kept(self, step: int, number: int) -> Path:
        return self._tries / f"{step}-{number}.txt"

    def _reply(self, step: int, number: int) -> str:
        with suppress(OSError):
            return RealFiles().read(str(self._kept(step, number)), _REPLY).decode("utf-8", "replace")
        return ""

    def _read(self, commit: str, path: str) -> bytes | None:
        """A file of a commit, remembered by what it holds: from step to step few change."""
        blob = self._maker.listing(commit).get(path)
        if blob is None:
            return None
        if blob.sha not in self._blobs:
            if self._size > _BLOBS:
                self._blobs.clear()
                self._size = 0
            data = self._repository.read(commit, path)
            self._blobs[blob.sha] = data
            self._size += len(data or b"")
        return self._blobs[blob.sha]

    def _diff(self, a: str, b: str) -> str:
        if (a, b) not in self._diffs:
            self._diffs[a, b] = self._repository.diff(a, b)
        return self._diffs[a, b]
