"""ideas.md: a real file in memory, edited by people and programs in virtual time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from orze.ideas import merge


class Paper:
    """The file and what may be wrong with it.

    Args:
        path: in a directory of this process's own.
        now: virtual seconds; its modification times are made of them.
        count: how many ideas it holds.
    """

    def __init__(self, path: Path, now: Callable[[], float], count: int) -> None:
        self.path = path
        self._now = now
        self._edits = 0
        self.sections = [section(number) for number in range(1, count + 1)]
        for entry in path.parent.iterdir():
            entry.unlink()
        self.restore()

    def restore(self) -> None:
        """Write what people want it to say, and what programs have appended."""
        there = self.path.read_bytes() if self.path.exists() else b""
        begin = there.find(b"## idea: From") if b"From a program" in there else -1
        added = there[begin:] if begin >= 0 else b""
        self._write("".join(self.sections).encode() + added)

    def spoil(self, how: int) -> None:
        """Write it in one of the ways in which it goes wrong."""
        text = "".join(self.sections)
        ways = (
            text[: len(text) // 2],
            text + self.sections[0].replace("n: 1", "n: 99"),
            text + "## idea-900: Half\n\n```yaml\nn: 1\n",
            text.replace("n: 1\n", "n: \0\n"),
            "",
            text[10:] + text[:10],
        )
        self._write(ways[how % len(ways)].encode())

    def append(self, path: object, sections: object) -> list[str]:
        """merge.append_sections, with the time of the simulation on the file."""
        added = merge.append_sections(path, sections)  # type: ignore[arg-type]  # passed on as given
        self._stamp()
        return added

    def _write(self, data: bytes) -> None:
        self.path.write_bytes(data)
        self._stamp()

    def _stamp(self) -> None:
        self._edits += 1
        time = int(self._now() * 1e9) + self._edits
        os.utime(self.path, ns=(time, time))


def section(number: int) -> str:
    """One section."""
    return f"## idea-{number:03d}: Idea {number}\n\n```yaml\nn: {number}\n```\n\n"
