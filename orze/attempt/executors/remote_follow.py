"""Tells what files of a running command grow by, in bounded frames on standard output.

Part of the one-file keeper: nothing but the standard library, and Python 3.8. A frame is a line
`<name> <bytes>` and so many bytes: `0`, `1`, … a piece of that stream, `beat` nothing, `answer` JSON.
"""

from __future__ import annotations

import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FRAME = 1 << 16  # bytes of a piece
BEAT = 5.0  # seconds of silence after which a beat is sent, so that a lost line is seen on both sides
_LOOK = 0.1  # seconds between two looks at the files


class Streams:
    """Files that grow.

    Args:
        paths: their names; an empty one is no file.
        offsets: where to go on in each, in bytes.
    """

    def __init__(self, paths: Sequence[str], offsets: Sequence[int]) -> None:
        self._paths = paths
        self._offsets = list(offsets)

    def send(self) -> bool:
        """Send one piece at most of each; whether there was any."""
        sent = False
        for number, path in enumerate(self._paths):
            piece = _piece(path, self._offsets[number]) if path else b""
            if piece:
                send_frame(str(number), piece)
                self._offsets[number] += len(piece)
                sent = True
        return sent


def follow(streams: Streams, ended: Callable[[], bool]) -> None:
    """Send what there is and what comes, until it has ended and everything is sent.

    Raises:
        BrokenPipeError: nobody listens any more.
    """
    heard = time.monotonic()
    while True:
        last = ended()  # before the look: what was written by then is sent
        while streams.send():
            heard = time.monotonic()
        if last:
            return
        if time.monotonic() - heard >= BEAT:
            send_frame("beat", b"")
            heard = time.monotonic()
        time.sleep(_LOOK)


def send_frame(name: str, data: bytes) -> None:
    """Write a frame to standard output."""
    left: list[bytes] = [b"%s %d\n" % (name.encode("ascii"), len(data)), data]
    for part in left:
        view = memoryview(part)
        while view:
            view = view[os.write(1, view) :]


def _piece(path: str, offset: int) -> bytes:
    """What lies behind the offset of a regular file; the script may have put anything in its place."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return os.pread(descriptor, FRAME, offset)
    finally:
        os.close(descriptor)
