"""What operators ask of the farm: one small file a request, applied once by the leader."""

from __future__ import annotations

import errno

from orze.coord.journal import DEFAULT, PRIORITIES, SECTION
from orze.coord.record import decode, encode, is_host, is_name
from orze.core.files import make_dirs, nonce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orze.core.clock import Clock
    from orze.core.files import Files

OF_IDEAS = ("stop", "retry", "hold", "release", "withdraw", "restore", "priority")
OF_HOSTS = ("drain", "undrain", "cards")
KINDS = OF_IDEAS + OF_HOSTS
DUPLICATE = "duplicate"  # what hosts tell the leader in the same way; nobody is answered
_SUFFIX = ".json"
_LIMIT = 64 << 10
_BY = 100  # letters of who asks that are kept
_CARDS = 1000  # letters of a list of cards
_MICRO = 1e6


class Request:
    """One request as its file tells it.

    Attributes:
        target: the id of an idea for the kinds OF_IDEAS, the name of a host for those OF_HOSTS.
        value: the priority or the cards that are asked for; for DUPLICATE the idea that came first, and the
            revision that is its duplicate; empty for other kinds.
        by: who asks; may be empty.
        problem: why it cannot be understood; empty for a good one.
    """

    __slots__ = ("by", "kind", "problem", "target", "uuid", "value")

    def __init__(
        self, uuid: str, kind: str, target: str, *, value: str = "", by: str = "", problem: str = ""
    ) -> None:
        self.uuid = uuid
        self.kind = kind
        self.target = target
        self.value = value
        self.by = by
        self.problem = problem


def submit(
    files: Files,
    directory: str,
    clock: Clock,
    *,
    kind: str,
    target: str,
    value: str = "",
    by: str = "",
    name: str = "",
) -> str:
    """Leave a request for whoever leads, who also judges whether it can be understood.

    Args:
        kind: one of KINDS.
        target: the idea or host that it is about.
        value: what `priority` and `cards` ask for.
        by: who asks, shown in the answer.
        name: the uuid; one that waits already is left as it is.

    Returns:
        The uuid under which the journal will answer. Otherwise than with `name` it begins with the time, so
        that what is asked at one terminal is done in its order.

    Raises:
        OSError: the share failed before the request was seen there.
    """
    at = clock.wall()
    uuid = name or f"{max(0, int(at * _MICRO)):016d}-{nonce()}"
    make_dirs(files, directory)
    scratch = f"{directory}/.tmp-{nonce()}"
    body = {"kind": kind, _subject(kind): target, **({"value": value} if value else {}), "by": by, "at": at}
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
    kind = str(body.get("kind"))
    if kind not in (*KINDS, DUPLICATE):
        problem = f"{_brief(kind)} is no request; known are {', '.join(KINDS)}"
        return Request(uuid, "", "", problem=problem)
    target, value = str(body.get(_subject(kind), "")), str(body.get("value", "")).strip()
    if problem := _fault_of(kind, target, value):
        return Request(uuid, kind, "", problem=problem)
    return Request(uuid, kind, target, value=value, by=_line(str(body.get("by", "")))[:_BY])


def _fault_of(kind: str, target: str, value: str) -> str:
    """What is wrong with what a request asks for; empty where nothing is."""
    subject = _subject(kind)
    if not target:
        return f"the request names no {subject}"
    if not (is_host(target) if kind in OF_HOSTS else is_name(target)):
        return f"{_brief(target)} is no name of {'a' if kind in OF_HOSTS else 'an'} {subject}"
    if kind == "priority" and value not in (*PRIORITIES, SECTION):
        known = f"{', '.join(PRIORITIES)}, or {SECTION} for that of its section"
        return f"{_brief(value)} is no priority; known are {known}"
    if kind == DUPLICATE and [is_name(word) for word in value.split(" ")] != [True, True]:
        return f"{_brief(value)} names no idea and revision"
    if kind == "cards" and not (value and value.isprintable() and len(value) <= _CARDS):
        return f"{_brief(value)} names no cards; write them as for --gpus, or {DEFAULT}"
    return ""


def _subject(kind: str) -> str:
    return "host" if kind in OF_HOSTS else "idea"


def _line(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())


def _brief(text: str) -> str:
    """A word from outside, fit to be shown in a sentence."""
    return repr(text[:40])
