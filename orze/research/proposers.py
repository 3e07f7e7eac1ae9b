"""What every proposer is to the round that asks it, and which proposers there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol

from orze.core.errors import OrzeError
from orze.research.study import Study


@dataclass(frozen=True, slots=True)
class Cost:
    """What one reply cost.

    Attributes:
        usd: None where the price is not known, which is not 0.
        tokens: 0 where none were used.
    """

    usd: float | None = 0.0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a proposer answered.

    Attributes:
        text: JSON by `orze.research.proposal.SCHEMA`, or whatever else came.
        cost: of this reply.
        arm: which arm of a hybrid answered; empty for all others.
    """

    text: str
    cost: Cost = Cost()
    arm: str = ""


class ProposerError(OrzeError):
    """A proposer cannot propose at all, in one sentence; `cost` is what the attempt cost."""

    def __init__(self, sentence: str, cost: Cost = Cost()) -> None:
        super().__init__(sentence)
        self.cost = cost


class Proposer(Protocol):
    """Whoever proposes ideas."""

    @property
    def repairs(self) -> bool:
        """Whether it is worth telling it what was wrong with its reply."""
        ...

    def propose(self, study: Study, count: int, faults: Sequence[str], last: str, /) -> Reply:
        """Propose at most `count` ideas.

        Args:
            study: what is known.
            count: how many are wanted, 1 at least.
            faults: what was wrong with its last reply; empty the first time.
            last: that reply; empty the first time.

        Raises:
            ProposerError: it cannot, and asking again will not help now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Alone:
    """A proposer that needs nothing but the study, and to whom no fault can be told."""

    function: Callable[[Study, int], Reply]

    @property
    def repairs(self) -> bool:
        """It would say the same again."""
        return False

    def propose(self, study: Study, count: int, *_: object) -> Reply:
        """Propose at most `count` ideas."""
        return self.function(study, count)


_ALONE: Final[Mapping[str, str]] = {
    "random": "orze.research.propose_random:propose_random",
    "hillclimb": "orze.research.propose_hillclimb:propose_hillclimb",
    "optuna": "orze.research.propose_optuna:propose_optuna",
}
_OTHERS: Final[Mapping[str, str]] = {
    "command": "orze.research.propose_command:Command",
    "hybrid": "orze.research.propose_hybrid:Hybrid",
    "llm": "orze.research.llm:Llm",
}  # by name, so that a round loads only the packages of the one that it asks


def make_proposer(name: str, study: Study, settings: Mapping[str, Any]) -> Proposer:
    """Make a proposer.

    Args:
        name: a `research.mode`.
        study: what is known.
        settings: the `research` block of orze.yaml as plain values.

    Raises:
        ProposerError: it cannot work here (a package is missing, no command is named).
    """
    if name in _ALONE:
        return Alone(_load(_ALONE[name]))
    maker: Callable[[Study, Mapping[str, Any]], Proposer] = _load(_OTHERS[name])
    return maker(study, settings)


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
