"""One keeper runs for each busy slot: what it imports must stay light."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LIGHT = [
    "orze.core.files",
    "orze.core.clock",
    "orze.core.paths",
    "orze.core.identity",
    "orze.core.states",
    "orze.coord.record",
    "orze.coord.chain",
    "orze.coord.idea_chain",
    "orze.coord.heartbeat",
]
HEAVY = frozenset(
    [
        *("typing", "dataclasses", "pathlib", "hashlib", "_hashlib", "subprocess", "logging", "tempfile"),
        *("socket", "ssl", "inspect", "ast", "random", "shutil", "threading", "asyncio", "contextlib"),
        *("importlib.metadata", "urllib.parse", "email", "unittest", "yaml", "pydantic", "pynvml", "psutil"),
    ]
)
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); __import__(sys.argv[2]); print(*sys.modules)"


def modules_after(module):
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _PROGRAM, str(ROOT), module],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return set(answer.stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_a_module_of_the_keeper_imports_nothing_heavy(module):
    loaded = modules_after(module)
    assert module in loaded
    assert loaded & HEAVY == set()


def test_the_list_of_heavy_modules_would_be_noticed():
    assert {"pathlib", "subprocess"} <= modules_after("subprocess") | modules_after("pathlib")
