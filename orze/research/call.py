"""One question to a language model through LiteLLM: `python -m orze.research.call`, a process of its own.

LiteLLM takes seconds to load, prints what it likes, and reads replies of any length for as long as they come.
Here its noise goes nowhere, its memory is bounded, and whoever asked can end it. The question is JSON on
standard input, the answer JSON on standard output.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from typing import Any, Final, NotRequired, TypedDict

from orze.research.faults import may_cost, passes, pause_before, status_of, told
from orze.research.hiding import hidden, without_values
from orze.research.loading import Unusable, load_litellm
from orze.research.price import price_of
from orze.research.proposal import LONGEST_REPLY, SCHEMA

_MEMORY: Final = 4 << 30  # bytes of address space
_FRAME: Final = 256 + len(json.dumps(SCHEMA))  # tokens around the texts
_TRIES: Final = 3
_LATE: Final = 10.0  # seconds behind the time for all tries


class Question(TypedDict):
    """What is asked.

    `price` is the settings' own, US dollars for a million tokens, or None; `seconds` the time for all tries.
    `plain` asks for a text instead of the JSON of ideas; only values of secret variables are hidden in it.
    `key_env` names the variable that holds the key, where it is not the provider's own.
    """

    model: str
    api_base: str | None
    messages: list[dict[str, str]]
    reply_tokens: int
    seconds: float
    price: dict[str, float] | None
    plain: NotRequired[bool]
    key_env: NotRequired[str]


class Answer(TypedDict):
    """What came of it.

    Attributes:
        text: the reply, empty where there is none.
        fault: why there is none, one sentence.
        passing: the fault may pass by itself.
        cut: the reply ended because it was too long.
        tokens: sent and answered; the most that it can be, where the provider does not say.
        usd: of these; None where the price is not known.
    """

    text: str
    fault: str
    passing: bool
    cut: bool
    tokens: int
    usd: float | None


def ask(litellm: Any, question: Question) -> Answer:
    """Ask, again after faults that pass by themselves and cost nothing.

    Raises:
        Exception: whatever LiteLLM raised the last time.
    """
    until = time.monotonic() + question["seconds"]
    with_schema = not question.get("plain") and bool(litellm.supports_response_schema(question["model"]))
    tries = 1
    while True:
        try:
            reply = litellm.completion(**_request(litellm, question, until - time.monotonic(), with_schema))
            return read(reply, question)
        except Exception as error:
            if with_schema and status_of(error) == 400:
                with_schema = False  # some models say that they can and cannot
                continue
            pause = pause_before(error, tries)
            if tries == _TRIES or time.monotonic() + pause > until:
                raise
            tries += 1
            time.sleep(pause)


def _request(litellm: Any, question: Question, seconds: float, with_schema: bool) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": question["model"],
        "messages": question["messages"],
        "max_tokens": question["reply_tokens"],
        "timeout": max(1.0, seconds),
        "num_retries": 0,
        "max_retries": 0,
    }
    if key := os.environ.get(question.get("key_env", "")):
        request["api_key"] = key
    if question["api_base"]:
        request["api_base"] = question["api_base"]
        if not key and litellm.validate_environment(question["model"])["missing_keys"]:
            request["api_key"] = "none"  # servers of one's own seldom ask for one, clients always do
    if with_schema:
        form = {"name": "ideas", "schema": SCHEMA, "strict": False}
        request["response_format"] = {"type": "json_schema", "json_schema": form}
    return request


def read(reply: Any, question: Question) -> Answer:
    """Take from a reply what is needed."""
    choice = reply.choices[0] if reply.choices else None
    text = getattr(getattr(choice, "message", None), "content", None)
    usage = getattr(reply, "usage", None)
    sent, answered = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens"))
    if not sent:
        sent, answered = most(question)
    return Answer(
        text=_harmless(text[: LONGEST_REPLY + 1], question) if isinstance(text, str) else "",
        fault="",
        passing=False,
        cut=getattr(choice, "finish_reason", "") == "length",
        tokens=sent + answered,
        usd=price(question, sent, answered),
    )


def _harmless(text: str, question: Question) -> str:
    """A reply without keys; in a plain one, which may be code, nothing else looks like one by its form."""
    return without_values(text, _secrets(question)) if question.get("plain") else hidden(text, os.environ)


def _secrets(question: Question) -> dict[str, str]:
    """The environment, with the key under a name that tells so."""
    return {**os.environ, "API_KEY": os.environ.get(question.get("key_env", ""), "")}


def most(question: Question) -> tuple[int, int]:
    """The most tokens that can be sent and answered: a token has a byte at least."""
    sent = sum(len(message["content"].encode()) for message in question["messages"])
    return sent + _FRAME, question["reply_tokens"]


def price(question: Question, sent: int, answered: int) -> float | None:
    """US dollars of so many tokens; None where nobody knows the price."""
    each = price_of(question["model"], {"price": question["price"]})
    return each and sent * each[0] + answered * each[1]


def _count(usage: Any, name: str) -> int:
    value = getattr(usage, name, None)
    return value if type(value) is int and 0 <= value < 1 << 53 else 0


def answer(question: Question) -> Answer:
    """Ask; every fault becomes a sentence, with what it may have cost."""
    found = Answer(text="", fault="", passing=False, cut=False, tokens=0, usd=0.0)
    name = question.get("key_env", "")
    if name and not os.environ.get(name):
        found["fault"] = f"{name} is not set; llm.api_key_env names it as the variable that holds the key"
        return found
    try:
        return ask(load_litellm(), question)
    except Unusable as error:
        found["fault"] = str(error)
    except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises becomes a sentence
        block = "llm" if question.get("plain") else "research"
        found["fault"] = told(error, question["model"], _secrets(question), block=block)
        found["passing"] = passes(error)
        if may_cost(error):
            tokens = most(question)
            found["tokens"], found["usd"] = sum(tokens), price(question, *tokens)
    return found


def main() -> None:
    """Answer the one question on standard input."""
    question: Question = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):  # it prints advice and advertisements
        os.dup2(null, descriptor)
    signal.setitimer(signal.ITIMER_REAL, question["seconds"] + _LATE)  # also where nobody waits for it
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    print(json.dumps(answer(question)), file=answers, flush=True)
    os._exit(0)  # it leaves threads and pools behind, which may hang at the end


if __name__ == "__main__":
    main()
