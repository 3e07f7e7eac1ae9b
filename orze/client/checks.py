"""One check of `orze doctor`: what it tells, and running many so that none can stop the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TypeVar

from orze.core.clock import SystemClock
from orze.core.errors import OrzeError

_T = TypeVar("_T")


class Verdict(StrEnum):
    """What a check found."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at, in a word or two.
        sentence: what was found.
        what_to_do: how to mend it; empty where there is nothing to do.
    """

    name: str
    verdict: Verdict
    sentence: str
    what_to_do: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """Something to look at.

    Attributes:
        look: finds the facts and judges them; it may raise, and it may hang.
        limit: seconds after which it counts as hanging.
    """

    name: str
    look: Callable[[], Iterable[Check]]
    limit: float = 20.0


class _Work(threading.Thread):
    """A question asked in a thread of its own, which is left behind if it hangs."""

    def __init__(self, question: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._question = question
        self.result: object = None
        self.error: Exception | None = None

    def run(self) -> None:
        """Ask."""
        try:
            self.result = self._question()
        except Exception as error:  # noqa: BLE001 - given to whoever asked
            self.error = error


def within(seconds: float, question: Callable[[], _T]) -> _T:
    """Ask something that may hang, such as a driver or a share.

    Args:
        seconds: the longest time to wait; the thread that hangs is left behind.

    Raises:
        TimeoutError: there is no answer yet.
    """
    work = _Work(question)
    work.start()
    work.join(seconds)
    if work.is_alive():
        raise TimeoutError(f"no answer within {seconds:g} s")
    if work.error is not None:
        raise work.error
    return work.result  # type: ignore[return-value] # what the question returned


def run_probes(probes: Sequence[Probe]) -> Iterator[list[Check]]:
    """Look at everything at the same time; one that fails or hangs is a finding of its own.

    Returns:
        The findings of each probe, in the order of the probes, each as soon as those before it are there.
    """
    clock = SystemClock()
    begun = clock.steady()
    works = [_Work(partial(findings, probe.name, probe.look)) for probe in probes]
    for work in works:
        work.start()
    for probe, work in zip(probes, works, strict=True):
        work.join(max(0.0, begun + probe.limit - clock.steady()))
        if work.is_alive():
            said = f"no answer within {probe.limit:g} s"
            yield [
                Check(probe.name, Verdict.FAIL, said, "look in `dmesg` for a driver or a mount that hangs")
            ]
        elif isinstance(work.result, list):
            yield work.result


def findings(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """What a probe finds; a fault of it is a finding as well."""
    try:
        return list(look())
    except OrzeError as error:
        return [Check(name, Verdict.FAIL, line) for line in str(error).splitlines()]
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return [Check(name, Verdict.FAIL, f"{place}{error.strerror or error}")]
    except Exception as error:  # noqa: BLE001 - no fault of one check may stop the others
        said = f"could not be looked at: {type(error).__name__}: {error}"
        return [Check(name, Verdict.FAIL, said, "please report it")]


def exit_status(checks: Iterable[Check]) -> int:
    """0 if none fails, else 1."""
    return int(any(check.verdict is Verdict.FAIL for check in checks))
