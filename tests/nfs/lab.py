"""Several kernels and one NFS server on this machine: User-Mode Linux guests as clients of nfs-ganesha.

Everything runs in a network and pid namespace of its own, whose first process lives for as long as the
process that made the lab: when that ends, however it ends, the kernel ends the rest. A guest's root is that
of the host, read-only, so all paths are the same in both; the exported directory is mounted where it is on
the host. Each guest has its own boot id, host name, machine id, pids and clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KERNEL = "/usr/bin/linux.uml"
SERVER = "/usr/bin/ganesha.nfsd"
_ADDRESS = "10.77.0.1"
_MEMORY = 512  # MiB of each guest
_BOOT = 60.0  # seconds
_TICK = 0.05
_FIRST = "exec 3<&0; cat <&3 & wait"  # a shell that waits also collects orphans


def missing() -> str:
    """Why the lab cannot run here; empty where it can."""
    if os.geteuid() != 0:
        return "not root"
    programs = (KERNEL, SERVER, "ip", "unshare", "nsenter", "mount.nfs")
    lacking = [name for name in programs if not shutil.which(name)]
    if lacking:
        return f"{', '.join(lacking)} missing: run tests/nfs/install.sh"
    if not os.path.exists("/dev/net/tun"):
        return "/dev/net/tun missing"
    tried = subprocess.run(["unshare", "--net", "--pid", "--fork", "--mount-proc", "true"], check=False)
    return "" if tried.returncode == 0 else "no namespaces may be made"


class Inside:
    """A process in the namespaces of the lab, with those that it starts."""

    def __init__(self, lab: Lab, command: Sequence[str], log: Path, *pass_fds: int) -> None:
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                lab.enter(*command),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": lab.memory},
                start_new_session=True,
                pass_fds=pass_fds,
            )
        lab.processes.append(self)

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def pause(self) -> None:
        """Stop it, and with it the kernel that it is."""
        os.kill(self._main(), signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self._main(), signal.SIGCONT)
        self._process.send_signal(signal.SIGCONT)  # nsenter stops itself when its child is stopped

    def kill(self) -> None:
        """End it and everything that it started, as when the power fails."""
        main = self._main()
        with contextlib.suppress(ProcessLookupError):
            os.kill(main, signal.SIGKILL)
            while True:  # a kernel leads a group; its last process is collected by that of the namespaces
                os.killpg(main, signal.SIGKILL)
                self._process.poll()
                time.sleep(_TICK)
        self.wait()

    def wait(self) -> None:
        """Wait until it has ended."""
        self._process.wait()

    def _main(self) -> int:
        pid = self._process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


class Guest:
    """One client kernel.

    Args:
        number: from 1; its name is `c1` and so on.
    """

    def __init__(self, lab: Lab, number: int) -> None:
        self.name = f"c{number}"
        self.line = socket.socket(socket.AF_UNIX)
        self._lab = lab
        self._number = number
        self._tap = f"tap{number}"
        self._log = lab.state / f"{self.name}.log"
        self._jobs = 0
        lab.inside("ip", "tuntap", "add", "dev", self._tap, "mode", "tap")
        self.heal()
        lab.inside("ip", "link", "set", self._tap, "up")

    # ---- life

    def boot(self) -> None:
        """Switch it on; `wait` says when it is up."""
        self.line.close()
        self.line, its_end = socket.socketpair()
        self._heard = b""
        state = self._lab.state
        mac = f"02:77:00:00:00:{self._number:02x}"
        arguments = [
            *(f"mem={_MEMORY}M", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"),
            *(f"init={state}/guest.sh", f"lab={state}", f"name={self.name}"),
            *("con=null", "con0=null,fd:1", f"ssl0=fd:{its_end.fileno()}"),
            *(f"umid={self.name}", f"uml_dir={state}/umid/"),
            f"vec0:transport=tap,ifname={self._tap},depth=128,gro=1,mac={mac}",
        ]
        self._kernel = Inside(self._lab, [KERNEL, *arguments], self._log, its_end.fileno())
        its_end.close()

    def wait(self) -> None:
        """Wait until it is up, and mount the export."""
        try:
            self._hear(0, _BOOT)
        except (TimeoutError, EOFError) as error:
            raise RuntimeError(f"{self.name} does not come up: {self._log.read_text()}") from error
        self.mount(self._lab.options)
        self._settle()

    def _settle(self) -> None:
        """Wait until the mount does what it is asked: its very first calls have been seen to fail (EIO)."""
        trial = f"{self._lab.export}/.{self.name}"
        until = time.monotonic() + _BOOT
        while True:
            try:
                self.run("sh", "-c", f"mkdir {trial} && cp /proc/version {trial}/a && rm -r {trial}")
                return
            except RuntimeError as error:
                if time.monotonic() > until:
                    raise
                print(f"{self.name}: not yet: {error}")
                self.run("rm", "-rf", trial, status=None)
                time.sleep(_TICK)

    def crash(self) -> None:
        """Switch it off."""
        self._kernel.kill()
        shutil.rmtree(self._lab.state / "umid" / self.name, ignore_errors=True)

    def freeze(self) -> None:
        """Stop the whole kernel, its clocks included, as a hypervisor does."""
        self._kernel.pause()

    def thaw(self) -> None:
        """Let it go on; its clocks jump to the present."""
        self._kernel.resume()

    # ---- its network and clock

    def cut(self) -> None:
        """Part it from the server; commands still reach it."""
        self._lab.inside("ip", "link", "set", self._tap, "nomaster")

    def heal(self) -> None:
        """Connect it again."""
        self._lab.inside("ip", "link", "set", self._tap, "master", "lab")

    def delay(self, milliseconds: int) -> None:
        """Delay all that it sends."""
        self.run("modprobe", "-d", "/run/kernel", "sch_netem")
        self.run("tc", "qdisc", "replace", "dev", "vec0", "root", "netem", "delay", f"{milliseconds}ms")

    def set_clock(self, words: str) -> None:
        """Step its wall clock, in the words of date(1): `2 hours ago`."""
        self.run("date", "--set", words)

    def mount(self, options: str) -> None:
        """Mount the export where it is on the host."""
        options = f"vers=4.2,proto=tcp,hard,{options}".rstrip(",")
        self.run("mount", "-t", "nfs", "-o", options, f"{_ADDRESS}:/export", str(self._lab.export))

    # ---- commands

    def run(self, *command: str, status: int | None = 0, deadline: float = 30.0) -> str:
        """Run a command to its end.

        Args:
            status: what it must end with; None for anything.
            deadline: seconds.

        Returns:
            What it printed.
        """
        self._jobs += 1
        job = {"id": self._jobs, "command": command}
        self.line.sendall(json.dumps(job).encode() + b"\n")
        done = self._hear(self._jobs, deadline)
        if status is not None and done["status"] != status:
            told = self._lab.server.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(
                f"{self.name}: {command} ended with {done['status']}: {done['output']}\nserver: {told}"
            )
        return str(done["output"])

    def _hear(self, job: int, deadline: float) -> dict[str, Any]:
        """The answer to one job; those to jobs that were given up are passed over."""
        until = time.monotonic() + deadline
        while True:
            line, newline, rest = self._heard.partition(b"\n")
            if newline:
                self._heard = rest
                answer: dict[str, Any] = json.loads(line)
                if answer["id"] == job:
                    return answer
                continue
            self.line.settimeout(max(until - time.monotonic(), 0.001))
            if not (more := self.line.recv(65536)):
                raise EOFError(f"{self.name} ended: {self._log.read_text()}")
            self._heard += more


class Server:
    """The NFS server.

    Args:
        lease: seconds of NFSv4's lease, and of the grace period after a restart.

    Attributes:
        log: what it tells.
    """

    def __init__(self, lab: Lab, lease: int) -> None:
        self._lab = lab
        self.log = lab.state / "server.log"
        (lab.state / "recovery").mkdir()
        (lab.state / "server.conf").write_text(
            f"""
            NFS_CORE_PARAM {{ Protocols = 4; Enable_NLM = false; Enable_RQUOTA = false;
                Bind_addr = {_ADDRESS}; allow_set_io_flusher_fail = true; }}
            NFSv4 {{ Lease_Lifetime = {lease}; Grace_Period = {lease}; Only_Numeric_Owners = true;
                RecoveryBackend = fs; RecoveryRoot = {lab.state}/recovery; }}
            EXPORT {{ Export_Id = 1; Path = {lab.export}; Pseudo = /export; Access_Type = RW;
                Squash = No_Root_Squash; SecType = sys; Protocols = 4; Transports = TCP;
                FSAL {{ Name = VFS; }} }}
            """
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        state = self._lab.state
        names = ["-f", f"{state}/server.conf", "-p", f"{state}/server.pid", "-L", str(self.log)]
        self._process = Inside(self._lab, [SERVER, "-F", *names, "-N", "EVENT"], self.log)
        until = time.monotonic() + _BOOT
        while "2049" not in self._lab.inside("ss", "--listening", "--tcp", "--numeric", "--no-header"):
            if not self._process.runs or time.monotonic() > until:
                raise RuntimeError(f"the server does not come up: {self.log.read_text()}")
            time.sleep(_TICK)

    def kill(self) -> None:
        """End it without warning."""
        self._process.kill()

    def pause(self) -> None:
        """Stop it."""
        self._process.pause()

    def resume(self) -> None:
        """Let it go on."""
        self._process.resume()


class Lab:
    """The whole of it; a context manager.

    Args:
        clients: how many guests.
        options: mount options of the guests, beside vers, proto and hard.
        lease: seconds of the server's lease.

    Attributes:
        export: the directory that is exported; guests have it at the same path.
        share: a directory of the host that guests see without NFS, at the same path.
    """

    def __init__(self, clients: int, options: str = "", lease: int = 20) -> None:
        self.options = options
        self.state = Path(tempfile.mkdtemp(prefix="nfs-lab-"))
        self.export, self.share = self.state / "export", self.state / "share"
        roomy = shutil.disk_usage("/dev/shm").free > 2 * clients * _MEMORY << 20
        self.memory = "/dev/shm" if roomy else str(self.state)
        for path in (self.export, self.share):
            path.mkdir()
        for name in ("guest.sh", "agent.py"):
            shutil.copy(HERE / name, self.state)
        self.processes: list[Inside] = []
        self._hold()
        self.server = Server(self, lease)
        self.guests = [Guest(self, number + 1) for number in range(clients)]

    def _hold(self) -> None:
        """Make the namespaces, whose first process ends when this one does, and the network."""
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", _FIRST],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._holder.stdin
        assert self._holder.stdout
        self._holder.stdin.write(b"\n")
        self._holder.stdin.flush()
        self._holder.stdout.readline()  # it is up
        pid = self._holder.pid
        self._first = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("ip", "link", "add", "name", "lab", "type", "bridge")
        self.inside("ip", "address", "add", f"{_ADDRESS}/24", "dev", "lab")
        self.inside("ip", "link", "set", "lab", "up")

    def __enter__(self) -> Lab:
        try:
            for guest in self.guests:
                guest.boot()
            self.server.start()
            for guest in self.guests:
                guest.wait()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything and remove what was written."""
        assert self._holder.stdin
        assert self._holder.stdout
        self._holder.stdin.close()
        self._holder.wait()
        self._holder.stdout.close()
        for process in self.processes:
            process.wait()
        for guest in self.guests:
            guest.line.close()
        shutil.rmtree(self.state, ignore_errors=True)

    def enter(self, *command: str) -> list[str]:
        """What runs a command in the namespaces of the lab."""
        return ["nsenter", "--target", self._first, "--net", "--pid", "--mount", *command]

    def inside(self, *command: str) -> str:
        """Run a command there; what it printed."""
        done = subprocess.run(self.enter(*command), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout
