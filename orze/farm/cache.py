"""What a daemon knew when it left, so that the next start need not read everything anew.

It is a cache: it is believed only where ideas.md and the journal still begin with what it was made of, and
removing it changes nothing but the time of a start. It lies in a directory of this user's alone, since
marshal is no format for what others may write.
"""

from __future__ import annotations

import hashlib
import logging
import marshal
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from orze.coord.journal import Journal
from orze.farm.board import Board
from orze.farm.intake import Intake

_LOG = logging.getLogger("orze")
_DIGEST = 32  # bytes of SHA-256
_LENGTH = 8  # bytes that tell the length of a part
_PACKAGE = Path(__file__).resolve().parent.parent
_CODE = ("ideas", "coord", "report", "farm")  # what has a say in what is kept here


def cache_path(results: str, environ: Mapping[str, str]) -> Path:
    """The file for one farm: in XDG_CACHE_HOME, else ~/.cache (XDG Base Directory Specification)."""
    home = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME", "/nonexistent"), ".cache")
    name = hashlib.sha256(os.path.realpath(results).encode()).hexdigest()[:24]
    return Path(home) / "orze" / name


def save(path: Path, *, intake: Intake, journal: Journal, board: Board) -> None:
    """Keep what was read; where that does not work, the next start takes longer."""
    if not intake.is_whole:
        return
    scratch = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as stream:
            _write(stream, (_code, intake.state, journal.state, board.state))
        os.replace(scratch, path)
    except OSError as error:
        _LOG.debug("the cache cannot be written: %s", error)


def _write(stream: BinaryIO, parts: Sequence[Callable[[], Any]]) -> None:
    """The digest of all parts, then each of them: one at a time, since they are large."""
    digest = hashlib.sha256()
    stream.write(digest.digest())
    for part in parts:
        data = marshal.dumps(part())
        for piece in (len(data).to_bytes(_LENGTH, "big"), data):
            digest.update(piece)
            stream.write(piece)
    stream.seek(0)
    stream.write(digest.digest())


def load(path: Path, *, intake: Intake, journal: Journal, board: Board) -> bool:
    """Take up what was kept, as far as it still holds.

    Returns:
        Whether it held. If not, nothing has been taken up.
    """
    content = _read(path)
    if content is None:
        return False
    try:
        code, ideas, entries, results = map(marshal.loads, _split(content))
    except (ValueError, EOFError, TypeError):
        return False
    if code != _code() or not journal.holds(entries) or not intake.resume(ideas):
        return False
    journal.resume(entries)
    board.resume(results)
    return True


def _split(content: bytes) -> Iterator[memoryview]:
    """The parts; `marshal.load` would read the whole from a stream, a call for each of its values."""
    rest = memoryview(content)
    while rest:
        end = _LENGTH + int.from_bytes(rest[:_LENGTH], "big")
        yield rest[_LENGTH:end]
        rest = rest[end:]


def _read(path: Path) -> bytes | None:
    """The content, if the file is whole, and nobody else can have written it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            data = stream.read()
    except OSError:
        return None
    ours = status.st_uid == os.geteuid() and not status.st_mode & 0o022
    content = data[_DIGEST:]
    return content if ours and hashlib.sha256(content).digest() == data[:_DIGEST] else None


def _code() -> bytes:
    """Changes with the code that made what is kept."""
    digest = hashlib.sha256()
    for folder in _CODE:
        for file in sorted((_PACKAGE / folder).glob("*.py")):
            digest.update(file.read_bytes())
    return digest.digest()
