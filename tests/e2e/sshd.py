"""A real sshd on loopback with keys and a configuration of its own, for tests of the executor `ssh`."""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DEADLINE = 20.0  # seconds
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


class Sshd:
    """One sshd, and how a client reaches it.

    Args:
        home: a directory of its own, made here. Below it: `work`, the work_dir; `bin`, first on PATH there.
        address: where it listens.
        within: words before its command, such as `ip netns exec NAME`.
    """

    def __init__(self, home: Path, address: str = "127.0.0.1", within: Sequence[str] = ()) -> None:
        self.home = home
        self.address = address
        self.work = home / "work"
        self.bin = home / "bin"
        self.tmp = home / "tmp"
        for directory in (home, self.work, self.bin, self.tmp):
            directory.mkdir()
        self.port = _free_port()
        self._within = list(within)
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        (home / "authorized").write_text((home / "user.pub").read_text())
        (home / "known_hosts").write_text(f"[{address}]:{self.port} {(home / 'host.pub').read_text()}")
        self.start()

    def settings(self, **more: Any) -> dict[str, Any]:
        """The block `executor` that leads here."""
        options = [f'UserKnownHostsFile="{self.home}/known_hosts"', "GlobalKnownHostsFile=/dev/null"]
        return {
            "type": "ssh", "host": self.address, "port": self.port, "user": pwd.getpwuid(os.getuid()).pw_name,
            "key_path": str(self.home / "user"), "work_dir": str(self.work), "connect_timeout": 2,
            "options": [*options, "ServerAliveInterval=1", "IdentityAgent=none"], **more,
        }  # fmt: skip

    def start(self) -> None:
        """Listen."""
        config = self.home / "sshd_config"
        path = f"{self.bin}:/usr/local/bin:/usr/bin:/bin"
        config.write_text(
            f"Port {self.port}\nListenAddress {self.address}\nHostKey {self.home}/host\nUsePAM no\n"
            f"AuthorizedKeysFile {self.home}/authorized\nStrictModes no\nPidFile none\nMaxStartups 100\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\nPermitUserRC no\n"
            f"KbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n"
            f'SetEnv PATH="{path}" TMPDIR="{self.tmp}" HOME="{self.tmp}"\n'
        )
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.home / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._within, str(SSHD), "-D", "-e", "-f", str(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait(self._listens, "sshd listens")

    def stop(self) -> None:
        """Listen no more, and cut every connection."""
        if self._process:
            listener = self._listener()
            os.kill(listener, signal.SIGSTOP)
            self.cut()
            os.kill(listener, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def cut(self) -> None:
        """Cut every connection; what was started through them is left alone."""
        for pid in children(self._listener()):
            with contextlib.suppress(ProcessLookupError):
                for session in children(pid):  # the process of the user's, where privileges are separated
                    if b"sshd" in Path(f"/proc/{session}/cmdline").read_bytes():
                        os.kill(session, signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)

    def add_program(self, name: str, text: str) -> None:
        """Put a program on the PATH there."""
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def processes(self, program: str = "keeper-") -> list[int]:
        """Every process whose command line names the program and this directory, or that works in it."""
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
                where = os.readlink(f"/proc/{pid}/cwd")
                if program in words and (str(self.work) in words or where.startswith(str(self.work))):
                    found.append(pid)
        return found

    def close(self) -> None:
        """End everything."""
        self.stop()
        for pid in self.processes(""):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _listener(self) -> int:
        assert self._process
        return self._process.pid  # `ip netns exec` becomes the command

    def _listens(self) -> bool:
        assert self._process
        assert self._process.poll() is None, (self.home / "sshd.log").read_text()
        return f" listening on {self.address} port {self.port}" in (self.home / "sshd.log").read_text()


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def wait(happened: Any, what: str) -> None:
    """Wait until something has happened."""
    until = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < until, f"not within {DEADLINE:g} s: {what}"
        select.select([], [], [], 0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
