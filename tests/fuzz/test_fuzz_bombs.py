"""What is made to fill memory or time meets a bound, and the daemon stays what it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.bombs import BOMBS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_told_as_what_it_is_within_memory_and_time(tmp_path: Path, name: str) -> None:
    if name == "endless_device" and os.geteuid() != 0:
        pytest.skip("only root makes devices")
    argv = [sys.executable, "-m", "tests.fuzz.bombs", name, str(tmp_path)]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    told, peak = ended.stdout.rsplit("\n", 2)[:2]
    assert BOMBS[name][1] in told
    assert told != "read" or BOMBS[name][1] == "read"
    assert int(peak) < 480
