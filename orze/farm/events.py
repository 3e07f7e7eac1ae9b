"""What wakes the daemon: keepers that answer or end, changed files on a local disk, signals."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Mapping

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver


class Events:
    """Waits for any of several things at once.

    Attributes:
        interrupts: how often Ctrl-C was pressed.
        terminated: SIGTERM has come.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll.register(self._wake, select.POLLIN)
        self._actions: dict[int, Callable[[], None]] = {}
        self._observer: BaseObserver | None = None
        self.interrupts = 0
        self.terminated = False

    def listen_to_signals(self) -> None:
        """Count SIGINT and SIGTERM, and wake for them and for SIGCHLD."""
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self._interrupted)
        signal.signal(signal.SIGTERM, self._terminated)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def watch_files(self, watched: Mapping[str, str]) -> None:
        """Wake when something changes; where inotify does not work, polling remains.

        Args:
            watched: directory -> the one name in it that matters, or nothing where all do.
        """
        observer = Observer()
        try:
            for directory, name in watched.items():
                observer.schedule(_Waker(self.wake, name), directory, recursive=False)
            observer.start()
        except OSError:
            return  # out of inotify watches: the poll interval finds everything as well
        self._observer = observer

    def on_readable(self, descriptor: int, action: Callable[[], None]) -> None:
        """Call `action` from `wait` when the descriptor is readable."""
        self._actions[descriptor] = action
        self._poll.register(descriptor, select.POLLIN)

    def forget(self, descriptor: int) -> None:
        """Do not wait for it any more."""
        if self._actions.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def wake(self) -> None:
        """End the present or next `wait` at once; may be called from any thread."""
        try:
            os.write(self._waker, b"\0")
        except BlockingIOError:
            return  # it is full of wake-ups already

    def wait(self, seconds: float) -> None:
        """Wait until something happens, at most this long, and call the actions of what happened."""
        for descriptor, _ in self._poll.poll(max(0.0, seconds) * 1000):
            if descriptor == self._wake:
                os.read(self._wake, 4096)
            elif action := self._actions.get(descriptor):
                action()

    def close(self) -> None:
        """Stop watching files."""
        if self._observer:
            self._observer.stop()

    def _interrupted(self, *_: object) -> None:
        self.interrupts += 1

    def _terminated(self, *_: object) -> None:
        self.terminated = True


class _Waker(FileSystemEventHandler):
    """Wakes the daemon for anything that may change what it sees; reading a file does not."""

    _QUIET = frozenset({"opened", "closed_no_write"})

    def __init__(self, wake: Callable[[], None], name: str) -> None:
        self._wake = wake
        self._name = name

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Wake, unless somebody only read, or it is another file that changed."""
        names = {os.path.basename(os.fsdecode(path)) for path in (event.src_path, event.dest_path)}
        if event.event_type not in self._QUIET and (not self._name or self._name in names):
            self._wake()
