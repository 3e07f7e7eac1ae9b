"""What is news: from what people were told before, and what the leader knows now, to events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from orze.config.values import News
from orze.core.states import State
from orze.report.model import Result
from orze.report.text import clean, number

_TITLE, _ERROR, _NAME, _SURE = 80, 120, 40, 240  # longest pieces of other people's text
_ROOM = 1.1  # times min_disk_gb that must be free before a low disk is news again
# Chat services call people by these characters: a title must not be able to.
_MUTE = str.maketrans({"@": "＠", "<": "‹", ">": "›"})


class Record(BaseModel):
    """Values that are kept in a file; what else lies there is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Event(Record):
    """One thing that happened: a line that says it, and one that says more, or nothing."""

    kind: News
    head: str
    more: str = ""


class Best(Record):
    """The best result: its idea, and the metric that ranks it."""

    idea_id: str
    metric: str
    value: float
    ascending: bool


class Told(Record):
    """How far people have been told.

    Attributes:
        outcomes: how many outcomes of the journal were looked at.
        best: the best result; None while there was none.
        empty: no idea was queued.
        disk_low: the disk was low.
        research_dead: the configured proposer of research left nothing any more.
    """

    outcomes: int
    best: Best | None
    empty: bool
    disk_low: bool
    research_dead: bool = False


@dataclass(frozen=True)
class Now:
    """What the leader knows.

    Attributes:
        outcomes: how many outcomes the journal has told.
        best: the best result and its value; None where none can be ranked.
        best_result: the same result as the leaderboard has it; of a repeated configuration the latest one.
        sure: how sure it is that it is the best.
        failed: results that are FAILED or SKIPPED, those at least that came after `Told.outcomes`.
        queued, running: how many ideas are.
        disk_gb: GB free in the results directory.
        min_disk_gb: below which nothing starts; 0 where no limit is set.
        research_dead: why the configured proposer of research counts as dead; empty where it is well.
    """

    outcomes: int
    best: Best | None
    best_result: Result | None
    failed: Sequence[Result]
    queued: int
    running: int
    disk_gb: float
    min_disk_gb: float
    research_dead: str = ""
    sure: str = ""


def begin(now: Now) -> Told:
    """Where telling begins on a farm of which nobody was told before: all that is there is no news."""
    return Told(
        outcomes=now.outcomes,
        best=now.best,
        empty=not now.queued,
        disk_low=now.disk_gb < now.min_disk_gb,
        research_dead=bool(now.research_dead),
    )


def news(told: Told, now: Now) -> tuple[Told, list[Event]]:
    """What has happened since people were last told.

    It can be asked again at any time: with the `Told` that it returned and nothing new, it finds nothing.

    Returns:
        How far people have been told when they have read the events, and the events.
    """
    if now.outcomes < told.outcomes:  # somebody removed the journal, and its outcomes are counted anew
        return begin(now), []
    disk_low = now.disk_gb < now.min_disk_gb * (_ROOM if told.disk_low else 1.0)
    events = [
        *_new_best(told, now),
        *(_failure(result) for result in now.failed if result.order > told.outcomes),
    ]
    if not now.queued and not told.empty:
        runs = f"{now.running} run" if now.running else "nothing runs"
        events.append(Event(kind=News.QUEUE_EMPTY, head="the queue is empty", more=runs))
    if disk_low and not told.disk_low:
        head = f"disk low: {now.disk_gb:.1f} GB free in results, min_disk_gb is {now.min_disk_gb:g}"
        events.append(Event(kind=News.DISK_LOW, head=head, more="nothing new is started; what runs goes on"))
    if now.research_dead and not told.research_dead:
        why = mute(now.research_dead, _ERROR)
        events.append(Event(kind=News.RESEARCH_DEAD, head="research is dead", more=why))
    seen = Told(
        outcomes=now.outcomes,
        best=now.best,
        empty=not now.queued,
        disk_low=disk_low,
        research_dead=bool(now.research_dead),
    )
    return seen, events


def host_lost(name: str) -> Event:
    """A host gives no sign of life any more."""
    more = "its daemon gives no sign of life; what ran there is queued again"
    return Event(kind=News.HOST_LOST, head=f"host {mute(name, _NAME)} is lost", more=more)


def lost_hosts(dead: Iterable[str], living: Iterable[str]) -> list[str]:
    """The hosts that are lost with these daemons, each once.

    Args:
        dead: host names of the daemons that died; empty where it is not known.
        living: those of the others. A host on which a daemon was started again is not lost.
    """
    return sorted(set(dead) - set(living) - {""})


def mute(text: str, limit: int) -> str:
    """Other people's text as one harmless line that calls nobody in a chat."""
    return clean(text, limit).translate(_MUTE)


def _new_best(told: Told, now: Now) -> list[Event]:
    best, result, before = now.best, now.best_result, told.best
    if best is None or result is None or result.order <= told.outcomes:
        return []
    if before and (before.metric, before.ascending) != (best.metric, best.ascending):
        return []  # another metric ranks now: the two cannot be compared
    if before and not (best.value < before.value if best.ascending else best.value > before.value):
        return []
    was = f"was {number(before.value)}" if before else "the first result"
    head = f"new best {best.idea_id} {mute(best.metric, _NAME)} {number(best.value)} ({was})"
    more = [mute(result.title, _TITLE), mute(now.sure, _SURE)]
    return [Event(kind=News.NEW_BEST, head=head, more=" — ".join(part for part in more if part))]


def _failure(result: Result) -> Event:
    cause = mute(result.cause or "unknown", _NAME)
    skipped = result.state is State.SKIPPED
    how = f"is skipped after too many failures, the last: {cause}" if skipped else f"failed for good: {cause}"
    more = [mute(result.title, _TITLE), mute(result.error or "", _ERROR)]
    return Event(
        kind=News.FAILED, head=f"{result.idea_id} {how}", more=" — ".join(part for part in more if part)
    )
