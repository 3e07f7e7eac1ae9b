"""One round of research: `python -m orze.research.round`.

A process of its own, so that the daemon neither loads the packages of a proposer nor waits for it. It is told
by a `Job` on standard input and answers by an `Outcome` on standard output, both JSON. Recorded before it
asks anybody, it leaves what it found in the inbox, each under a name that the round gives, and then records
its end: a crash at any point neither repeats a round nor doubles an idea.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Final

from orze.core.clock import SystemClock
from orze.core.errors import OrzeError
from orze.core.files import RealFiles
from orze.core.identity import start_time, this_machine
from orze.core.paths import FarmPaths
from orze.ideas.inbox import enqueue, inbox_of
from orze.report.text import clean
from orze.research.brief import Brief
from orze.research.check import Run, check
from orze.research.hiding import hidden
from orze.research.job import LAST_SECONDS, Job, Outcome
from orze.research.ledger import FREE, Entry, Ledger, line, uuid_of
from orze.research.opening import open_study
from orze.research.price import CALLS, most
from orze.research.proposal import Proposal, read_reply
from orze.research.proposers import Cost, ProposerError, Reply, make_proposer
from orze.research.section import NotWritable, section_of
from orze.research.waiting import waiting_runs

if TYPE_CHECKING:
    from orze.core.clock import Clock
    from orze.core.files import Files
    from orze.research.study import Study

_MEMORY: Final = 16 << 30  # bytes that it may write to
_FILE: Final = 512 << 20  # bytes of one file
_SENTENCE: Final = 300


class _TooLong(BaseException):
    """The time is up; what proposers catch does not hold it."""


@dataclass
class _Harvest:
    """What has come of a round so far."""

    cost: Cost = FREE
    proposed: int = 0
    duplicates: int = 0
    kept: list[tuple[Proposal, str]] = field(default_factory=list)  # and the arm that proposed it
    taken: set[Run] = field(default_factory=set)  # what waits or runs, and what was kept
    dropped: list[str] = field(default_factory=list)
    error: str = ""


def run_round(job: Job, files: Files, clock: Clock, *, frame: Mapping[str, object]) -> Outcome:
    """Run a round, if its number is still the next one.

    Args:
        frame: host and process of this round, for its records.

    Raises:
        OSError: the share failed; the round is settled as lost by whoever leads.
    """
    brief = Brief.of(job["brief"])
    ledger = Ledger(files, FarmPaths(brief.results), clock, frame=frame)
    ledger.refresh()
    reserved = most(job["proposer"], brief.research)
    if refused := unaffordable(brief, job["model"], reserved, ledger):
        return Outcome(refused=refused)
    record = ledger.begin(
        brief.round,
        proposer=job["proposer"],
        model=job["model"],
        control=job["control"],
        reserved=reserved,
    )
    begun = ledger.fold.open
    if record is None or begun is None:
        return Outcome()
    since = clock.steady()
    harvest = _Harvest()
    entries: tuple[Entry, ...] = ()
    with _every_fault(harvest, reserved), _limit(job["timeout"]):
        _ask(job, brief, files, harvest)
    if harvest.kept and _is_open(ledger, brief.round):
        entries = _leave(brief, job["proposer"], files, harvest)
    ended = replace(
        begun,
        ended=True,
        cost=harvest.cost,
        proposed=harvest.proposed,
        valid=len(harvest.kept) + harvest.duplicates,
        entries=entries,
        dropped=tuple(clean(hidden(text, os.environ), _SENTENCE) for text in harvest.dropped),
        error=clean(hidden(harvest.error, os.environ), _SENTENCE),
        seconds=clock.steady() - since,
    )
    ledger.end(ended)
    return Outcome(round=line(ended))


def unaffordable(brief: Brief, model: str, reserved: Cost, ledger: Ledger) -> str:
    """Why the budgets do not cover the most that the round may cost; empty where they do."""
    budget = brief.research.get("budget") or {}
    spent = ledger.fold
    if budget.get("usd") is not None:
        if reserved.usd is None:
            return f"the price of {model} is not known: give research.price, or take budget.usd out"
        if reserved.usd > budget["usd"] - spent.usd:
            left = budget["usd"] - spent.usd
            return f"a round may cost {reserved.usd:.4f} USD, and {left:.4f} of budget.usd are left"
    if budget.get("tokens") is not None and reserved.tokens > budget["tokens"] - spent.tokens:
        left = budget["tokens"] - spent.tokens
        return f"a round may take {reserved.tokens} tokens, and {left} of budget.tokens are left"
    return ""


def _ask(job: Job, brief: Brief, files: Files, harvest: _Harvest) -> None:
    """Ask the proposer; where it can be told what was wrong, twice more."""
    study = open_study(brief, files)
    harvest.taken |= waiting_runs(files, brief.ideas_file, job["waiting"], study.base)
    study = replace(study, queued=frozenset(harvest.taken))
    proposer = make_proposer(job["proposer"], study, brief.research)
    last = ""
    for _ in range(CALLS if proposer.repairs else 1):
        wanted = brief.count - len(harvest.kept)
        reply = proposer.propose(study, wanted, harvest.dropped, last)
        last = reply.text
        _take(reply, study, harvest, wanted)
        if not harvest.dropped or len(harvest.kept) >= brief.count:
            break


def _take(reply: Reply, study: Study, harvest: _Harvest, wanted: int) -> None:
    """Take in one answer: what is valid and new is kept, what is wrong with the rest goes back at once."""
    harvest.cost = plus(harvest.cost, reply.cost)
    candidates, unread = read_reply(reply.text)
    checked = check(candidates, study, queued_keys=harvest.taken)
    for proposal in checked.valid[:wanted]:
        harvest.kept.append((proposal, reply.arm))
        harvest.taken.update(proposal.runs)
    # An idea that is mended is no further one.
    harvest.proposed = max(harvest.proposed or len(candidates), len(harvest.kept))
    duplicates = checked.dropped.get("duplicate", 0)
    harvest.duplicates = min(duplicates, harvest.proposed - len(harvest.kept))
    harvest.dropped = [*unread, *checked.faults]


def _leave(brief: Brief, proposer: str, files: Files, harvest: _Harvest) -> tuple[Entry, ...]:
    """Put what was found into the inbox."""
    entries = []
    inbox = inbox_of(brief.ideas_file)
    for index, (proposal, arm) in enumerate(harvest.kept, 1):
        origin = f"round {brief.round}, {arm or proposer}"
        try:
            section = section_of(proposal, origin)
        except NotWritable as fault:
            harvest.dropped.append(f"{proposal.title}: {fault}")
            continue
        enqueue(files, inbox, section, uuid=uuid_of(brief.round, index))
        entries.append(Entry(index, arm or proposer, proposal.title))
    return tuple(entries)


def _is_open(ledger: Ledger, number: int) -> bool:
    """Whether nobody has given this round up meanwhile."""
    ledger.refresh()
    return ledger.fold.open is not None and ledger.fold.open.number == number


def plus(one: Cost, other: Cost) -> Cost:
    """Both together; a price that is not known makes the whole unknown."""
    usd = None if one.usd is None or other.usd is None else one.usd + other.usd
    return Cost(usd, one.tokens + other.tokens)


@contextmanager
def _every_fault(harvest: _Harvest, reserved: Cost) -> Iterator[None]:
    """Whatever a proposer raises becomes the error of the round; a call of unknown cost costs the most."""
    a_call = Cost(reserved.usd and reserved.usd / CALLS, reserved.tokens // CALLS)
    try:
        yield
    except ProposerError as error:
        harvest.error, harvest.cost = str(error), plus(harvest.cost, error.cost)
    except OrzeError as error:
        harvest.error = str(error)
    except _TooLong:
        harvest.error, harvest.cost = "it took longer than round_timeout", plus(harvest.cost, a_call)
    except Exception as error:  # noqa: BLE001 - a fault of one proposer must not end the record of the round
        traceback.print_exc()
        harvest.error = f"unexpected {type(error).__name__}: {error}"
        harvest.cost = plus(harvest.cost, a_call)


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """End what is inside after so many seconds of the wall clock (setitimer(2))."""

    def stop(*_: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    """Do the job; exit status 0 where the outcome was told, 1 where the share failed."""
    job: Job = json.load(sys.stdin)
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what packages print goes to the log
    # Whatever blocks even signals ends here; what it may have cost is then counted as spent.
    faulthandler.dump_traceback_later(job["timeout"] + LAST_SECONDS, exit=True)
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE, _FILE))
    os.chdir(job["brief"]["project_dir"])
    own = os.getpid()
    frame = this_machine().frame(own, start_time(own) or 0)
    try:
        outcome = run_round(job, RealFiles(), SystemClock(), frame=frame)
    except OSError as error:
        outcome = Outcome(fault=f"{error.filename or 'the share'}: {error.strerror or error}")
    print(json.dumps(asdict(outcome)), file=answer, flush=True)
    return 0


if __name__ == "__main__":
    os.nice(10)  # it can wait, the daemon that asked for it cannot
    sys.exit(main())
