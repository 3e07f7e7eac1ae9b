"""Sends letters through apprise: `python -m orze.notify.send`, a process of its own.

It reads letters as JSON from standard input, and writes `["name", "why it was not reached"]` for each as soon
as it is known. What apprise and the services say is never passed on, since it may hold URLs and keys.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from orze.notify.post import SENT, Letter

_STATUS = re.compile(r"\berror=(\d{3})\b")  # how apprise's plugins log the status of an answer
_CONNECTION = re.compile(r"connection|socket|timed? ?out", re.IGNORECASE)
_THREADS = 16

Deliver = Callable[[Letter], str]


def reason(said: str) -> str:
    """Why a message did not arrive, from what apprise logged: an HTTP status, or fixed words."""
    if status := _STATUS.search(said):
        return f"HTTP {status[1]}"
    return "no connection" if _CONNECTION.search(said) else "refused"


def serve(source: IO[bytes], answers: IO[str], deliver: Deliver) -> None:
    """Deliver every letter, all at once, and tell what became of each.

    Args:
        deliver: returns why a letter did not arrive, or `SENT`.
    """
    letters = [Letter(**letter) for letter in json.load(source)]
    turn = threading.Lock()

    def handle(letter: Letter) -> None:
        try:
            why = deliver(letter)
        except Exception as error:  # noqa: BLE001 - one plugin's fault is that of its target alone
            why = type(error).__name__
        with turn:
            print(json.dumps([letter.name, why]), file=answers, flush=True)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(handle, letters))


def through_apprise() -> Deliver:
    """What delivers by apprise; ImportError where it is not installed."""
    import apprise

    logging.getLogger("apprise").propagate = False
    asset = apprise.AppriseAsset(app_id="orze", async_mode=False)

    def deliver(letter: Letter) -> str:
        target = apprise.Apprise(asset=asset)
        if not target.add(letter.url):
            return "not a URL that apprise understands"
        if not letter.body:
            return SENT
        sent = target.notify(body=letter.body, title=letter.title, body_format=apprise.NotifyFormat.TEXT)
        logs = getattr(sent, "logs", list)  # apprise 1 returns a bare truth value
        return SENT if sent else reason("\n".join(str(entry.message) for entry in logs()))

    return deliver


def main() -> int:
    """Serve standard input; exit status 1 without apprise."""
    try:
        deliver = through_apprise()
    except ImportError:
        return 1
    serve(sys.stdin.buffer, sys.stdout, deliver)
    return 0


if __name__ == "__main__":
    os.nice(10)  # messages can wait, trainings cannot
    sys.exit(main())
