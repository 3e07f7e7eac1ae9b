"""Machines that are namespaces of this one, and what /proc tells of the processes on all of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

UNSHARE = ("unshare", "--uts", "--pid", "--fork", "--mount-proc")


class Machine:
    """A machine of its own to every process on it: host name and pids; only the directory is shared.

    Its first process lives until `stop`, which ends all others with it, as when the power fails.

    Args:
        name: its host name.
        up: by how many seconds its steady clock is ahead of that of this host, where the kernel can do that.
    """

    def __init__(self, name: str, up: int) -> None:
        self.name = name
        self._own_time = ("--time",) if up and not _refusal("--time") else ()
        clocks = (*self._own_time, "--boottime", str(up)) if self._own_time else ()
        # a shell that waits for a child also collects whatever orphan ends, as an init does
        life = f"hostname {name}; echo up; sleep infinity & wait"
        self._process = subprocess.Popen(
            [*UNSHARE, *clocks, "sh", "-c", life],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == b"up\n"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        self.init = int(children.split()[0])

    def command(self, command: Sequence[str], cwd: Path) -> list[str]:
        """What runs a command on this machine."""
        enter = ["nsenter", "--target", str(self.init), "--uts", "--pid", "--mount", *self._own_time]
        return [*enter, "sh", "-c", 'cd "$0" && exec "$@"', str(cwd), *command]

    def run(self, *command: str) -> int:
        """Run a command there; its exit status."""
        return subprocess.run(self.command(command, Path("/")), check=False).returncode

    def path(self, path: Path) -> Path:
        """How a path of that machine, which has mounts of its own, is reached from here."""
        return Path(f"/proc/{self.init}/root{path}")

    def send(self, number: int) -> None:
        """Send a signal to every process there but the first."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def runs(self, program: str) -> bool:
        """Whether a process there has a command line that names the program."""
        return any(program in cmdline(pid) for pid in self._pids())

    def _pids(self) -> list[int]:
        mine = pid_namespace(self.init)
        assert mine, f"{self.name} is not up"
        return [pid for pid in pids() if pid != self.init and pid_namespace(pid) == mine]

    def cut(self) -> None:
        """Cut the power, and do not wait until all is gone."""
        if self._process.poll() is None:  # behind that the pid may be another's
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGKILL)

    def stop(self) -> None:
        """Cut the power, and wait until all is gone."""
        self.cut()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()


def two_machines() -> str:
    """Why this host cannot play two machines; empty where it can."""
    if missing := [tool for tool in ("unshare", "nsenter", "hostname") if not shutil.which(tool)]:
        return f"{', '.join(missing)} missing"
    return _refusal()


def _refusal(*flags: str) -> str:
    tried = subprocess.run([*UNSHARE, *flags, "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else tried.stderr.decode().strip()


def pids() -> Iterator[int]:
    """Every process of this host, those of its namespaces too."""
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def cwd(pid: int) -> str:
    """The working directory of a process; empty where it is gone or a zombie."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def cmdline(pid: int) -> str:
    """The command line of a process; empty where it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def pid_namespace(pid: int) -> str:
    """The pid namespace of a process; empty where it is gone or a zombie."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""
