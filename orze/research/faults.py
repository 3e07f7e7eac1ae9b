"""What it means when a call of a model fails: whether it may cost, when to try again, and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orze.report.text import clean
from orze.research.hiding import hidden

LONGEST_WAIT: Final = 30.0  # seconds between two tries; a server that wishes for more is given up
_TRANSIENT: Final = frozenset({409, 425, 429, 500, 502, 503, 504, 529})
_KEY: Final = "the provider refuses the key; check its variable in the environment of {program}"
_WHAT: Final[Mapping[int, str]] = {
    400: "the provider refuses the question",
    401: _KEY,
    403: _KEY,
    404: "no such model there; check {block}.model and {block}.api_base",
    408: "no answer in time",
    413: "the question is too long for the model",
    429: "the provider allows no more requests for now",
}
# Classes of LiteLLM, its clients and httpx, by their names: importing them takes seconds. Those of the first
# set never reached the server; those of the second had sent the question.
_UNREACHED: Final = frozenset({"ConnectError", "ConnectTimeout", "UnsupportedProtocol", "InvalidURL"})
_CUT_OFF: Final = frozenset(
    {"ReadTimeout", "WriteTimeout", "Timeout", "APITimeoutError", "ReadError", "RemoteProtocolError"}
    | {"JSONDecodeError", "APIResponseValidationError", "MemoryError"}
)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that a fault tells of."""
    status = getattr(error, "status_code", None)
    return status if type(status) is int else None


def may_cost(error: BaseException) -> bool:
    """Whether the model may have worked before the fault."""
    names = _names(error)
    return not names & _UNREACHED and (bool(names & _CUT_OFF) or status_of(error) in (None, 408))


def passes(error: BaseException) -> bool:
    """Whether the same question may be answered some time later, with nothing done about the fault."""
    if "insufficient_quota" in str(error)[:2000]:  # OpenAI's 429 for an account without money
        return False
    names = _names(error)
    if names & {"UnsupportedProtocol", "InvalidURL", "MemoryError"}:
        return False
    return status_of(error) in _TRANSIENT | {408} or bool(names & (_UNREACHED | _CUT_OFF))


def pause_before(error: BaseException, tries: int) -> float:
    """Seconds until it is worth trying again, as the server wishes; infinite where it is not.

    Args:
        tries: how often it was tried, from 1.
    """
    if may_cost(error) or not (status_of(error) in _TRANSIENT or _names(error) & _UNREACHED):
        return float("inf")
    headers = getattr(error, "litellm_response_headers", None)
    wish = str(headers.get("retry-after", "")) if isinstance(headers, Mapping) else ""
    is_number = wish.isascii() and wish.replace(".", "", 1).isdigit() and len(wish) < 9
    seconds = float(wish) if is_number else float(1 << (tries - 1))
    return seconds if seconds <= LONGEST_WAIT else float("inf")


def told(error: BaseException, model: str, environ: Mapping[str, str], *, block: str = "research") -> str:
    """One sentence for people about a fault.

    What the provider said is in it where that helps, but for a refused key, of which some providers show a
    part. Whatever looks like a key or a password is taken out.

    Args:
        block: of the settings, that names the model: `research` of orze.yaml, or `llm` of revis.yaml.
    """
    status, names = status_of(error), _names(error)
    if names & _UNREACHED:
        what = "no connection; check {block}.api_base and the network"
    elif "MemoryError" in names:
        what = "the reply is larger than the memory that it may take"
    elif names & {"Timeout", "APITimeoutError", "ReadTimeout"}:
        what = "no answer in time"
    elif names & _CUT_OFF:
        what = "the answer broke off, or was none"
    else:
        what = _WHAT.get(status or 0, "the provider failed")
    program = "farm.py" if block == "research" else "revis"
    said = f"HTTP {status}" if what == _KEY else f"{type(error).__name__}: {str(error)[:2000]}"
    what = what.format(block=block, program=program)
    return clean(hidden(f"{clean(model)}: {what} ({clean(hidden(said, environ), 200)})", environ), 400)


def _names(error: BaseException | None) -> set[str]:
    """The names of the classes of a fault and of those behind it."""
    names: set[str] = set()
    seen: set[int] = set()
    while error is not None and id(error) not in seen and len(seen) < 20:
        seen.add(id(error))
        names |= {kind.__name__ for kind in type(error).__mro__}
        error = error.__cause__ or error.__context__
    return names
