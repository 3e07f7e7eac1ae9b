"""Cards of the machine behind ssh: which are free, by nvidia-smi, and the locks that farms there share.

Part of the one-file keeper: nothing but the standard library, and Python 3.8.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile

from orze.gpu.locks import is_taken, try_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

_PATIENCE = 60  # seconds for which a driver may not answer
_FIELDS = "index,uuid,memory.used,mig.mode.current"
_UNSAFE = re.compile(r"[^A-Za-z0-9-]")


class NoCards(Exception):
    """The machine cannot give what was asked for, now or later."""


class Card:
    """One card.

    Attributes:
        index: its place in PCI order.
        uuid: as the driver names it.
        used: MiB of memory in use; None where it cannot tell.
        mig: whether it is divided into instances.
        busy: whether a process of anybody's computes on it.
    """

    __slots__ = ("busy", "index", "mig", "used", "uuid")

    def __init__(self, index: str, uuid: str, used: int | None, *, mig: bool, busy: bool) -> None:
        self.index = index
        self.uuid = uuid
        self.used = used
        self.mig = mig
        self.busy = busy


def lock_directory() -> str:
    """The directory of this machine's slot locks: that of `orze.gpu.slots`, which a farm here uses."""
    return os.path.join(tempfile.gettempdir(), "orze-slots")


def lock_prefix(uuid: str) -> str:
    """How the names of a card's lock files begin; a number and `.lock` follow (see `orze.gpu.slots`)."""
    return "gpu-{}-".format(_UNSAFE.sub("_", uuid))


def read_cards() -> list[Card] | None:
    """Every card as nvidia-smi tells it; None where there is no nvidia-smi.

    Raises:
        OSError: it fails or hangs; the sentence is its own.
    """
    listed = _ask("--query-gpu=" + _FIELDS)
    if listed is None:
        return None
    running = _ask("--query-compute-apps=gpu_uuid,pid") or ""
    busy = {line.split(",")[0].strip() for line in running.splitlines() if "," in line}
    return parse_cards(listed, busy)


def parse_cards(listed: str, busy: set[str]) -> list[Card]:
    """Read the table of cards; a line that is none is left out.

    Args:
        listed: what nvidia-smi printed, without header and units.
        busy: UUIDs of the cards on which something computes.
    """
    cards = []
    for line in listed.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) != 4 or not words[0].isdigit():
            continue
        index, uuid, used, mig = words
        memory = int(used) if used.isdigit() else None
        cards.append(Card(index, uuid, memory, mig=mig == "Enabled", busy=uuid in busy))
    return cards


class Cards:
    """Finds and locks cards for one run.

    Args:
        count: how many it needs.
        allowed: indices or UUIDs with commas between; empty for every card.
        threshold: MiB in use from which a card counts as taken.
    """

    def __init__(self, count: int, allowed: str, threshold: int) -> None:
        self._count = count
        self._allowed = [word.strip() for word in allowed.split(",") if word.strip()]
        self._threshold = threshold
        self.locks: list[int] = []
        self.chosen: list[str] = []
        self.why = ""

    def take(self) -> bool:
        """Take free cards if there are enough; else `why` tells what each is taken by.

        Raises:
            NoCards: there are not so many cards on this machine.
        """
        try:
            cards = read_cards()
        except OSError as error:
            self.why = "nvidia-smi fails: %s" % (error.strerror or error)
            return False
        if cards is None:
            return self._without_driver()
        usable = [card for card in cards if self._may_use(card) and not card.mig]
        if len(usable) < self._count:
            among = f" of the cards {','.join(self._allowed)}" if self._allowed else " cards"
            raise NoCards(f"it has {len(usable)}{among} that can be used, and {self._count} are needed")
        return self._lock(usable)

    def variables(self) -> dict[str, str]:
        """What shows a program exactly these cards, as a farm sets it."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.chosen), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}

    def _without_driver(self) -> bool:
        if self._allowed:
            raise NoCards("it has no nvidia-smi, and so none of the cards {}".format(",".join(self._allowed)))
        self.why = "it has no nvidia-smi: the run has no card"
        return True

    def _may_use(self, card: Card) -> bool:
        return not self._allowed or any(_names(word, card) for word in self._allowed)

    def _lock(self, usable: list[Card]) -> bool:
        taken: list[tuple[Card, int]] = []
        said = []
        for card in usable:
            why, descriptor = self._try(card)
            if descriptor is None:
                said.append(f"{card.index}: {why}")
                continue
            taken.append((card, descriptor))
            if len(taken) == self._count:
                self.locks = [lock for _, lock in taken]
                self.chosen = [card.index for card, _ in taken]
                return True
        for _, descriptor in taken:
            os.close(descriptor)
        self.why = "; ".join(said)
        return False

    def _try(self, card: Card) -> tuple[str, int | None]:
        if card.busy:
            return "a process runs on it", None
        if card.used is None or card.used >= self._threshold:
            return "its memory cannot be read" if card.used is None else f"{card.used} MiB used", None
        path = os.path.join(lock_directory(), lock_prefix(card.uuid))
        try:
            descriptor = try_lock(path + "0.lock")
            if descriptor is None:
                return "a farm has it", None
            if _others_lock(card.uuid):
                os.close(descriptor)
                return "a farm has a part of it", None
        except OSError as error:
            return f"its lock cannot be used: {error.strerror}", None
        return "", descriptor


def _others_lock(uuid: str) -> bool:
    """Whether somebody has a further slot of a card, where farms here run several on each."""
    directory, prefix = lock_directory(), lock_prefix(uuid)
    names = [name for name in os.listdir(directory) if name.startswith(prefix) and name != prefix + "0.lock"]
    return any(is_taken(os.path.join(directory, name)) for name in names)


def _names(word: str, card: Card) -> bool:
    if word.isdigit():
        return int(word) == int(card.index)
    return card.uuid.lower().startswith(word.lower())


def _ask(query: str) -> str | None:
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(  # noqa: PLW1510 - its status is looked at below
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired:
        raise OSError(110, f"no answer within {_PATIENCE} s") from None
    text = told.stdout.decode("utf-8", "replace")
    if told.returncode:
        raise OSError(5, text.strip()[:200] or f"exit code {told.returncode}")
    return text
