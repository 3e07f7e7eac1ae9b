"""The eleven invariants of docs/protocol.md, each a function that raises `Violation`.

They are held against the server's own view and the ghost's record, behind every step that changed either.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from orze.coord.idea_chain import IdeaFold
from orze.coord.journal import JournalFold
from tests.model.ghost import RESULTS, ChainRecord, Execution
from tests.model.newcomer import read_anew, seen_by
from tests.model.scheduler import Process
from tests.model.spec import parsed

if TYPE_CHECKING:
    from orze.farm.daemon import Daemon
    from tests.model.world import World


class Violation(AssertionError):
    """A promise is broken.

    Args:
        number: of the invariant.
        sentence: what was seen.
    """

    def __init__(self, number: int, sentence: str) -> None:
        super().__init__(f"invariant {number}: {sentence}")
        self.number = number
        self.sentence = sentence


def no_record_above_a_gap(world: World, chain: ChainRecord, slot: int, who: Process | None) -> None:
    """1. The slot is the lowest absent number; above a gap that its writer could see nothing is appended."""
    thread = world.scheduler.current
    seen = thread.listed.get(f"{RESULTS}/{chain.idea_id}/.chain", 0.0) if thread else 0.0
    for below in range(1, slot):
        if below not in chain.present and seen > chain.gone_since.get(below, chain.since):
            raise Violation(1, f"record {slot} of {chain.idea_id} was linked though {below} was seen absent")


def only_people_remove_records(chain: ChainRecord, slot: int, who: Process | None) -> None:
    """1. No process of the farm removes a record."""
    if who is not None and who.name in ("daemon", "keeper"):
        raise Violation(1, f"{who.name} removed record {slot} of {chain.idea_id}")


def fold_agrees(world: World, chain: ChainRecord) -> None:
    """2, 3, 8. The product takes for valid what the protocol calls valid: each record by its predecessor,
    one result per retry, a LOST only for the record that it names, nothing of a superseded token.
    """
    if chain.tampered:
        return
    fold = IdeaFold()
    valid = []
    for slot, data in sorted(chain.slots.items()):
        record, sha = parsed(data)
        if fold.apply(record, sha):
            valid.append(slot)
    expected = chain.standing
    if valid == expected.valid:
        return
    wrong = sorted(set(valid) ^ set(expected.valid))[0]
    record = parsed(chain.slots[wrong])[0]
    number = {"LOST": 3, "DONE": 2}.get(str(record.get("kind")), 8)
    raise Violation(
        number, f"record {wrong} ({record.get('kind')}) of {chain.idea_id} is judged wrongly: {record}"
    )


def lost_names_its_attempt(world: World, chain: ChainRecord, slot: int, record: dict[str, Any]) -> None:
    """3. A LOST names the exact record that it supersedes, and that is one of the attempt judged dead."""
    before = [at for at in chain.standing.valid if at < slot]
    owner = _owner(chain, slot)
    if owner != record["token"] or not before or parsed(chain.slots[before[-1]])[1] != record["supersedes"]:
        raise Violation(
            3, f"LOST at {slot} of {chain.idea_id} was meant for {record['token']}, not for {owner}"
        )


def only_the_silent_are_lost(world: World, chain: ChainRecord, slot: int, record: dict[str, Any]) -> None:
    """6, 10. No clock, late page or single missed beat makes an attempt dead: only silence for S does, or
    the sight of its process gone; and behind the latter nothing of it is left on its machine.
    """
    token, claim = record["token"], chain.standing.claims.get(record["token"], {})
    keeper = world.keeper_of(claim)
    if record["seen_gone"]:
        left = [host.name for host in world.hosts if host.of_attempt(token)]
        if (keeper is not None and keeper.alive) or left:
            raise Violation(6, f"LOST of {token} says that it was seen gone, but it lives on {left}")
        return
    silent = world.scheduler.now - world.ghost.beats.get(token, -1e9)
    rebooted = keeper is None or not keeper.alive or world.is_cloned(claim)
    needed = world.shortest_silence(rebooted=rebooted)
    if silent < needed:
        raise Violation(6, f"{token} was called dead {silent:.1f} s after its last beat, not {needed:.1f} s")


def registered_ideas_never_vanish(world: World) -> None:
    """4. Every registered idea is queued, held, quarantined, running or terminal: none vanishes."""
    registered = world.registered
    for host, daemon in world.living_daemons():
        known = daemon.members.journal.fold.ideas
        if daemon.members.journal.fold.changed or not daemon.members.events.is_waiting:
            continue  # it is in the middle of taking something in
        for idea_id in registered & known.keys():
            entry = daemon.members.queue.get(idea_id)
            if entry is None or entry.state is None:
                raise Violation(4, f"{idea_id} is registered, and nowhere on {host.name}")


def only_claimed_ideas_run(world: World, run: Execution) -> None:
    """5, 9. What runs is what was claimed: under a valid CLAIM, with the text of that claim; so a terminal
    idea never runs again without a RETRY, for nothing else makes a CLAIM valid behind its end.
    """
    claim = world.ghost.claim_of(run.idea_id, run.token)
    if claim is None:
        raise Violation(5, f"{run.idea_id} runs as {run.token}, which has no valid claim")
    number = claim["attempt"]
    path = f"{RESULTS}/{run.idea_id}/attempts/{number}-{run.token}/input/ideas.md"
    try:
        text = world.server.find(path).data.decode()
    except OSError:
        return  # somebody removes the directory
    if text and text != claim["section"]:
        raise Violation(9, f"{run.idea_id} was given another section than {run.token} claimed")


def results_are_of_their_own_attempt(world: World, chain: ChainRecord) -> None:
    """9. A DONE holds the metrics of its own attempt, or of the one that trained before it."""
    for slot in chain.standing.valid:
        record = parsed(chain.slots[slot])[0]
        if record["kind"] not in ("DONE", "TRAINED"):
            continue
        earlier = [parsed(chain.slots[at])[0] for at in chain.standing.valid if at < slot]
        trained = {at["token"] for at in earlier if at["kind"] == "TRAINED"}
        if record["metrics"].get("token") not in {record["token"], *trained}:
            raise Violation(9, f"{record['kind']} of {chain.idea_id} holds the metrics of another attempt")


def claims_follow_heartbeats(world: World, chain: ChainRecord, record: dict[str, Any]) -> None:
    """† The heartbeat is made before anything is claimed, so whoever sees a claim can see somebody alive."""
    if record["token"] not in world.ghost.beats:
        raise Violation(10, f"{chain.idea_id} was claimed by {record['token']} before that had a heartbeat")


def doors_close_behind_the_lost(world: World, token: str, who: Process | None) -> None:
    """† Doors are removed behind the LOST: before, a new writer could meet an old one."""
    if who is None or who.name != "daemon":
        return
    for chain in world.ghost.chains.values():
        if chain.standing.token == token and not chain.tampered:
            raise Violation(8, f"the door of {token} was removed while it may still append")


def outcomes_are_not_forgotten(world: World, record: dict[str, Any]) -> None:
    """5, 10. The journal reopens an idea only if it was retried, runs again, or its directory was removed."""
    for item in record.get("reopen", ()):
        idea_id = item if isinstance(item, str) else item[0]
        chain = world.ghost.chains.get(idea_id)
        asked = idea_id in world.ghost.retried or idea_id in world.ghost.operators_removed
        if chain and chain.standing.settled and not asked and not chain.tampered:
            raise Violation(5, f"the journal reopens {idea_id}, which has ended and was not retried")


def nothing_settled_is_lost(world: World, chain: ChainRecord) -> None:
    """2, 5. A result whose append was told to have succeeded outlives a power failure."""
    if chain.tampered or not chain.standing.valid:
        return
    now = world.ghost.chains.get(chain.idea_id)
    for slot in chain.standing.valid:
        record = parsed(chain.slots[slot])[0]
        kept = now is not None and now.slots.get(slot) == chain.slots[slot]
        if record["nonce"] in chain.acknowledged and record["kind"] in ("DONE", "FAIL", "LOST") and not kept:
            raise Violation(
                5, f"{record['kind']} of {chain.idea_id} had been appended, and the power took it"
            )


def appends_tell_the_truth(world: World, directory: str, record: dict[str, Any] | None) -> None:
    """8. An append that says that its record stands says so of a valid record."""
    if record is None or not directory.endswith("/.chain"):
        return
    idea_id = directory.split("/")[-2]
    nonce = record["nonce"]
    for chain in [*world.ghost.chains.values(), *world.ghost.past]:
        if chain.idea_id != idea_id:
            continue
        if chain.tampered or any(
            parsed(chain.slots[slot])[0]["nonce"] == nonce for slot in chain.standing.valid
        ):
            chain.acknowledged.add(nonce)
            return
    if idea_id not in world.ghost.operators_removed and not world.power_failed:
        raise Violation(
            8, f"the {record['kind']} of {record.get('token')} was called appended, and does not stand"
        )


def executions_do_not_overlap(world: World, idea_id: str) -> None:
    """No overlapping execution within the lease rules: the fence ends an attempt before another begins."""
    running = world.ghost.running(idea_id)
    trainings = {run.token for run in running}
    if len(trainings) < 2:
        return
    world.overlaps += 1
    if world.excused(running):
        return
    tokens = ", ".join(f"{run.token} on {run.process.host.name} since {run.begun:.1f}" for run in running)
    raise Violation(0, f"{idea_id} is computed twice at once: {tokens}")


def nothing_is_unexpected(problems: list[str]) -> None:
    """10. Whatever the share does, the product has foreseen it: no guard catches what it does not know."""
    for problem in problems:
        if "please report it" in problem:
            raise Violation(10, problem)


def every_idea_ends(world: World) -> None:
    """11. With a live host and no further faults every queued idea reaches a terminal state."""
    open_ideas = {name: why for name, why in world.unfinished().items() if not world.is_held(name)}
    if open_ideas:
        told = "; ".join(f"{idea_id} is {why}" for idea_id, why in sorted(open_ideas.items()))
        raise Violation(11, f"{world.scheduler.now:.0f} s and no end: {told}")


_COMPARED = 3  # times: an idea may be claimed between the leader's last look and the newcomer's


def caches_change_nothing(world: World) -> None:
    """2, 7. A host that reads everything anew sees what the hosts see that were there all along, and the
    leaderboard shows the one result of each idea.
    """
    daemon = world.leader()
    if daemon is not None:
        told = functools.partial(_is_told, world, daemon)
        if not told():
            world.scheduler.run(told, world.scheduler.now + 60.0)
        _leaderboard_shows_results(world, daemon, every=told())
        for _ in range(_COMPARED):
            if not told():
                return  # what this leader has seen last is not in the journal yet, or the other way round
            known, anew = seen_by(world, daemon), read_anew(world)
            still = told() and known == seen_by(world, daemon)  # else something was written meanwhile
            if not (anew and still) or anew == known:
                return
            world.scheduler.run(lambda: False, world.scheduler.now + 2 * world.plan.poll)  # it looks again
        raise Violation(7, f"who leads knows {known}, who reads everything anew {anew}")


def _leaderboard_shows_results(world: World, daemon: Daemon, *, every: bool) -> None:
    """What has ended is shown, as far as the leader knows; with `every` also ideas that a torn edit made."""
    results = {ranked.result.idea_id: ranked.result for ranked in daemon.members.board.leaderboard.top(50)}
    for idea_id, chain in world.ghost.chains.items():
        entry = daemon.members.queue.get(idea_id)
        end = chain.standing.end
        if not (end and entry and entry.known and entry.known.outcome):
            continue
        shown = results.get(idea_id)
        is_same = shown and shown.metrics.get("token") == end["metrics"]["token"]
        if end["kind"] == "DONE" and not is_same and (every or idea_id in world.idea_ids):
            raise Violation(2, f"the leaderboard does not show the result of {idea_id}")


def _is_told(world: World, daemon: Daemon) -> bool:
    """Whether the journal holds what this daemon has seen, and this daemon has read what it holds; and nobody
    is just removing something."""
    if any(one.alive and one.name == "operator" for host in world.hosts for one in host.processes.values()):
        return False
    fold = JournalFold()
    for _, data in sorted(world.ghost.journal.items()):
        fold.apply(*parsed(data))
    members = daemon.members
    return not members.steward._outcomes and members.journal.fold.tail == fold.tail


def a_request_is_answered_once(world: World) -> None:
    """8. What the journal holds as an answer was done once: no second valid entry answers the same request,
    and at the end every host does as it was last asked to.
    """
    fold = JournalFold()
    answered: set[str] = set()
    for _, data in sorted(world.ghost.journal.items()):
        record, sha = parsed(data)
        if not fold.apply(record, sha):
            continue
        for uuid, text, _done in record.get("answers", ()):
            if uuid in answered:
                raise Violation(8, f"the request {uuid} was answered a second time: {text}")
            answered.add(uuid)
    for host, daemon in world.living_daemons():
        asked = daemon.members.journal.fold
        if asked.tail != fold.tail:
            continue  # it is just reading the journal
        if daemon.members.orders.drained != asked.drained.get(host.machine.host, ""):
            raise Violation(12, f"{host.name} does not do as the journal says: {asked.drained}")


def _owner(chain: ChainRecord, slot: int) -> str:
    owner = ""
    for at in chain.standing.valid:
        if at >= slot:
            break
        record = parsed(chain.slots[at])[0]
        owner = record["token"] if record["kind"] in ("CLAIM", "TRAINED") else ""
    return owner
