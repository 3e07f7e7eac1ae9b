"""Which invariants are held against which event of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.model import invariants
from tests.model.ghost import Execution
from tests.model.scheduler import Process
from tests.model.spec import parsed

if TYPE_CHECKING:
    from tests.model.world import World


def _record_made(world: World, chain: Any, slot: int, data: bytes, who: Process | None) -> None:
    record = parsed(data)[0]
    invariants.no_record_above_a_gap(world, chain, slot, who)
    if slot not in chain.standing.valid:
        return
    if record["kind"] == "CLAIM":
        invariants.claims_follow_heartbeats(world, chain, record)
    elif record["kind"] == "LOST":
        invariants.lost_names_its_attempt(world, chain, slot, record)
        invariants.only_the_silent_are_lost(world, chain, slot, record)


def _changed(world: World, chain: Any, slot: int) -> None:
    raise invariants.Violation(1, f"record {slot} of {chain.idea_id} was replaced")


def _removed(world: World, chain: Any, slot: int, who: Process | None) -> None:
    invariants.only_people_remove_records(chain, slot, who)


def _began(world: World, run: Execution) -> None:
    if run.kind != "helper":
        invariants.only_claimed_ideas_run(world, run)
    invariants.executions_do_not_overlap(world, run.idea_id)


def _journal(world: World, slot: int, record: dict[str, Any]) -> None:
    world.registered |= {item[0] for item in record.get("register", ())}
    invariants.outcomes_are_not_forgotten(world, record)
    invariants.registered_ideas_never_vanish(world)


def _door(world: World, token: str, who: Process | None) -> None:
    invariants.doors_close_behind_the_lost(world, token, who)


CHECKS: dict[str, Callable[..., None]] = {
    "record": _record_made, "changed record": _changed, "removed record": _removed, "began": _began,
    "journal": _journal, "door": _door,
}  # fmt: skip
