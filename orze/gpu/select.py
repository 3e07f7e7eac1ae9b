"""Which cards a daemon uses, and whether a card is free: pure functions on a reading of the cards."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orze.core.errors import GpuError
from orze.gpu.inventory import Card

_CPU = re.compile(r"cpu(?::([0-9]{1,3}))?")
_PCI = "PCI_BUS_ID"
# What people and schedulers write to hide every card; anything else that matches no card is a mistake.
_NONE = frozenset({"", "-1", "NoDevFiles"})


@dataclass(frozen=True, slots=True)
class Selection:
    """What the slots of this host are made from: either cards or CPU slots.

    Attributes:
        cards: UUIDs of the chosen cards, in the order in which they were asked for.
        cpu_slots: number of CPU slots; 0 where there are cards.
        notices: sentences to show at the start.
    """

    cards: tuple[str, ...] = ()
    cpu_slots: int = 0
    notices: tuple[str, ...] = ()


def select(
    cards: Sequence[Card],
    request: str | None,
    visible: str | None,
    cpu_count: int,
    *,
    order: str | None = None,
    absent: str | None = None,
    fault: str | None = None,
) -> Selection:
    """Choose the cards to use.

    Args:
        cards: the cards of the host, as `Inventory.probe` lists them.
        request: the text of `--gpus`: indices, UUIDs or unique beginnings of one, separated by commas; the
            index of a card in MIG mode means all its instances, "0:1" one of them; "cpu" or "cpu:N" means CPU
            slots; None means every card that may be used, or one CPU slot where there is no driver.
        visible: CUDA_VISIBLE_DEVICES as farm.py was started with it; None where it is not set. It is read
            as CUDA reads it (CUDA C++ Programming Guide, "CUDA Environment Variables"): it ends at the first
            entry that is no card.
        cpu_count: number of CPUs of the host.
        order: CUDA_DEVICE_ORDER as farm.py was started with it.
        absent: `Inventory.absent`.
        fault: `Inventory.fault`.

    Raises:
        GpuError: the request is malformed, names a card twice, or names one that is missing or hidden; the
            driver fails; or no card can be used. It tells which cards there are.
    """
    if request is not None and request.strip().startswith("cpu"):
        return _cpu_slots(request.strip(), cpu_count)
    if fault is not None:
        raise GpuError(f"The NVIDIA driver does not answer: {fault}; repair it, or use --gpus cpu.")
    usable, notices = _visible(cards, visible, order)
    if request is not None:
        return _working(cards, _named(cards, usable, request, visible, absent), notices)
    if not cards:
        return Selection(cpu_slots=1, notices=(f"{absent or 'no GPU'}: one CPU slot is used",))
    if usable:
        return _working(cards, usable, notices)
    if _first(visible) in _NONE:
        return Selection(cpu_slots=1, notices=("CUDA_VISIBLE_DEVICES hides every GPU: one CPU slot is used",))
    raise GpuError(
        f'CUDA_VISIBLE_DEVICES="{_brief(visible or "")}", under which farm.py was started, names no GPU. '
        f"{_listing(cards)} Correct it, or use --gpus cpu."
    )


def busy_reason(card: Card, *, ours: Collection[int], threshold_mib: int) -> str | None:
    """Tell why no attempt may start on a card now; what is unknown counts against it.

    Args:
        card: a fresh reading.
        ours: process ids of our own attempts, as this host numbers them.
        threshold_mib: used memory, less that of `ours`, from which the card counts as taken, in MiB.

    Returns:
        The reason in a few words; None where the card is free.
    """
    if card.error is not None:
        return f"unknown: {card.error}"
    if card.processes is None:
        return "unknown: its processes cannot be listed"
    foreign = sorted({pid for pid, _ in card.processes} - set(ours))
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        return f"foreign process {foreign[0]}{more}"
    if card.memory_used_mib is None:
        return "unknown: its memory cannot be read"
    used = card.memory_used_mib - sum(mib or 0 for _, mib in card.processes)
    return f"{used} MiB used" if used >= threshold_mib else None


def _cpu_slots(request: str, cpu_count: int) -> Selection:
    match = _CPU.fullmatch(request)
    number = int(match[1] or 1) if match else 0
    if number == 0:
        raise GpuError(f"--gpus {_brief(request)}: write cpu, or cpu:N with N from 1 to 999, without cards.")
    crowded = number > cpu_count
    return Selection(
        cpu_slots=number,
        notices=(f"{number} CPU slots share {cpu_count} CPU{'s' * (cpu_count != 1)}",) if crowded else (),
    )


def _find(cards: Sequence[Card], word: str) -> list[Card]:
    """The card that a word of a list names; several for the index of a card in MIG mode; none if unclear."""
    if word.isdigit():
        number = word.lstrip("0") or "0"
        return [card for card in cards if card.index.partition(":")[0] == number]
    key = word.lower()
    exact = [card for card in cards if key and key in (card.index, card.uuid.lower())]
    if exact or not key.startswith(("gpu-", "mig-")):
        return exact
    begins = [card for card in cards if card.uuid.lower().startswith(key)]
    return begins if len(begins) == 1 else []


def _visible(cards: Sequence[Card], visible: str | None, order: str | None) -> tuple[list[Card], list[str]]:
    """The cards that CUDA_VISIBLE_DEVICES leaves, and what is to be said about it."""
    if visible is None:
        return list(cards), []
    left: dict[str, Card] = {}
    notices: list[str] = []
    by_index = False
    for word in map(str.strip, visible.split(",")):
        found = _find(cards, word)
        if not found:
            if word not in _NONE:
                notices.append(f"CUDA_VISIBLE_DEVICES ends before {_brief(word)}: this host has no such GPU")
            break
        by_index = by_index or word.isdigit()
        left |= {card.index: card for card in found}
    if by_index and order != _PCI and len(cards) > 1:
        notices.append(f"CUDA_VISIBLE_DEVICES is read in PCI order, though CUDA_DEVICE_ORDER is not {_PCI}")
    return list(left.values()), notices


def _named(
    cards: Sequence[Card], usable: Sequence[Card], request: str, visible: str | None, absent: str | None
) -> list[Card]:
    """The cards that `--gpus` names, each of which must be there, usable, and named once."""
    chosen: dict[str, Card] = {}
    for word in map(str.strip, request.split(",")):
        shown = f"--gpus {_brief(word)}"
        if not word or word.startswith("cpu"):
            raise GpuError(f"--gpus {_brief(request)}: write indices or UUIDs with commas between, or cpu.")
        found = _find(cards, word)
        if not found:
            wrong = absent or ("no such GPU" if word.isdigit() else "no UUID, nor the start of just one")
            raise GpuError(f"{shown}: {wrong}. {_listing(cards)}")
        for card in found:
            if card not in usable:
                raise GpuError(
                    f'{shown}: GPU {card.index} is hidden by CUDA_VISIBLE_DEVICES="{_brief(visible or "")}", '
                    f"under which farm.py was started. {_listing(usable, 'It leaves')}"
                )
            if card.index in chosen:
                raise GpuError(f"--gpus {_brief(request)}: GPU {card.index} is named twice.")
            chosen[card.index] = card
    return list(chosen.values())


def _working(cards: Sequence[Card], chosen: Sequence[Card], notices: list[str]) -> Selection:
    """Leave out cards without a UUID, which cannot be found again; others that fail may come back."""
    failing = [
        f"GPU {card.index} fails and is not used{' until it works again' if card.uuid else ''}: {card.error}"
        for card in chosen
        if card.error
    ]
    keys = tuple(card.uuid for card in chosen if card.uuid)
    if not keys:
        raise GpuError(f"No GPU can be used: {'; '.join(failing)}. {_listing(cards)} Or use --gpus cpu.")
    return Selection(cards=keys, notices=(*notices, *failing))


def _listing(cards: Sequence[Card], begin: str = "This host has") -> str:
    named = ", ".join(f"{card.index} ({card.name or 'unknown'}, {card.uuid or card.error})" for card in cards)
    return f"{begin} {named or 'no GPU'}."


def _first(visible: str | None) -> str:
    return (visible or "").partition(",")[0].strip()


def _brief(text: str) -> str:
    """A word from outside, fit to be shown in a sentence."""
    clean = "".join(c if c.isprintable() else "?" for c in text[:100])
    return clean + "…" if len(text) > 100 else clean
