"""What is shown live on a terminal until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from orze.cli.common import USAGE

if TYPE_CHECKING:
    from rich.console import RenderableType

_T = TypeVar("_T")
_EVERY = 1.0  # seconds between two looks
_TERMINATED = 128 + signal.SIGTERM  # what a shell says of who died by it


def watched(look: Callable[[], _T], view: Callable[[_T, str], RenderableType]) -> int:
    """Show what changes, each second and when the window does, and leave the terminal as it was.

    Args:
        look: sees what is there; OSError where it cannot be seen now.
        view: shows it; the text is why it is that of an earlier look, empty where it is not.

    Returns:
        The exit status: usage without a terminal, else that of SIGTERM. Ctrl-C is raised on.
    """
    from rich.live import Live

    from orze.cli import output

    console = output.console()
    if not console.is_terminal:
        output.complain("-w needs a terminal; without it, status tells what is there now")
        return USAGE
    heeded = {signal.SIGWINCH, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, heeded)
    try:
        found, fault = look(), ""
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(view(found, fault), refresh=True)
                sent = signal.sigtimedwait(heeded, _EVERY)
                if sent and sent.si_signo == signal.SIGTERM:
                    return _TERMINATED
                try:
                    found, fault = look(), ""
                except OSError as error:
                    fault = f"{error.filename or 'the directory'}: {error.strerror or error}"
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)
