"""Checks of the results directory: room, the mount below it, and how fast it answers."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from orze.client.checks import Check, Verdict
from orze.config.load import check_lease
from orze.config.schema import Settings
from orze.coord.mount import attribute_cache, preflight
from orze.core.errors import ConfigError
from orze.core.files import RealFiles, nonce

_GB = 1e9
_LITTLE_ROOM = 5e9  # bytes
_FEW_INODES = 10_000
_ROUNDS = 5
_SLOW = 0.1  # seconds of one write from which starting an idea is felt
_FORGETFUL = {"tmpfs", "ramfs"}
_NETWORK = ("nfs", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb", "glusterfs", "fuse.", "9p", "wekafs")


@dataclass(frozen=True, slots=True)
class Mount:
    """What lies below a directory, as /proc/self/mounts tells it.

    Attributes:
        kind: the type of the filesystem, such as nfs4.
        options: those of the mount, such as `soft` or `acdirmax=60`.
        cache: seconds for which it may show old directories.
    """

    point: str
    device: str
    kind: str
    options: frozenset[str]
    cache: float

    @property
    def shared(self) -> bool:
        """Whether other hosts can have it, as far as its type tells."""
        return self.kind.startswith(_NETWORK)


@dataclass(frozen=True, slots=True)
class Room:
    """What is free, in bytes and files; `files_total` is 0 where the filesystem does not count them."""

    free: int
    total: int
    files_free: int
    files_total: int


def nearest(path: str) -> str:
    """The directory, or the nearest one above it that is there."""
    while not os.path.isdir(path):
        path = os.path.dirname(path) or "/"
    return path


def read_mount(directory: str) -> Mount:
    """Which mount holds a directory."""
    real = os.path.realpath(directory)
    best = None
    for part in psutil.disk_partitions(all=True):
        inside = real == part.mountpoint or real.startswith(part.mountpoint.rstrip("/") + "/")
        if inside and (best is None or len(part.mountpoint) >= len(best.mountpoint)):
            best = part  # of two on one point the later one hides the other
    cache = attribute_cache(directory)
    if best is None:
        return Mount("", "", "unknown", frozenset(), cache)
    return Mount(best.mountpoint, best.device, best.fstype, frozenset(best.opts.split(",")), cache)


def read_room(directory: str) -> Room:
    """statvfs(3) of a directory."""
    found = os.statvfs(directory)
    size = found.f_frsize
    return Room(found.f_bavail * size, found.f_blocks * size, found.f_favail, found.f_files)


def judge_room(room: Room, min_disk_gb: float) -> list[Check]:
    """Disk and inodes.

    Args:
        min_disk_gb: of the settings; below it no training starts.
    """
    said = f"{room.free / _GB:.1f} GB free of {room.total / _GB:.1f}"
    make_room = "make room, or let `cleanup` in orze.yaml do it"
    if room.free < min_disk_gb * _GB:
        disk = Check(
            "disk", Verdict.FAIL, f"{said}; min_disk_gb is {min_disk_gb:g}: nothing starts", make_room
        )
    elif room.free < _LITTLE_ROOM:
        disk = Check("disk", Verdict.WARN, said, make_room)
    else:
        disk = Check("disk", Verdict.OK, said)
    if not room.files_total:
        return [disk, Check("inodes", Verdict.SKIP, "this filesystem does not count them")]
    told = f"{room.files_free:,} free of {room.files_total:,}"
    verdict = Verdict.FAIL if room.files_free < 100 else Verdict.WARN
    if room.files_free < _FEW_INODES:
        return [disk, Check("inodes", verdict, told, "remove small files: each idea needs a few dozen")]
    return [disk, Check("inodes", Verdict.OK, told)]


def judge_mount(mount: Mount, settings: Settings) -> list[Check]:
    """The type of the mount and its options, each with what it means for the farm."""
    where = f"{mount.kind} at {mount.point}"
    if mount.kind in _FORGETFUL:
        advice = "set results_dir to a disk or a share"
        return [
            Check("mount", Verdict.WARN, f"{where} lives in memory: a reboot removes all results", advice)
        ]
    if mount.kind == "overlay":
        advice = "mount a directory of the host into it"
        return [
            Check("mount", Verdict.WARN, f"{where} is that of a container, and may go with it", advice),
            _judge_cache(mount, settings),
        ]
    use = "other hosts can take part" if mount.shared else "a local disk: only this host can take part"
    return [
        Check("mount", Verdict.OK, f"{where}: {use}"),
        *_judge_options(mount),
        _judge_cache(mount, settings),
    ]


def judge_speed(seconds: dict[str, float], heartbeat: float) -> Check:
    """How long the share takes for what the farm does most.

    Args:
        seconds: what was done -> the median of its durations.
        heartbeat: seconds between two signs of life.
    """
    said = ", ".join(f"{name} {value * 1000:.1f} ms" for name, value in seconds.items())
    slowest = max(seconds.values())
    if slowest > heartbeat / 3:
        advice = "raise lease.heartbeat and the other times of the lease, or use a faster share"
        return Check(
            "latency", Verdict.FAIL, f"{said}: too slow for a heartbeat every {heartbeat:g} s", advice
        )
    if slowest > _SLOW:
        return Check("latency", Verdict.WARN, said, "each start of an idea takes about ten of them")
    return Check("latency", Verdict.OK, said)


def try_directory(directory: str) -> Check:
    """Do what every promise of the farm rests on; MountError names what does not work."""
    preflight(RealFiles(), directory)
    return Check(
        "operations", Verdict.OK, f"hard links, rename, exclusive create and fsync work in {directory}"
    )


def measure(directory: str, steady: Callable[[], float]) -> dict[str, float]:
    """The median durations, in seconds, of the operations of the protocol in a directory."""
    files = RealFiles()
    home = f"{directory}/preflight-{nonce()}"
    files.mkdir(home)
    steps: dict[str, Callable[[int], object]] = {
        "write and fsync": lambda k: files.write_new(f"{home}/{k}", b"orze\n"),
        "link": lambda k: files.link(f"{home}/{k}", f"{home}/{k}.link"),
        "rename": lambda k: os.replace(f"{home}/{k}.link", f"{home}/{k}.name"),
        "list": lambda _: files.listdir(home),
    }
    taken: dict[str, list[float]] = {name: [] for name in steps}
    try:
        for k in range(_ROUNDS):
            for name, step in steps.items():
                begun = steady()
                step(k)
                taken[name].append(steady() - begun)
    finally:
        for name in files.listdir(home):
            files.unlink(f"{home}/{name}")
        files.rmdir(home)
    return {name: statistics.median(values) for name, values in taken.items()}


def judge_locks(directory: str, *, writable: bool) -> Check:
    """The temporary directory, where farms of one host keep off each other's cards."""
    if writable:
        return Check(
            "slot locks", Verdict.OK, f"in {directory}; all farms of this host must use the same TMPDIR"
        )
    return Check("slot locks", Verdict.FAIL, f"{directory} cannot be written", "set TMPDIR to one that can")


def _judge_options(mount: Mount) -> list[Check]:
    found = []
    if "soft" in mount.options or "softerr" in mount.options:
        said = "`soft`: when the server pauses, reads and writes of training scripts fail instead of waiting"
        found.append(Check("mount option", Verdict.WARN, said, "mount with `hard`"))
    if "nolock" in mount.options or "local_lock=all" in mount.options:
        said = "`nolock`: harmless, since no promise of the farm rests on file locks of the share"
        found.append(Check("mount option", Verdict.OK, said))
    if "ro" in mount.options:
        found.append(Check("mount option", Verdict.FAIL, "`ro`: nothing can be written", "mount with `rw`"))
    return found


def _judge_cache(mount: Mount, settings: Settings) -> Check:
    told = settings.lease.attribute_cache
    cache = mount.cache if told is None else told
    whose = "by the mount" if told is None else "by lease.attribute_cache"
    said = f"{cache:g} s at most, {whose}"
    try:
        check_lease(settings, cache)
    except ConfigError as error:
        return Check(
            "attribute cache", Verdict.FAIL, f"{said}: {error.problems[0]}", "farm.py refuses to start"
        )
    return Check("attribute cache", Verdict.OK, f"{said}; the lease ({settings.lease.steal:g} s) can bear it")
