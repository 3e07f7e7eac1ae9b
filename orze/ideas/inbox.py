"""The inbox: how programs add ideas without touching ideas.md themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orze.core.files import make_dirs, nonce

if TYPE_CHECKING:
    from orze.core.files import Files

_SUFFIX = ".md"
LIMIT = 256 << 10  # bytes of one entry


def inbox_of(ideas_file: str) -> str:
    """The inbox that belongs to an ideas file: `ideas.d/new` beside it."""
    return f"{ideas_file.rpartition('/')[0]}/ideas.d/new"


def enqueue(files: Files, inbox: str, text: str, *, uuid: str | None = None) -> str:
    """Leave one section for whoever leads, who gives it an id and appends it to ideas.md.

    Args:
        inbox: the directory, of `inbox_of`.
        text: one section, whose heading may have any id or none.
        uuid: names the entry; giving the same again adds nothing. A fresh one where it is not given.

    Returns:
        The uuid.

    Raises:
        OSError: it could not be left.
    """
    uuid = uuid or nonce() + nonce()
    make_dirs(files, inbox)
    scratch = f"{inbox}/.tmp-{nonce()}"
    files.write_new(scratch, text.encode())
    try:
        files.link(scratch, f"{inbox}/{uuid}{_SUFFIX}")
    except FileExistsError:
        pass  # the same entry, left before
    finally:
        files.unlink(scratch)
    files.sync_dir(inbox)
    return uuid


def waiting(files: Files, inbox: str) -> list[str]:
    """The uuids of the entries that wait; none where there is no inbox yet."""
    try:
        names = files.listdir(inbox)
    except FileNotFoundError:
        return []
    return sorted(n.removesuffix(_SUFFIX) for n in names if n.endswith(_SUFFIX) and not n.startswith("."))


def read_entry(files: Files, inbox: str, uuid: str) -> str:
    """The text of an entry; OSError where it cannot be read, UnicodeDecodeError where it is no text."""
    return files.read(entry_path(inbox, uuid), LIMIT).decode()


def entry_path(inbox: str, uuid: str) -> str:
    """The file of an entry."""
    return f"{inbox}/{uuid}{_SUFFIX}"
