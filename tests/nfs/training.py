"""The training of these farms: it lasts as long as its idea says, and tells the host when it lived.

Signs of life go to HISTORY, a directory of the host that is reached without NFS; the host's clock dates
them, so that those of guests with other clocks compare. On SIGTERM it does what a script in good faith may
do: it writes a result. Whether that counts is for the chain to say.
"""

import json
import os
import signal
import sys
import time

env = os.environ
mark = f"{env['HISTORY']}/{env['ORZE_IDEA_ID']}@{env['ORZE_ATTEMPT']}@{os.uname().nodename}"
out = env["REVIS_OUTPUT_DIR"]


def sign(what: str) -> None:
    """Leave a sign; its mtime is the host's time."""
    with open(f"{mark}@{what}", "w", encoding="ascii") as stream:
        stream.write(".")


def result(**more: object) -> None:
    """Write metrics.json whole; no two attempts measure the same."""
    attempt = env["ORZE_ATTEMPT"]
    metrics = {"status": "COMPLETED", "val_accuracy": int(attempt[-6:], 16) / 16**6, "by": attempt, **more}
    with open(f"{out}/.metrics", "w", encoding="utf-8") as stream:
        json.dump(metrics, stream)
    os.replace(f"{out}/.metrics", f"{out}/metrics.json")


def leave(*_: object) -> None:
    """End early, as well as possible."""
    sign("term")
    result(late=True)
    sign("late")
    sys.exit(143)


def main() -> None:
    """Live for as long as the configuration says, then write the result."""
    sign("start")
    signal.signal(signal.SIGTERM, leave)
    with open(env["ORZE_IDEA_CONFIG"], encoding="utf-8") as config:
        told = dict(line.split(": ", 1) for line in config if ": " in line)
    first = env["ORZE_ATTEMPT"].startswith("1-")
    until = time.monotonic() + float(told["seconds" if first else "again"])
    while time.monotonic() < until:
        sign("life")
        time.sleep(0.1)
    result()
    sign("end")


main()
