"""Adds sections to the end of ideas.md for programs, which never write there in any other way."""

import os
import re
import stat
from collections.abc import Sequence
from typing import Final

from orze.core.errors import OrzeError
from orze.ideas.parse import IdeaError, one_section
from orze.ideas.stream import ShortRead, TooLong, read_exactly, scan_file

_PATIENCE: Final = 10.0  # seconds for which another program may hold the lock
_HEADING: Final = re.compile(
    r"\s*^ {0,3}##[ \t]+idea(?:-[^\s:]*)?[ \t]*(?::[ \t]*(?P<title>[^\n]*))?$", re.MULTILINE
)


class MergeBlocked(OrzeError):
    """Nothing can be appended now; the sentence names file and line where there is one."""


def append_sections(path: str | os.PathLike[str], sections: Sequence[tuple[str, str]]) -> list[str]:
    """Append sections whose ids are not in the file yet; what is there is never changed.

    Programs take turns through a lock on `.NAME.lock` beside the file. What is appended is one `write` to a
    file opened with O_APPEND, which no other append on the same host can tear (write(2)), and is flushed.

    Args:
        path: the file; it is made where it is not there.
        sections: id and text of each, where the text is exactly one section with that id.

    Returns:
        The ids that were appended.

    Raises:
        MergeBlocked: the file ends inside a fence that would swallow them, or another program holds the lock.
        IdeaError: a text is not one section with its id.
        OSError: the file cannot be read or written.
    """
    path = os.fspath(path)
    for idea_id, text in sections:
        if one_section(text, path="", line=1).id != idea_id:
            raise IdeaError(1, f"the section is not that of {idea_id}")
    from filelock import FileLock, Timeout  # with asyncio, 5 MB that a daemon which never appends saves

    folder, name = os.path.split(path)
    try:
        with FileLock(os.path.join(folder, f".{name}.lock"), timeout=_PATIENCE):
            return _append(path, name, sections)
    except Timeout:
        raise MergeBlocked(f"{name} is locked by another program: the next try follows") from None


def renumber(text: str, new_id: str) -> str:
    """Give a section its id.

    Args:
        text: one section, whose heading is `## idea-123: title`, `## idea-?: title` or `## idea: title`.
        new_id: `idea-` and digits.

    Returns:
        The section with that id, without blank lines around it.

    Raises:
        IdeaError: the text is not exactly one section, or the scan finds a fault in it.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    match = _HEADING.match(text)
    if match is None:
        raise IdeaError(1, "this must begin with a heading such as '## idea: A title'")
    title = (match["title"] or "").strip()
    heading = f"## {new_id}: {title}" if title else f"## {new_id}"
    section = heading + text[match.end() :].rstrip() + "\n"
    if one_section(section, path="", line=text.count("\n", 0, match.end()) + 1).id != new_id:
        raise IdeaError(1, f"{new_id!r} is no id of an idea")
    return section


def _append(path: str, name: str, sections: Sequence[tuple[str, str]]) -> list[str]:
    is_new = not os.path.exists(path)
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    try:
        size = os.fstat(fd).st_size
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise MergeBlocked(f"{name} is not a regular file: put the ideas into one")
        there = _ids(fd, size, name)
        missing = {idea_id: text for idea_id, text in sections if idea_id not in there}
        if missing:
            end = read_exactly(fd, min(size, 2), max(0, size - 2))
            gap = b"" if not size or end == b"\n\n" else b"\n" if end.endswith(b"\n") else b"\n\n"
            _write(fd, gap + "\n".join(text.rstrip() + "\n" for text in missing.values()).encode())
    except ShortRead:
        raise MergeBlocked(f"{name} is being written by somebody else: the next try follows") from None
    finally:
        os.close(fd)
    if is_new:
        _sync_folder(path)
    return list(missing)


def _ids(fd: int, size: int, name: str) -> set[str]:
    """Every id in the file, also of the sections that cannot be accepted."""
    ids: set[str] = set()
    unclosed = None
    try:
        for found in scan_file(fd, end=size):
            ids.update(section.id for section in found.sections)
            unclosed = found.unclosed
    except TooLong as fault:
        raise MergeBlocked(f"{name}:{fault.line}: {fault}") from None
    if unclosed:
        raise MergeBlocked(f"{name}:{unclosed.line}: {unclosed}; new ideas wait for that")
    return ids


def _write(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):  # a full disk: either the rest finds room, or this raises
        written += os.write(fd, data[written:])
    os.fsync(fd)


def _sync_folder(path: str) -> None:
    fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
