"""The directory of one attempt, the door through which its script writes, and the snapshots it reads."""

from __future__ import annotations

import json
import os

from orze.attempt.spec import (
    BASE,
    CHECKPOINTS,
    CODE,
    CONFIG,
    ENVIRONMENT,
    EVAL_LOG,
    INPUT,
    LOG,
    OWN_LOG,
    PROGRESS,
    SECTION,
)
from orze.core.paths import FarmPaths, attempt_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orze.attempt.spec import Command, Go


class Workspace:
    """Where one attempt reads and writes.

    Attributes:
        directory: its own, `results/<idea>/attempts/<n>-<token>` (or `results/<idea>` without doors).
        data: the directory that holds the training's files: another's where only evaluation is left.
        results_argument: what the script gets as `--results-dir`.
        code: where the worktree of its commit is, if it runs one.
        cwd: where its commands run.
    """

    def __init__(self, results: str, idea_id: str, token: str, go: Go) -> None:
        farm = FarmPaths(results)
        self._farm = farm
        self._idea = farm.idea(idea_id)
        self._idea_id = idea_id
        self._go = go
        self._door = farm.door(token) if go["doors"] else ""
        self.name = attempt_name(go["attempt"], token)
        own = f"{self._idea.attempts}/{self.name}"
        self.directory = own if go["doors"] else self._idea.home
        self.data_name = go["trained"]["directory"] if go["trained"] else self.name
        self.data = f"{self._idea.attempts}/{self.data_name}" if go["doors"] else self._idea.home
        self.checkpoints = f"{own}/{CHECKPOINTS}"
        self.code = f"{own}/{CODE}"
        checkout = go["checkout"]
        self.cwd = f"{self.code}/{checkout['prefix']}".rstrip("/") if checkout else go["cwd"]
        self.results_argument = self._door or results

    @property
    def log(self) -> str:
        """What the training prints."""
        return f"{self.data}/{LOG}"

    @property
    def eval_log(self) -> str:
        """What the evaluation and the post scripts print."""
        return f"{self.data}/{EVAL_LOG}"

    @property
    def own_log(self) -> str:
        """What git and other commands of the farm's own print."""
        return f"{self.input}/{OWN_LOG}"

    @property
    def progress(self) -> str:
        """The metrics that the script appends while it runs."""
        return f"{self.data}/{PROGRESS}"

    @property
    def input(self) -> str:
        """The directory of the snapshots."""
        return f"{self.directory}/{INPUT}"

    def make(self) -> None:
        """Make directories, snapshots and door. Nothing here outlives a crash: a lost attempt is run anew."""
        os.makedirs(self.checkpoints, exist_ok=True)
        os.makedirs(self.input, exist_ok=True)
        _write(f"{self.input}/{SECTION}", self._go["section"])
        _write(f"{self.input}/{BASE}", self._go["base"])
        _write(f"{self.directory}/{CONFIG}", self._go["config"])
        argv = self.argv(self._go["train"])
        environment = json.dumps({**self._go["environment"], "argv": argv}, indent=2, sort_keys=True)
        _write(f"{self.directory}/{ENVIRONMENT}", environment + "\n")
        if self._door:
            self._open_door()

    def argv(self, command: Command) -> list[str]:
        """The words of a command, with the attempt's own paths."""
        words = command["argv"]
        return words if command.get("as_it_is") else [self.fill(word) for word in words]

    def fill(self, argument: str) -> str:
        """Put the attempt's own paths into an argument of a command."""
        paths = {
            "{code}": self.code,
            "{results_dir}": self.results_argument,
            "{ideas_md}": f"{self.input}/{SECTION}",
            "{config}": f"{self.input}/{BASE}",
        }
        for place, path in paths.items():
            # in quotes it stands in a line for a shell, written by shlex.join
            argument = argument.replace(f"'{place}'", _quoted(path)).replace(place, path)
        return argument

    def environment(self) -> dict[str, str]:
        """The variables that name the attempt's own paths."""
        return {
            "ORZE_IDEA_CONFIG": f"{self.directory}/{CONFIG}",
            "ORZE_CHECKPOINT_DIR": self.checkpoints,
            "ORZE_RESUME_FROM": self._last_checkpoints(),
            "REVIS_OUTPUT_DIR": f"{self.results_argument}/{self._idea_id}",
        }

    def close_door(self) -> None:
        """Remove the door: whatever still writes through it meets nothing."""
        if self._door:
            remove_door(self._door)

    def _open_door(self) -> None:
        os.makedirs(self._door, exist_ok=True)
        _link(f"../../../{self._idea_id}/attempts/{self.data_name}", f"{self._door}/{self._idea_id}")
        for other, directory in self._go["links"].items():
            if other != self._idea_id:
                _link(f"../../../{directory}", f"{self._door}/{other}")

    def _last_checkpoints(self) -> str:
        earlier = []
        for name in os.listdir(self._idea.attempts):
            number = name.partition("-")[0]
            if number.isdecimal() and self._go["resume_above"] < int(number) < self._go["attempt"]:
                earlier.append((int(number), name))
        for _, name in sorted(earlier, reverse=True):
            directory = f"{self._idea.attempts}/{name}/{CHECKPOINTS}"
            if os.path.isdir(directory) and os.listdir(directory):
                return directory
        return ""


def remove_door(door: str) -> None:
    """Remove a door and its links; what is gone already is fine."""
    try:
        for name in os.listdir(door):
            os.unlink(f"{door}/{name}")
        os.rmdir(door)
    except FileNotFoundError:
        return


def _link(target: str, path: str) -> None:
    """Make a link; one that is there was made by this very try: nobody else has this attempt's door."""
    try:
        os.symlink(target, path)
    except FileExistsError:
        return


def _quoted(path: str) -> str:
    """A path as one word of a shell, without the module shlex and all that it loads."""
    return "'" + path.replace("'", "'\"'\"'") + "'"


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        data = memoryview(text.encode())
        while data:  # a disk that fills up takes a part, and says no to the rest
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)
