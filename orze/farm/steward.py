"""What only the leading host does: register ideas, note outcomes, empty the inbox, apply requests."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import Any

from orze.attempt.projections import METRICS_FILE, project
from orze.coord import requests
from orze.coord.journal import Journal
from orze.coord.leader import Leadership
from orze.core.states import SUCCEEDED, State
from orze.farm.applying import Applier
from orze.farm.context import Context
from orze.farm.intake import Intake
from orze.farm.outcomes import Facts
from orze.farm.queue import Queue
from orze.ideas import inbox
from orze.ideas.merge import MergeBlocked, append_sections, renumber
from orze.ideas.model import group_of
from orze.ideas.parse import IdeaError
from orze.ideas.scan import scan

Parts = dict[str, list[Any]]

_ID = re.compile(r"idea-([0-9]{1,18})(?:\.[0-9]{1,9})?")


class Steward:
    """Writes the journal while this host leads. Every step may be done twice without harm.

    Attributes:
        problems: what it could not do, for people to see.
        waiting: requests are to be looked at again soon.
    """

    def __init__(
        self,
        context: Context,
        *,
        journal: Journal,
        leadership: Leadership,
        queue: Queue,
        intake: Intake,
        applier: Applier,
    ) -> None:
        self._context = context
        self._journal = journal
        self._leadership = leadership
        self._queue = queue
        self._intake = intake
        self._applier = applier
        self._inbox = inbox.inbox_of(str(context.settings.ideas_file))
        self._ideas_file = Path(context.settings.ideas_file)
        self._outcomes: dict[str, tuple[State, Facts]] = {}
        self._reopened: dict[str, None] = {}
        self.problems: list[str] = []
        self.waiting = False

    def note(self, idea_id: str, state: State, facts: Facts) -> None:
        """An outcome was seen: it goes into the journal, from here or, if another leads, from there.

        It is kept until the journal tells it, for the leader may die before it has seen the same.
        """
        self._reopened.pop(idea_id, None)
        self._outcomes[idea_id] = (state, facts)

    def told(self, idea_id: str) -> None:
        """The journal tells how this idea ended, or that it runs again: what was seen here is no news."""
        self._outcomes.pop(idea_id, None)

    def twin(self, config: str, seed: int, but: str) -> str:
        """Another idea that was seen to succeed with this, and of which the journal does not tell yet."""
        for idea_id, (state, facts) in self._outcomes.items():
            same = (facts.get("config"), facts.get("seed")) == (config, seed)
            if same and state in SUCCEEDED and idea_id != but:
                return idea_id
        return ""

    def reopen(self, idea_id: str) -> None:
        """An outcome in the journal holds no more: the idea's directory was removed, or it was retried."""
        self._outcomes.pop(idea_id, None)
        self._reopened[idea_id] = None

    def step(self) -> None:
        """Write what is new, and do what was asked.

        Raises:
            OSError: the share did not answer; what was not written is written at the next step.
        """
        self.problems = []
        asked: list[requests.Request] = []
        written = False
        try:
            parts: Parts = dict(self._intake.changes())
            shown = {idea_id: end for idea_id, end in self._outcomes.items() if self._show(idea_id)}
            parts["outcomes"] = [[idea_id, *outcome] for idea_id, outcome in shown.items()]
            reopened = self._open_again()
            parts["reopen"] = list(reopened)
            entries = self._take_inbox(parts)
            asked = self._apply_requests(parts)
            written = not any(parts.values()) or self._journal.write(self._leadership.fold.term, parts)
        finally:
            if not written:
                self._intake.recheck()
        if not written:
            return  # another leader wrote meanwhile: look again first
        for idea_id in shown:
            del self._outcomes[idea_id]
        for idea_id in reopened:
            del self._reopened[idea_id]
        self._empty_inbox(entries)
        for request in asked:
            requests.remove(self._context.files, self._context.paths.requests, request)

    def _open_again(self) -> list[str]:
        """Ideas to reopen, by their chains as they are now: another host may have led since that was seen, or
        what was read then was an old page. One that has ended is settled by the next sweep.
        """
        found = []
        for idea_id in list(self._reopened):
            try:
                _, fold = self._context.chain(idea_id)
            except FileNotFoundError:
                found.append(idea_id)
            except OSError as error:
                self.problems.append(f"whether {idea_id} is open again: {error.strerror or error}")
            else:
                if fold.end is None:
                    found.append(idea_id)
                else:
                    del self._reopened[idea_id]
        return found

    def _show(self, idea_id: str) -> bool:
        """Make sure that people can see how an idea ended, for nobody looks at it again once it is journaled.

        Its keeper may have died, or met a full disk, between its last record and the projections.
        """
        idea = self._context.paths.idea(idea_id)
        files = self._context.files
        try:
            if METRICS_FILE not in files.listdir(idea.home):
                project(files, idea, *self._context.chain(idea_id))
        except FileNotFoundError:
            return True  # somebody has removed it; the next sweep tells
        except OSError as error:
            self.problems.append(f"the files of {idea_id} that show its end: {error.strerror or error}")
            return False
        return True

    def _apply_requests(self, parts: Parts) -> list[requests.Request]:
        """Do what is asked; the requests that are dealt with once `parts` are in the journal.

        Of several about one idea, its group or one host the first goes first: what the next one means depends
        on it.
        """
        self.waiting = False
        dealt: list[requests.Request] = []
        for request in requests.pending(self._context.files, self._context.paths.requests):
            done = False
            subject = group_of(request.target)
            first = not subject or subject not in {group_of(other.target) for other in dealt}
            if first and not self._may_come(request):
                try:
                    done = self._applier.apply(request, parts)
                except OSError as error:  # one chain that is damaged must not hold up the others
                    about = f"the request to {request.kind} {request.target}"
                    self.problems.append(f"{about}: {error.strerror or error}; it is tried again")
                    continue
            dealt += [request] if done else []
            self.waiting = self.waiting or not done
        return dealt

    def _may_come(self, request: requests.Request) -> bool:
        """Whether it is about an idea that may stand in what has not been read yet of ideas.md."""
        reading = self._intake.behind or self._intake.due() is not None
        return reading and request.kind in requests.OF_IDEAS and request.target not in self._queue

    def _take_inbox(self, parts: Parts) -> list[tuple[str, str, str]]:
        """Give every waiting entry its id, for ever, and register it in the same record."""
        entries: list[tuple[str, str, str]] = []
        allocated = self._journal.fold.allocated
        waiting = inbox.waiting(self._context.files, self._inbox)
        number = self._highest_number() if waiting else 0
        for uuid in waiting:
            known = allocated.get(uuid)
            idea_id = known or f"idea-{number + 1:03d}"
            try:
                text = renumber(inbox.read_entry(self._context.files, self._inbox, uuid), idea_id)
            except IdeaError as error:
                self.problems.append(f"ideas.d/new/{uuid}.md:{error.line}: {error.reason}")
                continue
            except (OSError, UnicodeDecodeError) as error:
                self.problems.append(f"ideas.d/new/{uuid}.md: {error}")
                continue
            entries.append((uuid, idea_id, text))
            if known is None:
                number += 1
                parts.setdefault("alloc", []).append([uuid, idea_id])
                parts.setdefault("register", []).append([idea_id, revision(text), text])
        return entries

    def _empty_inbox(self, entries: list[tuple[str, str, str]]) -> None:
        if not entries:
            return
        try:
            append_sections(self._ideas_file, [(idea_id, text) for _, idea_id, text in entries])
        except MergeBlocked as blocked:
            self.problems.append(str(blocked))
            return
        for uuid, _, _ in entries:
            self._context.files.unlink(inbox.entry_path(self._inbox, uuid))

    def _highest_number(self) -> int:
        """The highest number of an id in ideas.md, the journal and results/; 0 where there is none."""
        results = self._context.files.listdir(self._context.paths.results)
        names = chain(self._queue.ids(), results, self._journal.fold.allocated.values())
        return max(0, max(map(number_of, names), default=0))


def number_of(name: str) -> int:
    """The number of an idea's id, 0 and up, also of a member's; -1 for other names."""
    match = _ID.fullmatch(name)
    return int(match[1]) if match else -1


def revision(text: str) -> str:
    """The sha of a one-section text, as the scanner of ideas.md will see it."""
    return scan(text.encode())[0].sha.hex()
