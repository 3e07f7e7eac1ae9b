"""What environment.json tells of the code and packages behind a result, found out off the hot path."""

from __future__ import annotations

import platform
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

_LIMIT = 20.0  # seconds that one question may take
_REFRESH = 30.0
# The directories of installed packages have name and version in theirs (PyPA, Recording installed projects);
# importlib.metadata would read a file of each, a fifth of a second before the first launch.
_PACKAGES = (
    "import hashlib,os,platform,sys;"
    "found={name for place in sys.path if os.path.isdir(place) for name in os.listdir(place)};"
    "names=sorted(name for name in found if name.endswith(('.dist-info','.egg-info')));"
    "print(platform.python_version(),hashlib.sha256('\\n'.join(names).encode()).hexdigest())"
)


class Environment:
    """Facts about the project's code and the scripts' interpreter.

    They are found out in a thread, and again when somebody asks and they are half a minute old.

    Args:
        project: the directory whose git commit is told.
        python: the interpreter of the scripts.
        driver: the NVIDIA driver's version, if there is one.
        steady: the clock, in seconds.
    """

    def __init__(
        self, project: Path, python: Sequence[str], *, driver: str | None, steady: Callable[[], float]
    ) -> None:
        self._project = project
        self._python = list(python)
        self._steady = steady
        self._asked = steady()
        self._fixed: dict[str, object] = {"driver": driver}
        self._code: dict[str, object] = {}
        self._first: threading.Thread | None = None

    def begin(self) -> None:
        """Begin to find out; only a daemon that starts attempts has to know."""
        if self._first is None:
            self._first = threading.Thread(target=self._find_all, daemon=True)
            self._first.start()

    def facts(self) -> dict[str, object]:
        """What is known now; the first call waits for the answers, at most 20 s."""
        self.begin()
        if self._first:
            self._first.join(_LIMIT)
        if self._steady() - self._asked > _REFRESH:
            self._asked = self._steady()
            threading.Thread(target=self._find_code, daemon=True).start()
        return {**self._fixed, **self._code}

    def _find_all(self) -> None:
        code = threading.Thread(target=self._find_code, daemon=True)
        code.start()
        version, _, packages = _ask([*self._python, "-c", _PACKAGES], self._project).partition(" ")
        found = {"python": version or None, "packages_sha256": packages or None}
        self._fixed |= {**found, "platform": platform.platform()}
        code.join()

    def _find_code(self) -> None:
        git = ["git", "-C", str(self._project)]
        commit = _ask([*git, "rev-parse", "HEAD"], self._project)
        dirty = _ask([*git, "status", "--porcelain", "--untracked-files=no"], self._project)
        self._code = {"git_commit": commit or None, "git_dirty": bool(dirty) if commit else None}


def _ask(command: Sequence[str], cwd: Path) -> str:
    """What a command prints; nothing where it cannot be run or fails."""
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, timeout=_LIMIT, stdin=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip()
