"""Slots, the places of a host that run one attempt at a time: their locks, and what a child sees of them."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orze.gpu.inventory import Card
from orze.gpu.locks import is_taken
from orze.gpu.select import Selection

_UNSAFE = re.compile(r"[^A-Za-z0-9-]")


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one attempt.

    Attributes:
        name: what people see: "0", "0:1" (MIG), "0#1" (the second of several on card 0), "cpu0".
        uuid: the card's UUID; None for a CPU slot.
        ordinal: 0 for the first slot of the card, or of the CPU slots.
        device: what CUDA_VISIBLE_DEVICES calls the card; empty for a CPU slot.
    """

    name: str
    uuid: str | None
    ordinal: int
    device: str


def make_slots(selection: Selection, cards: Sequence[Card], per_card: int) -> tuple[Slot, ...]:
    """Make the slots of this host from a fresh reading, since an index may move when the driver is reloaded.

    A child is given indices, which every program understands. Where a card of the host is in MIG mode it is
    given UUIDs: CUDA then counts otherwise than NVML (NVIDIA MIG User Guide, "CUDA Device Enumeration").

    Args:
        selection: what `select` chose.
        cards: all cards of the host; a chosen card that is not among them has no slot.
        per_card: slots on each card; CPU slots are counted by the selection.
    """
    if selection.cpu_slots:
        return tuple(Slot(f"cpu{k}", None, k, "") for k in range(selection.cpu_slots))
    by_uuid = {card.uuid: card for card in cards}
    split = any(card.mig for card in cards)
    return tuple(
        Slot(
            name=card.index if per_card == 1 else f"{card.index}#{k}",
            uuid=card.uuid,
            ordinal=k,
            device=card.uuid if split else card.index,
        )
        for card in (by_uuid[uuid] for uuid in selection.cards if uuid in by_uuid)
        for k in range(per_card)
    )


def environment(slots: Iterable[Slot]) -> dict[str, str]:
    """Return the variables that show a child exactly the cards of its slots, each once.

    CUDA shows a process one MIG instance at most, so an attempt on several of them sees the first.
    """
    devices = dict.fromkeys(slot.device for slot in slots if slot.device)
    return {"CUDA_VISIBLE_DEVICES": ",".join(devices), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def lock_directory() -> str:
    """Return the directory of the host's slot locks, in the temporary directory (`TMPDIR`, else /tmp).

    Farms that are given temporary directories of their own do not see each other's locks.
    """
    return os.path.join(tempfile.gettempdir(), "orze-slots")


def lock_path(slot: Slot, directory: str, scope: str) -> str:
    """Return the lock file of a slot, for the functions of `orze.gpu.locks`.

    Args:
        slot: the slot.
        directory: `lock_directory()`.
        scope: absolute path of the results directory. Cards belong to everybody on the host, but CPU slots
            only to one farm: those of another do not get in the way.
    """
    if slot.uuid is not None:
        return os.path.join(directory, f"{_card_prefix(slot.uuid)}{slot.ordinal}.lock")
    farm = hashlib.sha256(os.fsencode(scope)).hexdigest()[:16]
    return os.path.join(directory, f"cpu-{farm}-{slot.ordinal}.lock")


def taken_ordinals(uuid: str, directory: str) -> frozenset[int]:
    """Return which slots of a card are taken by any farm of this host, however many slots a card it has.

    Raises:
        OSError: a lock file cannot be opened, so it is unknown whether it is taken.
    """
    prefix = _card_prefix(uuid)
    wanted = re.compile(re.escape(prefix) + r"([0-9]{1,4})\.lock")
    try:
        matches = [match for name in os.listdir(directory) if (match := wanted.fullmatch(name))]
    except FileNotFoundError:
        return frozenset()
    return frozenset(int(match[1]) for match in matches if is_taken(os.path.join(directory, match[0])))


def _card_prefix(uuid: str) -> str:
    return f"gpu-{_UNSAFE.sub('_', uuid)}-"
