"""One line to a machine by the system's ssh: questions to the program there, and copies by rsync.

A master process holds the connection (ssh_config(5), ControlMaster); all else goes through it, so that ssh
authenticates once. Host keys are checked as ~/.ssh/config says, and nobody is ever asked for anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import tempfile
import time

from orze.attempt import tree
from orze.attempt.executors.faults import Lost, Refused, explain, said
from orze.attempt.executors.frames import Frames
from orze.attempt.executors.package import keeper_package, program
from orze.attempt.executors.room import Room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

    from orze.attempt.executors.over_spec import OverSsh
    from orze.attempt.executors.waiting import Waiting

_ALIVE: Final = 5  # seconds between two signs of life of the connection; three may fail
_SLOW: Final = 600.0  # seconds for which the program there may say nothing before it has begun to answer
_SILENCE: Final = 20.0  # seconds without a beat after which a line is taken for lost
_LOOK: Final = 0.5  # seconds between two looks whether a copy is still wanted
_PRINTED: Final = 1 << 22  # bytes of what rsync may print
_GO_AWAY: Final = 5.0  # seconds for a process of our own to end
_PASSES: Final = frozenset({10, 12, 30, 35, 255})  # rsync(1), EXIT VALUES: of the connection
_VANISHED: Final = 24


class Line:
    """The line to one machine; it is opened when it is needed, and again when it was lost.

    Args:
        spec: where it leads.
        waiting: what ends every wait early.
    """

    def __init__(self, spec: OverSsh, waiting: Waiting) -> None:
        self._spec = spec
        self._waiting = waiting
        self._program, self._package = keeper_package()
        self._room = Room()
        self._directory = self._room.path
        self._master: subprocess.Popen[bytes] | None = None
        self._asked = 0
        with open(f"{self._directory}/ssh", "w", encoding="utf-8") as stream:
            # rsync splits the words of its -e by rules of its own: it gets two plain ones, and names no host
            stream.write(f'shift\nexec {shlex.join(self._ssh())} {shlex.quote(self._host)} "$@"\n')

    @property
    def _host(self) -> str:
        return self._spec["host"].strip("[]")

    def ask(
        self,
        question: dict[str, Any],
        *,
        install: bool,
        told: Callable[[str, bytes], None],
        end: Callable[[], None] | None = None,
    ) -> Any:
        """Ask the program there.

        Args:
            question: see `orze.attempt.executors.remote.answer`; its `home` is found there.
            install: bring the one-file keeper as well.
            told: called with each frame before the answer.
            end: called once, with the line open, where this process is told to end meanwhile.

        Raises:
            Lost: the line was cut, or something there does not work just now.
            Refused: it cannot work.
        """
        self._open()
        request = {**question, "work_dir": self._spec["work_dir"], "program": self._program}
        self._asked += 1
        errors = f"{self._directory}/errors-{self._asked}"
        with tempfile.TemporaryFile(dir=self._directory) as words, open(errors, "wb") as complaints:
            words.write(program(request, self._package if install else b""))
            words.seek(0)
            command = [*self._ssh(), self._host, _plain(self._spec["python"]), "-I", "-S", "-"]
            asking = self._run(command, stdin=words.fileno(), stdout=subprocess.PIPE, stderr=complaints)
        try:
            answer = self._listen(asking, told, end)
        finally:
            status = _end(asking, 0.5)
            complaint = _tail(errors)
            os.unlink(errors)
        if answer is None:
            raise self._no_answer(status, complaint)
        return self._checked(answer)

    def copy(self, *words: str, may_end: bool = False) -> str:
        """Run rsync; `there:` in its words is the machine.

        Args:
            may_end: it is given up where this process is told to end.

        Returns:
            What it printed, as far as it was asked to.

        Raises:
            Lost: the line was cut, or a disk is full.
            Refused: it failed otherwise.
        """
        self._open()
        self._asked += 1
        errors, output = f"{self._directory}/errors-{self._asked}", f"{self._directory}/out-{self._asked}"
        # -s: no name meets the login shell there (rsync(1), --secluded-args)
        command = ["rsync", "-s", "--timeout=60", "-e", f"sh {self._directory}/ssh", *words]
        with open(errors, "wb") as complaints, open(output, "wb") as printed:
            copying = self._run(command, stdin=subprocess.DEVNULL, stdout=printed, stderr=complaints)
        while not self._waiting.ended(copying, _LOOK):  # rsync has its own limit of silence
            if may_end and self._waiting.told:
                _end(copying, 0.0)
        complaint, told = _tail(errors), _tail(output, _PRINTED)
        os.unlink(errors)
        os.unlink(output)
        status, why = copying.returncode, said(complaint.partition("\n")[0])
        if status in (0, _VANISHED):
            return told
        if status in _PASSES or status < 0 or "No space left" in complaint or "quota exceeded" in complaint:
            raise Lost(f"rsync: {why}")
        raise Refused(f"rsync fails with exit code {status}: {why}")

    def close(self) -> None:
        """Hang up, and leave nothing."""
        self._hang_up()
        self._room.close()

    def _open(self) -> None:
        if self._master and self._master.poll() is None:
            return
        self._hang_up()
        errors = f"{self._directory}/master"
        with open(errors, "wb") as complaints:
            command = [*self._ssh("-M", "-N", "-o", "ControlPersist=no"), self._host]
            self._master = self._run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=complaints
            )
        until = time.monotonic() + 3 * self._spec["connect_timeout"] + _GO_AWAY
        while not os.path.exists(self._socket):
            if self._waiting.ended(self._master, 0.02):
                raise explain(_tail(errors), self._spec)
            if time.monotonic() > until:
                self._hang_up()
                raise Lost(f"no answer: {said(_tail(errors))}")

    def _hang_up(self) -> None:
        if self._master:
            _end(self._master, 0.0)
            self._master = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._socket)

    @property
    def _socket(self) -> str:
        return f"{self._directory}/line"

    def _ssh(self, *more: str) -> list[str]:
        """The words of ssh but for the host; of an option that is given twice the first counts."""
        spec = self._spec
        ours = {
            "BatchMode": "yes", "ConnectTimeout": str(max(1, round(spec["connect_timeout"]))),
            "ServerAliveInterval": str(_ALIVE), "ServerAliveCountMax": "3", "LogLevel": "ERROR",
            "ForwardAgent": "no", "ForwardX11": "no", "ClearAllForwardings": "yes", "RequestTTY": "no",
            "PermitLocalCommand": "no", "RemoteCommand": "none", "ControlPath": self._socket,
        }  # fmt: skip
        words = ["ssh", *more]
        for option in (*spec["options"], *(f"{name}={value}" for name, value in ours.items())):
            words += ["-o", option]
        if spec["key_path"]:
            words += ["-i", spec["key_path"], "-o", "IdentitiesOnly=yes"]
        words += ["-l", spec["user"]] if spec["user"] else []
        return words + (["-p", str(spec["port"])] if spec["port"] else [])

    def _run(self, command: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(command, preexec_fn=tree.die_with_parent, **how)  # noqa: PLW1509 - one thread
        except FileNotFoundError:
            raise Refused(f"there is no program {command[0]} on this machine: install it") from None

    def _listen(
        self,
        asking: subprocess.Popen[bytes],
        told: Callable[[str, bytes], None],
        end: Callable[[], None] | None,
    ) -> Any:
        """Read frames up to the answer; None where the line ends before it."""
        descriptor, frames = asking.stdout.fileno() if asking.stdout else -1, Frames()
        heard = time.monotonic()
        while True:
            if end and self._waiting.told:
                end()
                end = None
            left = heard + (_SILENCE if frames.streaming else _SLOW) - time.monotonic()
            if left <= 0 or (self._master and self._master.poll() is not None):
                return None
            if descriptor not in self._waiting.readable([descriptor], min(left, 1.0)):
                continue
            data = os.read(descriptor, 1 << 16)
            if not data:
                return None
            heard = time.monotonic()
            for name, payload in frames.feed(data):
                if name == "answer":
                    return json.loads(payload)
                told(name, payload)

    def _no_answer(self, status: int, complaint: str) -> Exception:
        if status in (126, 127):  # of a shell: the program cannot be run, or is not there
            return Refused(f"there is no {self._spec['python']} on {self._host}: {said(complaint)}")
        if status in (0, 1) and "Error" in complaint:
            return Refused(f"{self._spec['python']} on {self._host}: {said(complaint)}")
        return Lost(said(complaint) or "the line was cut")

    def _checked(self, answer: Any) -> Any:
        if not isinstance(answer, dict):
            raise Refused(f"{self._host} does not answer as it should")
        if "old" in answer:
            raise Refused(
                f"{self._spec['python']} on {self._host} is {answer['old']}: 3.8 or later is needed"
            )
        if "error" in answer:
            raise (Lost if answer.get("passing") else Refused)(f"{self._host}: {answer['error']}")
        return answer


def _plain(python: str) -> str:
    """One word for any login shell; a `~` is for it to fill in."""
    if python.startswith("~/"):
        return "~/" + shlex.quote(python[2:])
    return shlex.quote(python)


def _end(process: subprocess.Popen[bytes], patience: float) -> int:
    if process.stdout:
        process.stdout.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(patience)
    process.terminate()
    try:
        return process.wait(_GO_AWAY)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _tail(path: str, limit: int = 4096) -> str:
    with open(path, "rb") as stream:
        stream.seek(max(0, os.path.getsize(path) - limit))
        return stream.read(limit).decode("utf-8", "replace")
