"""Starts attempts: a keeper prepares, the idea is claimed for it, and it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orze.attempt.executors.base import Executor, Keeper
from orze.attempt.projections import directory_of
from orze.coord.claims import Claimed, Claims, Taken, Unsettled
from orze.coord.idea_chain import IdeaFold
from orze.core.errors import OrzeError
from orze.farm.attempts import Attempt, Attempts
from orze.farm.cards import Cards
from orze.farm.context import Context
from orze.farm.decide import Launch
from orze.farm.duplicates import Duplicates
from orze.farm.events import Events
from orze.farm.intake import Intake
from orze.farm.launch import Launcher, Merged, Start
from orze.farm.queue import Queue
from orze.ideas.canonical import run_mark
from orze.ideas.model import Idea


@dataclass
class _Preparing:
    start: Start
    config: Merged
    token: str
    keeper: Keeper


@dataclass(frozen=True, slots=True)
class Refusal:
    """An idea was not started.

    Attributes:
        fold: its chain, where it has one that says why.
        wait: seconds after which it is worth another try.
    """

    idea_id: str
    why: str
    fold: IdeaFold | None
    wait: float


class Starter:
    """Starts what was decided.

    Args:
        executor: gives the keepers.
        facts: what is known of code and packages now, for environment.json.
        started, refused: told how each launch came out.
    """

    def __init__(
        self,
        context: Context,
        *,
        launcher: Launcher,
        executor: Executor,
        cards: Cards,
        queue: Queue,
        intake: Intake,
        attempts: Attempts,
        duplicates: Duplicates,
        events: Events,
        facts: Callable[[], dict[str, object]],
        started: Callable[[Attempt], None],
        refused: Callable[[Refusal], None],
    ) -> None:
        self._context = context
        self._launcher = launcher
        self._executor = executor
        self._cards = cards
        self._queue = queue
        self._intake = intake
        self._attempts = attempts
        self._duplicates = duplicates
        self._events = events
        self._facts = facts
        self._started = started
        self._refused = refused
        quiet = 2 * context.steal
        self._claims = Claims(context.files, context.paths, context.clock, quiet=quiet)
        self._quiet_looks = quiet / 3
        self._preparing: dict[str, _Preparing] = {}

    @property
    def taken(self) -> dict[str, str]:
        """Slots for which a keeper prepares, and for which idea."""
        return {
            slot.name: preparing.start.idea.id
            for preparing in self._preparing.values()
            for slot in preparing.start.slots
        }

    def launch(self, effect: Launch) -> None:
        """Have a keeper prepare for an idea; the rest follows when it answers."""
        entry = self._queue.get(effect.idea_id)
        idea = entry.idea if entry else None
        section = self._intake.section(idea) if idea else None
        if idea is None or section is None:
            return self._refuse(effect.idea_id, "its section is changing", wait=1.0)
        slots = tuple(self._cards.slot(name) for name in effect.slots)
        start = Start(idea, section, slots, self._links(idea))
        try:
            config = self._launcher.config(start)
            why = self._duplicates.judge(idea, config)
        except (OrzeError, OSError) as error:  # its commit may come, or another host may have it
            return self._refuse(idea.id, str(error), wait=self._context.settings.poll)
        if why:
            self._events.wake()  # the slots are free for the next idea
            return self._refuse(idea.id, why, wait=self._context.settings.poll)
        try:
            keeper = self._executor.keeper()
        except OSError as error:
            return self._refuse(idea.id, f"no process can be started: {error.strerror or error}", wait=5.0)
        return self._prepare(start, config, keeper)

    def _prepare(self, start: Start, config: Merged, keeper: Keeper) -> None:
        token = self._context.machine.new_token(run_mark(config.key, config.seed))
        self._attempts.preparing(token, start.idea.id)
        self._preparing[token] = _Preparing(start, config, token, keeper)
        self._events.on_readable(keeper.replies, lambda: self._answered(token))
        message = {
            "results": self._context.paths.results,
            "idea_id": start.idea.id,
            "token": token,
            "locks": [self._cards.lock_of(slot) for slot in start.slots],
        }
        keeper.tell(prepare=message)

    def warm_up(self) -> None:
        """Have everything there that a launch needs."""
        self._executor.open()

    def close(self) -> None:
        """Let every keeper without an attempt go."""
        for preparing in self._preparing.values():
            preparing.keeper.let_go()
        self._executor.close()

    def _answered(self, token: str) -> None:
        preparing = self._preparing.pop(token)
        keeper, idea_id = preparing.keeper, preparing.start.idea.id
        self._events.forget(keeper.replies)
        why = keeper.answer()
        if why:
            self._dismiss(preparing)
            return self._refuse(idea_id, why, wait=1.0)
        try:
            outcome = self._claim(preparing)
        except (OSError, ValueError) as error:  # the claim may stand: then its keeper must be found dead
            self._dismiss(preparing)
            return self._refuse(idea_id, str(error), wait=self._context.settings.poll)
        if isinstance(outcome, Claimed):
            return self._go(preparing, outcome)
        wait = self._quiet_looks if isinstance(outcome, Unsettled) else 2 * self._context.settings.poll
        fold = outcome.fold if isinstance(outcome, Taken) else None
        return self._drop(preparing, Refusal(idea_id, outcome.why, fold, wait))

    def _claim(self, preparing: _Preparing) -> Claimed | Taken | Unsettled:
        start = preparing.start
        content = {
            "section": start.section,
            "sha": start.idea.sha,
            "config": preparing.config.key,
            "seed": preparing.config.seed,
            **({"commit": preparing.config.commit} if preparing.config.commit else {}),
            "gpu": start.gpu,
            "cards": [slot.uuid for slot in start.slots if slot.uuid],
            "at": self._context.clock.wall(),
        }
        return self._claims.claim(start.idea.id, preparing.token, self._frame(preparing.keeper), content)

    def _go(self, preparing: _Preparing, claimed: Claimed) -> None:
        start, keeper, fold = preparing.start, preparing.keeper, claimed.fold
        try:
            message = self._launcher.go(
                start,
                fold,
                frame=self._frame(keeper),
                config=preparing.config,
                delay=self._context.attribute_cache if fold.lost_elsewhere else 0.0,
                facts={**self._facts(), "gpu_names": self._cards.names(start.slots)},
            )
            # a keeper that died meanwhile is found dead by its pid
            keeper.tell(go=self._executor.adapt(message))
        finally:
            self._dismiss(preparing)
        self._started(self._attempts.began(start.idea.id, fold))

    def _dismiss(self, preparing: _Preparing) -> None:
        """This daemon has no more to say to a keeper: it runs its attempt, or leaves."""
        self._attempts.dropped(preparing.token)
        preparing.keeper.let_go()

    def _drop(self, preparing: _Preparing, refusal: Refusal) -> None:
        self._dismiss(preparing)
        self._refused(refusal)

    def _refuse(self, idea_id: str, why: str, *, wait: float) -> None:
        self._refused(Refusal(idea_id, why, None, wait))

    def _frame(self, keeper: Keeper) -> dict[str, object]:
        return self._context.machine.frame(keeper.pid, keeper.start)

    def _links(self, idea: Idea) -> dict[str, str]:
        """The directories of other ideas that the door shows, as far as they are there; for a group, all."""
        named = [other for other in (idea.parent, *idea.after) if other]
        others = [one for other in named for one in self._queue.members_of(other) or [other]]
        links = {}
        for other in others:
            try:
                _, fold = self._attempts.chain(other)
                links[other] = f"{other}/attempts/{directory_of(fold)}" if fold.end else other
            except OSError:
                links[other] = other  # a plain result, or none yet: then the link leads nowhere
        return links
