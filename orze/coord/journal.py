"""The journal: what the leaders took in, applied and saw, as one chain for the whole farm."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from orze.coord.chain import Chain, Fold
from orze.coord.known import STATES, Known
from orze.coord.record import (
    LIMIT,
    Record,
    encode,
    is_flag,
    is_host,
    is_name,
    is_text,
    new_record,
    well_formed,
)
from orze.core.files import make_dirs
from orze.core.states import State
from orze.ideas.members import members_in
from orze.ideas.model import Priority, is_member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from orze.core.clock import Clock
    from orze.core.files import Files

ENTRY = "ENTRY"
PRIORITIES = {priority.name.lower(): int(priority) for priority in Priority}
SECTION = "section"  # in the place of a priority: that of the idea's section again
DEFAULT = "default"  # in the place of cards: those that the daemon was started with
_FANOUT = 1000
_BATCH = LIMIT // 2  # bytes of items in one record
_ANSWERS_KEPT = 10_000


class Answer(NamedTuple):
    """What came of a request.

    Attributes:
        text: what was done, or why nothing was.
        done: whether what was asked for is the case now, be it by this request or from before.
    """

    text: str
    done: bool


class JournalFold(Fold):
    """The farm as the journal tells it.

    Attributes:
        term: the highest term that wrote; records of a lower one are void.
        records: how many slots were read, those of void records too.
        ideas: every registered idea.
        displaced: the record of a section that vanished and whose id was then given to another, by id.
        allocated: the id that each inbox entry was given, for ever.
        answers: what came of each request, by its uuid.
        drained: who drained each host that starts nothing now, by its name.
        cards: the cards that an operator asked a host to use, written as for --gpus, by its name.
        changed: ids touched since they were last drained.
        outcomes: `[id, state, facts]` seen since they were last drained, in order; the state is None where an
            outcome holds no more.
    """

    def clear(self) -> None:
        """An empty journal: all that was known has changed, and the outcomes that it told hold no more."""
        super().clear()
        before: dict[str, Known] = getattr(self, "ideas", {})
        self.term = 0
        self.records = 0
        self.ideas: dict[str, Known] = {}
        self.displaced: dict[str, int] = {}
        self.allocated: dict[str, str] = {}
        self.answers: dict[str, Answer] = {}
        self.drained: dict[str, str] = {}
        self.cards: dict[str, str] = {}
        self.changed: dict[str, None] = dict.fromkeys(before)
        self.outcomes: list[tuple[str, State | None, dict[str, object]]] = [
            (idea_id, None, {}) for idea_id, known in before.items() if known.outcome
        ]

    def apply(self, record: Record, sha: str) -> bool:
        """Take in the next record; a void one keeps its slot and is counted."""
        self.records += 1
        return super().apply(record, sha)

    def step(self, record: Record) -> bool:
        """Apply the parts of an entry; an entry of a leader that has been followed is void."""
        if record["kind"] != ENTRY or not _well_formed(record) or record["term"] < self.term:
            return False
        self.term = record["term"]
        for part in _PARTS:
            for item in record.get(part.name, ()):
                part.take(self, item)
        return True

    def drain(self) -> tuple[dict[str, None], list[tuple[str, State | None, dict[str, object]]]]:
        """The ids and outcomes that are new since the last call."""
        changed, outcomes = self.changed, self.outcomes
        self.changed, self.outcomes = {}, []
        return changed, outcomes

    def assume(self, idea_id: str, outcome: State | None) -> None:
        """Take an outcome from the idea's own chain, before the journal has it or has dropped it."""
        known = self.ideas.setdefault(idea_id, Known("", 0))
        if outcome is None:
            known.reopen()
        known.outcome = outcome

    def _allocate(self, item: list[str]) -> None:
        uuid, idea_id = item
        self.allocated.setdefault(uuid, idea_id)

    def _answer(self, item: list[Any]) -> None:
        uuid, text, *done = item  # earlier versions left out the last member
        self.answers[uuid] = Answer(text, all(done))
        if len(self.answers) > _ANSWERS_KEPT:
            del self.answers[next(iter(self.answers))]

    def _register(self, item: list[str]) -> None:
        idea_id, sha, section = item
        known = self.ideas.get(idea_id)
        if known is None:
            self.ideas[idea_id] = Known(sha, self.records)
        else:
            if known.vanished and known.slot and known.sha != sha:
                self.displaced[idea_id] = known.slot
            known.register(sha, self.records)
        self.ideas[idea_id].members = members_in(section)
        self.changed[idea_id] = None

    def _outcome(self, item: list[object]) -> None:
        idea_id, state, facts = str(item[0]), State(str(item[1])), item[2]
        known = self._touch(idea_id)
        facts = facts if isinstance(facts, dict) else {}
        known.outcome = state
        if is_member(idea_id):
            known.sha = str(facts.get("sha") or "")
        known.edited = bool(facts.get("sha")) and bool(known.sha) and facts["sha"] != known.sha
        self.outcomes.append((idea_id, state, facts))

    def _reopen(self, item: list[str]) -> None:
        self._touch(item[0]).reopen()
        self.outcomes.append((item[0], None, {}))

    def _duplicate(self, item: list[str]) -> None:
        known = self._touch(item[0])
        known.judged, known.duplicate = item[1:]

    def _hold(self, item: list[str]) -> None:
        self._touch(item[0]).held = item[1]

    def _release(self, item: list[str]) -> None:
        self._touch(item[0]).release()

    def _withdraw(self, item: list[str]) -> None:
        self._touch(item[0]).withdrawn = True

    def _vanish(self, item: list[str]) -> None:
        self._touch(item[0]).vanished = True

    def _restore(self, item: list[str]) -> None:
        self._touch(item[0]).vanished = False

    def _prioritise(self, item: list[str]) -> None:
        self._touch(item[0]).priority = PRIORITIES.get(item[1])

    def _drain(self, item: list[str]) -> None:
        self.drained[item[0]] = item[1]

    def _undrain(self, item: list[str]) -> None:
        self.drained.pop(item[0], None)

    def _use_cards(self, item: list[str]) -> None:
        host, cards = item
        self.cards[host] = cards
        if cards == DEFAULT:
            del self.cards[host]

    def _touch(self, idea_id: str) -> Known:
        self.changed[idea_id] = None
        return self.ideas.setdefault(idea_id, Known("", 0))


