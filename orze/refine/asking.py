"""Asks for a change: a language model, or an agent of the user's, each in a process that nobody waits for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from orze.attempt.verdict import one_line
from orze.config.refine import Llm
from orze.refine.agent import Job, Said
from orze.research import call
from orze.research.hiding import without_values
from orze.research.price import prices
from orze.research.prompt import Prompt

_CODE: Final = str(Path(__file__).resolve().parents[2])
_LATE: Final = 15.0  # seconds behind its time limit, in which a process has to end by itself
_LAST: Final = 5.0  # seconds that it has to end when it is told to
_MOST_SAID: Final = 16 << 20  # bytes of its answer
_HYPOTHESIS: Final = "HYPOTHESIS:"
_LONGEST: Final = 600  # characters of a hypothesis
_MILLION: Final = 1e6
_PRICES: Final[dict[str, tuple[float, float] | None]] = {}  # by model, as far as they were looked up
_NO_MODEL: Final = "no model is named: set llm.model in revis.yaml, such as openai/gpt-4o-mini"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking.

    Attributes:
        text: the reply; of an agent the end of what it printed.
        changes: always None here: those of a model stand in its text, those of an agent in its worktree.
        usd: what it cost, or may have; None where nobody knows.
        tokens: sent and answered, or the most that it can have been.
        fault: why there is no reply, or none that can be used as it is, one sentence; else empty.
        passing: the fault may pass by itself: the same may be asked again after a while.
    """

    text: str = ""
    changes: Mapping[str, bytes | None] | None = None
    usd: float | None = 0.0
    tokens: int = 0
    fault: str = ""
    passing: bool = False


class Asking(Protocol):
    """A question that was asked, and whose answer is awaited."""

    def poll(self) -> Answer | None:
        """The answer; None as long as there is none. It never waits."""

    def end(self) -> Answer:
        """Give it up: all of its processes are gone when this returns, at the latest after some seconds.

        Returns:
            The answer if it is there; else one with a fault, and with what the question may have cost.
        """


