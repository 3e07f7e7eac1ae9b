"""Holds a farm that was tormented against the promises of docs/protocol.md."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

from farmhouse import DEADLINE, Farm

from orze.coord.idea_chain import CLAIM, DONE, FAIL, LOST, SETTLED, IdeaFold
from orze.coord.record import decode, digest
from orze.core.states import TERMINAL

_SLACK = 4.0  # seconds in which an attempt that was thawed, or robbed of its files, must have ended
_TOLD = {*TERMINAL, "HELD", "QUARANTINED"}  # where an idea may be when everything is at rest


class Violation(AssertionError):
    """A promise was broken."""


class Place(Protocol):
    """What is to be known of a host: when something on it was stopped, in times of CLOCK_MONOTONIC."""

    name: str
    slots: int
    stops: list[list[float]]


class Checker:
    """Looks on while a farm runs, and judges it when it is at rest.

    Args:
        hosts: all of them.
        removals: when the directory of which idea was removed; grows.
        fence: how long an attempt may stand still without another one beginning, in seconds.
    """

    def __init__(
        self, farm: Farm, hosts: Sequence[Place], removals: list[tuple[float, str]], *, fence: float
    ) -> None:
        self._farm = farm
        self._hosts = {host.name: host for host in hosts}
        self._removals = removals
        self._fence = fence
        self._seen_status = False
        self.looks = 0

    # ---- while it runs

    def look(self) -> None:
        """status.json and report.md are whole at every moment, once they are there."""
        try:
            status = (self._farm.results / "status.json").read_bytes()
            report = (self._farm.results / "report.md").read_text()
        except FileNotFoundError:
            if self._seen_status:
                raise Violation("status.json or report.md was gone") from None
            return
        self._seen_status = True
        self.looks += 1
        if not (report.startswith("# ") and report.endswith("\n")):
            raise Violation(f"report.md is not whole:\n{report}")
        try:
            json.loads(status)
        except ValueError:
            raise Violation(f"status.json is not whole: {status!r}") from None

    # ---- at rest

    def unrest(self, sections: Collection[int]) -> str:
        """What still keeps the farm from being at rest, with all of it told; empty where nothing does."""
        return next(self._unrest([f"idea-{number:03d}" for number in sections]), "")

    def _unrest(self, idea_ids: Sequence[str]) -> Iterator[str]:
        for idea_id in idea_ids:
            if self.fold(idea_id).phase != SETTLED:
                yield f"{idea_id} is {self.fold(idea_id).phase}"
        status = self._farm.status()
        states = status.get("states", {})
        yield from (f"{n} ideas are {state}" for state, n in states.items() if n and state not in _TOLD)
        if sum(states.values()) < len(idea_ids):
            yield f"{states} are not all {len(idea_ids)} ideas"
        yield from (f"{row['idea_id']} is shown at work" for row in status.get("active", ()))
        for row in status.get("top_results", ()):
            yield from self._misshown(row)
        inside = self._farm.results / ".orze"
        for name in sorted(os.listdir(inside / "heartbeats")):
            if not name.startswith("daemon."):
                yield f"the heartbeat {name} is left"
        if beats := len(os.listdir(inside / "heartbeats")) - len(self._hosts):
            yield f"{beats} daemons too many have a heartbeat"
        yield from (f"the door {name} is left" for name in os.listdir(inside / "doors"))
        told = {row["name"]: row["free"] for row in status.get("hosts", ())}
        slots = {name: host.slots for name, host in self._hosts.items()}
        if told != slots:
            yield f"free slots are {told}, not {slots}"

    def _misshown(self, row: dict[str, Any]) -> Iterator[str]:
        """A row of the leaderboard is the one DONE of its idea, and so is metrics.json."""
        end = self.fold(row["idea_id"]).end or {}
        shown = (row["attempt"], row["metrics"])
        if end.get("kind") != DONE or shown != (end["attempt"], end["metrics"]):
            yield f"the leaderboard shows {row} of {row['idea_id']}, its chain ends with {end}"
            return
        try:
            top = json.loads((self._farm.results / row["idea_id"] / "metrics.json").read_text())
        except FileNotFoundError:
            top = {}
        if top.get("by") != end["metrics"]["by"]:
            yield f"metrics.json of {row['idea_id']} shows {top}, its chain ends with {end}"

    def fold(self, idea_id: str) -> IdeaFold:
        """Where the chain of an idea stands."""
        fold = IdeaFold()
        for path in sorted((self._farm.results / idea_id / ".chain").glob("[0-9]*.json")):
            data = path.read_bytes()
            fold.apply(decode(data), digest(data))
        return fold

    def check_all(self, sections: Collection[int]) -> None:
        """Every promise that files and history can tell of."""
        for event in self._farm.events("overlap"):
            self._check_overlap(event)
        for start in self._farm.starts():
            self._check_end(start)
        for number in sections:
            self._check_chain(f"idea-{number:03d}")
        self._farm.check()

    def _check_overlap(self, event: dict[str, Any]) -> None:
        """Two attempts at one idea ran together: only where one was stopped, or its files removed."""
        idea_id = event["lock"]
        if idea_id not in {found["idea"] for found in self._farm.starts()}:
            raise Violation(f"two attempts had one slot: {event}")
        older = [
            start
            for start in self._farm.starts(idea_id)
            if start["steady"] <= event["steady"] and start["attempt"] != event["attempt"]
        ]
        if not any(self._excused(start, event["steady"]) for start in older):
            raise Violation(f"two attempts at {idea_id} overlap: {event}, {older}")
        self._farm.frozen.add(idea_id)

    def _excused(self, start: dict[str, Any], now: float) -> bool:
        stops = self._hosts[start["host"]].stops
        during = [
            (begin, end) for begin, end in stops if start["steady"] < end and begin < now < end + _SLACK
        ]
        stopped = any(min(end, now) - begin > self._fence for begin, end in during)
        removed = [at for at, idea_id in self._removals if idea_id == start["idea"]]
        return stopped or any(0 < now - at < _SLACK for at in removed)

    def _check_end(self, start: dict[str, Any]) -> None:
        """An attempt is over soon after another one at its idea began, or when it was thawed behind that."""
        later = [
            other["steady"]
            for other in self._farm.starts(start["idea"])
            if other["steady"] > start["steady"] and other["attempt"] != start["attempt"]
        ]
        if not later:
            return
        began = min(later)
        stops = self._hosts[start["host"]].stops
        thawed = [end for begin, end in stops if begin < began + _SLACK and end > start["steady"]]
        limit = max([began, *thawed]) + _SLACK
        for event in self._farm.events("", start["idea"]):
            if event["attempt"] == start["attempt"] and event["steady"] > limit:
                raise Violation(f"{event} though another attempt began at {began} (thawed: {thawed})")

    def _check_chain(self, idea_id: str) -> None:
        """Told again without the fold of the product: who may write, and what a result says."""
        current, claims = "", {}
        for record in self._farm.records(idea_id):
            kind, token = record["kind"], record.get("token", "")
            if kind == CLAIM:
                current = token
                claims[f"{record['attempt']}-{token}"] = record["section"]
            elif kind not in ("RETRY",) and token != current:
                raise Violation(f"{idea_id}: {kind} of {token}, but {current!r} is at work")
            if kind in (DONE, LOST, FAIL, "REQUEUE"):
                current = ""
            if kind == DONE and record["metrics"]["by"] not in claims:
                raise Violation(f"{idea_id}: its metrics are of {record['metrics']['by']}")
            if kind == FAIL and "keeper failed" in record["error"]:
                raise Violation(f"{idea_id}: {record['error']}")
            if kind == DONE:
                self._check_section(idea_id, record["directory"], claims)

    def _check_section(self, idea_id: str, directory: str, claims: dict[str, str]) -> None:
        ran = self._farm.results / idea_id / "attempts" / directory / "input" / "ideas.md"
        if idea_id not in self._farm.removed and ran.read_text() != claims[directory]:
            raise Violation(f"{idea_id}: what ran is not what was claimed: {ran.read_text()}")

    def check_leftovers(self) -> None:
        """After all daemons have left nothing of ours runs, and no temporary file is left."""
        until = time.monotonic() + DEADLINE
        while left := self._farm.processes():
            if time.monotonic() > until:
                raise Violation(f"processes are left: {left}")
            time.sleep(0.05)
        if names := [str(path) for path in self._farm.results.rglob(".tmp-*")]:
            raise Violation(f"temporary files are left: {names}")
