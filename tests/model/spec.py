"""What a chain of an idea says by docs/protocol.md, worked out a second time and as plainly as possible.

The product's own fold is under test; this one is the ruler that it is held against.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

Record = dict[str, Any]


class Standing:
    """Where an idea stands behind some records.

    Attributes:
        phase: open, run, evaluate, done or failed.
        valid: the slots of the valid records.
        results: DONE records since the last RETRY.
    """

    def __init__(self) -> None:
        self.phase = "open"
        self.tail = ""
        self.token = ""
        self.attempt = 0
        self.claims: dict[str, Record] = {}
        self.trained: Record | None = None
        self.end: Record | None = None
        self.valid: list[int] = []
        self.ended_tokens: set[str] = set()

    @property
    def settled(self) -> bool:
        return self.phase in ("done", "failed")

    @property
    def running(self) -> bool:
        return self.phase in ("run", "evaluate")


def standing(records: list[tuple[int, bytes]]) -> Standing:
    """Fold the records of a chain, given with their slots, in order."""
    found = Standing()
    for slot, data in records:
        record, sha = parsed(data)
        if record and record.get("prev") == found.tail and _legal(found, record):
            _apply(found, record)
            found.tail = sha
            found.valid.append(slot)
    return found


@lru_cache(maxsize=20_000)
def parsed(data: bytes) -> tuple[Record, str]:
    """A record and its sha256; an empty one for bytes that are none."""
    try:
        record = json.loads(data)
    except ValueError:
        record = {}
    return record if isinstance(record, dict) else {}, hashlib.sha256(data).hexdigest()


def _legal(at: Standing, record: Record) -> bool:
    kind = record.get("kind")
    if kind == "CLAIM":
        return at.phase == "open" and record["attempt"] == at.attempt + 1
    if kind == "TRAINED":
        return at.phase == "run" and record["token"] == at.token
    if kind in ("DONE", "FAIL", "REQUEUE"):
        return at.running and record["token"] == at.token
    if kind == "LOST":
        return at.running and record["supersedes"] == at.tail
    return kind == "RETRY" and at.settled and record["reopens"] == at.tail


def _apply(at: Standing, record: Record) -> None:
    kind = record["kind"]
    if kind == "CLAIM":
        at.attempt, at.token = record["attempt"], record["token"]
        at.claims[at.token] = record
        at.phase = "evaluate" if at.trained else "run"
        return
    if kind == "TRAINED":
        at.phase, at.trained = "evaluate", record
        return
    at.ended_tokens.add(at.token)
    at.token = ""
    if kind == "DONE":
        at.phase, at.end = "done", record
    elif kind == "FAIL":
        at.trained = None
        at.phase, at.end = ("failed", record) if record["final"] else ("open", None)
    elif kind == "RETRY":
        at.phase, at.trained, at.end = "open", None, None
    else:
        at.phase = "open"
