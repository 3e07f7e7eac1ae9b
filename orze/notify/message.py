"""Events as one short plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from orze.config.values import News
from orze.notify.news import Event, mute
from orze.report.text import clean

_SHOWN = 10  # events that one message tells in full: Discord takes 2,000 characters, Telegram 4,096
_LINE = 180
_PHRASES = {
    News.NEW_BEST: ("a new best", "{} new bests"),
    News.FAILED: ("an idea failed", "{} ideas failed"),
    News.QUEUE_EMPTY: ("the queue is empty", "the queue was empty {} times"),
    News.HOST_LOST: ("a host is lost", "{} hosts are lost"),
    News.DISK_LOW: ("disk low", "disk low {} times"),
    News.RESEARCH_DEAD: ("research is dead", "research died {} times"),
}


def compose(farm: str, events: Sequence[Event], more: int = 0) -> tuple[str, str]:
    """Write one message.

    Args:
        farm: its name.
        events: what happened, oldest first; one at least.
        more: how many events came before these and are kept no more.

    Returns:
        Title and body. The title alone says what happened; the body is never empty.
    """
    prefix = f"farm {mute(farm, 40)}: "
    if len(events) == 1 and not more:
        return prefix + events[0].head, events[0].more or events[0].head
    counts = Counter(event.kind for event in events)
    told = [_PHRASES[kind][counts[kind] > 1].format(counts[kind]) for kind in News if counts[kind]]
    earlier = more + max(0, len(events) - _SHOWN)
    lines = [f"{earlier} earlier ones are left out"] if earlier else []
    lines += [clean(" — ".join(filter(None, (one.head, one.more))), _LINE) for one in events[-_SHOWN:]]
    return prefix + ", ".join(told), "\n".join(lines)