class Running(Protocol):
    """A process that was started, as Popen shows it."""

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; TimeoutExpired where it does not come."""

    def send_signal(self, number: int) -> None:
        """Signal it."""


def ask_model(
    llm: Llm,
    prompt: Prompt,
    environ: Mapping[str, str],
    *,
    spawn: Callable[[int, int], Running] | None = None,
) -> Asking:
    """Ask a model.

    Secrets of the environment are taken out of the prompt; the process that asks gets the environment, of
    which the key goes to the provider's client alone.

    Args:
        llm: the settings; `timeout` is for all tries together.
        environ: the user's own environment, with the key.
        spawn: starts a process that does what `orze.research.call` does, with these descriptors as its
            standard input and output; a new interpreter where it is not given.

    Raises:
        OSError: no process can be started.
    """
    if not llm.model:
        return _Answered(Answer(fault=_NO_MODEL))
    question = _question(llm, prompt, {**environ, "API_KEY": environ.get(llm.api_key_env or "", "")})
    cost, tokens = most_of(llm, prompt, in_usd=False)
    lost = Answer(usd=cost, tokens=tokens, passing=True)

    def read(said: bytes, why: str) -> Answer:
        return _read_model(said, why, lost, question)

    return _Process("orze.research.call", question, environ, llm.timeout, read, spawn=spawn)


def ask_agent(
    words: Sequence[str], prompt: Prompt, worktree: str, environ: Mapping[str, str], seconds: float
) -> Asking:
    """Let a program of the user's change the files of a worktree; what it changed is for others to read.

    Args:
        words: the program and its arguments; it reads the prompt on its standard input.
        worktree: the directory in which it works.
        environ: its whole environment: the user's own, since it needs its keys.
        seconds: the longest time that it may take.

    Raises:
        OSError: no process can be started.
    """
    text = without_values(prompt.whole, environ)
    lifeline, held = os.pipe()
    job = Job(
        words=list(words), text=text, cwd=worktree, environ=dict(environ), seconds=seconds, lifeline=lifeline
    )

    def read(said: bytes, why: str) -> Answer:
        return _read_agent(said, why, job)

    try:
        return _Process("orze.refine.agent", job, environ, seconds, read, lifeline=(lifeline, held))
    except OSError:
        os.close(held)
        raise
    finally:
        os.close(lifeline)


def most_of(llm: Llm, prompt: Prompt, *, in_usd: bool = True) -> tuple[float | None, int]:
    """What asking may cost at most: US dollars, None where nobody knows the price; and tokens.

    Args:
        in_usd: look the price up where neither the settings tell it nor anybody has asked before, which
            takes seconds; else None is told then.
    """
    sent, answered = call.most(_question(llm, prompt, {}))
    each = _price(llm, look_up=in_usd)
    return each and sent * each[0] + answered * each[1], sent + answered


def unpriced(llm: Llm) -> list[str]:
    """Say what keeps a budget in US dollars from being held; it may take seconds.

    Returns:
        A sentence where nobody knows what the model costs; else none.
    """
    if not llm.model or _price(llm, look_up=True) is not None:
        return []
    name = one_line(llm.model, 80)
    said = (
        f"budget.usd cannot be held: the price of {name} is not known; give llm.price, "
        "input and output in US dollars for a million tokens"
    )
    return [said]


def hypothesis_of(text: str) -> str:
    """The hypothesis in what an agent printed: the line that begins with `HYPOTHESIS:`, else the last one."""
    lines = [line.strip(" \t*_#>`-") for line in text.splitlines() if line.strip()]
    named = [line for line in lines if line.upper().startswith(_HYPOTHESIS)]
    last = named[-1][len(_HYPOTHESIS) :].lstrip(" *_") if named else (lines or [""])[-1]
    return one_line(last, _LONGEST)


def _price(llm: Llm, *, look_up: bool) -> tuple[float, float] | None:
    """US dollars of a token that is sent, and of one that is answered."""
    if llm.price:
        return llm.price.input / _MILLION, llm.price.output / _MILLION
    if look_up and llm.model and llm.model not in _PRICES:
        _PRICES.update(prices([llm.model]))
    return _PRICES.get(llm.model or "")


def _question(llm: Llm, prompt: Prompt, secrets: Mapping[str, str]) -> call.Question:
    return call.Question(
        model=llm.model or "",
        api_base=llm.api_base,
        messages=[
            {"role": "system", "content": without_values(prompt.system, secrets)},
            {"role": "user", "content": without_values(prompt.user, secrets)},
        ],
        reply_tokens=llm.reply_tokens,
        seconds=llm.timeout,
        price=llm.price.model_dump() if llm.price else None,
        plain=True,
        key_env=llm.api_key_env or "",
    )


def _read_model(said: bytes, why: str, lost: Answer, question: call.Question) -> Answer:
    """Read what `orze.research.call` said."""
    try:
        told: call.Answer = json.loads(said)
        fault = told["fault"]
        if told["cut"]:
            fault = (
                f"the reply was cut off after {question['reply_tokens']} tokens: make fewer and smaller edits"
            )
        elif not (fault or told["text"].strip()):
            fault = "the reply was empty"
        return Answer(
            text=told["text"],
            usd=told["usd"],
            tokens=told["tokens"],
            fault=fault,
            passing=told["passing"],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        how = f"no whole answer within {question['seconds']:.0f} s" if why == "time" else _how(why)
        return _faulty(lost, f"{one_line(question['model'], 80)}: {how}")


def _faulty(lost: Answer, fault: str) -> Answer:
    return Answer(usd=lost.usd, tokens=lost.tokens, passing=lost.passing, fault=fault)


def _read_agent(said: bytes, why: str, job: Job) -> Answer:
    """Read what `orze.refine.agent` said."""
    name = one_line(job["words"][0], 80)
    try:
        told: Said = json.loads(said)
        text = without_values(told["text"], job["environ"])
        if told["fault"]:
            return Answer(text=text, usd=None, fault=f"{name}: {one_line(told['fault'])}")
        if told["why"] == "time":
            why = "time"
        elif told["status"]:
            last = hypothesis_of(text)
            how = f"it ended with {_status(told['status'])}" + (f": {last}" if last else "")
            return Answer(text=text, usd=None, fault=f"{name}: {how}", passing=True)
        else:
            return Answer(text=text, usd=None)
    except (ValueError, KeyError, TypeError, AttributeError):
        text = ""
    how = f"it did not end within {job['seconds']:.0f} s" if why == "time" else _how(why)
    return Answer(text=text, usd=None, fault=f"{name}: {how}", passing=True)


def _how(why: str) -> str:
    return "asking was given up" if why == "end" else f"asking ended with {why} and no answer"


def _status(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


@dataclass(frozen=True, slots=True)
class _Answered:
    """What needed no asking."""

    answer: Answer

    def poll(self) -> Answer:
        return self.answer

    def end(self) -> Answer:
        return self.answer


class _Process:
    """A module of this program that reads JSON from its standard input and answers on its standard output.

    Args:
        lifeline: both ends of a pipe; the process ends itself when the second one is closed, which it is at
            the latest when this process dies.
    """

    def __init__(
        self,
        module: str,
        job: Any,
        environ: Mapping[str, str],
        seconds: float,
        read: Callable[[bytes, str], Answer],
        *,
        lifeline: tuple[int, int] | None = None,
        spawn: Callable[[int, int], Running] | None = None,
    ) -> None:
        self._read = read
        self._answer: Answer | None = None
        self._module, self._environ = module, environ
        self._inherited = lifeline[:1] if lifeline else ()
        self._lifeline = lifeline[1] if lifeline else None
        self._until = time.monotonic() + seconds + _LATE
        self._output = os.memfd_create("answer")
        try:
            with os.fdopen(os.memfd_create("question"), "wb") as source:
                source.write(json.dumps(job).encode())
                source.seek(0)
                self._process: Running = (spawn or self._interpreter)(source.fileno(), self._output)
        except OSError:
            os.close(self._output)
            raise

    def _interpreter(self, source: int, output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", self._module],
            stdin=source,
            stdout=output,
            stderr=subprocess.DEVNULL,
            env={**self._environ, "PYTHONPATH": _CODE},
            pass_fds=self._inherited,
            process_group=0,
        )

    def poll(self) -> Answer | None:
        if self._answer is not None:
            return self._answer
        status = self._process.poll()
        if status is not None:
            return self._finish(_status(status))
        if time.monotonic() > self._until:
            self._kill()
            return self._finish("time")
        return None

    def end(self) -> Answer:
        if (answer := self.poll()) is not None:
            return answer
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(_LAST)
        except subprocess.TimeoutExpired:
            self._kill()
        return self._finish("end")

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # it hangs in the kernel
            self._process.wait(_LAST)

    def _signal(self, number: int) -> None:
        """Signal its group; it was not waited for, so that the id is still its own."""
        if isinstance(self._process, subprocess.Popen):
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)

    def _finish(self, why: str) -> Answer:
        with os.fdopen(self._output, "rb") as stream:
            stream.seek(0)
            said = stream.read(_MOST_SAID)
        if self._lifeline is not None:
            os.close(self._lifeline)
        self._answer = self._read(said, why)
        return self._answer
