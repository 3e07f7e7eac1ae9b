"""Starts a module of this program as a process whose environment says nothing of where the program lies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

_CODE: Final = str(Path(__file__).resolve().parents[2])
# PYTHONPATH would be seen by all that the process starts: trainings, agents.
_BOOT: Final = """
import sys
code, parent, module = sys.argv[1:4]
del sys.argv[1:4]
if code not in sys.path:
    sys.path.insert(0, code)
if parent != "0":
    from orze.refine.tied import tie
    tie(int(parent))
from importlib import import_module
raise SystemExit(import_module(module).main())
"""


def command_of(module: str, *words: str, tied: bool = False) -> list[str]:
    """The command that calls the function `main` of a module with these arguments.

    Args:
        tied: it is told to end when the thread that starts it is gone; see `orze.refine.tied`.
    """
    parent = str(os.getpid()) if tied else "0"
    return [sys.executable, "-P", "-c", _BOOT, _CODE, parent, module, *words]
