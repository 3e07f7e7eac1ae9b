"""What commands print, held against files: ORZE_SNAPSHOTS=write puts what is printed now in their place."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).with_name("snapshots")
WRITE = os.environ.get("ORZE_SNAPSHOTS") == "write"


def kept(name: str, text: str) -> str:
    """What tests/unit/cli/snapshots/NAME.txt holds; it is written first where ORZE_SNAPSHOTS=write says so.

    Args:
        text: what it would hold if it were written now.
    """
    path = FOLDER / f"{name}.txt"
    if WRITE:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path} is missing: write it with ORZE_SNAPSHOTS=write and look at it"
    return path.read_text()
