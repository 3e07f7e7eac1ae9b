"""The logs of an attempt: the end of one, what is appended to it, and its text made harmless."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Iterable

from orze.attempt.spec import EVAL_LOG, LOG
from orze.client.story import Attempt
from orze.core.paths import IdeaPaths

_BLOCK = 64 << 10
_LARGEST = 16 << 20  # bytes at the end of a log beyond which no line is looked for
_STEP = 1 << 20  # bytes that are taken of what was appended at a time
_LONGEST = 64 << 10  # characters of a line that has not ended

# ECMA-48: control sequences (5.4), strings up to their terminator (5.6), and other escapes (5.3).
_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[PX\]^_][^\x07\x1b]*(?:\x07|\x1b\\|\Z)"
    r"|\x1b(?:\[[0-?]*[ -/]*)?\Z"  # cut off
    r"|\x1b[ -/]*[0-~]"
)


def log_file(idea: IdeaPaths, attempt: Attempt | None, *, evaluation: bool) -> str:
    """Where the log of an attempt is, whether it has been begun or not.

    Args:
        attempt: None for an idea whose results another program left, as they lie.
        evaluation: that of evaluation and post scripts, in place of that of the training.
    """
    name = EVAL_LOG if evaluation else LOG
    own = f"{idea.attempts}/{attempt.directory}" if attempt else ""
    # without doors the script writes at the top, and all that an attempt has of its own is its checkpoints
    return f"{own}/{name}" if own and os.path.exists(f"{own}/idea.yaml") else idea.projection(name)


def read_end(path: str, lines: int) -> tuple[bytes, int]:
    """Read the last lines of a log; no more of it is read, however long it is.

    Args:
        path: a regular file; a link at its place is not followed.
        lines: how many; of lines that are very long, fewer.

    Returns:
        Their bytes, and the size of the file up to which was read.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    descriptor = _open(path)
    try:
        size = os.fstat(descriptor).st_size
        begin, found = size, b""
        while begin and len(found) < _LARGEST and found.count(b"\n") <= lines:
            step = min(max(_BLOCK, len(found)), begin)
            begin -= step
            found = os.pread(descriptor, step, begin) + found
    finally:
        os.close(descriptor)
    cut = _cut(found, lines)
    return found[cut:], size


def read_on(path: str, offset: int) -> tuple[bytes, int]:
    """Read what was appended behind `offset`; a log that became shorter is read from its beginning.

    The file is opened anew each time: that is when an NFS client asks the server (nfs(5), close-to-open).

    Returns:
        The bytes, at most 1 MiB, and the offset behind them.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    descriptor = _open(path)
    try:
        if os.fstat(descriptor).st_size < offset:
            offset = 0
        data = os.pread(descriptor, _STEP, offset)
    finally:
        os.close(descriptor)
    return data, offset + len(data)


class Lines:
    """Turns the bytes of a log into lines that any terminal may show.

    Escapes and control characters are taken out; of a line that was written over with carriage returns, as
    progress bars do, the last version is kept. `partial` is the line that has not ended.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """Take in further bytes; the lines that have ended with them."""
        text = self._rest + self._decoder.decode(data)
        *ended, self._rest = text.split("\n")
        if len(self._rest) > _LONGEST:
            self._rest = self._rest[-_LONGEST:]
        return [harmless(line) for line in ended]

    @property
    def partial(self) -> str:
        """The beginning of a line that has not ended."""
        return harmless(self._rest)


def shown(data: bytes) -> Iterable[str]:
    """All lines of the end of a log, the last one whether it has ended or not."""
    lines = Lines()
    yield from lines.feed(data)
    if lines.partial:
        yield lines.partial


def _cut(found: bytes, lines: int) -> int:
    """Where the last lines begin."""
    end = len(found) - found.endswith(b"\n")
    for _ in range(lines):
        end = found.rfind(b"\n", 0, end)
        if end < 0:
            return 0
    return end + 1 if lines else len(found)


def harmless(line: str) -> str:
    """One line that any terminal may show: without escapes, control characters and what was written over."""
    plain = _ESCAPE.sub("", line.removesuffix("\r"))
    if "\r" in plain:
        plain = next((part for part in reversed(plain.split("\r")) if part.strip()), "")
    if plain.isprintable():
        return plain
    return "".join(char if char.isprintable() or char == "\t" else _stand_in(char) for char in plain)


def _stand_in(char: str) -> str:
    if char.isspace() and not "\x1c" <= char <= "\x1f":
        return " "
    return "" if ord(char) < 0x20 or char == "\x7f" else "\N{REPLACEMENT CHARACTER}"


def _open(path: str) -> int:
    """Open a regular file, and neither wait for a pipe nor follow a link that a script left in its place."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(22, "not a regular file", path)
    return descriptor
