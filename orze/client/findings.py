"""One thing that is wrong, and where: how `orze lint` tells of it."""

from __future__ import annotations

from dataclasses import dataclass

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or strange.

    Attributes:
        path: the file, as messages name it.
        line: from 1; 0 where it is about the whole file.
        kind: `error` (it is not accepted, or nothing could start) or `warning`.
    """

    path: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.kind}: {self.text}"
