"""Records of a chain: how they are written, named and hashed."""

from __future__ import annotations

import json
from functools import lru_cache

from orze.core.files import nonce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Record: TypeAlias = dict[str, Any]
else:
    Record = dict

try:  # hashlib would load OpenSSL: 4 MB in each of the keepers
    from _sha2 import sha256 as _sha256
except ImportError:
    from _sha256 import sha256 as _sha256

LIMIT = 8 << 20  # bytes of one record
_SUFFIX = ".json"
_DIGITS = 6


def encode(record: Record) -> bytes:
    """The bytes of a record: compact JSON with its members in the order given, a newline at the end.

    Raises:
        ValueError: it holds NaN or infinity, or is larger than LIMIT (nobody could read it, for ever).
    """
    data = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    if len(data) > LIMIT:
        raise ValueError(f"a record of {len(data)} bytes is larger than {LIMIT}")
    return data


def decode(data: bytes) -> Record:
    """Read a record; ValueError for anything that is not a JSON object."""
    try:
        record = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - the bytes are wrong, not an argument
    return record


def digest(data: bytes) -> str:
    """The sha256 that the next record names as its predecessor, in hex."""
    return str(_sha256(data).hexdigest())


def slot_name(slot: int) -> str:
    """The file name of a slot."""
    return f"{slot:0{_DIGITS}d}{_SUFFIX}"


@lru_cache(maxsize=4096)  # a follower lists the same thousand names at every poll
def slot_of(name: str) -> int | None:
    """The slot, from 1, that a file name stands for; None for temporary and other files."""
    stem = name.removesuffix(_SUFFIX)
    slot = int(stem) if stem.isascii() and stem.isdigit() else 0
    return slot if slot and name == slot_name(slot) else None


def new_record(kind: str, **content: object) -> Record:
    """A record of this kind with a nonce of its own."""
    return {"kind": kind, "nonce": nonce(), **content}
