"""Makes a commit of an answer, or tells all that keeps it from being run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from orze.refine.asking import hypothesis_of
from orze.refine.edits import Change, apply, read_change
from orze.refine.fold import SessionFold
from orze.refine.gate import Gate, syntax_faults
from orze.refine.git import GitError
from orze.refine.history import History, baseline_of
from orze.refine.model import BASELINE, Answered, Ended, Step, Try
from orze.refine.repository import Blob
from orze.refine.section import NotRunnable, section_of
from orze.refine.story import result_of
from orze.refine.table import inherited_command

_FAULTS: Final = 20
_UNSAID: Final = "(the agent did not say why)"
_UNCHANGED: Final = "the change changes nothing: neither a file nor the command line becomes another one"
_ONE_LINE: Final = 4096  # characters of a command line that a farm takes


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be changed, as globs; see `Gate`."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Proposal:
    hypothesis: str = ""
    changes: Mapping[str, bytes | None] = field(default_factory=dict)
    command: str = ""


class Maker:
    """Makes the tries of one session.

    Args:
        history: writes the commits.
        rules: what may be changed.
    """

    def __init__(self, history: History, rules: Rules) -> None:
        self._history = history
        self._repository = history.repository
        self._rules = rules
        self._listings: dict[str, dict[str, Blob]] = {}
        self._trees: dict[str, str] = {}

    def make(self, fold: SessionFold, number: int, attempt: int) -> Try:
        """Make a try of what is recorded; the same again gives the same.

        Args:
            number: of the step.
            attempt: of the try.

        Raises:
            GitError: git refuses for a reason that lies not in the change.
        """
        step = fold.steps[number]
        if number == BASELINE:
            said = baseline_of(fold.name)
            commit = self._history.draft(BASELINE, step.parent, {}, said, at=fold.at[0])
            return Try(attempt, said, command=fold.command, commit=commit)
        answered, inherited = fold.asked[number].answer, inherited_command(fold, step)
        if answered is None:
            raise ValueError(f"step {number} has no answer yet")
        proposal, faults = self._read(step, answered, inherited)
        faults = faults or self._judge(step, proposal, inherited)
        if faults:
            return Try(attempt, proposal.hypothesis, command=inherited, faults=tuple(faults[:_FAULTS]))
        try:
            commit = self._history.draft(
                number, step.parent, proposal.changes, proposal.hypothesis, at=answered.at
            )
        except GitError as error:
            return Try(attempt, proposal.hypothesis, command=inherited, faults=(f"git refuses it: {error}",))
        if known := self._known(fold, number, commit, proposal.command):
            return Try(attempt, proposal.hypothesis, command=inherited, faults=(known,))
        return Try(attempt, proposal.hypothesis, tuple(sorted(proposal.changes)), proposal.command, commit)

    def gate(self, commit: str) -> Gate:
        """What judges changes of a commit."""
        rules = self._rules
        return Gate(rules.allow, rules.deny, rules.protected, self.listing(commit))

    def listing(self, commit: str) -> dict[str, Blob]:
        """The files of a commit; remembered for the last ones."""
        if commit not in self._listings:
            if len(self._listings) > 8:
                self._listings.clear()
            self._listings[commit] = self._repository.listing(commit)
        return self._listings[commit]

    def _known(self, fold: SessionFold, number: int, commit: str, command: str) -> str:
        """Where another step ran, or runs, the same files by the same command; empty where none does."""
        tree = self._tree(commit)
        for step in fold.steps.values():
            one = step.last
            if step.number == number or one is None or not one.commit or one.command != command:
                continue
            stopped = one.outcome is not None and one.outcome.ended is Ended.STOPPED
            if not stopped and self._tree(one.commit) == tree:
                came = result_of(step, fold.terms.metric) or "it has not ended yet"
                return f"step {step.number} tried exactly this ({came}); propose something else"
        return ""

    def _tree(self, commit: str) -> str:
        """The files of a commit, as one hash."""
        if commit not in self._trees:
            self._trees[commit] = self._repository.tree(commit)
        return self._trees[commit]

    def _read(self, step: Step, answered: Answered, inherited: str) -> tuple[_Proposal, Sequence[str]]:
        """What an answer proposes, and what is wrong with it as an answer."""
        if answered.fault:
            return _Proposal(), [answered.fault]
        if answered.changes is not None:
            return _Proposal(hypothesis_of(answered.text) or _UNSAID, answered.changes, inherited), []
        change, faults = read_change(answered.text)
        if change is None:
            return _Proposal(), faults
        texts, faults = self._texts(step.parent, change)
        applied, wrong = apply(change, texts.get) if not faults else ({}, faults)
        changes: dict[str, bytes | None] = {
            path: text.encode() for path, text in applied.items() if text != texts.get(path)
        }
        command = inherited if change.command is None else change.command.strip()
        return _Proposal(change.hypothesis, changes, command), wrong

    def _texts(self, commit: str, change: Change) -> tuple[dict[str, str], list[str]]:
        """The files that are edited, as they are; and those that cannot be."""
        texts, faults = dict[str, str](), list[str]()
        for path in dict.fromkeys(edit.path for edit in change.edits):
            blob = self.listing(commit).get(path)
            if blob is None or not blob.regular:
                continue  # whether it may be one is for the gate to say
            try:
                texts[path] = (self._repository.read(commit, path) or b"").decode()
            except (UnicodeDecodeError, GitError):
                faults.append(f"{path}: is no text in UTF-8, or too large to be edited")
        return texts, faults

    def _judge(self, step: Step, proposal: _Proposal, inherited: str) -> Sequence[str]:
        """What keeps a proposal from being run."""
        if not proposal.changes and proposal.command == inherited:
            return [_UNCHANGED]
        faults = [*self.gate(step.parent).faults(proposal.changes), *syntax_faults(proposal.changes)]
        if proposal.command != inherited:
            faults += _command_faults(proposal.command)
        return faults


def _command_faults(command: str) -> list[str]:
    """What keeps a line from being run by a farm."""
    if not command or len(command) > _ONE_LINE or not command.isprintable():
        return [f"COMMAND must be one printable line of at most {_ONE_LINE} characters"]
    try:
        section_of(commit="0" * 40, hypothesis="x", origin="x", command=command)
    except NotRunnable as error:
        return [f"COMMAND: {error}"]
    return []
