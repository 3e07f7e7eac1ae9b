"""What holds for every test of the daemon's members."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from orze.farm.events import Events


@pytest.fixture(autouse=True)
def pipes_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A daemon keeps its pipe until it ends; hundreds of daemons in one process run out of descriptors."""
    made: list[Events] = []
    begin = Events.__init__

    def noted(self: Events) -> None:
        begin(self)
        made.append(self)

    monkeypatch.setattr(Events, "__init__", noted)
    yield
    signal.set_wakeup_fd(-1)
    for events in made:
        if events._observer is None:  # one that watches files may still be woken by its thread
            os.close(events._wake)
            os.close(events._waker)
