"""Reads the frames that the program behind ssh writes; whatever else comes is a lost line, never a crash."""

from __future__ import annotations

from orze.attempt.executors.faults import Lost
from orze.attempt.executors.package import MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

NOISE: Final = 1 << 20  # bytes that a login shell may print before the program speaks
FRAME: Final = 1 << 20  # bytes of one frame
_HEAD: Final = 40  # bytes of its first line


class Frames:
    """Puts frames together from what comes through a pipe.

    Attributes:
        streaming: a frame has come: from now on there is one every few seconds.
    """

    def __init__(self) -> None:
        self._left = b""
        self._begun = False
        self.streaming = False

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Take what came; name and content of each frame that is whole now.

        Raises:
            Lost: it is no frame.
        """
        self._left += data
        if not self._begun and not self._skip_noise():
            return
        while (end := self._left.find(b"\n")) >= 0:
            name, size = _head(self._left[:end])
            if len(self._left) < end + 1 + size:
                break
            payload = self._left[end + 1 : end + 1 + size]
            self._left = self._left[end + 1 + size :]
            self.streaming = True
            yield name, payload
        if b"\n" not in self._left and len(self._left) > _HEAD:
            raise Lost("what comes from there makes no sense")

    def _skip_noise(self) -> bool:
        noise, found, rest = self._left.partition(MARK)
        if found:
            self._begun, self._left = True, rest
        elif len(noise) > NOISE:
            raise Lost("the login shell there prints without end")
        return self._begun


def _head(line: bytes) -> tuple[str, int]:
    name, _, size = line.partition(b" ")
    if len(line) > _HEAD or not name.isalnum() or not size.isdigit() or int(size) > FRAME:
        raise Lost("what comes from there makes no sense")
    return name.decode("ascii"), int(size)
