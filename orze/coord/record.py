"""Records of a chain: how they are written, named and hashed."""

from __future__ import annotations

import json
from functools import lru_cache

from orze.core.files import nonce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    Record: TypeAlias = dict[str, Any]
else:
    Record = dict

try:  # hashlib would load OpenSSL: 4 MB in each of the keepers
    from _sha2 import sha256 as _sha256
except ImportError:
    from _sha256 import sha256 as _sha256

LIMIT = 8 << 20  # bytes of one record
_LARGEST = 1 << 62  # of a number that counts or measures time
_NAME = 200
_HOST = 253  # letters of a name of the DNS (RFC 1035); Linux allows 64
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
        record = json.loads(data, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - the bytes are wrong, not an argument
    return record


def well_formed(record: Mapping[str, Any]) -> bool:
    """Whether what a record says under the names that the farm reads is of the kind that it reads there.

    A chain is a directory that anybody with access may write to: a token or a directory becomes a part of a
    path, a pid a process that is asked for, a number a column of the report.
    """
    return all(fits(record[name]) for name, fits in _SHAPES.items() if name in record)


def is_name(value: object) -> bool:
    """Whether this can be one step of a path: letters, digits, `-` and `_`, at most 200.

    A dot and digits may follow, as in the ids of members.
    """
    if not isinstance(value, str) or len(value) > _NAME or not value.isascii():
        return False
    head, dot, digits = value.partition(".")
    return head.replace("-", "").replace("_", "").isalnum() and (digits.isdigit() if dot else True)


def is_host(value: object) -> bool:
    """Whether this can be the name of a host: printable letters without a blank, at most 253."""
    return isinstance(value, str) and 0 < len(value) <= _HOST and value.isprintable() and " " not in value


def is_flag(value: object) -> bool:
    """Whether this is true or false."""
    return isinstance(value, bool)


def is_text(value: object) -> bool:
    """Whether this is a text."""
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_seed(value: object) -> bool:
    return type(value) is int and abs(value) <= 2 * _LARGEST  # that of a configuration, and what is added


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < _LARGEST  # type: ignore[arg-type] # NaN is not


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_SHAPES: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(("token", "directory"), is_name),
    **dict.fromkeys(("pid", "start", "attempt", "term"), _is_count),
    **dict.fromkeys(("at", "seconds"), _is_number),
    **dict.fromkeys(("host", "boot", "pidns", "machine", "gpu", "section", "sha", "cause", "error"), is_text),
    **dict.fromkeys(("title", "evaluation_error", "config", "commit"), is_text),
    "seed": _is_seed,
    "metrics": _is_object,
    **dict.fromkeys(("post_errors", "cards"), _are_texts),
}


def digest(data: bytes) -> str:
    """The sha256 that the next record names as its predecessor, in hex."""
    return str(_sha256(data).hexdigest())


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


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
