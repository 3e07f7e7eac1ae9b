"""Attempts in windows of tmux that one can attach to.

The keeper is a process of its own as with `local`; the window shows its log (window.py) and has no part in
the run. So closing the window, detaching, Ctrl-C in it, and even the end of the tmux server leave it alone.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orze.attempt.executors import window
from orze.attempt.executors.base import Keeper
from orze.attempt.executors.local import Nursery
from orze.attempt.verdict import one_line
from orze.core.errors import ConfigError

if TYPE_CHECKING:
    from orze.attempt.spec import Go, Prepare

# A command as several words came with 2.0, `=` before the exact name of a session with 2.1; since 2.6 every
# command reads `=NAME:` alike.
_OLDEST: Final = (2, 6)
_PATIENCE: Final = 5.0  # seconds for which tmux may not answer
_PROGRAM: Final = str(Path(window.__file__).resolve())
# A server that is started here gives its environment to every window of the user's from then on: keys that
# the daemon has for its researchers must not be in it.
_HANDED_ON: Final = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "COLORTERM", "TZ", "LANG", "LANGUAGE"}
    | {"TMPDIR", "TMUX_TMPDIR", "EDITOR", "VISUAL", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"}
)

Show = Callable[["Prepare", int, int], str]


class Tmux:
    """The executor `tmux`: a window for each attempt, in one session of the user's own tmux server.

    Args:
        session: its name; it is made with the first window and ends with the last.
        project_dir: where windows that the user opens in it begin.
        doors: whether each attempt has a directory of its own.
        environ: the environment of the daemon; PATH says where tmux is, TMUX_TMPDIR which server it is.
    """

    def __init__(self, session: str, *, project_dir: Path, doors: bool, environ: Mapping[str, str]) -> None:
        self._session = session
        self._directory = str(project_dir).replace("#", "##")  # tmux reads it as a format
        self._doors = doors
        self._environ = {
            name: value for name, value in environ.items() if name in _HANDED_ON or name.startswith("LC_")
        }
        self._program = shutil.which("tmux", path=environ.get("PATH")) or ""
        self._nursery = Nursery()

    @property
    def words(self) -> str:
        """How to attach."""
        return f"tmux session {self._session}: tmux attach -t {self._session}"

    def check(self) -> None:
        """See that tmux is there, and not too old.

        Raises:
            ConfigError: it is not.
        """
        if not self._program:
            why = "no tmux is on PATH; install the package tmux, or use type: local"
            raise ConfigError([f"executor.type is tmux, but {why}"])
        said, why = self._ask("-V")
        if why:
            raise ConfigError([f"executor.type is tmux, but {self._program} -V fails: {why}"])
        found = re.search(r"(\d{1,4})\.(\d{1,4})", said)
        if found and (int(found[1]), int(found[2])) < _OLDEST:
            oldest = ".".join(map(str, _OLDEST))
            raise ConfigError(
                [f"executor.type is tmux, but {said} is too old; install tmux {oldest} or later"]
            )

    def open(self) -> None:
        """Start the nursery; it is there a moment later."""
        self._nursery.open()

    def keeper(self) -> Keeper:
        """A keeper of this host, which gets a window once it is ready.

        Raises:
            OSError: no process can be started.
        """
        return _KeeperInWindow(*self._nursery.fork(), show=self._show)

    def adapt(self, go: Go) -> Go:
        """The message as it is."""
        return go

    def close(self) -> None:
        """Send the nursery away; keepers and windows stay."""
        self._nursery.close()

    def _show(self, prepare: Prepare, pid: int, start: int) -> str:
        """Make a window for a keeper; what tmux says where it cannot."""
        program = [sys.executable, "-I", "-S", _PROGRAM, prepare["results"], prepare["idea_id"]]
        program += [prepare["token"], str(pid), str(start), str(int(self._doors)), self._program]
        what = ["-d", "-n", prepare["idea_id"], "-c", self._directory, "--", *program]
        place = f"={self._session}:"
        _, why = self._ask("new-window", "-t", place, *what)
        if not why:
            return ""
        # its option would end a session that nobody is attached to
        stay = ["set-option", "-t", place, "destroy-unattached", "off"]
        _, why = self._ask("new-session", "-s", self._session, *what, then=stay)
        if why:  # it may be there by now: another attempt, or another farm, was quicker
            _, again = self._ask("new-window", "-t", place, *what)
            return why if again else ""
        return ""

    def _ask(self, *words: str, then: Sequence[str] = ()) -> tuple[str, str]:
        """Run tmux; what it printed, and why it failed."""
        # a word that ends in `;` would end the command
        command = [f"{word[:-1]}\\;" if word.endswith(";") else word for word in words]
        command += [";", *then] if then else []
        try:
            done = subprocess.run(
                [self._program, *command],
                env=self._environ,
                cwd="/",  # a server that is started here keeps it busy
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "", f"it did not answer within {_PATIENCE:g} s"
        except OSError as error:
            return "", error.strerror or str(error)
        said, complaint = (one_line(text.decode("utf-8", "replace")) for text in (done.stdout, done.stderr))
        return said, "" if done.returncode == 0 else complaint or f"it ended with {done.returncode}"


class _KeeperInWindow(Keeper):
    """A keeper that is ready when it has a window as well.

    Args:
        show: makes the window.
    """

    def __init__(self, pid: int, requests: int, replies: int, *, show: Show) -> None:
        super().__init__(pid, requests, replies)
        self._show = show
        self._prepare: Prepare | None = None

    def tell(self, **message: Any) -> bool:
        """Send a message, and remember what is prepared."""
        self._prepare = message.get("prepare", self._prepare)
        return super().tell(**message)

    def answer(self) -> str:
        """Why there is no keeper, or no window; empty where both are ready."""
        why = super().answer()
        if why or self._prepare is None:
            return why
        why = self._show(self._prepare, self.pid, self.start)
        return f"tmux makes no window: {why}" if why else ""
