"""What goes wrong, told once, kept in sight while it lasts, and never the end of the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from orze.core.errors import OrzeError
from orze.report.model import Problem

_LOG = logging.getLogger("orze")


class Problems:
    """The problems of one daemon.

    Args:
        wall: unix seconds, shown only.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._since: dict[str, dict[str, float]] = {}

    @contextmanager
    def guard(self, doing: str) -> Iterator[None]:
        """Whatever goes wrong inside is shown as a problem of `doing`, until it goes well again."""
        try:
            yield
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            self.show(doing, [f"{doing}: {error.strerror or error}{where}; it is tried again"])
        except OrzeError as error:
            self.show(doing, [f"{doing}: {error}"])
        except Exception as error:  # noqa: BLE001 - a fault of one phase must not end the farm
            _LOG.debug("while %s", doing, exc_info=True)
            self.show(doing, [f"{doing}: unexpected {type(error).__name__}: {error}; please report it"])
        else:
            self.show(doing, [])

    def show(self, source: str, texts: Iterable[str]) -> None:
        """Replace the problems of one source by these; new ones are logged once."""
        before = self._since.get(source, {})
        now = {text: before[text] if text in before else self._wall() for text in texts}
        for text in now.keys() - before.keys():
            _LOG.warning("%s", text)
        self._since[source] = now

    def of(self, source: str) -> list[str]:
        """The problems of one source."""
        return list(self._since.get(source, ()))

    def __iter__(self) -> Iterator[Problem]:
        for texts in self._since.values():
            for text, since in texts.items():
                yield Problem(text, since)
