"""Stands in for `systemctl --user` and for loginctl: it really starts and stops the unit that it is told of.

It is copied to where a test's PATH finds it. It does of systemd.service(5) what our units use.
"""

import os
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path

OWN = Path(__file__).parent
UNITS = Path(os.environ["XDG_CONFIG_HOME"], "systemd", "user")


def settings(unit):
    """The lines of a unit file: each name with all that it is set to."""
    found = {}
    for line in (UNITS / unit).read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value.replace("%%", "%"))
    return found


def start(unit):
    """Run its command with its environment alone, in its directory, unless it runs."""
    if pid(unit):
        return
    told = settings(unit)
    program, *argv = (word.replace("$$", "$") for word in shlex.split(told["ExecStart"][0]))
    assert program.startswith("@"), "the path of the program, then its argv"
    environment = dict(shlex.split(value)[0].split("=", 1) for value in told["Environment"])
    with (OWN / f"{unit}.log").open("ab") as log:
        daemon = subprocess.Popen(
            argv,
            executable=program[1:],
            cwd=told["WorkingDirectory"][0],
            env={"HOME": os.environ["HOME"], **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (OWN / f"{unit}.pid").write_text(str(daemon.pid))


def stop(unit):
    """End its first process and wait until it is gone; the others are left running, as KillMode= says."""
    assert settings(unit)["KillMode"] == ["process"], "no other way is known here"
    if running := pid(unit):
        process = os.pidfd_open(running)
        os.kill(running, signal.SIGTERM)
        select.select([process], [], [])


def pid(unit):
    """Its first process; 0 where it does not run."""
    try:
        found = int((OWN / f"{unit}.pid").read_text())
        os.kill(found, 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return found


def show(unit):
    """Print what is asked of systemctl show."""
    enabled = (OWN / f"{unit}.enabled").exists()
    print(f"UnitFileState={'enabled' if enabled else ''}\nNRestarts=0")
    print(f"ActiveState={'active' if pid(unit) else 'inactive'}\nMainPID={pid(unit)}")


match sys.argv[1:]:
    case ["show-user", *_]:
        print("Linger=yes")
    case ["--user", "daemon-reload"]:
        pass
    case ["--user", "enable", unit]:
        (OWN / f"{unit}.enabled").touch()
    case ["--user", "start", unit]:
        start(unit)
    case ["--user", "restart", unit]:
        stop(unit)
        start(unit)
    case ["--user", "disable", "--now", unit]:
        (OWN / f"{unit}.enabled").unlink()
        stop(unit)
    case ["--user", "show", unit, *_]:
        show(unit)
    case others:
        sys.exit(f"{others}: not known here")
