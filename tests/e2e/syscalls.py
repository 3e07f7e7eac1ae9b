"""What strace saw of a farm: who published which name, and what was on stable storage by then."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# One line: pid, call, arguments, result. With -y a descriptor is shown with the path that it has now.
_LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<args>.*)\) += (?P<result>-?\d+)")
_UNFINISHED = re.compile(r"^(?P<pid>\d+) +(?P<begin>\w+\(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. \w+ resumed>(?P<end>.*)$")
_DESCRIPTOR = re.compile(r"^(\d+)<(.*?)>(?:, |$)")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
TRACED = (
    "open,openat,write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "poll,ppoll,select,pselect6,epoll_wait,wait4,waitid,clock_nanosleep,exit_group"
)
_WRITES = ("write", "pwrite64", "writev")
_SYNCS = ("fsync", "fdatasync")
_PUBLISH = ("rename", "renameat", "renameat2", "link", "linkat")
_WAITS = ("poll", "ppoll", "select", "pselect6", "epoll_wait", "wait4", "waitid", "clock_nanosleep")


@dataclass(frozen=True)
class Call:
    """One system call that succeeded.

    Attributes:
        pid: the thread.
        descriptor: the path behind its first argument; empty where that is no descriptor.
        names: its arguments that are names.
    """

    pid: int
    name: str
    descriptor: str
    names: tuple[str, ...]


@dataclass
class Findings:
    """What was published, and what broke the order.

    Attributes:
        published: how many names, by the name of the directory.
        faults: one sentence for each breach.
    """

    published: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def calls(log: Path) -> Iterator[Call]:
    """The calls of a log of `strace -f -y`, in order, those that were refused left out."""
    begun: dict[str, str] = {}
    for raw in log.read_text(errors="replace").splitlines():
        line = raw
        if found := _UNFINISHED.match(line):
            begun[found["pid"]] = found["begin"]
            continue
        if found := _RESUMED.match(line):
            line = f"{found['pid']} {begun.pop(found['pid'], '')}{found['end']}"
        found = _LINE.match(line)
        if found and int(found["result"]) >= 0:
            at = _DESCRIPTOR.match(found["args"])
            names = tuple(_unescape(text) for text in _STRING.findall(found["args"]))
            yield Call(int(found["pid"]), found["call"], _unescape(at[2]) if at else "", names)


def check_order(log: Path, below: str) -> Findings:
    """Hold every link and rename below a directory against the rule of docs/protocol.md.

    What is published was synced after it was written last; its directory is synced by the same thread
    before that thread waits for anything, publishes in another directory or ends.
    """
    found = Findings()
    dirty: set[str] = set()
    owed: dict[int, str] = {}  # a thread, and the directory that it has still to sync
    for call in calls(log):
        if call.name in _WRITES:
            dirty.add(call.descriptor)
        elif call.name in _SYNCS:
            dirty.discard(call.descriptor)
            if owed.get(call.pid) == call.descriptor:
                del owed[call.pid]
        elif call.name in _WAITS or call.name == "exit_group":
            _settle(found, owed, call, "")
        elif call.name in _PUBLISH or call.name.startswith("symlink"):
            _publish(found, call, below, dirty, owed)
    found.faults += [f"{folder} is never synced" for folder in owed.values()]
    return found


def _publish(found: Findings, call: Call, below: str, dirty: set[str], owed: dict[int, str]) -> None:
    source, target = call.names[-2:]
    if not target.startswith(below) or os.path.basename(target).startswith(".tmp-"):
        return
    if call.name not in _PUBLISH and "/.orze/doors/" in target:
        return  # a door is of one attempt, which ends with its machine
    folder = os.path.dirname(target)
    _settle(found, owed, call, folder)
    found.published[os.path.basename(folder)] = found.published.get(os.path.basename(folder), 0) + 1
    if call.name in _PUBLISH and source in dirty:
        found.faults.append(f"{target} is published before its bytes are synced")
    owed[call.pid] = folder


def _settle(found: Findings, owed: dict[int, str], call: Call, folder: str) -> None:
    if owed.get(call.pid, folder) != folder:
        found.faults.append(f"{owed.pop(call.pid)} is not synced before {call.name} {call.names[-1:]}")


def _unescape(text: str) -> str:
    """A name as strace writes it (octal and C escapes) to text."""
    return (
        text.encode("latin-1", "replace")
        .decode("unicode_escape")
        .encode("latin-1")
        .decode("utf-8", "replace")
    )
