"""What a failed call means: a table of statuses and wishes, and of what people are told."""

from __future__ import annotations

import math

import pytest

from orze.research.faults import may_cost, pause_before, told


class Failed(Exception):
    """As LiteLLM raises them, as far as is looked at."""

    def __init__(self, status: object = None, wish: str | None = None, text: str = "oops") -> None:
        super().__init__(text)
        self.status_code = status
        self.litellm_response_headers = {} if wish is None else {"retry-after": wish}


class ConnectError(Exception):
    """Of httpx: nobody is there."""


class ReadTimeout(Exception):
    """Of httpx: somebody was."""


def behind(cause: Exception, status: int = 500) -> Failed:
    """A fault that hides another, as LiteLLM's do."""
    error = Failed(status)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "tries", "pause", "costs"),
    [
        (Failed(500), 1, 1.0, False),
        (Failed(503), 2, 2.0, False),
        (Failed(429, "7"), 1, 7.0, False),
        (Failed(429, "0.5"), 2, 0.5, False),
        (Failed(429, "4000"), 1, math.inf, False),
        (Failed(429, "Fri, 31 Dec 1999 23:59:59 GMT"), 1, 1.0, False),
        (Failed(429, "-1"), 1, 1.0, False),
        (Failed(401), 1, math.inf, False),
        (Failed(400), 1, math.inf, False),
        (Failed(408), 1, math.inf, True),
        (Failed(None), 1, math.inf, True),
        (Failed("500"), 1, math.inf, True),
        (behind(ConnectError()), 1, 1.0, False),
        (behind(ReadTimeout()), 1, math.inf, True),
        (MemoryError(), 1, math.inf, True),
    ],
)
def test_only_what_passes_by_itself_and_cost_nothing_is_tried_again(
    error: Exception, tries: int, pause: float, costs: bool
):
    assert (pause_before(error, tries), may_cost(error)) == (pause, costs)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (behind(ConnectError()), "no connection; check research.api_base and the network"),
        (behind(ReadTimeout()), "no answer in time"),
        (MemoryError(), "the reply is larger than the memory that it may take"),
        (Failed(413), "the question is too long for the model"),
        (Failed(418, text="I am a teapot, abcdef-secret, http://ada:hunter22@host/"), "I am a teapot, ***"),
        (Failed(500, text="\x1b[2J\u202e"), "the provider failed"),
    ],
)
def test_people_are_told_in_one_printable_sentence_without_a_secret(error: Exception, said: str):
    text = told(error, "openai/x\n", {"MY_API_KEY": "abcdef-secret"})
    assert said in text
    assert text.isprintable()
    assert "hunter22" not in text
    assert len(text) <= 400


def test_of_a_refused_key_nothing_is_quoted():
    text = told(Failed(401, text="Incorrect API key: sk-pr****cret"), "openai/x", {})
    assert text.endswith("check its variable in the environment of farm.py (HTTP 401)")
