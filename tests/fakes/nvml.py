"""A host with NVIDIA cards that exist only as lines of a file: a fake `libnvidia-ml.so.1`, built with gcc.

A daemon is started on such a host, and a card is then made busy and another lost, by

    fake = FakeNvml(tmp_path, cards=2)
    subprocess.Popen([...], env={**os.environ, **fake.env})
    fake.set(0, used_mib=30000, processes=[(4711, 30000)])
    fake.set(1, lost=True)
"""

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent / "nvml" / "nvml.c"
LIBRARY = "libnvidia-ml.so.1"

# nvmlReturn_t of nvml.h
NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED, GPU_IS_LOST, MISMATCH, UNKNOWN = 3, 4, 9, 15, 18, 999

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is needed to build a fake NVML")


@dataclass(frozen=True)
class Device:
    """One card or MIG instance; the fields are those that `FakeNvml.set` takes.

    `fault` is the NVML error that the card answers to everything, `lost` the usual one of them, and
    `process_fault` the error that it answers only to the question for its processes. None for
    `used_mib`, for `processes` or for the MiB of a process means that NVML cannot tell. `mig` is the MIG
    mode: 0 off, 1 on, -1 for a card that has none.
    """

    uuid: str
    name: str = "NVIDIA Fake 80GB"
    total_mib: int = 81920
    used_mib: int | None = 0
    processes: Sequence[tuple[int, int | None]] | None = ()
    process_fault: int = 0
    lost: bool = False
    fault: int = 0
    temperature: int = 40
    utilization: int = 0
    mig: int = -1

    def lines(self, key: str) -> list[str]:
        fault = GPU_IS_LOST if self.lost else self.fault
        hidden = NOT_SUPPORTED if self.processes is None else self.process_fault
        used = -1 if self.used_mib is None else self.used_mib
        numbers = f"{self.total_mib} {used} {fault} {hidden} {self.temperature} {self.utilization} {self.mig}"
        device = f"device {key} {self.uuid} {numbers} {self.name}"
        running = [f"process {key} {pid} {-1 if mib is None else mib}" for pid, mib in self.processes or ()]
        return [device, *running]


class FakeNvml:
    """A fake driver with cards "0", "1", …; every change is seen by the next NVML call of any process.

    Args:
        directory: where the state file is kept; made if missing.
        cards: number of cards at first.
    """

    def __init__(self, directory: Path, cards: int = 2) -> None:
        self.library = build()
        self.state = directory / "fake-nvml.state"
        self.version = "570.86.15"
        self.driver_fault = 0
        self.devices = {str(index): Device(uuid=uuid(index)) for index in range(cards)}
        directory.mkdir(parents=True, exist_ok=True)
        self._write()

    @property
    def env(self) -> dict[str, str]:
        """What to merge into the environment of a process that is to see these cards."""
        inherited = os.environ.get("LD_LIBRARY_PATH")
        search = f"{self.library.parent}:{inherited}" if inherited else str(self.library.parent)
        return {"LD_LIBRARY_PATH": search, "ORZE_FAKE_NVML": str(self.state)}

    def set(self, index: int | str, **changes: Any) -> None:
        """Change fields of a card (0 or "0") or of a MIG instance ("0:1"); the others stay."""
        key = str(index)
        self.devices[key] = replace(self.devices[key], **changes)
        self._write()

    def split(self, index: int, instances: int) -> None:
        """Turn MIG mode on, with so many instances (0 is allowed)."""
        self.set(index, mig=1)
        for k in range(instances):
            identity = uuid(index, instance=k).replace("GPU", "MIG")
            self.devices[f"{index}:{k}"] = Device(identity, "NVIDIA Fake MIG 1g.10gb", 9728)
        self._write()

    def remove(self, index: int) -> None:
        """Take a card off the bus of a host of whole cards: those above it move down by one."""
        kept = [device for key, device in self.devices.items() if key != str(index)]
        self.devices = {str(k): device for k, device in enumerate(kept)}
        self._write()

    def driver(self, fault: int = 0) -> None:
        """Let the driver as a whole answer with an NVML error; 0 is a driver that works."""
        self.driver_fault = fault
        self._write()

    def _write(self) -> None:
        lines = [f"driver {self.version} {self.driver_fault}"]
        for key, device in self.devices.items():
            lines += device.lines(key)
        fresh = self.state.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n")
        fresh.replace(self.state)


def uuid(index: int, instance: int = 0) -> str:
    """The UUID of the card with this index at the start."""
    return f"GPU-{index:08x}-0000-4000-8000-{instance:012x}"


@functools.cache
def build() -> Path:
    """Compile the library once for each version of its source; returns its path."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"orze-fake-nvml-{os.getuid()}-{digest}"
    directory.mkdir(mode=0o700, exist_ok=True)
    library = directory / LIBRARY
    if not library.exists():
        fresh = directory / f"{LIBRARY}.{os.getpid()}"
        flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{LIBRARY}"]
        subprocess.run(["gcc", *flags, "-o", str(fresh), str(SOURCE)], check=True)
        fresh.replace(library)
    return library
