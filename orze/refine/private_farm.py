"""A farm of a session's own: a daemon on this machine that runs its steps, and goes when the session goes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from orze.client.project import Project, open_project
from orze.config.executor import Executor
from orze.config.refine import Place, Revis
from orze.core.files import RealFiles, make_dirs
from orze.farm.launch import LLM_KEYS, in_turn
from orze.gpu.inventory import Inventory
from orze.ideas.inbox import inbox_of
from orze.refine.boot import command_of

CONFIG, LOG = "orze.yaml", "farm.log"
_PAUSE: Final = 1.0  # seconds until a daemon that ended is started again; doubled each time
_LONGEST_PAUSE: Final = 60.0
_TRIES: Final = 5  # daemons behind one another that end at once, until it is given up
_WELL: Final = 60.0  # seconds after which one that ended counts as having worked
_LEAVES: Final = 10.0  # seconds that it has to leave
_LOG_LIMIT: Final = 8 << 20  # bytes from which on its log is begun anew
_LAST: Final = 2000  # bytes of it that are looked at for why it ended
# One machine: its own processes are watched directly, so this only has to outlast a stall of the disk.
_LEASE: Final = {"heartbeat": 5.0, "fence": 60.0, "kill": 10.0, "steal": 120.0}
_POLL: Final = 1.0
_GRACE: Final = 10.0  # seconds that a run has to save when it is stopped


class PrivateFarm:
    """The farm below `.revis/<name>/farm/`.

    Args:
        directory: where it is; made here.
        revis: what is in force.
        name: of the session.
        command: its training command.
        environ: of the session; keys of LLM providers are kept from it.

    Attributes:
        project: as a client of it sees it.
        hopeless: why its daemon cannot be kept alive; empty where it can.
    """

    def __init__(
        self, directory: Path, revis: Revis, *, name: str, command: str, environ: Mapping[str, str]
    ) -> None:
        self._directory = directory
        self._gpus = slots_of(revis.executor, revis.parallel)
        self._environ = environ_of(revis, environ)
        self._log = directory / LOG
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = self._again = 0.0
        self._pause, self._failed = _PAUSE, 0
        self.hopeless = ""
        write(directory, settings_of(revis, name=name, command=command, environ=environ))
        self.project = open_project(directory / CONFIG, cwd=directory, environ=self._environ)

    @property
    def words(self) -> str:
        """Where its runs take place, and how to see them."""
        executor = self.project.settings.executor
        if executor.type == "tmux":
            return f"here, in windows of tmux (tmux attach -t {executor.session})"
        return (
            f"on {executor.host}, by ssh" if executor.type == "ssh" else "here, as processes without windows"
        )

    @property
    def running(self) -> bool:
        """Whether its daemon runs."""
        return self._process is not None and self._process.poll() is None

    def tend(self, now: float) -> str:
        """Start its daemon where none runs, and again, with a pause, where it ended.

        Args:
            now: seconds on a steady clock.

        Returns:
            What there is to tell; empty for nothing.
        """
        if self.running:
            return ""
        if self._process is None:
            return self._start(now) if now >= self._again and not self.hopeless else ""
        status, self._process = self._process.returncode, None
        well = now - self._begun > _WELL
        self._pause = _PAUSE if well else min(2 * self._pause, _LONGEST_PAUSE)
        self._failed = 0 if well else self._failed + 1
        self._again = now + self._pause
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        why = f": {last}" if (last := self._last_line()) else ""
        if self._failed >= _TRIES:
            self.hopeless = f"the daemon that runs the steps ends again and again, {how}{why}"
            return ""
        return f"the daemon that runs the steps ended {how}{why}; it is started again in {self._pause:g} s"

    def end(self) -> None:
        """Tell its daemon to leave, and wait until it has; what runs goes on by its keepers."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_LEAVES)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self, now: float) -> str:
        argv = command_of("orze.cli.farm", "-c", str(self._directory / CONFIG), tied=True)
        argv += ["--gpus", self._gpus] if self._gpus else []
        try:
            with self._open_log() as log:
                self._process = subprocess.Popen(
                    argv,
                    cwd=self._directory,
                    env=self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            self._again = now + self._pause
            why = error.strerror or error
            return f"the daemon that runs the steps cannot be started: {why}; it is tried again"
        self._begun = now
        return ""

    def _open_log(self) -> IO[bytes]:
        large = self._log.exists() and self._log.stat().st_size > _LOG_LIMIT
        return self._log.open("wb" if large else "ab")

    def _last_line(self) -> str:
        try:
            lines = self._log.read_bytes()[-_LAST:].decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def settings_of(revis: Revis, *, name: str, command: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings of such a farm; arguments as for PrivateFarm."""
    entry, guardrails = revis.entry, revis.guardrails
    before = [line for line in (entry.setup if entry else None, revis.smoke) if line]
    return {
        "train_command": command,
        "pre_command": in_turn(before) if before else "",
        "pre_timeout": guardrails.max_run_duration,
        "code_dir": str(revis.project_dir),
        "base_config": "base.yaml",
        "train_extra_env": dict(entry.env) if entry else {},
        "protected": list(revis.protected),
        "timeout": guardrails.max_run_duration,
        "stall_minutes": guardrails.stall_minutes,
        "grace": _GRACE,
        "poll": _POLL,
        "lease": _LEASE,
        "report": {
            "title": f"Steps of {name}",
            "primary_metric": revis.metrics.primary,
            "sort": "ascending" if revis.metrics.minimize else "descending",
        },
        "executor": executor_of(revis.executor, name, environ),
    }


def executor_of(place: Place, name: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The keys of the executor that the farm's settings get: those that were given.

    `local` are windows of tmux where it is installed, in the session `revis-<name>`.
    """
    given = place.model_fields_set & Executor.model_fields.keys()
    if place.type != "ssh":
        given -= {"gpus"}  # they are this machine's, and told by --gpus
    keys = {key: _plain(getattr(place, key)) for key in sorted(given - {"type"})}
    if place.type == "local" and shutil.which("tmux", path=environ.get("PATH")):
        return {"type": "tmux", "session": window_of(name)}
    if place.type == "tmux":
        keys.setdefault("session", window_of(name))
    return {"type": place.type, **keys}


def window_of(name: str) -> str:
    """The session of tmux in which the windows of a session are."""
    return f"revis-{name}"[:64]


def slots_of(place: Place, parallel: int) -> str:
    """What --gpus says: the cards of this machine, or else as many processors as steps may run at once."""
    if place.type == "ssh":
        return f"cpu:{parallel}"  # the cards are there, and are chosen there
    if place.gpus:
        return place.gpus
    return "" if Inventory().probe() else f"cpu:{parallel}"


def environ_of(revis: Revis, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of its daemon, and so of the runs: without the keys of LLM providers."""
    kept = LLM_KEYS | {revis.llm.api_key_env or ""}
    return {name: value for name, value in environ.items() if name not in kept}


def write(directory: Path, settings: Mapping[str, Any]) -> None:
    """Make the directory of a farm, or bring its settings up to date."""
    files = RealFiles()
    ideas = directory / "ideas.md"
    for needed in (str(directory), inbox_of(str(ideas)), str(directory / "results")):
        make_dirs(files, needed)
    for name, text in (("base.yaml", "{}\n"), ("ideas.md", "# Steps of a session of revis\n\n")):
        if not (directory / name).exists():
            files.replace(str(directory / name), text.encode())
    given = {name: value for name, value in settings.items() if value not in (None, {}, [], "")}
    text = json.dumps(_escaped(given), indent=2) + "\n"  # JSON is YAML
    files.replace(str(directory / CONFIG), text.encode())


def _escaped(value: Any) -> Any:
    """`${` stands for itself: what was expanded once, or was meant for a shell, is not expanded again."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {name: _escaped(item) for name, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def project_of(revis: Revis, environ: Mapping[str, str]) -> Project:
    """The farm of an orze.yaml that a session uses.

    Raises:
        ConfigError: its settings are at fault.
    """
    return open_project(revis.executor.config, cwd=revis.project_dir, environ=environ)
