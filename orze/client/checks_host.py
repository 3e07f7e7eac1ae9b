"""Checks of this host: Python, the NVIDIA driver, each card, and which of them the farm uses."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orze.client.checks import Check, Verdict
from orze.core.errors import GpuError
from orze.gpu.inventory import Card, Inventory
from orze.gpu.select import Selection, busy_reason, select

_HOT = 85  # degrees Celsius from which most cards slow down
_NVIDIA = "0x10de"  # the vendor in the PCI database
_DISPLAY = "0x03"  # the PCI class of display controllers, compute-only cards included
_OLDEST = (3, 11)
_UNLIMITED = 10**9  # a daemon counts its own memory out; here the processes alone are told


@dataclass(frozen=True, slots=True)
class Cards:
    """What the driver tells of this host.

    Attributes:
        driver: its version; None where it does not answer.
        absent: why there is no card to speak of; None where there are some.
        fault: the driver's own words where it fails as a whole.
        devices: how many NVIDIA cards the PCI bus shows, driver or not.
    """

    cards: tuple[Card, ...]
    driver: str | None
    absent: str | None
    fault: str | None
    devices: int


def read_cards() -> Cards:
    """Ask NVML and the PCI bus; this hangs where the driver does."""
    inventory = Inventory()
    cards = tuple(inventory.probe(details=True))
    driver = inventory.driver
    inventory.close()
    return Cards(cards, driver, inventory.absent, inventory.fault, _devices())


def judge_python(version: Sequence[int], executable: str, missing: Sequence[str]) -> Check:
    """The interpreter of the farm.

    Args:
        missing: packages that are used where they are there, such as matplotlib.
    """
    said = f"{'.'.join(map(str, version[:3]))}, {executable}"
    if tuple(version[:2]) < _OLDEST:
        return Check("Python", Verdict.FAIL, said, f"use Python {'.'.join(map(str, _OLDEST))} or newer")
    if missing:
        names = ", ".join(missing)
        return Check(
            "Python",
            Verdict.OK,
            f"{said}; without {names} (needed for results/progress.svg)",
            "pip install " + " ".join(missing),
        )
    return Check("Python", Verdict.OK, said)


def judge_driver(found: Cards) -> Check:
    """Driver and NVML."""
    if found.fault is not None:
        advice = (
            "reboot, or reload the driver; after an update of the driver its library and kernel module differ"
        )
        return Check("driver", Verdict.FAIL, f"the NVIDIA driver does not answer: {found.fault}", advice)
    if found.absent is None:
        return Check("driver", Verdict.OK, f"NVIDIA {found.driver}, {len(found.cards)} GPUs by NVML")
    if found.devices:
        said = f"{found.absent}, though the PCI bus shows {found.devices} NVIDIA devices"
        return Check(
            "driver", Verdict.WARN, said, "install the driver; in a container, start it with --gpus all"
        )
    return Check("driver", Verdict.SKIP, f"{found.absent}: ideas run on CPU slots here")


def judge_card(card: Card) -> Check:
    """One card."""
    name = f"GPU {card.index}"
    if card.error is not None:
        advice = (
            "look in `dmesg` for Xid; a reset (nvidia-smi --gpu-reset) or a reboot brings most cards back"
        )
        return Check(name, Verdict.FAIL, f"{card.name or 'unknown'}: {card.error}", advice)
    facts = [
        card.name,
        f"{_told(card.memory_used_mib)} of {_told(card.memory_total_mib)} MiB used",
        f"{_told(card.utilization)} % busy",
        f"{_told(card.temperature)} °C",
    ]
    if card.processes is None:
        advice = "without them it cannot be told whether the card is free, so nothing starts on it"
        return Check(name, Verdict.WARN, f"{facts[0]}: its processes cannot be listed", advice)
    reason = busy_reason(card, ours=(), threshold_mib=_UNLIMITED)
    said = ", ".join([*facts, *([reason.replace("foreign process", "used by process")] if reason else [])])
    if (card.temperature or 0) >= _HOT:
        return Check(name, Verdict.WARN, said, "it slows down when hot: look at its fans and air flow")
    return Check(name, Verdict.OK, said)


def judge_order(found: Cards, request: str | None, environ: Mapping[str, str], cpu_count: int) -> list[Check]:
    """Which cards a daemon started here uses, and in which order they count.

    Args:
        request: `gpus` of the settings.
        environ: where CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER are looked up.
    """
    try:
        chosen = select(
            found.cards,
            request,
            environ.get("CUDA_VISIBLE_DEVICES"),
            cpu_count,
            order=environ.get("CUDA_DEVICE_ORDER"),
            absent=found.absent,
            fault=found.fault,
        )
    except GpuError as error:
        return [Check("CUDA order", Verdict.FAIL, str(error))]
    notices = [Check("CUDA order", Verdict.WARN, notice) for notice in chosen.notices]
    if not chosen.cards:
        return [Check("CUDA order", Verdict.SKIP, f"{chosen.cpu_slots} CPU slots are used, and no GPU")]
    return [*notices, Check("CUDA order", Verdict.OK, _order(found.cards, chosen))]


def _order(cards: Sequence[Card], chosen: Selection) -> str:
    used = [card.index for card in cards if card.uuid in chosen.cards]
    mixed = len({card.name for card in cards}) > 1
    why = ", though CUDA alone would put the fastest first" if mixed else ""
    return f"GPUs {', '.join(used)} are used; scripts count them in PCI order as nvidia-smi does{why}"


def _told(value: int | None) -> str:
    return "?" if value is None else str(value)


def _devices() -> int:
    """How many NVIDIA display controllers the kernel knows (sysfs, /sys/bus/pci/devices)."""
    found = 0
    for device in glob.glob("/sys/bus/pci/devices/*"):
        if _line(f"{device}/vendor") == _NVIDIA and _line(f"{device}/class").startswith(_DISPLAY):
            found += 1
    return found


def _line(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 64).decode(errors="replace").strip()
    finally:
        os.close(descriptor)
