"""What people, agents and broken editors do to ideas.md while a farm reads it; drawn from a seed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from farmhouse import idea

HEAD = "# Ideas\n\n"

# What an idea does -> how often.
TRAININGS = {
    "pause({short})\nmetrics(val_accuracy={score})": 8,
    "for step in range(6): progress(step=step); pause({long} / 6)\nmetrics(val_accuracy={score})": 5,
    "if not resumed(): save('half')\npause({long})\nmetrics(val_accuracy={score}, resumed=resumed())": 3,
    "leave_children()\npause({long})\nmetrics(val_accuracy={score})": 3,
    "for _ in range(60): note('alive'); pause(0.2)\nmetrics(val_accuracy={score})": 2,
    "ignore_term()\npause({long})\nmetrics(val_accuracy={score})": 2,
    "pause({short})\nraise ValueError('meant to fail')": 1,
}


class Ideas:
    """The ideas of one run, and ways to write them.

    Args:
        path: ideas.md.

    Attributes:
        sections: what the file should hold, by number.
    """

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.path = path
        self.sections: dict[int, str] = {}
        self._rng = rng

    def add(self, count: int) -> str:
        """Append new ideas, as people do."""
        first = len(self.sections) + 1
        for number in range(first, first + count):
            self.sections[number] = self._section(number)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write("".join(self.sections[number] for number in range(first, first + count)))
        return f"idea-{first:03d} and {count - 1} more"

    def heal(self) -> str:
        """Write the file as it should be."""
        self._write(self._text().encode())
        return f"{len(self.sections)} sections"

    def spoil(self) -> str:
        """Do one thing to the file that its author will regret; what it was."""
        spoilers: list[Callable[[bytes], bytes]] = [
            self._cut, self._half_fence, self._nul, self._noise, self._duplicate, self._drop, self._shuffle,
            self._empty, self._edit,
        ]  # fmt: skip
        spoiler = self._rng.choice(spoilers)
        self._write(spoiler(self._text().encode()))
        return str(spoiler.__name__).strip("_").replace("_", " ")

    def _section(self, number: int) -> str:
        rng = self._rng
        script = rng.choices(list(TRAININGS), list(TRAININGS.values()))[0].format(
            short=round(rng.uniform(0.05, 0.6), 2), long=round(rng.uniform(0.8, 5), 2), score=number / 1000
        )
        evaluate = {"evaluate": f"pause({rng.uniform(0.05, 1):.2f})"} if rng.random() < 0.5 else {}
        return idea(number, script, Priority=rng.choice(["high", "medium", "low"]), **evaluate)

    def _text(self) -> str:
        return HEAD + "".join(self.sections.values())

    def _write(self, data: bytes) -> None:
        """In place, in two parts, or by rename: editors differ."""
        way = self._rng.randrange(3)
        if way == 0:
            fresh = self.path.with_suffix(".saved")
            fresh.write_bytes(data)
            os.replace(fresh, self.path)
            return
        middle = self._rng.randrange(len(data) + 1) if way == 1 else 0
        with self.path.open("wb", buffering=0) as stream:
            stream.write(data[:middle])
            stream.write(data[middle:])

    # ---- what it may become

    def _cut(self, data: bytes) -> bytes:
        return data[: self._rng.randrange(len(data))]

    def _half_fence(self, data: bytes) -> bytes:
        half = f"## idea-{len(self.sections) + 900}: Half\n\n```yaml\nnumber: 1\n".encode()
        at = data.find(b"## idea-", self._rng.randrange(len(data)))
        return data + half if at < 0 else data[:at] + half + data[at:]

    def _nul(self, data: bytes) -> bytes:
        at = self._rng.randrange(len(data))
        return data[:at] + bytes(self._rng.randrange(1, 200)) + data[at:]

    def _noise(self, data: bytes) -> bytes:
        at = self._rng.randrange(len(data))
        return data[:at] + self._rng.randbytes(300) + data[at:]

    def _duplicate(self, data: bytes) -> bytes:
        number = self._rng.choice(list(self.sections))
        return data + idea(number, "metrics(val_accuracy=9)", title="Another of that id").encode()

    def _drop(self, data: bytes) -> bytes:
        kept = [text for text in self.sections.values() if self._rng.random() < 0.6]
        return (HEAD + "".join(kept)).encode()

    def _shuffle(self, data: bytes) -> bytes:
        mixed = list(self.sections.values())
        self._rng.shuffle(mixed)
        return (HEAD + "".join(mixed)).encode()

    def _empty(self, data: bytes) -> bytes:
        return b""

    def _edit(self, data: bytes) -> bytes:
        """A real edit, which stays."""
        number = self._rng.choice(list(self.sections))
        self.sections[number] = self._section(number)
        return self._text().encode()
