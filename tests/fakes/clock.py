"""A host whose wall clock is wrong and can be stepped, while its steady clocks are right.

clock = FakeClock(tmp_path / "clock")
subprocess.Popen([...], env={**os.environ, **clock.env})
clock.set(7200)  # every process that was started with it is two hours ahead from now on
"""

import functools
import hashlib
import os
import struct
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).parent / "clock" / "clock.c"


class FakeClock:
    """A wall clock that is `ahead` seconds ahead of that of the kernel.

    Args:
        state: the file that says how far; made here.
    """

    def __init__(self, state: Path) -> None:
        self.library = build()
        self.state = state
        self.ahead = 0
        self.state.write_bytes(struct.pack("=q", 0))

    @property
    def env(self) -> dict[str, str]:
        """What to merge into the environment of a process that is to read this clock."""
        return {"LD_PRELOAD": str(self.library), "ORZE_FAKE_CLOCK": str(self.state)}

    def set(self, ahead: int) -> None:
        """Step the clock, also of processes that run; negative: it is behind."""
        self.ahead = ahead
        with self.state.open("r+b") as stream:
            stream.write(struct.pack("=q", ahead))


@functools.cache
def build() -> Path:
    """Compile the library once for each version of its source; returns its path, which has no blank."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"orze-fake-clock-{os.getuid()}-{digest}"
    directory.mkdir(mode=0o700, exist_ok=True)
    library = directory / "clock.so"
    if not library.exists():
        fresh = directory / f"clock.so.{os.getpid()}"
        flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
        subprocess.run(["gcc", *flags, "-o", str(fresh), str(SOURCE)], check=True)
        fresh.replace(library)
    return library
