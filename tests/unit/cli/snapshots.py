"""What commands print, held against files: ORZE_SNAPSHOTS=write puts what is printed now in their place."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).with_name("snapshots")
WRITE = os.environ.get("ORZE_SNAPSHOTS") == "write"


def same(name: str, text: str) -> None:
    """Hold a text against tests/unit/cli/snapshots/NAME.txt."""
    path = FOLDER / f"{name}.txt"
    if WRITE:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path} is missing: write it with ORZE_SNAPSHOTS=write and look at it"
    assert text == path.read_text(), f"{path} differs: if it should, write it with ORZE_SNAPSHOTS=write"
