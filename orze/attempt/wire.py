"""Messages between a daemon and its keeper: JSON behind four bytes of length, over a pipe."""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_HEAD = 4
_LIMIT = 16 << 20


def send(descriptor: int, message: Mapping[str, Any]) -> None:
    """Write one message; BrokenPipeError when nobody reads any more."""
    body = json.dumps(message, separators=(",", ":")).encode()
    view = memoryview(len(body).to_bytes(_HEAD, "big") + body)
    while view:
        view = view[os.write(descriptor, view) :]


def receive(descriptor: int) -> dict[str, Any] | None:
    """Read one message, waiting for it; None when the other side is gone."""
    head = _exactly(descriptor, _HEAD)
    if head is None:
        return None
    length = int.from_bytes(head, "big")
    body = _exactly(descriptor, length) if length <= _LIMIT else None
    message = json.loads(body) if body is not None else None
    return message if isinstance(message, dict) else None


def _exactly(descriptor: int, count: int) -> bytes | None:
    parts = []
    while count:
        part = os.read(descriptor, min(count, 1 << 16))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
