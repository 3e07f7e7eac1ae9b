"""What comes from the machine behind ssh while a command runs there, put where its keeper looks for it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_WORDS, _LOG, _PROGRESS = range(3)  # the streams, in the order in which the other side has them
_OUT: Final = 1


class Output:
    """The log and the progress of one command.

    Attributes:
        offsets: how much of each stream has been taken, in bytes.
        heard: how many pieces came, those without content included.

    Args:
        host: what stands before what this program says itself.
        progress: the file for the script's progress.
    """

    def __init__(self, host: str, progress: str) -> None:
        self._host = host
        self._progress = progress
        self.offsets = [0, 0, 0]
        self.heard = 0

    def take(self, name: str, piece: bytes) -> None:
        """Take a piece of the stream of that number; OSError where it cannot be written."""
        self.heard += 1
        number = int(name) if name.isdigit() else len(self.offsets)
        if number >= len(self.offsets):
            return  # a beat
        if number == _LOG:
            _write(_OUT, piece)
        elif number == _PROGRESS:
            self._add_progress(piece)
        else:
            for words in piece.decode("utf-8", "replace").splitlines():
                self.say(words)
        self.offsets[number] += len(piece)

    def say(self, words: str) -> None:
        """Put a line of our own into the log."""
        plain = "".join(c if c.isprintable() else "?" for c in words)
        _write(_OUT, f"[{self._host}] {plain}\n".encode("utf-8", "replace"))

    def _add_progress(self, piece: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._progress, flags, 0o666)
        try:
            _write(descriptor, piece)
        finally:
            os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
