"""What of a command and its environment goes to the machine behind ssh, and what it is called there."""

from __future__ import annotations

import os
import re

from orze.attempt.spec import CODE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Final

    from orze.attempt.executors.over_spec import OverSsh

_OF_A_RUN: Final = frozenset({"WANDB_NAME", "WANDB_RUN_GROUP", "WANDB_RUN_ID", "PYTHONUNBUFFERED"})
_PREFIXES: Final = ("ORZE_", "REVIS_")
_OF_HERE: Final = ("ORZE_OVER_SSH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
_PROJECT: Final = "REVIS_PROJECT_DIR"
_RESUME: Final = "ORZE_RESUME_FROM"


class Places:
    """The directories of one attempt here, and below which directory of the run each is there.

    Attributes:
        code: the directory of the code here.
        worktree: whether that is a worktree of a commit.
        inside: where in it the command runs; empty for the top.
        own: the attempt's own directory.
        data: where the results go: that of an earlier attempt where only evaluation is left.
        door: the directory that the command gets as that of the results.
        resume: checkpoints of an earlier attempt; empty for none.
        home: the idea's directory.
    """

    def __init__(self, spec: OverSsh, environ: Mapping[str, str], cwd: str) -> None:
        self.own = os.path.dirname(environ["ORZE_IDEA_CONFIG"])
        output = environ["REVIS_OUTPUT_DIR"]
        self.data = os.path.realpath(output) if spec["doors"] else output
        self.door = os.path.dirname(output)
        self.resume = environ.get(_RESUME, "")
        self.home = os.path.dirname(os.path.dirname(self.own)) if spec["doors"] else self.own
        code = f"{self.own}/{CODE}"
        self.worktree = f"{cwd}/".startswith(f"{code}/")
        self.code = code if self.worktree else spec["project"]
        inside = os.path.relpath(cwd, self.code)
        self.inside = "" if inside == "." else inside
        self._idea = f"results/{spec['idea_id']}"
        self._spec = spec

    @property
    def same(self) -> bool:
        """Whether the attempt's own directory is that of the results."""
        return os.path.realpath(self.own) == os.path.realpath(self.data)

    @property
    def idea(self) -> str:
        """Where the results lie, below the run's directory."""
        return self._idea

    def names(self, run: str, python: str) -> Names:
        """What is called what, for a run's directory and the interpreter there."""
        code = f"{run}/code"
        pairs = {
            self.resume: f"{run}/resume",
            self.code: code,
            self._spec["project"]: f"{code}/{self.inside}".rstrip("/") if self.worktree else code,
            self.own: f"{run}/{self._idea}" if self.same else f"{run}/own",
            self.data: f"{run}/{self._idea}",
            self.door: f"{run}/results",
        }
        pairs |= dict.fromkeys(self._spec["pythons"], python)
        real = {os.path.realpath(here): there for here, there in pairs.items() if here.startswith("/")}
        return Names({**real, **pairs})


class Names:
    """Replaces directories of this machine by those of the other, wherever they stand in a text.

    Args:
        pairs: directory here -> directory there; the longest counts.
    """

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self._there = {}
        for here, there in pairs.items():
            if here.startswith("/") and len(here) > 1:
                self._there[here.rstrip("/")] = there
                # within a line for a shell a quote in a name is written so (shlex.quote)
                self._there[here.rstrip("/").replace("'", "'\"'\"'")] = there
        longest = sorted(self._there, key=len, reverse=True)
        either = "|".join(map(re.escape, longest))
        self._pattern = re.compile(rf"(?<![\w./-])(?:{either})(?=$|[/\s'\":;,)&|])") if longest else None

    def text(self, text: str) -> str:
        """A word of a command, or a value of a variable."""
        return self._pattern.sub(lambda found: self._there[found[0]], text) if self._pattern else text

    def argv(self, argv: Iterable[str]) -> list[str]:
        """All words of a command."""
        return [self.text(word) for word in argv]


def variables(
    environ: Mapping[str, str], names: Names, *, more: Sequence[str], work_dir: str
) -> dict[str, str]:
    """The variables that travel: those of the run, and none of this machine's or of its user's.

    Args:
        environ: the command's whole environment here.
        more: what the settings add for every training.
        work_dir: the project's directory there, where data lie that no copy brings.
    """
    wanted = _OF_A_RUN.union(more)
    found = {
        name: names.text(value)
        for name, value in environ.items()
        if (name in wanted or name.startswith(_PREFIXES)) and name not in _OF_HERE
    }
    if _PROJECT in found:
        found[_PROJECT] = work_dir
    return found
