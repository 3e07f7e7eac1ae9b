"""Runs one program with a text on its standard input, within limits, and leaves no process of it behind."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orze.attempt import tree

_GRACE: Final = 3.0  # seconds between SIGTERM and SIGKILL
_PATIENCE: Final = 10.0  # seconds after which processes that do not even die of SIGKILL are given up
_LOOK: Final = 0.05  # seconds between two looks at a tree that is being ended
_CHUNK: Final = 64 << 10
_KEPT: Final = 4096  # last bytes of what it says on standard error
_SHELL: Final = 'exec "$@" </dev/fd/{source} 2>/dev/fd/{errors}'  # descriptors as proc_pid_fd(5) names them


@dataclass(slots=True)
class Ran:
    """What a program did.

    Attributes:
        status: its exit status, negative for a signal; None where it was ended.
        output: what it printed.
        errors: the end of what it said on standard error.
        why: why it was ended: `time` or `size`; empty where it ended by itself.
    """

    status: int | None = None
    output: bytes = b""
    errors: bytes = b""
    why: str = ""


def run_program(
    argv: Sequence[str],
    text: str,
    *,
    cwd: str,
    env: Mapping[str, str],
    seconds: float,
    limit: int,
    only_last: bool = False,
    grace: float = _GRACE,
) -> Ran:
    """Run a program to its end, in a session of its own, which dies with this process.

    Args:
        argv: the program and its arguments; the program is looked for on the PATH of `env`.
        text: its standard input.
        seconds: the longest time that it may take.
        limit: bytes that it may print.
        only_last: it may print more, of which the last `limit` bytes are kept.
        grace: seconds that it has to end when it is told to.

    Raises:
        OSError: it cannot be started.
    """
    before = tree.children()
    tree.become_subreaper()  # what it leaves behind becomes a child of this process, and is ended too
    printed, output = os.pipe()
    said, errors = os.pipe()
    source = os.memfd_create("input")
    try:
        os.write(source, text.encode("utf-8", "replace"))
        shell = _SHELL.format(source=source, errors=errors)
        command = ["/bin/sh", "-c", shell, "sh", *argv]
        pid = tree.spawn(command, env=dict(env), cwd=cwd, output=output, keep=(source, errors))
    except OSError:
        os.close(printed)
        os.close(said)
        raise
    finally:
        for descriptor in (output, errors, source):
            os.close(descriptor)
    try:
        return _follow(pid, printed, said, seconds, limit, only_last=only_last)
    finally:
        _end_tree(before, grace)
        os.close(printed)
        os.close(said)


def _follow(pid: int, printed: int, said: int, seconds: float, limit: int, *, only_last: bool) -> Ran:
    """Read what it prints until it has ended, or has to be."""
    ran = Ran()
    deadline = time.monotonic() + seconds
    ended = os.pidfd_open(pid)
    poll = select.poll()
    for descriptor in (printed, said, ended):
        poll.register(descriptor, select.POLLIN)
    try:
        while (left := deadline - time.monotonic()) > 0:
            ready = {descriptor for descriptor, _ in poll.poll(left * 1000)}
            for descriptor in ready & {printed, said}:
                if not _read(descriptor, ran, is_output=descriptor == printed):
                    poll.unregister(descriptor)
            if only_last:
                ran.output = ran.output[-limit:]
            if len(ran.output) > limit:
                ran.why = "size"
                return ran
            if ready == {ended}:  # all that it wrote before is read
                ran.status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                return ran
        ran.why = "time"
        return ran
    finally:
        os.close(ended)


def _read(descriptor: int, ran: Ran, *, is_output: bool) -> bool:
    """Take what is there; False at the end."""
    data = os.read(descriptor, _CHUNK)
    if is_output:
        ran.output += data
    else:
        ran.errors = (ran.errors + data)[-_KEPT:]
    return bool(data)


def _end_tree(before: Collection[int], grace: float) -> None:
    """End every child that this process did not have before: TERM, then KILL, each to the whole group."""
    begun = time.monotonic()
    while left := _alive(before):
        waited = time.monotonic() - begun
        if waited > _PATIENCE:
            return  # it hangs in the kernel
        for pid in left:
            _signal(pid, signal.SIGTERM if waited < grace else signal.SIGKILL)
        time.sleep(_LOOK)


def _alive(before: Collection[int]) -> list[int]:
    """The new children that live; those that ended are waited for."""
    new = [pid for pid in tree.children() if pid not in before]
    return [pid for pid in new if os.waitpid(pid, os.WNOHANG) == (0, 0)]


def _signal(pid: int, number: int) -> None:
    try:
        group = os.getpgid(pid)
        if group == os.getpgrp():
            os.kill(pid, number)
        else:
            os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # it has ended, or took the rights of another user