def _is_state(value: object) -> bool:
    return isinstance(value, str) and value in STATES


def _are_facts(value: object) -> bool:
    return isinstance(value, dict) and well_formed(value)


def _is_priority(value: object) -> bool:
    return value == SECTION or (isinstance(value, str) and value in PRIORITIES)


class _Part(NamedTuple):
    """A part of an entry: its name, what the members of its items are, and what takes an item in.

    `optional` counts the members at the end that may be missing.
    """

    name: str
    shape: tuple[Callable[[object], bool], ...]
    take: Callable[[JournalFold, Any], None]
    optional: int = 0

    def fits(self, item: object) -> bool:
        """Whether this is an item of the part."""
        return (
            isinstance(item, list)
            and len(self.shape) - self.optional <= len(item) <= len(self.shape)
            and all(is_fit(member) for is_fit, member in zip(self.shape, item, strict=False))
        )


_PARTS = (  # applied in this order
    _Part("alloc", (is_text, is_name), JournalFold._allocate),
    _Part("register", (is_name, is_text, is_text), JournalFold._register),
    _Part("outcomes", (is_name, _is_state, _are_facts), JournalFold._outcome),
    _Part("duplicate", (is_name, is_text, is_text), JournalFold._duplicate),
    _Part("reopen", (is_name,), JournalFold._reopen),
    _Part("hold", (is_name, is_text), JournalFold._hold),
    _Part("release", (is_name,), JournalFold._release),
    _Part("withdraw", (is_name,), JournalFold._withdraw),
    _Part("vanish", (is_name,), JournalFold._vanish),
    _Part("restore", (is_name,), JournalFold._restore),
    _Part("priority", (is_name, _is_priority), JournalFold._prioritise),
    _Part("drain", (is_host, is_text), JournalFold._drain),
    _Part("undrain", (is_host,), JournalFold._undrain),
    _Part("use", (is_host, is_text), JournalFold._use_cards),
    _Part("answers", (is_text, is_text, is_flag), JournalFold._answer, optional=1),
)
PARTS = tuple(part.name for part in _PARTS)


def _well_formed(record: Record) -> bool:
    return isinstance(record["term"], int) and all(
        part.fits(item) for part in _PARTS for item in record.get(part.name, ())
    )


