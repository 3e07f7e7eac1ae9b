"""Which machine and process this is: boot, pid namespace, pid and start time; a hostname proves nothing."""

from __future__ import annotations

import os
import zlib

_STARTTIME_AFTER_COMM = 19  # field 22 of proc_pid_stat(5), counted behind the command's closing bracket


_TAG = 6  # hex digits of a tag in a token


class Machine:
    """What two processes must share so that one can judge the other by its pid.

    Attributes:
        tag: short for this boot and pid namespace; the names of heartbeats carry it, so that a host finds
            its own among thousands by one listing.
    """

    __slots__ = ("boot", "host", "machine_id", "pidns", "tag")

    def __init__(self, host: str, boot: str, pidns: str, machine_id: str) -> None:
        self.host = host
        self.boot = boot
        self.pidns = pidns
        self.machine_id = machine_id
        self.tag = f"{zlib.crc32(f'{boot} {pidns}'.encode()):08x}"[-_TAG:]

    def new_token(self, mark: str = "") -> str:
        """A token that nobody has used or will use; it begins with the tag.

        Args:
            mark: what it ends with; in the name of a heartbeat it tells every host what runs there.
        """
        return self.tag + os.urandom(8).hex() + mark

    def may_own(self, token: str) -> bool:
        """Whether a token may be of this machine; only the record of its claim proves it."""
        return token.startswith(self.tag)

    def sees(self, record: dict[str, object]) -> bool:
        """Whether the pids in a record mean the same processes here: same boot and same pid namespace."""
        return bool(self.boot) and record.get("boot") == self.boot and record.get("pidns") == self.pidns

    def rebooted_since(self, record: dict[str, object]) -> bool:
        """Whether a record was written by an earlier boot of this machine (or of a clone of its image)."""
        same = self.machine_id != "" and record.get("machine") == self.machine_id
        return same and record.get("boot") != self.boot

    def frame(self, pid: int, start: int) -> dict[str, object]:
        """The part of a record that names a process of this machine."""
        return {
            "host": self.host,
            "boot": self.boot,
            "pidns": self.pidns,
            "machine": self.machine_id,
            "pid": pid,
            "start": start,
        }


def this_machine() -> Machine:
    """Read the identity of the machine this process runs on (proc(5), namespaces(7), machine-id(5))."""
    return Machine(
        host=os.uname().nodename,
        boot=_first_line("/proc/sys/kernel/random/boot_id"),
        pidns=os.readlink("/proc/self/ns/pid"),
        machine_id=_first_line("/etc/machine-id"),
    )


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none, or it is a zombie."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fields = os.read(descriptor, 2048).rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[_STARTTIME_AFTER_COMM])
    except (OSError, IndexError, ValueError):
        return None
    finally:
        os.close(descriptor)


def lives(pid: int, start: int) -> bool:
    """Whether the very process that had this pid and start time still runs."""
    return start_time(pid) == start


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return ""
