"""How a session is written into git: a commit for each try, one that tells the result, refs, and the branch.

The branch `revis/<name>` holds the kept line, `refs/revis/<name>/<n>` every step. What is written depends on
the records of the session alone, so whatever a crash cut short is done again with the same outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orze.core.errors import OrzeError
from orze.refine.fold import SessionFold
from orze.refine.git import git
from orze.refine.model import Outcome, Step, Try, Verdict
from orze.refine.repository import Repository
from orze.refine.verdict import Judgement
from orze.report.text import clean

_SUBJECT: Final = 72  # characters
_LINE: Final = 4000


class NotOurs(OrzeError):
    """The branch of a session points to a commit that is none of its own."""


def branch_of(name: str) -> str:
    """The full name of a session's branch."""
    return f"refs/heads/revis/{name}"


def refs_of(name: str) -> str:
    """What the full names of the refs of a session's steps begin with."""
    return f"refs/revis/{name}/"


class History:
    """Writes one session into git.

    Every method may be called again after a crash, and raises GitError where git refuses.
    """

    def __init__(self, repository: Repository, name: str) -> None:
        self._repository = repository
        self._name = name

    @property
    def repository(self) -> Repository:
        """Where it is written."""
        return self._repository

    def draft(
        self, step: int, parent: str, changes: Mapping[str, bytes | None], hypothesis: str, *, at: float
    ) -> str:
        """Commit what a step is to run, and point its ref there.

        Args:
            parent: the commit that it starts from.
            changes: new contents by path; none for the baseline, and for another command line.
            at: the date, Unix seconds, as it is recorded.
        """
        message = _message(hypothesis, [], {"Session": self._name, "Step": str(step)})
        commit = self._repository.commit(parent, changes, message, at=at)
        name = f"{refs_of(self._name)}{step}"
        self._repository.set_ref(name, commit, self._repository.ref(name) or None)
        return commit

    def conclude(self, fold: SessionFold, step: Step, judgement: Judgement) -> str:
        """Commit what came of a step, and point its ref there.

        Returns:
            The commit: it has the tree that ran. Empty where nothing ran, or is to run once more.
        """
        ran = next((one for one in reversed(step.tries) if one.commit), None)
        if ran is None or judgement.verdict is Verdict.STOPPED:
            return ""
        message = _message(ran.hypothesis, [judgement.reason], self._trailers(fold, step, ran, judgement))
        at = self._date(ran.commit) + (ran.outcome.seconds if ran.outcome else 0.0)
        commit = self._repository.again(ran.commit, message, parent=step.parent, at=at)
        name = f"{refs_of(self._name)}{step.number}"
        self._repository.set_ref(name, commit, self._repository.ref(name) or None)
        return commit

    def settle(self, fold: SessionFold) -> None:
        """Point the branch to the best step, whatever was cut short when it was moved last."""
        if fold.best is not None:
            self._move_branch(fold, fold.steps[fold.best].commit)

    def _move_branch(self, fold: SessionFold, commit: str) -> None:
        name = branch_of(self._name)
        now = self._repository.ref(name)
        ours = {step.commit for step in fold.steps.values()} | {"", commit}
        if now not in ours and now not in self._repository.refs(refs_of(self._name)).values():
            raise NotOurs(
                f"the branch revis/{self._name} points to {now[:10]}, which is no step of the session: "
                "move your commits to another branch"
            )
        self._repository.set_ref(name, commit, now or None)

    def _date(self, commit: str) -> float:
        _, answer = git(self._repository.top, "show", "--no-patch", "--format=%ct", commit)
        return float(answer)

    def _trailers(self, fold: SessionFold, step: Step, ran: Try, judgement: Judgement) -> dict[str, str]:
        trailers = {
            "Session": self._name,
            "Step": str(step.number),
            "Command": ran.command,
            "Metric": _told(fold.terms.metric, ran.outcome),
            "Verdict": judgement.verdict.value,
            "Ran": ran.commit,
        }
        return {name: value for name, value in trailers.items() if value}


def baseline_of(name: str) -> str:
    """What the baseline is called."""
    return f"The baseline of the session {name}"


def _told(metric: str, outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    if outcome.value is None:
        return f"none ({outcome.ended.value})"
    return f"{clean(metric, 200)}={outcome.value!r} (n={len(outcome.values)})"


def _message(hypothesis: str, paragraphs: list[str], trailers: Mapping[str, str]) -> str:
    """A message whose last paragraph, and no other, is of trailers (git-interpret-trailers(1))."""
    whole = clean(hypothesis, _LINE)
    subject = whole if len(whole) <= _SUBJECT else whole[: _SUBJECT - 1].rstrip() + "…"
    said = [subject, *([whole] if subject != whole else []), *(clean(text, _LINE) for text in paragraphs)]
    lines = [f"Revis-{name}: {_folded(value)}" for name, value in trailers.items()]
    return "\n\n".join([*said, "\n".join(lines)]) + "\n"


def _folded(value: str) -> str:
    return "\n  ".join(line for line in value.splitlines() if line.strip())
