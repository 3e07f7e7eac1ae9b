"""Sees whether a training changed files that it may not change: they are read before and after it."""

from __future__ import annotations

import json
import os
import sys

from orze.attempt.ends import Failed
from orze.core.states import Cause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fingerprint.py")
_NAMED = 5  # files in a sentence
_LONGEST = 80  # characters of a name in it
_LIMIT = 16 << 20  # bytes of what the program writes


class Guard:
    """The protected files of one attempt. What they held is kept in memory: no training reaches it there.

    Args:
        patterns: what is protected, relative to `root` or absolute.
        root: the directory in which the training runs.
        elsewhere: a directory whose files that `root` lacks are protected as well; empty for none.
        skip: a directory that is not looked into.
        output: a name for a file that is free for a moment.
        run: runs a command to its end; returns what went wrong.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        *,
        root: str,
        elsewhere: str,
        skip: str,
        output: str,
        run: Callable[[list[str]], str],
    ) -> None:
        python = [sys.executable, "-I", "-S", _PROGRAM]
        self._command = [*python, output, skip, root, elsewhere, *patterns]
        self._output = output
        self._run = run
        self._before = self._look() if patterns else None

    def check(self) -> None:
        """Look whether anything has changed since this was made.

        Raises:
            Failed: it has, and the sentence names it; or that cannot be told.
        """
        if self._before is not None and (said := sentence(self._before, self._look())):
            raise Failed(Cause.PROTECTED, said)

    def _look(self) -> Mapping[str, Mapping[str, str]]:
        _unlink(self._output)
        if why := self._run(self._command):
            raise Failed(Cause.START, why)
        try:
            with open(self._output, "rb") as stream:
                found: Mapping[str, Mapping[str, str]] = json.loads(stream.read(_LIMIT))
        except (OSError, ValueError) as error:
            raise Failed(Cause.START, f"what the protected files hold cannot be read: {error}") from None
        _unlink(self._output)
        return found


def sentence(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> str:
    """What has changed between two looks; empty where nothing has.

    Files outside of the training's directory may come, since others work there too; none may change or go.
    """
    there = before["run"]
    beside = {path: digest for path, digest in before["elsewhere"].items() if path not in there}
    touched = _touched(there, after["run"])
    touched += [f"{path} (added)" for path in after["run"] if path not in there]
    touched += _touched(beside, after["elsewhere"])
    if not touched:
        return ""
    named = ", ".join(map(_shown, touched[:_NAMED]))
    more = f" and {len(touched) - _NAMED} more" if len(touched) > _NAMED else ""
    return f"it touched files that are protected, so that none of its metrics counts: {named}{more}"


def _touched(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    changed = [f"{path} (changed)" for path in old if path in new and new[path] != old[path]]
    return changed + [f"{path} (removed)" for path in old if path not in new]


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)[-_LONGEST:]


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
