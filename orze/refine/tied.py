"""Ties a process to the one that started it: it is told to end when that one is gone, however it went."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>


def tie(parent: int) -> None:
    """From now on, get SIGTERM when the thread that started this process ends (PR_SET_PDEATHSIG, prctl(2)).

    Args:
        parent: the process that is expected to have started this one; where it is gone already, the signal
            is sent at once.

    Raises:
        OSError: the kernel refuses.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
