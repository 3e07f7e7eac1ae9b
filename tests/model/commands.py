"""Runs campaign.py as people do, in a process in which sets have the same order every time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_CAMPAIGN = Path(__file__).with_name("campaign.py")


def campaign(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end; what it printed and its exit status."""
    return subprocess.run(
        [sys.executable, str(_CAMPAIGN), *arguments],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
