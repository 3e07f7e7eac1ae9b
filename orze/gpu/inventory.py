"""Which NVIDIA cards this host has, and what runs on them, as NVML tells it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

# nvmlReturn_t of nvml.h. These say that a card cannot answer this one question, not that it is ill:
# NOT_SUPPORTED, NO_PERMISSION, INSUFFICIENT_SIZE (more processes than a moment ago), FUNCTION_NOT_FOUND,
# ARGUMENT_VERSION_MISMATCH (the driver is older than the package).
_CANNOT_TELL = frozenset({3, 4, 7, 13, 25})
_NOT_FOUND = 6
_NO_DRIVER = frozenset({9, 12})  # DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND
_TEMPERATURE_GPU = 0
_TEXT_LIMIT = 96  # NVML_DEVICE_NAME_V2_BUFFER_SIZE


@dataclass(frozen=True, slots=True)
class Card:
    """One reading of one card, or of one MIG instance of a card.

    Attributes:
        index: NVML's index, which is the PCI order: "0", or "0:1" for the second MIG instance of card 0.
        uuid: "GPU-…" or "MIG-…"; empty where the card was never able to tell it.
        name: the product's name; empty where unknown.
        memory_total_mib: MiB of memory; None where unknown.
        memory_used_mib: MiB in use by anyone, as nvidia-smi shows it; None where unknown.
        processes: (pid, MiB or None where unknown) of each compute process; None where they cannot be listed.
        temperature: degrees Celsius; only with details.
        utilization: percent of time in which a kernel ran; only with details.
        error: why the card cannot be used ("GPU is lost"); None for a card that answers.
    """

    index: str
    uuid: str
    name: str
    memory_total_mib: int | None = None
    memory_used_mib: int | None = None
    processes: tuple[tuple[int, int | None], ...] | None = None
    temperature: int | None = None
    utilization: int | None = None
    error: str | None = None

    @property
    def mig(self) -> bool:
        """Whether this is a MIG instance and not a whole card."""
        return ":" in self.index


class Inventory:
    """The cards of this host. NVML stays open between readings, and is opened anew after an error.

    Attributes:
        driver: the driver's version; None while NVML is not open.
        absent: why there is no card to speak of (no driver, no library, no package, no card); else None.
        fault: the driver's own words where it is there and fails as a whole; else None.
    """

    def __init__(self) -> None:
        self.driver: str | None = None
        self.absent: str | None = None
        self.fault: str | None = None
        self._nvml: Any = None
        self._count = 0
        self._identities: dict[int, tuple[Any, str, str]] = {}
        self._last: list[Card] = []

    def probe(self, *, details: bool = False) -> list[Card]:
        """Read every card now. It blocks for as long as the driver does.

        A card that fails is listed with its `error` and does not hide the others; when the driver fails as a
        whole, every card seen before is listed so. A card in MIG mode is replaced by its instances.

        Args:
            details: also ask for temperature and utilization.

        Returns:
            The cards in the order of their index. It never raises for anything that NVML says.
        """
        problem = self._open() if self._nvml is None else None
        if problem is not None:
            return [_failing(card, problem) for card in self._last]
        self._last = [card for index in range(self._count) for card in self._read(index, details=details)]
        cards = list(self._last)
        if any(card.error and card.uuid for card in cards):
            self.close()  # a card that worked until now: once reset it shows itself only to a fresh NVML
        return cards

    def close(self) -> None:
        """Let go of NVML, which keeps a card from being reset; the next reading opens it again."""
        nvml, self._nvml = self._nvml, None
        self.driver = None
        self._identities.clear()
        if nvml is not None:
            try:
                nvml.nvmlShutdown()
            except nvml.NVMLError:
                return  # it is the failing driver that we turn away from

    def _open(self) -> str | None:
        """Open NVML; the answer is why there is none, as in `absent` or `fault`."""
        self.absent = self.fault = None
        try:
            import pynvml  # here, since it takes 30 ms and a host without cards never needs it
        except ImportError:
            self.absent = "the package nvidia-ml-py is missing (pip install nvidia-ml-py)"
            return self.absent
        try:
            pynvml.nvmlInitWithFlags(0)
            driver, count = _text(pynvml.nvmlSystemGetDriverVersion()), int(pynvml.nvmlDeviceGetCount())
        except (pynvml.NVMLError, UnicodeDecodeError) as error:
            if getattr(error, "value", None) in _NO_DRIVER:
                self.absent = "no NVIDIA driver"
            else:
                self.fault = str(error)
            return self.absent or self.fault
        if count != self._count:
            self._last = []  # the indices may have moved: what was known by index is void
        self._nvml, self.driver, self._count = pynvml, driver, count
        if count == 0:
            self.absent = "the NVIDIA driver shows no GPU"
        return None

    def _read(self, index: int, *, details: bool) -> list[Card]:
        """One physical card: itself or its MIG instances."""
        try:
            handle, uuid, name = self._identify(index)
            if not self._is_split(handle):
                return [self._measure(Card(str(index), uuid, name), handle, details=details)]
            return [
                self._measure(Card(f"{index}:{k}", *self._name(instance)), instance, details=details)
                for k, instance in self._instances(handle)
            ]
        except (self._nvml.NVMLError, UnicodeDecodeError) as error:
            before = [card for card in self._last if card.index.partition(":")[0] == str(index)]
            _, uuid, name = self._identities.get(index, (None, "", ""))
            return [_failing(card, str(error)) for card in before or [Card(str(index), uuid, name)]]

    def _identify(self, index: int) -> tuple[Any, str, str]:
        """Handle, UUID and name, which stay the same for as long as NVML is open."""
        if index not in self._identities:
            handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
            self._identities[index] = (handle, *self._name(handle))
        return self._identities[index]

    def _name(self, handle: Any) -> tuple[str, str]:
        return _text(self._nvml.nvmlDeviceGetUUID(handle)), _text(self._nvml.nvmlDeviceGetName(handle))

    def _is_split(self, handle: Any) -> bool:
        mode = self._ask(self._nvml.nvmlDeviceGetMigMode, handle)
        return mode is not None and mode[0] == 1

    def _instances(self, handle: Any) -> Iterator[tuple[int, Any]]:
        for k in range(self._nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            try:
                yield k, self._nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, k)
            except self._nvml.NVMLError as error:
                if error.value != _NOT_FOUND:
                    raise

    def _measure(self, card: Card, handle: Any, *, details: bool) -> Card:
        nvml = self._nvml
        # Version 2 of the memory call leaves out what the driver keeps for itself, as nvidia-smi does.
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, handle, nvml.nvmlMemory_v2)
        processes = self._ask(nvml.nvmlDeviceGetComputeRunningProcesses_v3, handle)
        heat = self._detail(nvml.nvmlDeviceGetTemperature, handle, _TEMPERATURE_GPU) if details else None
        load = self._detail(nvml.nvmlDeviceGetUtilizationRates, handle) if details else None
        return replace(
            card,
            memory_total_mib=None if memory is None else memory.total >> 20,
            memory_used_mib=None if memory is None else memory.used >> 20,
            processes=None if processes is None else tuple(map(_process, processes)),
            temperature=heat,
            utilization=None if load is None else load.gpu,
        )

    def _ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """The answer, or None where this card, driver or user cannot have one."""
        try:
            return question(*arguments)
        except self._nvml.NVMLError as error:
            if error.value in _CANNOT_TELL:
                return None
            raise

    def _detail(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """The answer, or None: no card is out of use for what is only shown."""
        try:
            return question(*arguments)
        except self._nvml.NVMLError:
            return None


def _process(process: Any) -> tuple[int, int | None]:
    used = process.usedGpuMemory
    return process.pid, None if used is None else used >> 20


def _failing(card: Card, error: str) -> Card:
    return Card(card.index, card.uuid, card.name, card.memory_total_mib, error=error)


def _text(answer: str) -> str:
    """What NVML says, fit for one line of a terminal or a table."""
    return "".join(c if c.isprintable() else "?" for c in answer[:_TEXT_LIMIT])
