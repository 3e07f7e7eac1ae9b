"""The proposer `command`: any program that reads what is known and prints ideas."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orze.report.text import clean
from orze.research.program import Ran, run_program
from orze.research.prompt import prompt
from orze.research.proposal import LONGEST_REPLY
from orze.research.proposers import Cost, ProposerError, Reply
from orze.research.study import Study

_SHARE: Final = 0.9  # of the round's time; the rest is for what the round does itself
_COST: Final = Cost(usd=None, tokens=0)  # nobody knows what an agent behind a command costs


class Command:
    """Runs `research.command` in the project's directory and takes what it prints for its reply.

    On standard input it gets the same text as a model would, the faults of its last reply included. It has
    the environment of the farm with all keys of LLM providers, which a local agent needs to work; whoever
    names a command there trusts it.
    """

    repairs = True

    def __init__(self, study: Study, settings: Mapping[str, Any]) -> None:
        """Take the command.

        Raises:
            ProposerError: there is none.
        """
        self._argv = [str(word) for word in settings.get("command") or ()]
        self._cwd = study.brief.project_dir
        self._until = time.monotonic() + _SHARE * float(settings.get("round_timeout", 600.0))
        if not self._argv:
            raise ProposerError("research.command names no program")

    def propose(self, study: Study, count: int, faults: Sequence[str], last: str, /) -> Reply:
        """Run it once.

        Raises:
            ProposerError: it cannot be started, fails, prints too much, or takes what is left of the round.
        """
        text = prompt(study, count, faults, last).whole
        seconds = max(0.0, self._until - time.monotonic())
        try:
            ran = run_program(
                self._argv, text, cwd=self._cwd, env=os.environ, seconds=seconds, limit=LONGEST_REPLY
            )
        except OSError as error:
            raise ProposerError(f"research.command cannot be started: {error.strerror}") from None
        if ran.why or ran.status != 0:
            raise ProposerError(f"research.command, {clean(self._argv[0], 60)}, {_ended(ran)}", _COST)
        return Reply(ran.output.decode("utf-8", "replace"), _COST)


def _ended(ran: Ran) -> str:
    if ran.why == "size":
        return f"printed more than {LONGEST_REPLY >> 10} KiB and was ended"
    if ran.why == "time":
        return "took longer than the round may take and was ended"
    lines = ran.errors.decode("utf-8", "replace").split("\n")
    said = next((line for line in map(clean, reversed(lines)) if line), "it said nothing on standard error")
    return f"ended with status {ran.status}: {said}"
