"""What operators ask of the farm: one small file a request, applied once by the leader."""

from __future__ import annotations

import errno

from orze.coord.record import decode, encode
from orze.core.files import make_dirs, nonce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orze.core.clock import Clock
    from orze.core.files import Files

KINDS = ("stop", "retry", "hold", "release", "withdraw", "restore")
_SUFFIX = ".json"
_LIMIT = 64 << 10


class Request:
    """One request as its file tells it.

    Attributes:
        problem: why it cannot be understood; empty for a good one.
    """

    __slots__ = ("by", "idea_id", "kind", "problem", "uuid")

    def __init__(self, uuid: str, kind: str, idea_id: str, by: str = "", problem: str = "") -> None:
        self.uuid = uuid
        self.kind = kind
        self.idea_id = idea_id
        self.by = by
        self.problem = problem


def submit(files: Files, directory: str, clock: Clock, *, kind: str, idea_id: str, by: str) -> str:
    """Leave a request for whoever leads.

    Args:
        kind: one of KINDS.
        by: who asks, shown in the answer.

    Returns:
        The uuid under which the journal will answer.

    Raises:
        OSError: the share failed before the request was seen there.
    """
    uuid = nonce() + nonce()
    make_dirs(files, directory)
    scratch = f"{directory}/.tmp-{uuid}"
    body = {"kind": kind, "idea": idea_id, "by": by, "at": clock.wall()}
    files.write_new(scratch, encode(body))
    try:
        files.link(scratch, f"{directory}/{uuid}{_SUFFIX}")
    except OSError:
        if f"{uuid}{_SUFFIX}" not in files.listdir(directory):  # else only the reply was lost
            raise
    files.unlink(scratch)
    files.sync_dir(directory)
    return uuid


def pending(files: Files, directory: str) -> list[Request]:
    """The requests that wait, in the order of their names; one that cannot be read waits.

    Raises:
        OSError: the share did not answer. (No directory is no requests.)
    """
    found = []
    try:
        names = sorted(files.listdir(directory))
    except FileNotFoundError:
        return []
    for name in names:
        if name.startswith(".") or not name.endswith(_SUFFIX):
            continue
        uuid = name.removesuffix(_SUFFIX)
        try:
            found.append(_understand(uuid, files.read(f"{directory}/{name}", _LIMIT)))
        except OSError as error:
            if error.errno == errno.EFBIG:
                found.append(Request(uuid, "", "", problem=f"the request is larger than {_LIMIT} bytes"))
    return found


def remove(files: Files, directory: str, request: Request) -> None:
    """Take away a request that the journal has answered."""
    files.unlink(f"{directory}/{request.uuid}{_SUFFIX}")


def _understand(uuid: str, data: bytes) -> Request:
    try:
        body = decode(data)
    except ValueError as error:
        return Request(uuid, "", "", problem=f"the request is {error}")
    kind, idea_id = str(body.get("kind")), str(body.get("idea", ""))
    problem = "" if idea_id else "the request names no idea"
    if kind not in KINDS:
        problem = f"{kind[:40]!r} is no request; known are {', '.join(KINDS)}"
    return Request(uuid, kind, idea_id, str(body.get("by", "")), problem)
