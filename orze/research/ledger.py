"""The rounds of research as a chain: a round is recorded before it asks anybody, and again when it has ended.

`fold` is the truth on what was spent; ledger.jsonl beside the chain is made from it for people.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from orze.coord.chain import Chain, Fold
from orze.coord.record import Record, new_record
from orze.core.files import make_dirs
from orze.research.proposers import Cost

if TYPE_CHECKING:
    from orze.core.clock import Clock
    from orze.core.files import Files
    from orze.core.paths import FarmPaths

BEGIN, END = "BEGIN", "END"
FREE: Final = Cost()
LEDGER: Final = "ledger.jsonl"
DEAD_AFTER: Final = 3  # empty rounds, one behind the other
_FANOUT = 1000
_DROPPED = 20  # reasons that one record keeps
_TEXT = 300  # characters of each
_MOST = 1 << 53
_UUID = "research-"


@dataclass(frozen=True, slots=True)
class Entry:
    """One idea that a round left in the inbox: its index in the round, from 1, who proposed it, its title."""

    index: int
    arm: str
    title: str


@dataclass(frozen=True, slots=True)
class Round:
    """One round.

    Attributes:
        number: from 1.
        proposer, model: who was asked; the model is empty where none was.
        control: whether it is one of the control, to compare with.
        reserved: the most that it may cost.
        host, at: where and when (unix seconds, shown only) it began.
        ended, lost: whether it has; whether nobody knows what became of it.
        cost: what it cost; what it may have, where that is not known.
        proposed, valid: ideas that were proposed; of those, the ones that can be run.
        entries: what it left: the valid ones that are new.
        dropped: why the others were not.
        error: why the proposer could not be asked; empty where it could.
        seconds: how long it took.
    """

    number: int
    proposer: str
    model: str
    control: bool
    reserved: Cost
    host: str
    at: float
    ended: bool = False
    lost: bool = False
    cost: Cost = FREE
    proposed: int = 0
    valid: int = 0
    entries: tuple[Entry, ...] = ()
    dropped: tuple[str, ...] = ()
    error: str = ""
    seconds: float = 0.0

    @property
    def who(self) -> str:
        """The proposer and, where there is one, its model."""
        return f"{self.proposer} ({self.model})" if self.model else self.proposer

    @property
    def empty(self) -> bool:
        """Whether it has ended and left nothing."""
        return self.ended and not self.entries

    @property
    def said(self) -> str:
        """Why it left nothing, in a few words."""
        if self.lost:
            return "the round did not come to its end"
        return self.error or next(iter(self.dropped), "nothing was proposed")


class LedgerFold(Fold):
    """All rounds.

    Attributes:
        rounds: in their order; only the last one may not have ended.
        frame: host and process of the last BEGIN.
        usd, tokens: what was spent; a price that is not known adds nothing to `usd`.
        unpriced: rounds whose price is not known.
    """

    def clear(self) -> None:
        """No round was begun."""
        super().clear()
        self.rounds: list[Round] = []
        self.frame: Record = {}
        self.usd = 0.0
        self.tokens = 0
        self.unpriced = 0

    @property
    def open(self) -> Round | None:
        """The round that has begun and not ended."""
        return self.rounds[-1] if self.rounds and not self.rounds[-1].ended else None

    @property
    def reserved(self) -> Cost:
        """What the open round may still cost."""
        return self.open.reserved if self.open else FREE

    @property
    def price(self) -> float | None:
        """What all rounds cost in US dollars; None where that of one is not known."""
        return None if self.unpriced else self.usd

    def step(self, record: Record) -> bool:
        """BEGIN with the next number where no round is open; END of the open one."""
        number = _whole(record["round"])
        if record["kind"] == BEGIN:
            if self.open or number != len(self.rounds) + 1:
                return False
            begun = _begun(number, record)
            self.rounds.append(begun)
            self.frame = record
            return True
        if record["kind"] != END or not self.open or number != self.open.number:
            return False
        ended = _ended(self.open, record)
        self.rounds[-1] = ended
        self.tokens += ended.cost.tokens
        self.usd += ended.cost.usd or 0.0
        self.unpriced += ended.cost.usd is None
        return True


class Ledger:
    """Reads and writes the rounds.

    Args:
        frame: host and process of whoever writes, for its records.
    """

    def __init__(self, files: Files, paths: FarmPaths, clock: Clock, *, frame: Mapping[str, object]) -> None:
        self.fold = LedgerFold()
        self._files = files
        self._paths = paths
        self._clock = clock
        self._frame = dict(frame)
        self._chain = Chain(files, paths.research_chain, self.fold, clock, fanout=_FANOUT)

    def refresh(self) -> None:
        """Read what is new; where nothing has begun yet, nothing is there. OSError decides nothing."""
        try:
            self._chain.refresh()
        except FileNotFoundError:
            return  # nobody has begun the chain; the fold is empty

    def begin(
        self, number: int, *, proposer: str, model: str, control: bool, reserved: Cost
    ) -> Record | None:
        """Begin a round, if its number is still the next and no other is under way.

        Returns:
            The record that stands; None where somebody else was first.

        Raises:
            OSError: the share failed; whether it stands is seen when it is read again.
        """
        make_dirs(self._files, self._paths.research_chain)
        record = new_record(
            BEGIN,
            round=number,
            proposer=proposer,
            model=model,
            control=control,
            usd=reserved.usd,
            tokens=reserved.tokens,
            at=self._clock.wall(),
            **self._frame,
        )
        fold = self.fold
        return self._chain.append(
            lambda: record if not fold.open and number == len(fold.rounds) + 1 else None
        )

    def end(self, ended: Round) -> bool:
        """Record how a round ended, and show it in ledger.jsonl.

        Returns:
            Whether the round stands as it was told; not where somebody had given it up as lost.

        Raises:
            OSError: the share failed; it may be done again.
        """
        record = _record(ended)
        fold = self.fold
        self._chain.append(lambda: record if fold.open and fold.open.number == ended.number else None)
        self.publish()
        return ended.number <= len(fold.rounds) and fold.rounds[ended.number - 1].lost == ended.lost

    def settle(self, number: int) -> bool:
        """End a round of which nobody knows what became: all that it reserved counts as spent.

        Raises:
            OSError: as `end`.
        """
        begun = self.fold.open
        if begun is None or begun.number != number:
            return False
        return self.end(replace(begun, ended=True, lost=True, cost=begun.reserved))

    def publish(self) -> None:
        """Write ledger.jsonl anew: one line a round."""
        lines = b"".join(json.dumps(line(one)).encode() + b"\n" for one in self.fold.rounds)
        self._files.replace(self._paths.research_file(LEDGER), lines)


def line(one: Round) -> dict[str, Any]:
    """A round as ledger.jsonl tells it. A price that is not known is null, never 0."""
    new = len(one.entries)
    return {
        "round": one.number,
        "at": one.at,
        "host": one.host,
        "proposer": one.proposer,
        "model": one.model,
        "control": one.control,
        "state": "lost" if one.lost else "ended" if one.ended else "open",
        "reserved": {"usd": one.reserved.usd, "tokens": one.reserved.tokens},
        "usd": one.cost.usd if one.ended else None,
        "tokens": one.cost.tokens if one.ended else None,
        "usd_per_idea": one.cost.usd / new if one.ended and new and one.cost.usd is not None else None,
        "proposed": one.proposed,
        "valid": one.valid,
        "new": new,
        "ideas": [
            {"uuid": uuid_of(one.number, entry.index), "arm": entry.arm, "title": entry.title}
            for entry in one.entries
        ],
        "dropped": list(one.dropped),
        "error": one.error,
        "seconds": round(one.seconds, 1),
    }


def uuid_of(number: int, index: int) -> str:
    """The name in the inbox of one idea of a round: the same again adds nothing."""
    return f"{_UUID}{number:06d}-{index:02d}"


def round_of(uuid: str) -> tuple[int, int] | None:
    """The round and index that such a name tells; None for other names."""
    number, _, index = uuid.removeprefix(_UUID).partition("-")
    is_ours = uuid.startswith(_UUID) and number.isascii() and number.isdigit() and index.isascii()
    if not is_ours or not index.isdigit() or len(uuid) > 40:
        return None
    return int(number), int(index)


def _record(ended: Round) -> Record:
    return new_record(
        END,
        round=ended.number,
        lost=ended.lost,
        usd=ended.cost.usd,
        tokens=ended.cost.tokens,
        proposed=ended.proposed,
        valid=ended.valid,
        entries=[[entry.index, entry.arm, entry.title[:_TEXT]] for entry in ended.entries],
        dropped=[text[:_TEXT] for text in ended.dropped[:_DROPPED]],
        error=ended.error[:_TEXT],
        seconds=ended.seconds,
    )


def _begun(number: int, record: Record) -> Round:
    return Round(
        number=number,
        proposer=_text(record["proposer"]),
        model=_text(record["model"]),
        control=record["control"] is True,
        reserved=_cost(record),
        host=_text(record.get("host", "")),
        at=_amount(record["at"]),
    )


def _ended(begun: Round, record: Record) -> Round:
    return replace(
        begun,
        ended=True,
        lost=record["lost"] is True,
        cost=_cost(record),
        proposed=_whole(record["proposed"]),
        valid=_whole(record["valid"]),
        entries=tuple(
            Entry(_whole(index), _text(arm), _text(title)) for index, arm, title in _items(record["entries"])
        ),
        dropped=tuple(_text(text) for text in _items(record["dropped"])),
        error=_text(record["error"]),
        seconds=_amount(record["seconds"]),
    )


# A record that is not of these kinds raises ValueError and is void: others may write in the directory.


def _cost(record: Record) -> Cost:
    return Cost(None if record["usd"] is None else _amount(record["usd"]), _whole(record["tokens"]))


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError("no count")
    return value


def _amount(value: object) -> float:
    if type(value) not in (int, float) or not 0 <= value < _MOST or not math.isfinite(value):  # type: ignore[operator,arg-type] # a number by now
        raise ValueError("no amount")
    return float(value)  # type: ignore[arg-type] # a number by now


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")  # noqa: TRY004 - the record is at fault, not an argument
    return value[: 2 * _TEXT]


def _items(value: object) -> Sequence[Any]:
    if not isinstance(value, list):
        raise ValueError("no list")  # noqa: TRY004 - the record is at fault, not an argument
    return value
