"""Attempts on a machine behind ssh: their keepers are here, and have their commands run there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orze.attempt.executors import over_ssh
from orze.attempt.executors.base import Keeper
from orze.attempt.executors.local import Local
from orze.attempt.executors.over_spec import VARIABLE
from orze.core.errors import ConfigError

if TYPE_CHECKING:
    from orze.attempt.executors.over_spec import OverCommand, OverSsh
    from orze.attempt.spec import Command, Go
    from orze.config.executor import Executor

_PROGRAM: Final = str(Path(over_ssh.__file__).resolve())
_WAITING: Final = 2 * 86400.0  # seconds that a command may wait there for a card, or here for the line
_HOME: Final = 60.0  # seconds to bring results home behind a stop
_PATIENCE: Final = 3600.0  # seconds for which a machine that was never reached is tried
_TAKEN: Final = 2000  # MiB in use from which a card there counts as taken; as gpu_mem_threshold's default


class Ssh:
    """The executor `ssh`.

    Args:
        settings: the block `executor` of the settings.
        project_dir: the directory of the code here.
        names: variables that the settings set for every training.
        python: the words of the interpreter that runs scripts here.
        environ: the environment of the daemon.
        threshold: MiB in use from which a card there counts as taken.
    """

    def __init__(
        self, settings: Executor, *, project_dir: Path, environ: Mapping[str, str],
        names: Collection[str] = (), python: Sequence[str] = (), threshold: int = _TAKEN,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._project_dir = project_dir
        self._environ = environ
        self._names = sorted(names)
        self._pythons = sorted({sys.executable, *python[:1]})
        self._threshold = threshold
        self._local = Local()

    @property
    def words(self) -> str:
        """Where attempts run, for people."""
        user = f"{self._settings.user}@" if self._settings.user else ""
        return f"{user}{self._settings.host} by ssh, in {self._settings.work_dir}"

    def check(self) -> None:
        """Look for the programs that this needs.

        Raises:
            ConfigError: one is missing, or the key is no file.
        """
        path = self._environ.get("PATH", os.defpath)
        problems = [
            f"executor.type: ssh needs the program {program}: install it on this host"
            for program in ("ssh", "rsync")
            if not shutil.which(program, path=path)
        ]
        key = self._settings.key_path
        if key and not os.path.isfile(key):
            problems.append(f"executor.key_path: there is no file {key}")
        if problems:
            raise ConfigError(problems)

    def open(self) -> None:
        """Have the process there that forks keepers."""
        self._local.open()

    def keeper(self) -> Keeper:
        """A keeper on this host."""
        return self._local.keeper()

    def close(self) -> None:
        """Let go of everything but the attempts."""
        self._local.close()

    def adapt(self, go: Go) -> Go:
        """Have the commands of an attempt run there.

        The time limit is kept there, where it counts from the start; here a command may also wait.
        """
        commands = _commands(go)
        last = next(reversed(commands))
        shapes: dict[str, OverCommand] = {
            name: {"limit": command["timeout"], "fetch": name != "pre", "last": name == last}
            for name, command in commands.items()
        }
        spec = self._spec(go, shapes)
        wrapped = {name: _wrap(name, command) for name, command in commands.items()}
        adapted: Go = {
            **go,
            "env": {**go["env"], VARIABLE: json.dumps(spec)},
            "train": wrapped["train"],
            "pre": wrapped.get("pre"),
            "evaluation": wrapped.get("eval"),
            "posts": [command for name, command in wrapped.items() if name.startswith("post-")],
            "grace": go["grace"] + _HOME,
            "elsewhere": True,
        }
        return adapted

    def _spec(self, go: Go, shapes: dict[str, OverCommand]) -> OverSsh:
        s = self._settings
        return {
            "host": str(s.host),
            "user": s.user or "",
            "port": s.port or 0,
            "key_path": str(s.key_path or ""),
            "options": list(s.options),
            "connect_timeout": s.connect_timeout,
            "work_dir": str(s.work_dir),
            "python": s.python,
            "exclude": list(s.exclude),
            "artifacts": list(s.artifacts),
            "gpus": s.gpus or "",
            "cards": len(go["gpu"].split(",")),
            "threshold": self._threshold,
            "pythons": self._pythons,
            "project": go["cwd"],
            "names": self._names,
            "protected": [pattern for pattern in go["protected"] if not pattern.startswith("/")],
            "digest": _digest(go, str(s.host), str(s.work_dir)),
            "idea_id": go["env"]["ORZE_IDEA_ID"],
            "attempt": go["env"]["ORZE_ATTEMPT"],
            "doors": go["doors"],
            "grace": go["grace"],
            "stall": go["stall"],
            "patience": _PATIENCE,
            "commands": shapes,
        }


def _commands(go: Go) -> dict[str, Command]:
    """The commands of an attempt in their order, by names that no two of them share."""
    named = {"pre": go["pre"], "train": go["train"], "eval": go["evaluation"]}
    named |= {f"post-{number}": post for number, post in enumerate(go["posts"], 1)}
    return {name: command for name, command in named.items() if command}


def _wrap(name: str, command: Command) -> Command:
    argv = [sys.executable, "-I", "-S", _PROGRAM, name, "--", *command["argv"]]
    return {**command, "argv": argv, "timeout": command["timeout"] + _WAITING}


def _digest(go: Go, host: str, work_dir: str) -> str:
    """What runs, told apart from every other run: the same for the next attempt of the same thing."""
    what: dict[str, Any] = {name: command["argv"] for name, command in _commands(go).items()}
    what |= {name: go["environment"].get(name) for name in ("git_commit", "git_dirty")}
    what |= {"config": go["config"], "base": go["base"], "section": go["section"], "cwd": go["cwd"]}
    what |= {"seed": go["env"].get("ORZE_SEED"), "host": host, "work_dir": work_dir}
    what |= {"trained": go["trained"], "checkout": go["checkout"]}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
