"""The slots of this host: which are free now, and what is told of the cards they are on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping

import psutil

from orze.config.schema import Settings
from orze.core.errors import GpuError
from orze.farm.view import SlotView
from orze.gpu import locks
from orze.gpu.inventory import Card, Inventory
from orze.gpu.select import busy_reason, select
from orze.gpu.slots import Slot, lock_directory, lock_path, make_slots, taken_ordinals
from orze.report.model import FREE, CardRow

_STALE = 5.0  # seconds after which a reading of the cards says nothing any more
_LOOK = 0.9  # seconds between two readings where nothing has happened on the cards


class Cards:
    """The cards of this host and the slots on them.

    NVML can hang with its driver, so it is asked in a thread of its own: a card whose reading is old is
    unknown, and unknown is not free.

    Args:
        settings: for this host.
        environ: where CUDA_VISIBLE_DEVICES limits what may be used.
        steady: the clock, in seconds.
        ready: called from the thread when a reading is there.

    Raises:
        GpuError: a card was asked for that is not there.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        steady: Callable[[], float],
        ready: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._visible = environ.get("CUDA_VISIBLE_DEVICES"), environ.get("CUDA_DEVICE_ORDER")
        self._steady = steady
        self._ready = ready
        self._inventory = Inventory()
        self._was_read = _names_gpus(settings.gpus)
        self._cards = self._inventory.probe() if self._was_read else []
        self._probed = self._asked = steady() if self._was_read else float("-inf")
        self._outdated = float("-inf")
        self._probing = False
        self._error = ""
        self._scope = str(settings.results_dir)
        self._directory = lock_directory()
        self._former: dict[str, Slot] = {}
        self._refusal = ""
        self._choose(settings.gpus)

    def use(self, asked: str | None) -> bool:
        """Use other cards for what starts from now on; where they cannot be had, those in use stay.

        Args:
            asked: the cards, written as for --gpus; None for those that the daemon was started with.

        Returns:
            Whether other cards are used than before.
        """
        wanted = self._settings.gpus if asked is None else asked
        if wanted == self._chosen:
            self._refusal = ""
            return False
        if _names_gpus(wanted) and (self._refusal or not self._was_read):
            self._look()
        if _names_gpus(wanted) and not self._was_read:
            return False  # until the driver has answered
        try:
            self._choose(wanted)
        except GpuError as error:
            self._refusal = f"the cards that were asked for are not used: {error}"
            return False
        self._refusal = ""
        return True

    def _choose(self, wanted: str | None) -> None:
        visible, order = self._visible
        selection = select(
            self._cards,
            wanted,
            visible,
            os.cpu_count() or 1,
            order=order,
            absent=self._inventory.absent,
            fault=self._inventory.fault,
        )
        self.notices = selection.notices
        self.slots = make_slots(selection, self._cards, self._settings.slots_per_gpu)
        self._by_name = {slot.name: slot for slot in self.slots}
        self._former |= self._by_name
        self._chosen = wanted

    @property
    def cards_at_most(self) -> int:
        """How many cards one idea can have here."""
        return len({slot.uuid or slot.name for slot in self.slots})

    @property
    def driver(self) -> str | None:
        """The version of the NVIDIA driver; None where there is none."""
        return self._inventory.driver

    @property
    def has_gpus(self) -> bool:
        """Whether the slots are on cards, which must be read before anything starts on them."""
        return any(slot.uuid for slot in self.slots)

    def slot(self, name: str) -> Slot:
        """The slot of this name."""
        return self._by_name[name]

    def lock_of(self, slot: Slot) -> str:
        """The lock file of a slot."""
        return lock_path(slot, self._directory, self._scope)

    def names(self, slots: Iterable[Slot]) -> list[str]:
        """The product names of the cards of some slots."""
        by_uuid = {card.uuid: card.name for card in self._cards}
        return [by_uuid.get(slot.uuid, "unknown") for slot in slots if slot.uuid]

    def ask(self) -> None:
        """Have the cards read anew in the background, if a look is due; `ready` is called when they are."""
        if self.has_gpus:
            self._look()

    def _look(self) -> None:
        due = self._asked <= self._outdated or self._steady() - self._asked >= _LOOK
        if due and not self._probing:
            self._probing, self._asked = True, self._steady()
            threading.Thread(target=self._probe, daemon=True).start()

    @property
    def fresh(self) -> bool:
        """Whether the last reading is young enough to start something by it."""
        young = self._probed > self._outdated and self._steady() - self._probed < _STALE
        return young or not self.has_gpus

    def outdate(self) -> None:
        """An attempt has ended: a reading from before says nothing of its card."""
        self._outdated = self._steady()

    def views(self, taken: Mapping[str, str]) -> tuple[SlotView, ...]:
        """The slots, and why each is busy.

        Args:
            taken: slots that attempts of this host have, and by which idea.
        """
        by_uuid = {card.uuid: card for card in self._cards}
        lost = {
            slot.name
            for slot in self.slots
            if slot.uuid and (slot.uuid not in by_uuid or by_uuid[slot.uuid].error)
        }
        return tuple(
            SlotView(slot.name, slot.uuid or slot.name, self._busy(slot, by_uuid, taken), slot.name in lost)
            for slot in self.slots
        )

    def rows(self, taken: Mapping[str, str], *, free: str = FREE) -> tuple[CardRow, ...]:
        """What the report tells of the cards in use, and of others on which attempts still run.

        Args:
            taken: as for `views`.
            free: what a slot is called that is not busy.
        """
        by_uuid = {card.uuid: card for card in self._cards}
        others = [self._former[name] for name in taken if name in self._former and name not in self._by_name]
        rows = []
        for slot in (*self.slots, *others):
            card = by_uuid.get(slot.uuid or "")
            state = taken.get(slot.name) or self._unusable(slot, by_uuid) or free
            rows.append(_row(slot.name, state, card))
        return tuple(rows)

    def problems(self) -> list[str]:
        """Cards that are out of use, each with the driver's word."""
        chosen = {slot.uuid for slot in self.slots}
        bad = [card for card in self._cards if card.error and (card.uuid in chosen or not card.uuid)]
        lost = [f"GPU {card.index} is out of use: {card.error}" for card in bad]
        return lost + [text for text in (self._error, self._refusal) if text]

    def _busy(self, slot: Slot, by_uuid: Mapping[str, Card], taken: Mapping[str, str]) -> str:
        if slot.name in taken:
            return f"runs {taken[slot.name]}"
        try:
            if locks.is_taken(self.lock_of(slot)):
                return "taken by another farm, or by an attempt that is just ending"
        except OSError as error:
            return f"its lock cannot be read: {error.strerror}"
        return self._unusable(slot, by_uuid)

    def _unusable(self, slot: Slot, by_uuid: Mapping[str, Card]) -> str:
        if slot.uuid is None:
            return ""
        if not self.fresh:
            return "unknown: the driver has not answered yet"
        card = by_uuid.get(slot.uuid)
        if card is None:
            return "unknown: the card is gone"
        threshold = self._settings.gpu_mem_threshold
        return busy_reason(card, ours=_ours(card), threshold_mib=threshold) or self._crowded(slot)

    def _crowded(self, slot: Slot) -> str:
        """A farm with more slots a card may have taken one that this one does not count."""
        allowed = {other.ordinal for other in self.slots if other.uuid == slot.uuid}
        try:
            beyond = taken_ordinals(slot.uuid or "", self._directory) - allowed
        except OSError as error:
            return f"its lock cannot be read: {error.strerror}"
        return "shared with another farm" if beyond else ""

    def _probe(self) -> None:
        begun = self._steady()
        try:
            self._cards = self._inventory.probe(details=True)
            self._error = ""
            self._probed, self._was_read = begun, True
        except Exception as error:  # noqa: BLE001 - whatever the driver does, the farm goes on without the cards
            self._error = f"the GPUs cannot be read: {type(error).__name__}: {error}"
        self._probing = False
        self._ready()


def _names_gpus(asked: str | None) -> bool:
    return not (asked or "").strip().startswith("cpu")


def _row(name: str, state: str, card: Card | None) -> CardRow:
    if card is None:
        return CardRow(name, "CPU slot", state)
    return CardRow(
        name,
        card.name,
        state,
        card.memory_used_mib,
        card.memory_total_mib,
        card.utilization,
        card.temperature,
    )


def _ours(card: Card) -> set[int]:
    """The processes on a card that are known to belong to attempts; any doubt makes one foreign."""
    found = set()
    for pid, _ in card.processes or ():
        try:
            if "ORZE_ATTEMPT" in psutil.Process(pid).environ():
                found.add(pid)
        except (psutil.Error, OSError):
            continue
    return found
