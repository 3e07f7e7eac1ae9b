"""The proposer that asks a language model, of any provider, through LiteLLM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from orze.core.clock import SystemClock
from orze.report.text import clean
from orze.research.call import Answer, Question, most, price
from orze.research.prompt import Prompt, prompt
from orze.research.proposers import Cost, ProposerError, Reply
from orze.research.study import Study

_SHARE: Final = 0.9  # of the round's time; the rest is for checking and leaving what was proposed
_LEAST: Final = 5.0  # seconds below which it is not worth asking
_CODE: Final = str(Path(__file__).resolve().parents[2])
_CUT: Final = "the reply was cut off after {} tokens: propose fewer ideas, in fewer words"


class Llm:
    """Asks a model; it has no tools, and sees nothing but the digest.

    Args:
        study: not used; every proposer is made so.
        settings: the `research` block of orze.yaml as plain values, with the `model` of this round.

    Raises:
        ProposerError: no model is named.
    """

    repairs = True

    def __init__(self, study: Study, settings: Mapping[str, Any]) -> None:  # noqa: ARG002 - as all proposers
        if not settings.get("model"):
            raise ProposerError("no model is named: set research.model, such as openai/gpt-4o-mini")
        self._settings = settings
        self._clock = SystemClock()
        self._until = self._clock.steady() + _SHARE * float(settings["round_timeout"])
        self._was_cut = False

    def propose(self, study: Study, count: int, faults: Sequence[str], last: str) -> Reply:
        """Ask for ideas.

        Raises:
            ProposerError: no reply came; `cost` is what that may have cost.
        """
        if self._was_cut and faults:
            faults = [_CUT.format(self._settings["reply_tokens"]), *faults]
        answer = self._ask(prompt(study, count, faults, last))
        cost = Cost(answer["usd"], answer["tokens"])
        if answer["fault"]:
            raise ProposerError(answer["fault"], cost)
        self._was_cut = answer["cut"]
        return Reply(answer["text"], cost)

    def _ask(self, question: Prompt) -> Answer:
        seconds = self._until - self._clock.steady()
        if seconds < _LEAST:
            raise ProposerError("no time is left in this round to ask again; raise research.round_timeout")
        job = Question(
            model=self._settings["model"],
            api_base=self._settings.get("api_base"),
            messages=[
                {"role": "system", "content": question.system},
                {"role": "user", "content": question.user},
            ],
            reply_tokens=int(self._settings["reply_tokens"]),
            seconds=seconds,
            price=self._settings.get("price"),
        )
        try:
            return _run(job)
        except subprocess.TimeoutExpired:
            tokens = most(job)
            cost = Cost(price(job, *tokens), sum(tokens))
            raise ProposerError(
                f"{clean(job['model'])}: no whole answer within {seconds:.0f} s", cost
            ) from None


def _run(job: Question) -> Answer:
    """Ask in a process of its own, in the group of this one.

    Raises:
        subprocess.TimeoutExpired: it was ended when its time was over.
        ProposerError: it came to another end.
    """
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "orze.research.call"],
        input=json.dumps(job).encode(),
        env={**os.environ, "PYTHONPATH": _CODE},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=job["seconds"] + 1,
        check=False,
    )
    try:
        return cast("Answer", json.loads(ended.stdout))
    except ValueError:
        said = f"signal {-ended.returncode}" if ended.returncode < 0 else f"status {ended.returncode}"
        raise ProposerError(f"asking {clean(job['model'])} ended with {said} and no answer") from None
