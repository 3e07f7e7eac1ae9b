"""`orze service`: the daemon of this host as a systemd unit of this user's."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orze.client.units import same_directory, unit_text, written_by_us
from orze.config.load import CONFIG_NAME, load_settings
from orze.core.errors import ConfigError, OrzeError

_LIMIT = 60.0  # seconds that systemctl may take; `restart` waits for the old daemon to leave
_TEXT_LIMIT = 1 << 20
# What a daemon started by hand would have, and one started with the machine would lack: where programs and
# libraries are, which cards it may use, and where slots are locked. Keys are told by name, with --env.
_KEPT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CONDA_EXE")
_BY_SYSTEMD = ("HOME", "USER", "LOGNAME", "SHELL", "LANG", "XDG_RUNTIME_DIR")
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]+")


class ServiceError(OrzeError):
    """The unit cannot be written, removed or started."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be installed.

    Attributes:
        directory: absolute; the project.
        config_file: the settings file, absolute; None where there is none.
        flags: further flags of `orze run`.
        variables: names of variables that the daemon gets as they are now, besides the usual ones.
    """

    name: str
    directory: Path
    config_file: Path | None
    flags: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a unit.

    Attributes:
        installed: whether its file is there.
        ours: whether `orze service install` wrote it.
        answers: whether systemd could be asked; the next four say nothing otherwise.
        enabled: whether it starts with the machine (with lingering) or at log in.
        active: in systemd's word: active, inactive, failed, activating …
        pid: of the daemon; 0 where none runs.
        restarts: how many times systemd has started it again.
        lingers: whether this user's units run without a login; None where that cannot be asked.
    """

    unit: str
    path: Path
    installed: bool
    ours: bool
    answers: bool
    enabled: bool
    active: str
    pid: int
    restarts: int
    lingers: bool | None