class Journal:
    """Follows the journal, and writes it while this host leads.

    Args:
        directory: the journal's chain.
        frame: host and process of this daemon, for its records.
    """

    def __init__(self, files: Files, directory: str, clock: Clock, *, frame: Mapping[str, object]) -> None:
        make_dirs(files, directory)
        self.fold = JournalFold()
        self._frame = dict(frame)
        self._chain = Chain(files, directory, self.fold, clock, fanout=_FANOUT)

    def follow(self) -> None:
        """Read what is new; OSError decides nothing."""
        self._chain.refresh()

    def write(self, term: int, parts: Mapping[str, list[Any]]) -> bool:
        """Append entries with these parts (see PARTS), as many as their size asks for.

        Args:
            term: the term in which this host leads.
            parts: lists of items; items with one member may be given bare.

        Returns:
            False where another leader has followed, or has written since this host last followed: nothing
            more was written, since the parts were worked out from a journal that has moved on.

        Raises:
            OSError: the share failed; what was written is told by following again.
            ValueError: one item alone is larger than a record may be.
        """
        for batch in _batches(parts):
            if self._chain.append(partial(self._entry, term, self.fold.tail, batch)) is None:
                return False
        return True

    def state(self) -> tuple[Any, ...]:
        """All that was followed, as plain values for `resume`."""
        fold = self.fold
        ideas = [(idea_id, *known.state()) for idea_id, known in fold.ideas.items()]
        answers = {uuid: tuple(answer) for uuid, answer in fold.answers.items()}
        rest = (fold.term, fold.records, fold.tail, fold.displaced, fold.allocated, fold.drained, fold.cards)
        return self._chain.state(), ideas, answers, *rest

    def holds(self, state: tuple[Any, ...]) -> bool:
        """Whether the journal still is the one of which this was the state."""
        return self._chain.holds(state[0])

    def resume(self, state: tuple[Any, ...]) -> None:
        """Take up what an earlier process followed; every idea counts as changed, no outcome as new."""
        fold = self.fold
        reading, ideas, answers, fold.term, fold.records, fold.tail, *maps = state
        fold.displaced, fold.allocated, fold.drained, fold.cards = maps
        fold.answers = {uuid: Answer(*answer) for uuid, answer in answers.items()}
        self._chain.resume(reading)
        for idea_id, *row in ideas:
            fold.ideas[idea_id] = Known.resumed(row)
        fold.changed |= dict.fromkeys(fold.ideas)

    def section(self, idea_id: str) -> str:
        """The exact text of a registered section, read back from its record; a displaced one first.

        Raises:
            KeyError: the idea is not registered, or was known before its section was.
            OSError: the share did not answer.
        """
        slot = self.fold.displaced.get(idea_id) or self.fold.ideas[idea_id].slot
        registered = self._chain.record(slot)[0].get("register", ()) if slot else ()
        texts = [str(text) for name, _sha, text in registered if name == idea_id]
        if not texts:
            raise KeyError(idea_id)
        return texts[-1]

    def _entry(self, term: int, seen: str, parts: Mapping[str, list[Any]]) -> Record | None:
        if term < self.fold.term or self.fold.tail != seen:
            return None
        return new_record(ENTRY, term=term, **self._frame, **parts)


def _batches(parts: Mapping[str, list[Any]]) -> Iterator[dict[str, list[Any]]]:
    """Split parts so that no record grows past the limit, in order."""
    batch: dict[str, list[Any]] = {}
    size = 0
    for unit in _units(parts):
        weight = sum(len(encode({part: item})) for part, item in unit)
        if batch and size + weight > _BATCH:
            yield batch
            batch, size = {}, 0
        size += weight
        for part, item in unit:
            batch.setdefault(part, []).append(item)
    if batch:
        yield batch


def _units(parts: Mapping[str, list[Any]]) -> Iterator[list[tuple[str, list[Any]]]]:
    """The items one by one; an id is allocated in the very record that registers it."""
    items = {
        part: [[bare] if isinstance(bare, str) else list(bare) for bare in parts.get(part, ())]
        for part in PARTS
    }
    registered = {idea_id for idea_id, *_ in items["register"]}
    allocations = {idea_id: uuid for uuid, idea_id in items["alloc"]}
    for part in PARTS:
        for item in items[part]:
            unit = [(part, item)]
            if part == "register" and item[0] in allocations:
                unit.append(("alloc", [allocations.pop(item[0]), item[0]]))
            if part != "alloc" or item[1] not in registered:
                yield unit