class Service:
    """The unit of one farm.

    Args:
        name: of the farm; the unit is `orze-NAME.service`.
        environ: of this process: where units lie, and where systemctl is found.
    """

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.unit = f"orze-{name}.service"
        home = environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
        self.path = Path(home, "systemd", "user", self.unit)

    def install(self, wanted: Wanted, *, force: bool) -> bool:
        """Write the unit, and have systemd start it now and with the machine; doing it again is harmless.

        Args:
            force: also replace a unit that somebody else wrote, or that is for another directory.

        Returns:
            Whether the unit file is new or changed.

        Raises:
            ConfigError: the daemon could not start with these settings in that environment.
            ServiceError: there is no systemd, it refuses, or the unit is not ours to replace.
            UnitError: a path cannot be written into a unit file.
        """
        self._program("systemctl")
        text = unit_text(str(wanted.directory), command_of(wanted), self._variables(wanted))
        before = self._read()
        if before is not None and not force:
            self._hold_ours(before, wanted.directory)
        fresh = text != before
        self._systemctl("daemon-reload")  # where nobody answers, nothing is written
        if fresh:
            self._write(text)
            self._systemctl("daemon-reload")
        self._systemctl("enable", self.unit)
        self._systemctl("restart" if fresh else "start", self.unit)
        return fresh

    def uninstall(self, *, force: bool) -> bool:
        """Stop the daemon, and remove its unit; attempts go on.

        Returns:
            Whether there was one.

        Raises:
            ServiceError: the unit is not ours, or systemd refuses.
        """
        before = self._read()
        if before is None:
            return False
        if not force and not written_by_us(before):
            raise ServiceError(f"{self.path}: not written by orze; --force removes it all the same")
        if shutil.which("systemctl", path=self._environ.get("PATH")):
            self._systemctl("disable", "--now", self.unit)
        self.path.unlink(missing_ok=True)
        if shutil.which("systemctl", path=self._environ.get("PATH")):
            self._systemctl("daemon-reload")
        return True

    def status(self) -> Status:
        """What is known of it; nothing is raised where systemd does not answer."""
        text = self._read()
        told: dict[str, str] = {}
        try:
            asked = ("UnitFileState", "ActiveState", "MainPID", "NRestarts")
            shown = self._systemctl("show", self.unit, *(f"--property={name}" for name in asked))
            told = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        except ServiceError:
            told = {}
        return Status(
            unit=self.unit,
            path=self.path,
            installed=text is not None,
            ours=text is not None and written_by_us(text),
            answers=bool(told),
            enabled=told.get("UnitFileState") == "enabled",
            active=told.get("ActiveState", ""),
            pid=_number(told.get("MainPID", "")),
            restarts=_number(told.get("NRestarts", "")),
            lingers=self.lingers(),
        )

    def lingers(self) -> bool | None:
        """Whether this user's units start with the machine (loginctl(1), "enable-linger"); None: unknown."""
        try:
            status, said = self._ask("loginctl", "show-user", user_name(), "--property=Linger")
        except ServiceError:
            return None
        return (
            "Linger=yes" in said.splitlines() if status == 0 else False
        )  # who is not logged in has no entry

    def _hold_ours(self, text: str, directory: Path) -> None:
        if not written_by_us(text):
            raise ServiceError(f"{self.path}: not written by orze; choose another --name, or --force")
        if not same_directory(text, str(directory)):
            raise ServiceError(f"{self.path}: is for another directory; choose another --name, or --force")

    def _variables(self, wanted: Wanted) -> dict[str, str]:
        """The environment of the daemon, in which its settings must be readable."""
        missing = [name for name in wanted.variables if name not in self._environ]
        if missing:
            raise ServiceError(f"--env {missing[0]}: there is no such variable here; set it first")
        variables = {
            name: self._environ[name] for name in (*_KEPT, *wanted.variables) if self._environ.get(name)
        }
        later = {name: self._environ[name] for name in _BY_SYSTEMD if name in self._environ} | variables
        try:
            load_settings(wanted.config_file, {}, wanted.directory, later)
        except ConfigError as error:
            hint = "a service has few variables; --env NAME gives it one of yours"
            raise ConfigError([*error.problems, hint]) from None
        return variables

    def _read(self) -> str | None:
        try:
            with open(self.path, encoding="utf-8", errors="replace") as stream:
                return stream.read(_TEXT_LIMIT)
        except FileNotFoundError:
            return None

    def _write(self, text: str) -> None:
        """Replace the file in one step; it may hold keys, so nobody else may read it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_name(f".{self.unit}.{os.getpid()}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            scratch.replace(self.path)
        finally:
            scratch.unlink(missing_ok=True)

    def _systemctl(self, *words: str) -> str:
        """Ask this user's systemd.

        Raises:
            ServiceError: it refuses, or does not answer.
        """
        status, said = self._ask("systemctl", "--user", *words)
        if status == 0:
            return said
        reason = next(iter(said.strip().splitlines()), f"exit status {status}")
        advice = ""
        if "connect to bus" in said or "XDG_RUNTIME_DIR" in said:
            advice = (
                "; this shell is no login of yours (su, sudo, a container): log in by ssh, or run `loginctl "
                f"enable-linger {user_name()}` and set XDG_RUNTIME_DIR=/run/user/{os.getuid()}"
            )
        raise ServiceError(f"systemctl --user {words[0]}: {reason}{advice}")

    def _ask(self, program: str, *words: str) -> tuple[int, str]:
        command = [self._program(program), *words]
        try:
            done = subprocess.run(
                command, env=dict(self._environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=_LIMIT, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServiceError(f"{program}: {error}") from None
        return done.returncode, done.stdout.decode(errors="replace")

    def _program(self, name: str) -> str:
        found = shutil.which(name, path=self._environ.get("PATH"))
        if found is None:
            raise ServiceError(
                f"there is no {name} on this host, so no systemd to start a daemon; a line of `crontab -e` "
                "does it as well: @reboot cd DIR && orze run"
            )
        return found


def default_name(directory: Path) -> str:
    """The name of a farm: that of its directory, in letters that every unit name may have."""
    return _FOREIGN.sub("-", directory.name).strip("-") or "farm"


def check_name(name: str) -> str:
    """The name itself, where a unit may have it.

    Raises:
        ServiceError: it may not.
    """
    if _FOREIGN.search(name) or not 0 < len(name) <= 100:
        raise ServiceError(f"--name {name!r}: use 1 to 100 letters, digits, - and _")
    return name


def wanted(
    config_file: Path | None, cwd: Path, *, name: str | None, flags: Sequence[str], variables: Sequence[str]
) -> Wanted:
    """What `orze service install` is to install.

    Args:
        config_file: what -c named.
        cwd: absolute; the project where -c named nothing.
    """
    file = cwd / (config_file or CONFIG_NAME)
    directory = Path(os.path.normpath(file.parent if config_file else cwd))
    given = file if config_file or file.exists() else None
    chosen = check_name(name) if name is not None else default_name(directory)
    settings = Path(os.path.normpath(given)) if given else None
    return Wanted(chosen, directory, settings, tuple(flags), tuple(variables))


def command_of(wanted: Wanted) -> list[str]:
    """The argv of the daemon: the interpreter that runs now. -P keeps the project's own files from being
    taken for packages (python(1))."""
    settings = ["-c", str(wanted.config_file)] if wanted.config_file else []
    return [sys.executable, "-P", "-m", "orze", "run", *settings, *wanted.flags]


def user_name() -> str:
    """This user, by name where there is one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
